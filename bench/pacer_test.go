package bench

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestConstantRate(t *testing.T) {
	p, err := ConstantRate(4)
	if err != nil || p.Due(0) != 0 || p.Due(6) != 1500*time.Millisecond || p.Rate() != 4 {
		t.Errorf("%v, %v, %v", p.Due(0), p.Due(6), err)
	}
	if n := dueWithin(p, 2*time.Second); n != 8 {
		t.Errorf("%d requests in 2 s", n)
	}
	for _, rate := range []float64{0, -1, 2 * MaxRate} {
		if _, err := ConstantRate(rate); !errors.Is(err, ErrConfig) {
			t.Errorf("rate %v: %v", rate, err)
		}
	}
}

// An open loop sends as many requests as it should, and not faster.
func TestOpenLoop(t *testing.T) {
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		s := startCache(t, nil)
		pacer, err := ConstantRate(1000)
		if err != nil {
			t.Fatal(err)
		}
		result, err := testRun(t, s.endpoint, func(c *Config) {
			c.reactor, c.Pacer, c.Duration, c.Requests, c.Rounds = with, pacer, 100*time.Millisecond, 0, 2
		})
		if err != nil {
			t.Fatal(err)
		}
		if result.OK != 200 || result.Failed() != 0 || result.Seconds < .2 || s.requests.Load() != 200 || result.Rate != 1000 {
			t.Errorf("%d seen: %+v", s.requests.Load(), result)
		}
		if len(result.Rounds) != 2 || result.Rounds[0].OK != 100 || result.Rounds[1].OK != 100 {
			t.Errorf("rounds: %+v", result.Rounds)
		}
	})
}

// timed is a reactor that counts the timers that are set.
type timed struct {
	reactor
	set *atomic.Int64
}

func (r timed) wakeIn(d time.Duration) {
	r.set.Add(1)
	r.reactor.wakeIn(d)
}

// However many requests are due, an open loop is not woken more often than it may be.
func TestOpenLoopWakes(t *testing.T) {
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		s := startCache(t, nil)
		pacer, err := ConstantRate(10_000)
		if err != nil {
			t.Fatal(err)
		}
		var set atomic.Int64
		result, err := testRun(t, s.endpoint, func(c *Config) {
			c.Clients, c.Threads, c.Pacer, c.Requests = 64, 1, pacer, 4000
			c.reactor = func(l *loop) (reactor, error) {
				r, err := with(l)
				return timed{r, &set}, err
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		most := int64(result.Seconds/wakeEvery.Seconds()) + 2
		if result.OK != 4000 || set.Load() > most {
			t.Errorf("%d timers in %.3f s, %d may be: %+v", set.Load(), result.Seconds, most, result)
		}
	})
}

// A server that stands still shows it in every request that should have been sent
// meanwhile, also in those that were sent after.
func TestOpenLoopCountsFromIntendedTime(t *testing.T) {
	t.Parallel()
	const stall = 200 * time.Millisecond
	s := startCache(t, func(_ http.ResponseWriter, r *http.Request, n int64) bool {
		if n == 1 {
			select {
			case <-time.After(stall):
			case <-r.Context().Done():
			}
		}
		return false
	})
	pacer, err := ConstantRate(1000)
	if err != nil {
		t.Fatal(err)
	}
	result, err := testRun(t, s.endpoint, func(c *Config) {
		c.Clients, c.Threads, c.Requests, c.Pacer = 1, 1, 100, pacer
	})
	if err != nil {
		t.Fatal(err)
	}
	// All of the 100 ms of intended times lie within the stall: even the last
	// request waits for the second half of it.
	if least := ms(stall - 100*time.Millisecond); result.OK != 100 || result.Latency.Min < least || result.Pace.Late < 99 {
		t.Errorf("shortest %v ms, want %v; %+v", result.Latency.Min, least, result.Pace)
	}
	if result.Pace.LateBusy > result.Pace.Late {
		t.Errorf("%+v", result.Pace)
	}
}

// What no connection was free for is counted as a failure of its own kind.
func TestOpenLoopUnsent(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	s := startCache(t, func(http.ResponseWriter, *http.Request, int64) bool { <-hang; return false })
	t.Cleanup(func() { close(hang) })
	pacer, err := ConstantRate(1000)
	if err != nil {
		t.Fatal(err)
	}
	result, err := Run(context.Background(), Config{
		Workload: mustWorkload(t, NewControl, WorkloadConfig{Endpoint: s.endpoint}),
		Clients:  2, Threads: 1, Requests: 50, Pacer: pacer, Timeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.OK != 0 || result.Failures["unsent"] == 0 || result.Failures["unsent"]+result.Requests != 50 ||
		result.Failures["timeout"] != result.Requests {
		t.Errorf("%+v", result)
	}
}

// A run of a length ends not long after it, whatever the server does: what is under way
// or due is counted as unfinished and unsent, and connections are usable again.
func TestDrain(t *testing.T) {
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		for _, open := range []bool{false, true} {
			for length := 300 * time.Millisecond; ; length *= 5 { // of which a minute is a multiple
				result := drained(t, with, open, length)
				first, second := result.Rounds[0], result.Rounds[1]
				// On a machine that stands still, too little may be sent in time.
				if (first.OK < 10 || second.OK == 0 || second.Failed > 0) && length < 4*time.Second {
					continue
				}
				if first.OK != 10 || result.Failures["unfinished"] != 2 || second.OK == 0 || second.Failed != 0 {
					t.Errorf("open %v: %v, %+v", open, result.Failures, result.Rounds)
				}
				if unsent := result.Failures["unsent"]; open && unsent != 48 || !open && unsent != 0 {
					t.Errorf("open %v: %d unsent", open, unsent)
				}
				if result.Seconds >= time.Minute.Seconds() {
					t.Errorf("it ended after %v s", result.Seconds)
				}
				break
			}
		}
	})
}

// drained is a run of two rounds of a length against a server that leaves two requests of the
// first without an answer; in an open loop, of sixty requests each.
func drained(t *testing.T, with func(*loop) (reactor, error), open bool, length time.Duration) *Result {
	t.Helper()
	hang := make(chan struct{})
	s := startCache(t, func(_ http.ResponseWriter, _ *http.Request, n int64) bool {
		if n > 10 && n <= 12 {
			<-hang
		}
		return false
	})
	t.Cleanup(func() { close(hang) })
	cfg := Config{
		Workload: mustWorkload(t, NewControl, WorkloadConfig{Endpoint: s.endpoint}), reactor: with,
		Clients: 2, Threads: 1, Duration: length, Drain: 2 * length, Timeout: time.Minute, Rounds: 2,
	}
	if open {
		var err error
		if cfg.Pacer, err = ConstantRate(float64(60 * time.Second / length)); err != nil {
			t.Fatal(err)
		}
	}
	result, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// What is said of late requests and of the bottleneck agrees, and every output says in
// words whose latency it is.
func TestLateBusy(t *testing.T) {
	pacer, err := ConstantRate(1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		pacer      Pacer
		late, free uint64 // late ones, and those for which a connection was free
		busy       float64
		own        uint64
		bottleneck bool
		says       string
	}{
		{"closed, busy", nil, 0, 0, 1, 0, true, "a faster server would not show"},
		{"closed", nil, 0, 0, .8, 0, false, ""},
		{"the server is slow", pacer, 800, 0, .5, 0, false, ""},
		{"busy, and late", pacer, 800, 0, .95, 800, true, "80.0% of the requests more than 1 ms late by its own fault"},
		{"busy, and in time", pacer, 0, 0, .95, 0, false, ""},
		{"no core", pacer, 800, 20, .2, 20, true, "2.0% of the requests more than 1 ms late by its own fault"},
		{"one in a hundred", pacer, 800, 10, .2, 10, false, ""},
	} {
		run := Config{Workload: mustWorkload(t, NewControl, testHTTP(1, 0)), Clients: 1, Threads: 1, Pacer: c.pacer}
		total := newTally(1, 0, c.pacer != nil)
		total.sent, total.late, total.lateBusy = 1000, c.late, c.free
		m := newMeasurement(&run)
		m.add(total, time.Second, usage{own: cpuTime{user: time.Duration(c.busy * 1e9)}})
		r := m.result()
		if r.CPU.Bottleneck != c.bottleneck || r.Pace != nil && (r.Pace.Late != c.late || r.Pace.LateBusy != c.own) {
			t.Errorf("%s: %v, %+v", c.name, r.CPU.Bottleneck, r.Pace)
		}
		for name, write := range map[string]func(io.Writer) error{
			"text": r.WriteText, "JSON": r.WriteJSON,
			"HTML": func(w io.Writer) error { return WriteHTML(w, []*Result{r}, nil, 0) },
		} {
			var out strings.Builder
			if err := write(&out); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(out.String(), "the generator itself was the bottleneck"); got != c.bottleneck || !strings.Contains(out.String(), c.says) {
				t.Errorf("%s, %s: said %v, not %q in\n%s", c.name, name, got, c.says, out.String())
			}
		}
	}
}

func TestRing(t *testing.T) {
	var r ring
	slots := make([]slot, 100)
	next := 0
	for i := range slots {
		r.push(&slots[i])
		if i%3 == 2 {
			if s := r.pop(); s != &slots[next] {
				t.Fatal("not the first one")
			}
			next++
		}
	}
	for ; next < 100; next++ {
		if r.peek() != &slots[next] || r.pop() != &slots[next] {
			t.Fatal("not the first one")
		}
	}
	if r.peek() != nil {
		t.Error("the ring is not empty")
	}
}
