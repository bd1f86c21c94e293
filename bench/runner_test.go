package bench

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestRunEndToEnd(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(WorkloadConfig) (Workload, error)
		keys uint64
		size int
	}{
		{"control", NewControl, 1, 0},
		{"post one key", NewPost, 1, 0},
		{"post keys", NewPost, 100, 0},
		{"get one key", NewGet, 1, 0},
		{"get keys", NewGet, 100, 500},
		{"get large values", NewGet, 3, 300_000},
		{"post large values", NewPost, 3, 300_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startCache(t, nil)
			http := WorkloadConfig{Endpoint: s.endpoint, Keys: Keys{Count: test.keys}, ValueSize: test.size}
			want := int64(203)
			result, err := testRun(t, s.endpoint, func(c *Config) {
				c.Workload = mustWorkload(t, test.make, http)
				c.Clients, c.Requests, c.Threads = 7, 203, 3
				if c.Workload.Name() == "get" {
					http.Keys.Order = OrderSequential
					c.Prepare, c.PrepareRequests = mustWorkload(t, NewPost, http), test.keys
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if result.Failed() != 0 || result.OK != 203 || result.Requests != 203 || result.Abandoned != 0 {
				t.Fatalf("%+v", result)
			}
			if result.Scenario == "get" {
				want += int64(test.keys)
				if got := s.posts.Load(); got != int64(test.keys) {
					t.Errorf("%d keys written, want %d", got, test.keys)
				}
			}
			if got := s.requests.Load(); got != want {
				t.Errorf("the server saw %d requests, want %d", got, want)
			}
			l := result.Latency
			if l.Max < l.P999 || l.P999 < l.P50 || l.P50 < l.Min || l.Max <= 0 || result.RequestsPerSecond <= 0 || result.Seconds <= 0 {
				t.Errorf("figures do not fit together: %+v", result)
			}
			if result.BytesSent == 0 || result.BytesReceived < result.BytesBody || result.BytesBody < 2*203 {
				t.Errorf("bytes do not fit together: %+v", result)
			}
			if result.Connections != 7 || result.Reconnects != 0 {
				t.Errorf("%d connections, %d reconnects", result.Connections, result.Reconnects)
			}
			if got := result.BytesBody; test.name == "get large values" && got < 203*300_000 {
				t.Errorf("%d bytes in bodies", got)
			}
			eventually(t, "all connections are gone", func() bool { return s.open.Load() == 0 })
		})
	}
}

// The server closes connections all the time, properly; the number of requests
// stays exact.
func TestRunExactCount(t *testing.T) {
	t.Parallel()
	s := startCache(t, func(w http.ResponseWriter, _ *http.Request, n int64) bool {
		if n%5 == 0 {
			w.Header().Set("Connection", "close")
		}
		return false
	})
	result, err := testRun(t, s.endpoint, func(c *Config) { c.Clients, c.Requests, c.Threads = 13, 501, 3 })
	if err != nil {
		t.Fatal(err)
	}
	if result.Requests != 501 || result.OK != 501 || result.Failed() != 0 || s.requests.Load() != 501 {
		t.Errorf("%d sent, %d right, %d failed, %d seen", result.Requests, result.OK, result.Failed(), s.requests.Load())
	}
	// The last answers may end their connections after the last request.
	if result.Reconnects < 80 || result.Reconnects > 100 {
		t.Errorf("%d reconnects, want about 100", result.Reconnects)
	}
}

// Of more clients than there are requests all connect, and some send nothing.
func TestRunMoreClientsThanRequests(t *testing.T) {
	pacer, err := ConstantRate(1000)
	if err != nil {
		t.Fatal(err)
	}
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		for _, pacer := range []Pacer{nil, pacer} {
			s := startCache(t, nil)
			result, err := testRun(t, s.endpoint, func(c *Config) {
				c.reactor, c.Pacer, c.Clients, c.Requests, c.Threads, c.Rounds = with, pacer, 10, 3, 4, 2
			})
			if err != nil {
				t.Fatal(err)
			}
			if result.OK != 6 || result.Requests != 6 || result.Failed() != 0 || s.requests.Load() != 6 || result.Connections != 10 {
				t.Errorf("pacer %v: %d seen of %+v", pacer, s.requests.Load(), result)
			}
		}
	})
}

func TestRunDurationAndWarmup(t *testing.T) {
	t.Parallel()
	s := startCache(t, nil)
	result, err := testRun(t, s.endpoint, func(c *Config) {
		c.Duration, c.Warmup, c.Requests = 500*time.Millisecond, 500*time.Millisecond, 0
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Seconds < .05 || result.Requests == 0 || result.Requests != result.OK {
		t.Errorf("%+v", result)
	}
	if seen := uint64(s.requests.Load()); seen <= result.Requests {
		t.Errorf("%d requests seen, %d counted: there was no warm-up", seen, result.Requests)
	}
}

// Of a number of requests and a length, what comes first ends the run, with and
// without a rate.
func TestRunWhicheverFirst(t *testing.T) {
	t.Parallel()
	s := startCache(t, nil)
	pacer, err := ConstantRate(1000)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *Config){
		"closed": func(*Config) {},
		"open":   func(c *Config) { c.Pacer = pacer },
	} {
		few, err := testRun(t, s.endpoint, func(c *Config) {
			c.Duration, c.Requests, c.Rounds = time.Hour, 30, 2
			change(c)
		})
		if err != nil || few.Requests != 60 || few.OK != 60 || few.Failed() != 0 {
			t.Errorf("%s: %v, %+v", name, err, few)
		}
		short, err := testRun(t, s.endpoint, func(c *Config) {
			c.Duration, c.Requests = 300*time.Millisecond, 1<<39
			change(c)
		})
		if err != nil || short.OK == 0 || short.OK != short.Requests || short.Failed() != 0 {
			t.Errorf("%s: %v, %+v", name, err, short)
		}
	}
}

func TestRunWarmupFailuresCount(t *testing.T) {
	t.Parallel()
	s := startCache(t, func(w http.ResponseWriter, _ *http.Request, n int64) bool {
		if n == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n == 1
	})
	result, err := testRun(t, s.endpoint, func(c *Config) { c.Warmup = 500 * time.Millisecond })
	if err != nil {
		t.Fatal(err)
	}
	if result.WarmupFailures != 1 || result.Failed() != 1 || result.OK != 40 {
		t.Errorf("%+v", result)
	}
}

func TestRunPrepareFails(t *testing.T) {
	t.Parallel()
	s := startCache(t, func(w http.ResponseWriter, r *http.Request, n int64) bool {
		if n == 3 {
			http.Error(w, "full", http.StatusServiceUnavailable)
		}
		return n == 3
	})
	result, err := testRun(t, s.endpoint, func(c *Config) {
		cfg := WorkloadConfig{Endpoint: s.endpoint, Keys: Keys{Count: 10, Order: OrderSequential}}
		c.Workload, c.Prepare, c.PrepareRequests = mustWorkload(t, NewGet, cfg), mustWorkload(t, NewPost, cfg), 10
	})
	if !errors.Is(err, ErrPrepare) || result != nil {
		t.Errorf("got %v, %v", result, err)
	}
}

// Rate and P99 are those of the time since the call before.
func TestRunProgressFigures(t *testing.T) {
	t.Parallel()
	const takes = 20 * time.Millisecond
	s := startCache(t, func(_ http.ResponseWriter, r *http.Request, _ int64) bool {
		select {
		case <-time.After(takes):
		case <-r.Context().Done():
		}
		return false
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []Progress
	at := []time.Time{time.Now()}
	result, err := Run(ctx, Config{
		Workload: mustWorkload(t, NewControl, WorkloadConfig{Endpoint: s.endpoint}),
		Clients:  4, Threads: 1, Duration: time.Hour, Timeout: time.Minute,
		Progress: func(p Progress) {
			if p.Stage != StageMeasure {
				return
			}
			seen, at = append(seen, p), append(at, time.Now())
			if len(seen) == 4 {
				cancel()
			}
		},
	})
	if !errors.Is(err, ErrInterrupted) || len(seen) < 4 || result == nil {
		t.Fatalf("%v, %+v", err, seen)
	}
	for i, p := range seen[1:] {
		// The call before began behind the one before that.
		done, most := float64(p.Done-seen[i].Done), at[i+2].Sub(at[i]).Seconds()
		if done == 0 || p.Rate > done/.25+1e-6 || p.Rate < done/most {
			t.Errorf("%v answers in less than %.3f s, and a rate of %v", done, most, p.Rate)
		}
		if took := float64(p.P99) / float64(time.Millisecond); took < ms(takes)*.8 || took > result.Latency.Max*1.2 {
			t.Errorf("p99 is %v ms, where each takes %v and the longest %v", took, takes, result.Latency.Max)
		}
	}
}

func TestRunProgress(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{})
	s := startCache(t, func(_ http.ResponseWriter, _ *http.Request, n int64) bool {
		if n > 20 {
			<-seen
		}
		return false
	})
	var stages []Stage
	once := false
	_, err := testRun(t, s.endpoint, func(c *Config) {
		c.Progress = func(p Progress) {
			if p.Share < 0 || p.Share > 1 {
				t.Errorf("a share of %v", p.Share)
			}
			stages = append(stages, p.Stage)
			if p.Stage == StageMeasure && p.Total == 40 && p.Done == 20 && !once {
				once = true
				close(seen)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if stages[len(stages)-1] != StageMeasure {
		t.Errorf("stages: %v", stages)
	}
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const clients = 3
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	s := startCache(t, func(_ http.ResponseWriter, _ *http.Request, n int64) bool {
		if n > 10 {
			if n == 10+clients { // each has the answers to all that it has sent before
				cancel()
			}
			<-hang
		}
		return false
	})
	result, err := Run(ctx, Config{
		Workload: mustWorkload(t, NewControl, WorkloadConfig{Endpoint: s.endpoint}),
		Clients:  clients, Requests: 1000, Threads: 1, Timeout: ample,
	})
	if !errors.Is(err, ErrInterrupted) || result == nil {
		t.Fatalf("got %v, %v", result, err)
	}
	if result.OK != 10 || result.Abandoned != clients || result.Requests != result.OK+result.Abandoned || result.Failed() != 0 {
		t.Errorf("%+v", result)
	}
	result, err = Run(ctx, Config{Workload: mustWorkload(t, NewControl, WorkloadConfig{Endpoint: s.endpoint})})
	if !errors.Is(err, ErrInterrupted) || result != nil {
		t.Errorf("begun after the interruption: %v, %v", result, err)
	}
}

func TestRunRefuses(t *testing.T) {
	e := Endpoint{Address: "127.0.0.1:1", Host: "127.0.0.1:1"}
	for name, change := range map[string]func(*Config){
		"no workload":        func(c *Config) { c.Workload = nil },
		"too many clients":   func(c *Config) { c.Clients, c.Requests = MaxClients+1, 1<<40 },
		"negative clients":   func(c *Config) { c.Clients = -1 },
		"too many requests":  func(c *Config) { c.Requests = 1<<62 + 1 },
		"negative duration":  func(c *Config) { c.Duration = -1 },
		"nanoseconds":        func(c *Config) { c.Duration = MinDuration - 1 },
		"negative warm-up":   func(c *Config) { c.Warmup = -1 },
		"time-out too short": func(c *Config) { c.Timeout = 1 },
		"time-out too long":  func(c *Config) { c.Timeout = time.Hour },
		"too many threads":   func(c *Config) { c.Clients, c.Requests, c.Threads = 100, 100, MaxThreads+1 },
		"negative threads":   func(c *Config) { c.Threads = -1 },
		"two endpoints": func(c *Config) {
			c.Prepare = mustWorkload(t, NewPost, testHTTP(1, 0))
		},
	} {
		if result, err := testRun(t, e, change); !errors.Is(err, ErrConfig) || result != nil {
			t.Errorf("%s: %v, %v", name, result, err)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	cfg, err := Config{Workload: mustWorkload(t, NewControl, testHTTP(1, 0))}.withDefaults()
	if err != nil || cfg.Clients != 900 || cfg.Requests != 50_000 || cfg.Timeout != 10*time.Second || cfg.Threads < 1 {
		t.Errorf("%+v, %v", cfg, err)
	}
	if cfg, err := (Config{Workload: cfg.Workload, Requests: 100}).withDefaults(); err != nil || cfg.Clients != 100 {
		t.Errorf("%+v, %v", cfg, err)
	}
	if err := checkFiles(1 << 30); !errors.Is(err, ErrConfig) {
		t.Errorf("more files than any limit: %v", err)
	}
}
