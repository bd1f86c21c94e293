package bench

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// only says that all failures are of one kind and number so many.
func only(t *testing.T, r *Result, kind Failure, count uint64) {
	t.Helper()
	if r == nil {
		t.Fatal("no result")
	}
	if r.Failed() != count || r.Failures[kind.String()] != count {
		t.Errorf("failures: %v (%v), want %s: %d", r.Failures, r.Samples, kind, count)
	}
	if r.Samples[kind.String()] == "" {
		t.Errorf("no sample of %s: %v", kind, r.Samples)
	}
	if kind != FailConnect && r.OK+count != r.Requests {
		t.Errorf("%d sent, %d right, %d failed", r.Requests, r.OK, count)
	}
}

func TestFailStatus(t *testing.T) {
	t.Parallel()
	for status, location := range map[int]string{503: "", 404: "", 302: "http://127.0.0.1:1/", 204: ""} {
		s := startCache(t, func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			if n%4 != 0 {
				return false
			}
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(status)
			return true
		})
		result, err := testRun(t, s.endpoint, nil)
		if err != nil {
			t.Fatal(err)
		}
		only(t, result, FailStatus, 10)
		if result.Statuses[status] != 10 || result.Reconnects != 0 {
			t.Errorf("%d: statuses %v, %d reconnects", status, result.Statuses, result.Reconnects)
		}
	}
}

func TestFailContent(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "{", "{} ", "[]"} {
		s := startCache(t, func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			if n%4 == 0 {
				_, _ = w.Write([]byte(body))
			}
			return n%4 == 0
		})
		result, err := testRun(t, s.endpoint, nil)
		if err != nil {
			t.Fatal(err)
		}
		only(t, result, FailContent, 10)
	}
}

// A value of another key, or of no key, is a failure.
func TestFailContentOfGet(t *testing.T) {
	t.Parallel()
	s := startCache(t, func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		if r.Method == http.MethodGet {
			q := r.URL.Query()
			switch q.Get("key") {
			case "bench-0000000001":
				q.Set("key", "bench-0000000002")
				r.URL.RawQuery = q.Encode()
			case "bench-0000000003":
				_, _ = w.Write([]byte(`{"key":"bench-0000000003","data":null,"node":"n"}`))
				return true
			}
		}
		return false
	})
	result, err := testRun(t, s.endpoint, func(c *Config) {
		cfg := WorkloadConfig{Endpoint: s.endpoint, Keys: Keys{Count: 4, Order: OrderSequential}}
		c.Workload, c.Prepare, c.PrepareRequests = mustWorkload(t, NewGet, cfg), mustWorkload(t, NewPost, cfg), 4
	})
	if err != nil {
		t.Fatal(err)
	}
	only(t, result, FailContent, 20)
}

func TestFailClosed(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"} {
		s := startRaw(t, func(c net.Conn, next readOne) {
			if next() {
				send(c, answer)
			}
		})
		result, err := testRun(t, s.endpoint, func(c *Config) { c.Requests = 8 })
		if err != nil {
			t.Fatal(err)
		}
		only(t, result, FailClosed, 8)
		if s.requests.Load() != 8 {
			t.Errorf("%d requests seen", s.requests.Load())
		}
	}
}

func TestBodyUntilClose(t *testing.T) {
	t.Parallel()
	s := startRaw(t, func(c net.Conn, next readOne) {
		if next() {
			send(c, "HTTP/1.1 200 OK\r\n\r\n{}")
		}
	})
	result, err := testRun(t, s.endpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.OK != 40 || result.Failed() != 0 {
		t.Errorf("%+v", result)
	}
}

// A connection that is closed before any byte of an answer is tried once more if
// that is wanted.
func TestRetry(t *testing.T) {
	t.Parallel()
	for _, retry := range []bool{false, true} {
		var first atomic.Bool
		s := startRaw(t, func(c net.Conn, next readOne) {
			for next() {
				if first.CompareAndSwap(false, true) || !send(c, rightControl) {
					return
				}
			}
		})
		result, err := testRun(t, s.endpoint, func(c *Config) { c.Retry = retry })
		if err != nil {
			t.Fatal(err)
		}
		if !retry {
			only(t, result, FailClosed, 1)
		} else if result.OK != 40 || result.Failed() != 0 || result.Retried != 1 || s.requests.Load() != 41 {
			t.Errorf("%d seen: %+v", s.requests.Load(), result)
		}
	}
}

// What is tried once more fails for good the second time.
func TestRetryOnce(t *testing.T) {
	t.Parallel()
	s := startRaw(t, func(_ net.Conn, next readOne) { next() })
	result, err := testRun(t, s.endpoint, func(c *Config) { c.Retry, c.Requests = true, 8 })
	if err != nil {
		t.Fatal(err)
	}
	only(t, result, FailClosed, 8)
	if result.Retried != 8 || s.requests.Load() != 16 {
		t.Errorf("%d retried, %d seen", result.Retried, s.requests.Load())
	}
}

func TestFailTimeout(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			s := startRaw(t, func(c net.Conn, next readOne) {
				if next() && send(c, answer) {
					next() // which the client ends
				}
			})
			result, err := testRun(t, s.endpoint, func(c *Config) { c.Requests, c.Timeout = 8, 3*time.Second }) // for connecting, too
			if err != nil {
				t.Fatal(err)
			}
			only(t, result, FailTimeout, 8)
		})
	}
}

func TestFailMalformed(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", rightControl + rightControl, rightControl + "\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", DefaultMaxHeader),
	} {
		s := startRaw(t, func(c net.Conn, next readOne) {
			if next() && send(c, answer) {
				next() // which the client ends
			}
		})
		result, err := testRun(t, s.endpoint, func(c *Config) { c.Requests = 8 })
		if err != nil {
			t.Fatal(err)
		}
		only(t, result, FailMalformed, 8)
	}
}

func TestUnreachable(t *testing.T) {
	if result, err := testRun(t, refusing(t), nil); !errors.Is(err, ErrUnreachable) || result != nil {
		t.Errorf("got %v, %v", result, err)
	}
}

// The server goes away in the midst of the measurement: what was measured comes
// with the error, and the failed connections are counted.
func TestFailConnect(t *testing.T) {
	t.Parallel()
	var s *rawServer
	var answers atomic.Int64
	ready := make(chan struct{})
	s = startRaw(t, func(c net.Conn, next readOne) {
		<-ready
		for next() {
			if answers.Add(1) > 20 {
				_ = s.listener.Close()
				return
			}
			if !send(c, rightControl) {
				return
			}
		}
	})
	close(ready)
	result, err := testRun(t, s.endpoint, func(c *Config) { c.Requests, c.Timeout = 1000, 3*time.Second })
	if !errors.Is(err, ErrUnreachable) {
		t.Fatalf("got %v, %v", result, err)
	}
	if result.OK != 20 || result.Failures["connect"] == 0 || result.Failures["closed"] == 0 || result.Samples["connect"] == "" {
		t.Errorf("%+v", result)
	}
}

// Bytes that nobody asked for end the connection, and nothing else. The answer
// says that the connection ends, as that of a server that closes an idle one
// does: one that comes after the request fails this request and not the next.
func TestUnsolicited(t *testing.T) {
	t.Parallel()
	var conns atomic.Int64
	s := startRaw(t, func(c net.Conn, next readOne) {
		if n := conns.Add(1); n == 3 || n == 4 {
			send(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			return
		}
		for next() && send(c, rightControl) {
		}
	})
	result, err := testRun(t, s.endpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	// If the bytes come after the request they are its answer, and wrong.
	if result.OK+result.Failed() != 40 || result.Failed() > 2 {
		t.Errorf("%+v", result)
	}
}
