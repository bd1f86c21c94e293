package httpapi

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// TestPlainLearns holds that a worker knows a header when it asks for nothing, and no
// other.
func TestPlainLearns(t *testing.T) {
	s := newServer(t, &still{value: []byte(seedValue), ttl: proto.Forever}, nil)
	s.loops.contexts.New = newContext
	for _, tt := range []struct {
		line, header string
		loopback     bool
		plain        bool
	}{
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: localhost\r\n", loopback: true, plain: true},
		{line: "GET /api?key=a-b_c.d:E9 HTTP/1.1\r\n", header: "Host: example.org\r\nUser-Agent: x\r\nAccept: */*\r\n", plain: true},
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: example.org\r\n", loopback: true},
		{line: "GET /api?key=%31 HTTP/1.1\r\n", header: "Host: a\r\n"},
		{line: "GET /api?key=1&miss=404 HTTP/1.1\r\n", header: "Host: a\r\n"},
		{line: "GET /api?key= HTTP/1.1\r\n", header: "Host: a\r\n"},
		{line: "GET /api?key=1 HTTP/1.0\r\n", header: "Host: a\r\n"},
		{line: "HEAD /api?key=1 HTTP/1.1\r\n", header: "Host: a\r\n"},
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: a\r\nConnection: close\r\n"},
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: a\r\nOrigin: http://a\r\n"},
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: a\r\nsec-fetch-site: cross-site\r\n"},
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: a\r\nIf-Match: *\r\n"},
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: a\r\nIf-None-Match: *\r\n"},
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: a\r\nAuthorization: Bearer x\r\n"},
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: a\r\nX-Forwarded-For: 1.2.3.4\r\n"},
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: a\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"},
		{line: "GET /api?key=1 HTTP/1.1\r\n", header: "Host: a\r\nX: " + strings.Repeat("x", maxPlainHeader) + "\r\n"},
	} {
		w := newWorker(s)
		c, other := &conn{registry: &s.registry, loopback: tt.loopback}, &conn{registry: &s.registry, loopback: !tt.loopback}
		text := []byte(tt.line + tt.header + "\r\n")
		if n, _, _ := w.plain.serve(c, text); n != 0 {
			t.Errorf("%.200q is known from the start", text)
		}
		if n := w.parse(w.context(), text); n != len(text) {
			t.Fatalf("%.200q: %d bytes parsed", text, n)
		}
		w.plain.learn(c, &w.ctx.Request.Header, text)
		n, closes, waits := w.plain.serve(c, append(text, getOne...))
		if (n == len(text)) != tt.plain || n != 0 && !tt.plain || closes || waits {
			t.Errorf("%.200q: %d of %d bytes served, closes %v, waits %v", text, n, len(text), closes, waits)
		}
		if n, _, _ = w.plain.serve(other, text); n != 0 {
			t.Errorf("%.200q is known on another kind of listener", text)
		}
		if n, _, _ = w.plain.serve(c, text[:len(text)-1]); n != 0 {
			t.Errorf("%.200q without its last byte is served", text)
		}
	}
}

// TestPlainAnswersAlike asks on a loop that knows the header, and in a goroutine.
func TestPlainAnswersAlike(t *testing.T) {
	statuses := map[string]proto.Status{
		"unreachable": proto.StatusUnreachable, "overloaded": proto.StatusQueueFull, "large": proto.StatusTooLarge, "internal": proto.StatusInternal,
	}
	for _, late := range []bool{false, true} {
		var addresses [2]string
		for i := range addresses {
			cache := newFake()
			cache.late = late
			cache.override = func(op *proto.Op) bool {
				if string(op.Key) == "panic" && !late {
					panic("on purpose")
				}
				status, ok := statuses[string(op.Key)]
				if op.Status = status; string(op.Key) == "elsewhere" {
					op.Node, op.Status, ok = `smache@"other"`, proto.StatusOK, true
					op.Remaining, op.Age, op.Out = 90*time.Second, -1, append(op.Out, "{}"...)
				}
				return ok
			}
			s := newServer(t, cache, nil)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				ln = hiding{ln}
			}
			addresses[i] = serveOn(t, s, ln)
			c := dial(t, addresses[i])
			for key, n := range map[string]int{"small": 10, "medium": 7_000, "big": 20_000, "huge": 1<<20 - 100} {
				if got := c.post("/api", fmt.Sprintf(`{"key":%q,"data":{"v":%q},"ttl":7}`, key, strings.Repeat("v", n))); got.status != 200 {
					t.Fatal(got.body)
				}
			}
		}
		ask := func(keys ...string) (texts []byte) {
			for _, key := range keys {
				texts = append(texts, strings.Replace(getOne, "key=1", "key="+key, 1)...)
			}
			return texts
		}
		keys := []string{"1", "1", "small", "medium", "big", "small", "huge", "-0", "007", strings.Repeat("k", proto.MaxKeyLen), strings.Repeat("k", proto.MaxKeyLen+1), "elsewhere"}
		for key := range statuses {
			keys = append(keys, key)
		}
		if !late {
			keys = append(keys, "panic") // which ends its connection
		}
		for range 9 { // every loop has learnt by then
			compareWays(t, addresses[0], addresses[1], ask("1"))
		}
		compareWays(t, addresses[0], addresses[1], ask(keys...))
		for _, key := range keys {
			compareWays(t, addresses[0], addresses[1], ask("1", key, "1"))
		}
	}
}

// TestPlainShutdown asks on a loop that knows the header while the server stops: that
// is the connection's last answer.
func TestPlainShutdown(t *testing.T) {
	cache := newFake()
	s := newServer(t, cache, nil)
	c := dial(t, serve(t, s))
	for range 3 {
		if got := c.get("/api?key=1"); got.status != 200 {
			t.Fatal(got.body)
		}
	}
	hold := make(chan struct{})
	cache.mu.Lock()
	cache.hold = hold
	cache.mu.Unlock()
	if _, err := io.WriteString(c, getOne); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is under way", func() bool { return s.Counts().InFlight == 1 })
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(t.Context()) }()
	eventually(t, "it stops", s.stopping.Load)
	close(hold)
	if got := c.receive("GET"); got.status != 200 || !strings.EqualFold(got.header.Get("Connection"), "close") {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
