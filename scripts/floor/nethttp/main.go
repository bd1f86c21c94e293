// Nethttp is a bare net/http server with a constant answer, Smache's to a GET of
// bench-0000000000: what others are compared with (scripts/compare.sh). It listens on
// a free port of the loopback address, which it prints.
package main

import (
	"fmt"
	"net"
	"net/http"
)

var answer = []byte(`{"key":"bench-0000000000","data":{"id":"bench-0000000000","lat":59.574730,"lng":116.663252},"node":"smache@127.0.0.1:4000"}`)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	panic(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Server", "smache")
		h.Set("Content-Type", "application/json")
		h.Set("ETag", `"660e107544078000"`)
		h.Set("Smache-Age", "0.008")
		h.Set("Cache-Status", "smache; hit")
		h.Set("Cache-Control", "private, no-cache")
		_, _ = w.Write(answer) // if the client is gone, so is who would be told
	})))
}
