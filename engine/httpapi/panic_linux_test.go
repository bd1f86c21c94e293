package httpapi

import (
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
)

// TestPanicAtConnection: a bug in what carries requests, on a loop and in goroutines,
// costs one connection, and is counted and logged.
func TestPanicAtConnection(t *testing.T) {
	mget := postText("/api/mget", `{"keys":[1]}`)
	mset := postText("/api/mset", `{"entries":[]}`) // which leaves the loop
	for _, always := range []bool{false, true} {    // when the connection is closed, too
		for _, request := range []string{getOne, mget, mset, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
			cache := newFake()
			cache.late = request == getOne
			lines := &logLines{}
			s := newServer(t, cache, func(c *Config) {
				c.Admin, c.Logger = true, slog.New(slog.NewTextHandler(lines, nil))
			})
			address := serve(t, s)
			if strings.Contains(request, "metrics") {
				address = serveAdmin(t, s)
			}
			var bad atomic.Pointer[charges] // of the connection that meets the bug
			var met atomic.Int32
			settle := func(owes *charges) {
				if owes == bad.Load() && (met.Add(1) == 1 || always) {
					panic("on purpose")
				}
				s.settle(owes)
			}
			s.registry.settle, s.admin.registry.settle = settle, settle
			c, other := dial(t, address), dial(t, address)
			for _, c := range []*client{c, other} {
				if got := c.send(request); got.status != 200 {
					t.Fatal(got.body)
				}
			}
			r := &s.registry
			if strings.Contains(request, "metrics") {
				r = &s.admin.registry
			}
			// Behind an answer its charge is settled: that is to be over.
			eventually(t, "both connections are idle", func() bool {
				r.mu.Lock()
				defer r.mu.Unlock()
				for _, sc := range r.conns {
					if sc.state.Load() != connIdle {
						return false
					}
				}
				return len(r.conns) == 2
			})
			r.mu.Lock()
			for _, sc := range r.conns {
				if sc.RemoteAddr().String() == c.LocalAddr().String() {
					bad.Store(&sc.owes)
				}
			}
			r.mu.Unlock()
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, c.r) // to its end, whatever is there
			eventually(t, "it is forgotten", func() bool { return r.open() == 1 })
			if got := other.send(request); got.status != 200 {
				t.Errorf("the other connection: %d %s", got.status, got.body)
			}
			if text := lines.String(); strings.Count(text, "on purpose") != 1 || !strings.Contains(text, "panic_linux_test.go") {
				t.Errorf("the log is %q", text)
			}
			if n := s.sum(func(m *shard) *atomic.Uint64 { return &m.panics }); n != 1 {
				t.Errorf("%d panics are counted", n)
			}
		}
	}
}
