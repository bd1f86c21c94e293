// Baseline is a bare fasthttp server with a constant answer: what Smache's CPU
// per request is measured against (scripts/bench-cpu.sh, docs/BENCHMARKS.md). Its
// answers have the bytes that Smache answers with, headers included, set in the
// cheapest way that fasthttp has, and it does nothing else. It listens on a free
// port of the loopback address, which it prints.
package main

import (
	"fmt"
	"net"

	"github.com/valyala/fasthttp"
)

func main() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(ln.Addr())
	panic((&fasthttp.Server{Name: "smache", Handler: handle}).Serve(ln))
}

var (
	contentType = []byte("application/json")
	get         = []byte(`{"key":"bench-0000000000","data":{"id":"bench-0000000000","lat":59.574730,"lng":116.663252},"node":"smache@127.0.0.1:4000"}`)
	post        = []byte(`{"data":{"id":"bench-0000000000","lat":59.574730,"lng":116.663252}}`)
	control     = []byte(`{}`)

	headers = [][2][]byte{
		{[]byte("ETag"), []byte(`"660e107544078000"`)},
		{[]byte("Smache-Age"), []byte("0.008")},
		{[]byte("Cache-Status"), []byte("smache; hit")},
		{[]byte("Cache-Control"), []byte("private, no-cache")},
	}
)

func handle(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.SetContentTypeBytes(contentType)
	switch {
	case ctx.IsPost():
		h.SetCanonical(headers[0][0], headers[0][1])
		ctx.Response.SetBodyRaw(post)
	case len(ctx.Path()) > 1:
		for i := range headers {
			h.SetCanonical(headers[i][0], headers[i][1])
		}
		ctx.Response.SetBodyRaw(get)
	default:
		ctx.Response.SetBodyRaw(control)
	}
}
