package bench

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// Both reactors are held against the same servers; all other tests use the one
// that is best on this system.
func eachReactor(t *testing.T, test func(t *testing.T, with func(*loop) (reactor, error))) {
	t.Run("best", func(t *testing.T) {
		t.Parallel()
		test(t, newReactor)
	})
	t.Run("gnet", func(t *testing.T) {
		t.Parallel()
		test(t, newGnetReactor)
	})
}

// Values that no socket buffer takes at once go both ways, whole.
func TestReactorLargeValues(t *testing.T) {
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		s := startCache(t, nil)
		cfg := WorkloadConfig{Endpoint: s.endpoint, Keys: Keys{Count: 2, Order: OrderSequential}, ValueSize: 4 << 20}
		result, err := testRun(t, s.endpoint, func(c *Config) {
			c.reactor = with
			c.Workload, c.Clients, c.Requests = mustWorkload(t, NewGet, cfg), 2, 4
			c.Prepare, c.PrepareRequests = mustWorkload(t, NewPost, cfg), 2
		})
		if err != nil {
			t.Fatal(err)
		}
		if result.OK != 4 || result.BytesBody < 4*4<<20 {
			t.Errorf("%+v", result)
		}
	})
}

func TestReactorReconnects(t *testing.T) {
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		s := startCache(t, func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			if n%3 == 0 {
				w.Header().Set("Connection", "close")
			}
			return false
		})
		result, err := testRun(t, s.endpoint, func(c *Config) { c.reactor, c.Requests = with, 200 })
		if err != nil {
			t.Fatal(err)
		}
		if result.OK != 200 || s.requests.Load() != 200 || result.Reconnects < 50 {
			t.Errorf("%d seen: %+v", s.requests.Load(), result)
		}
		eventually(t, "all connections are gone", func() bool { return s.open.Load() == 0 })
	})
}

func TestReactorTimeout(t *testing.T) {
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		s := startRaw(t, func(_ net.Conn, next readOne) {
			for next() {
			}
		})
		result, err := testRun(t, s.endpoint, func(c *Config) { c.reactor, c.Requests, c.Timeout = with, 8, 3*time.Second }) // for connecting, too
		if err != nil {
			t.Fatal(err)
		}
		only(t, result, FailTimeout, 8)
	})
}

// The server resets the connection while the request is still being written.
func TestReactorBrokenWrite(t *testing.T) {
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		s := startRaw(t, func(c net.Conn, _ readOne) {
			if _, err := c.Read([]byte{0}); err == nil {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
		})
		result, err := testRun(t, s.endpoint, func(c *Config) {
			c.reactor, c.Requests = with, 8
			c.Workload = mustWorkload(t, NewPost, WorkloadConfig{Endpoint: s.endpoint, ValueSize: 4 << 20})
		})
		if err != nil {
			t.Fatal(err)
		}
		only(t, result, FailClosed, 8)
	})
}
