package httpapi

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

func itoa(n int) string { return strconv.Itoa(n) }

const seedValue = `{"lat":52.520008,"lng":13.404954,"heading":271.5,"driver":"d-1042"}`

func getContext(target string) *fasthttp.RequestCtx {
	ctx := &fasthttp.RequestCtx{}
	var req fasthttp.Request
	req.Header.SetMethod("GET")
	req.Header.SetHost("localhost")
	req.Header.Set("User-Agent", "test")
	req.Header.Set("Accept", "*/*")
	req.SetRequestURI(target)
	ctx.Init(&req, nil, nil)
	return ctx
}

func postContext(body string) *fasthttp.RequestCtx {
	ctx := &fasthttp.RequestCtx{}
	var req fasthttp.Request
	req.Header.SetMethod("POST")
	req.Header.SetHost("localhost")
	req.Header.SetContentType("application/json")
	req.SetRequestURI("/api")
	req.SetBodyString(body)
	ctx.Init(&req, nil, nil)
	return ctx
}

func TestGetHitAllocatesNothing(t *testing.T) {
	for _, ttl := range []time.Duration{proto.Forever, 90 * time.Second} {
		s := newServer(t, &still{value: []byte(seedValue), ttl: ttl}, nil)
		handler := s.Handler()
		for _, target := range []string{"/api?key=1042", "/api?key=%41+b&miss=404", "/api/?key=driver-1042"} {
			ctx := getContext(target)
			ctx.Response.KeepBodyBuffer = true
			n := testing.AllocsPerRun(1000, func() {
				ctx.Response.Reset()
				handler(ctx)
			})
			if ctx.Response.StatusCode() != 200 {
				t.Fatalf("%s: status %d", target, ctx.Response.StatusCode())
			}
			if n > poolMisses {
				t.Errorf("GET %s allocates %v times", target, n)
			}
		}
	}
}

func TestPostAllocatesAtMostTwice(t *testing.T) {
	s := newServer(t, &still{ttl: proto.Forever}, nil)
	handler := s.Handler()
	for _, body := range []string{
		`{"key":1042,"data":` + seedValue + `}`,
		`{ "key" : "driver\u002d1042", "data" : { "lat" : 1.50, "s" : " a b " }, "ttl" : 12.5 }`,
	} {
		ctx := postContext(body)
		ctx.Response.KeepBodyBuffer = true
		n := testing.AllocsPerRun(1000, func() {
			ctx.Response.Reset()
			handler(ctx)
		})
		if ctx.Response.StatusCode() != 200 {
			t.Fatalf("%s: status %d, %s", body, ctx.Response.StatusCode(), ctx.Response.Body())
		}
		if n > 2+poolMisses {
			t.Errorf("POST of %s allocates %v times", body, n)
		}
		t.Logf("POST of %d bytes: %v allocations", len(body), n)
	}
}

// A batch of writes allocates its body and its answer, with what fasthttp keeps it in, if
// they are longer than what stays of a request; and nothing that grows.
func TestMsetAllocatesNothingThatGrows(t *testing.T) {
	handler := newServer(t, &still{ttl: proto.Forever}, nil).Handler()
	for n, want := range map[int]float64{10: 0, 200: 3} {
		var entries []string
		for i := range n {
			entries = append(entries, `{"key":"driver-`+itoa(10_000+i)+`","data":`+seedValue+`}`)
		}
		ctx := postContext(`{"entries":[` + strings.Join(entries, ",") + `]}`)
		ctx.Request.SetRequestURI("/api/mset")
		length := 0
		got := testing.AllocsPerRun(1000, func() {
			ctx.Response.Reset()
			handler(ctx)
			length = len(ctx.Response.Body())
		})
		if status := ctx.Response.StatusCode(); status != 200 || want > 0 && length <= mediumFrom {
			t.Fatalf("%d entries: status %d, %s", n, status, ctx.Response.Body())
		}
		if got > want+float64(n)*poolMisses {
			t.Errorf("mset of %d entries allocates %v times, %d bytes of answer", n, got, length)
		}
	}
}

// The answer's memory is taken at once, but not for what is not in it: a key that is too
// long is null there, and nobody was charged for its length.
func TestMsetTakesNoMemoryForBadKeys(t *testing.T) {
	handler := newServer(t, &still{ttl: proto.Forever}, nil).Handler()
	for _, path := range []string{"/api/mset", "/api/mdel", "/api/touch"} {
		key := `"` + strings.Repeat("k", 500_000) + `"`
		body := `{"keys":[` + key + `],"ttl":5}`
		if path == "/api/mset" {
			body = `{"entries":[{"key":` + key + `,"data":1}]}`
		}
		ctx := postContext(body)
		ctx.Request.SetRequestURI(path)
		handler(ctx)
		answer := ctx.Response.Body()
		if ctx.Response.StatusCode() != 200 || !strings.Contains(string(answer), `"key":null`) || cap(answer) > 2*maxKeyText {
			t.Errorf("%s: status %d, %d bytes of memory for %.300s", path, ctx.Response.StatusCode(), cap(answer), answer)
		}
	}
}

func BenchmarkGetHit(b *testing.B) {
	s := newServer(b, &still{value: []byte(seedValue), ttl: proto.Forever}, nil)
	handler, ctx := s.Handler(), getContext("/api?key=1042")
	ctx.Response.KeepBodyBuffer = true
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		handler(ctx)
	}
}

func BenchmarkPost(b *testing.B) {
	s := newServer(b, &still{ttl: proto.Forever}, nil)
	handler, ctx := s.Handler(), postContext(`{"key":1042,"data":`+seedValue+`}`)
	ctx.Response.KeepBodyBuffer = true
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		handler(ctx)
	}
}
