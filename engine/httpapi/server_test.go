package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/smache/smache/proto"
)

func TestConfigIsChecked(t *testing.T) {
	good := Config{Cache: newFake(), Node: "smache@test"}
	for name, adjust := range map[string]func(*Config){
		"no cache":           func(c *Config) { c.Cache = nil },
		"no node":            func(c *Config) { c.Node = "" },
		"small header":       func(c *Config) { c.MaxHeader = 100 },
		"body below value":   func(c *Config) { c.MaxBody = c.MaxValue + 1; c.MaxValue = 1 << 20 },
		"answer below value": func(c *Config) { c.MaxAnswer = 1 << 20; c.MaxValue = 1 << 20 },
		"small budget":       func(c *Config) { c.LargeBudget = 1 << 20 },
		"negative batch":     func(c *Config) { c.MaxBatch = -1 },
		"negative time-out":  func(c *Config) { c.ReadTimeout = -1 },
		"long default ttl":   func(c *Config) { c.DefaultTTL = proto.MaxTTL + 1 },
		"origin":             func(c *Config) { c.CORSOrigins = []string{"map.example"} },
		"origin with a path": func(c *Config) { c.CORSOrigins = []string{"https://map.example/map"} },
		"origin with a star": func(c *Config) { c.CORSOrigins = []string{"https://*.example"} },
		"tokens to read":     func(c *Config) { c.Tokens.Read = make([]Token, 1) },
	} {
		bad := good
		adjust(&bad)
		if _, err := New(bad); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

func TestConnectionLimits(t *testing.T) {
	s := newServer(t, newFake(), func(c *Config) { c.MaxConnections = 3 })
	address := serve(t, s)
	var open []*client
	for range 3 {
		c := dial(t, address)
		if got := c.get("/"); got.status != 200 {
			t.Fatal(got.body)
		}
		open = append(open, c)
	}
	got := dial(t, address).get("/")
	wantFailure(t, got, proto.FailConnections)
	if !got.close {
		t.Error("the refused connection stays open")
	}
	_ = open[0].Close()
	eventually(t, "there is room again", func() bool { return s.registry.open() < 3 })
	if got := dial(t, address).get("/"); got.status != 200 {
		t.Error(got.body)
	}

	s = newServer(t, newFake(), func(c *Config) { c.MaxConnectionsPerAddress = 1 })
	address = serve(t, s)
	first := dial(t, address)
	if got := first.get("/"); got.status != 200 {
		t.Fatal(got.body)
	}
	wantFailure(t, dial(t, address).get("/"), proto.FailRate)
	_ = first.Close()
	eventually(t, "there is room again", func() bool { return s.registry.open() == 0 })
	if got := dial(t, address).get("/"); got.status != 200 {
		t.Error(got.body)
	}
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	if s.registry.overAddress.Load() != 1 || len(s.registry.addresses) > 1 {
		t.Errorf("%d refused, %d addresses", s.registry.overAddress.Load(), len(s.registry.addresses))
	}
}

// logLines collects what is logged.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestPanic(t *testing.T) {
	cache := newFake()
	cache.override = func(op *proto.Op) bool {
		if bytes.Contains(op.Key, []byte("panic")) {
			panic("on purpose")
		}
		return false
	}
	lines := &logLines{}
	s := newServer(t, cache, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(lines, nil)) })
	address := serve(t, s)
	for i, send := range []func(*client) answerText{
		func(c *client) answerText { return c.get("/api?key=panic") },
		func(c *client) answerText { return c.post("/api", `{"key":"panic","data":{}}`) },
		func(c *client) answerText { return c.post("/api/mget", `{"keys":[1,"panic"]}`) },
		func(c *client) answerText {
			return c.post("/api/mset", `{"entries":[{"key":"panic","data":{"v":"`+strings.Repeat("v", 100_000)+`"}}]}`)
		},
	} {
		c := dial(t, address)
		got := send(c)
		wantFailure(t, got, proto.FailInternal)
		if n := strings.Count(lines.String(), "on purpose"); n != 1 { // a client could fill a disk
			t.Errorf("%d lines in the log for %d panics within a minute", n, i+1)
		}
		if got := dial(t, address).get("/api?key=1"); got.status != 200 {
			t.Errorf("after a panic: %d", got.status)
		}
	}
	if !strings.Contains(lines.String(), "get.go") {
		t.Error("the log has no stack")
	}
	if metrics := string(s.AppendMetrics(nil)); !strings.Contains(metrics, "smache_http_panics_total 4\n") {
		t.Error("the panics are not counted")
	}
	eventually(t, "the budgets are back", func() bool { return s.large.used.Load() == 0 && s.medium.used.Load() == 0 })
}

func TestShutdownFinishesWhatIsUnderWay(t *testing.T) {
	cache := newFake()
	cache.hold = make(chan struct{})
	s := newServer(t, cache, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	address := ln.Addr().String()

	idle, silent := dial(t, address), dial(t, address)
	if got := idle.get("/"); got.status != 200 {
		t.Fatal(got.body)
	}
	busy := dial(t, address)
	if _, err := io.WriteString(busy, "GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	inFlight := func() uint64 {
		return s.sum(func(m *shard) *atomic.Uint64 { return &m.started }) - s.sum(func(m *shard) *atomic.Uint64 { return &m.ended })
	}
	eventually(t, "the request is under way", func() bool { return inFlight() == 1 })

	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	for _, c := range []*client{idle, silent} {
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("an idle connection is not closed: %v", err)
		}
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("still listening")
	}
	select {
	case err := <-down:
		t.Errorf("Shutdown has not waited: %v", err)
	default:
	}
	close(cache.hold)
	if got := busy.receive("GET"); got.status != 200 || !got.close || got.body != `{"key":"1","data":null,"node":"smache@test"}` {
		t.Errorf("the answer under way: %+v", got)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("a second Shutdown: %v", err)
	}
	again, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(again); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

func TestShutdownGivesUp(t *testing.T) {
	s := newServer(t, newFake(), nil)
	address := serve(t, s)
	c := dial(t, address)
	if _, err := io.WriteString(c, "GET /api?key=1 HTTP"); err != nil { // the rest never comes
		t.Fatal(err)
	}
	// One on which nothing was read is closed soon.
	eventually(t, "it has begun", func() bool { in, _ := s.registry.bytes(); return in > 0 })
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("the connection is not closed: %v", err)
	}
}

// TestLateCache sends every kind of request from many connections to a cache that
// completes operations late and on other goroutines, and looks at each answer.
func TestLateCache(t *testing.T) {
	cache := newFake()
	cache.late = true
	s := newServer(t, cache, nil)
	ln := fasthttputil.NewInmemoryListener()
	serveOn(t, s, ln)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			nc, err := ln.Dial()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = nc.Close() }()
			c := newClient(t, nc)
			for i := range 60 {
				key := fmt.Sprintf("k%d-%d", w, i%5)
				value := fmt.Sprintf(`{"w":%d,"i":%d,"s":"%s"}`, w, i, strings.Repeat("x", i*i%3000))
				if got := c.post("/api", `{"key":"`+key+`","data":`+value+`}`); got.body != `{"data":`+value+`}` {
					t.Errorf("POST: %s", got.body)
				}
				if got := c.get("/api?key=" + key); got.body != `{"key":"`+key+`","data":`+value+`,"node":"smache@test"}` {
					t.Errorf("GET: %s", got.body)
				}
				batch := fmt.Sprintf(`{"entries":[{"key":"%s","data":%s},{"key":"%sb","data":{"b":1}}]}`, key, value, key)
				if got := c.post("/api/mset", batch); strings.Count(got.body, `"etag"`) != 2 {
					t.Errorf("mset: %s", got.body)
				}
				got := c.post("/api/mget", fmt.Sprintf(`{"keys":["none","%s","%sb","%s"]}`, key, key, key))
				want := fmt.Sprintf(`{"results":[{"key":"none","data":null,"node":"smache@test"},{"key":"%s","data":%s,"node":"smache@test"},{"key":"%sb","data":{"b":1},"node":"smache@test"},{"key":"%s","data":%s,"node":"smache@test"}]}`,
					key, value, key, key, value)
				if got.body != want {
					t.Errorf("mget: %s\nshould be %s", got.body, want)
				}
				if i%7 == 0 {
					if got := c.post("/api/mdel", `{"keys":["`+key+`"]}`); !strings.Contains(got.body, `"deleted":true`) {
						t.Errorf("mdel: %s", got.body)
					}
				}
			}
		}()
	}
	wg.Wait()
}

func TestPipelining(t *testing.T) {
	s := newServer(t, newFake(), nil)
	c := dial(t, serve(t, s))
	var text strings.Builder
	const n = 50
	for i := range n {
		text.WriteString(postText("/api", fmt.Sprintf(`{"key":%d,"data":{"i":%d}}`, i, i)))
		fmt.Fprintf(&text, "GET /api?key=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i)
		fmt.Fprintf(&text, "HEAD /api?key=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i)
	}
	if _, err := io.WriteString(c, text.String()); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if got := c.receive("POST"); got.body != fmt.Sprintf(`{"data":{"i":%d}}`, i) {
			t.Fatalf("POST %d: %s", i, got.body)
		}
		if got := c.receive("GET"); got.body != fmt.Sprintf(`{"key":"%d","data":{"i":%d},"node":"smache@test"}`, i, i) {
			t.Fatalf("GET %d: %s", i, got.body)
		}
		if got := c.receive("HEAD"); got.status != 200 || got.body != "" {
			t.Fatalf("HEAD %d: %s", i, got.body)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	s := newServer(t, newFake(), nil)
	c := dial(t, serve(t, s))
	body := `{"key":1,"data":{"v":"` + strings.Repeat("v", 100_000) + `"}}`
	head := "POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n"
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	line, err := c.r.ReadString('\n')
	if err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q %v", line, err)
	}
	if line, err = c.r.ReadString('\n'); line != "\r\n" {
		t.Fatalf("%q %v", line, err)
	}
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	if got := c.receive("POST"); got.status != 200 || len(got.body) < 100_000 {
		t.Errorf("%d %.100s", got.status, got.body)
	}
}

// TestUnreadBody leaves bodies unread and goes on with the connection, or not.
func TestUnreadBody(t *testing.T) {
	s := newServer(t, newFake(), nil)
	address := serve(t, s)
	c := dial(t, address)
	text := func(n int) string {
		return "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + itoa(n) + "\r\n\r\n" + strings.Repeat("x", n)
	}
	for _, n := range []int{10, 9000, 200_000} {
		wantFailure(t, c.send(text(n)), proto.FailPath)
		if got := c.get("/"); got.status != 200 {
			t.Fatalf("after %d bytes: %d", n, got.status)
		}
	}
	got := dial(t, address).sendMeanwhile(text(3 << 20))
	wantFailure(t, got, proto.FailPath)
	if !got.close {
		t.Error("the connection stays open before 3 MiB")
	}
	// What is cut short between two chunks is no body.
	cut := dial(t, address)
	half := "POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{\"key\":9,\"data\":{}}\r\n"
	if _, err := io.WriteString(cut, half); err != nil {
		t.Fatal(err)
	}
	if err := cut.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, cut.receive("POST"), proto.FailRequest)
	if got := dial(t, address).get("/api?key=9&miss=404"); got.status != 404 {
		t.Errorf("half a request was carried out: %s", got.body)
	}
}

// flaky is a listener whose accepts fail as if there were no file descriptors.
type flaky struct {
	net.Listener
	failures atomic.Int32
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestAcceptErrorsPass(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &flaky{Listener: ln}
	f.failures.Store(4)
	s := newServer(t, newFake(), nil)
	address := serveOn(t, s, f)
	if got := dial(t, address).get("/"); got.status != 200 {
		t.Error(got.body)
	}
	if n := s.registry.acceptErrors.Load(); n != 4 {
		t.Errorf("%d errors were counted", n)
	}
}

// broken is a listener that has failed for good.
type broken struct{ net.Listener }

var errBroken = errors.New("broken")

func (broken) Accept() (net.Conn, error) { return nil, errBroken }

func TestServeReportsWhatFailed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	s := newServer(t, newFake(), nil)
	if err := s.Serve(broken{ln}); !errors.Is(err, errBroken) {
		t.Errorf("Serve: %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestRoutes holds the table of routes to what is answered.
func TestRoutes(t *testing.T) {
	s := newServer(t, newFake(), withAdmin)
	c := dial(t, serveAdmin(t, s))
	for rt, info := range routes {
		if info.label == "" {
			t.Errorf("route %d has no label", rt)
		}
		for _, path := range info.paths {
			for _, method := range strings.Fields("GET HEAD POST DELETE PUT PATCH TRACE OPTIONS") {
				if strings.HasPrefix(path, "/api") && len(path) <= len("/api/") && method != "PUT" {
					continue // three routes share it
				}
				got := c.send(method + " " + path + "?seconds=0.01 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
				takes := strings.Contains(" "+info.methods+" ", " "+method+" ")
				if takes == (got.status == 405 || got.status == 404) && method != "OPTIONS" {
					t.Errorf("%s %s: %d", method, path, got.status)
				}
				if allow := got.header.Get("Allow"); !takes && !strings.HasPrefix(strings.ReplaceAll(allow, ",", ""), info.methods) && len(path) > len("/api/") {
					t.Errorf("%s %s: Allow is %q", method, path, allow)
				}
			}
			if metrics := string(s.AppendMetrics(nil)); strings.HasPrefix(path, "/api/") && len(path) > len("/api/") &&
				!strings.Contains(metrics, `smache_http_requests_total{route="`+info.label+`",status="`) {
				t.Errorf("%s is not counted as %s", path, info.label)
			}
		}
	}
}
