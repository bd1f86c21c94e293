package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A cacheServer is the part of the public API that the workloads use, on
// net/http.
type cacheServer struct {
	endpoint Endpoint
	mu       sync.Mutex
	values   map[string]json.RawMessage
	requests atomic.Int64
	posts    atomic.Int64
	open     atomic.Int64 // connections

	// before, if set, may answer in place of the cache; n counts from 1.
	before func(w http.ResponseWriter, r *http.Request, n int64) (answered bool)
}

func startCache(t testing.TB, before func(w http.ResponseWriter, r *http.Request, n int64) bool) *cacheServer {
	t.Helper()
	s := &cacheServer{values: map[string]json.RawMessage{}, before: before}
	l := listen(t)
	s.endpoint = endpointOf(t, l)
	server := &http.Server{
		Handler: s,
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.open.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.open.Add(-1)
			}
		},
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

func (s *cacheServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.requests.Add(1)
	if r.Method == http.MethodPost {
		s.posts.Add(1)
	}
	if s.before != nil && s.before(w, r, n) {
		return
	}
	switch {
	case r.URL.Path == "/":
		_, _ = io.WriteString(w, "{}")
	case r.Method == http.MethodPost:
		var entry struct {
			Key  string
			Data json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&entry); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.values[entry.Key] = entry.Data
		s.mu.Unlock()
		_, _ = fmt.Fprintf(w, `{"data":%s}`, entry.Data)
	default:
		key := r.URL.Query().Get("key")
		s.mu.Lock()
		data, ok := s.values[key]
		s.mu.Unlock()
		if !ok {
			data = json.RawMessage("null")
		}
		_, _ = fmt.Fprintf(w, `{"key":"%s","data":%s,"node":"smache@test"}`, key, data)
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func endpointOf(t testing.TB, l net.Listener) Endpoint {
	t.Helper()
	e, err := ParseEndpoint(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A rawServer hands each connection that sends a request to a function, which
// may answer with any bytes. The connection is closed when it returns.
type rawServer struct {
	endpoint Endpoint
	listener net.Listener
	requests atomic.Int64
}

// readOne reads the next request off the connection; false at its end.
type readOne func() bool

func startRaw(t testing.TB, serve func(c net.Conn, next readOne)) *rawServer {
	t.Helper()
	l := listen(t)
	s := &rawServer{endpoint: endpointOf(t, l), listener: l}
	var all sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			all.Go(func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				serve(c, func() bool {
					request, err := http.ReadRequest(r)
					if err != nil {
						return false
					}
					_, err = io.Copy(io.Discard, request.Body)
					s.requests.Add(1)
					return err == nil
				})
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return s
}

const rightControl = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

// send writes text and says whether that worked.
func send(c net.Conn, text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

// ample is more time than anything takes that is to happen in a test, however busy the
// machine is.
const ample = time.Minute

// refusing gives an endpoint at which connections are refused, and that nobody else gets
// meanwhile: the near end of a connection has it.
func refusing(t testing.TB) Endpoint {
	t.Helper()
	l := listen(t)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = l.Close()
	})
	e, err := ParseEndpoint(c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// testRun is a small run against an endpoint; change adapts it. What is late is waited for.
func testRun(t testing.TB, e Endpoint, change func(*Config)) (*Result, error) {
	t.Helper()
	cfg := Config{
		Workload: mustWorkload(t, NewControl, WorkloadConfig{Endpoint: e}),
		Clients:  4, Requests: 40, Timeout: ample, Drain: ample, Threads: 2,
	}
	if change != nil {
		change(&cfg)
	}
	return Run(context.Background(), cfg)
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(ample)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", ample, what)
		}
	}
}
