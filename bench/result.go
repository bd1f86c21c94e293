package bench

import (
	"math"
	"time"
)

// bottleneckShare is the share of its event loops' time from which on the
// generator is taken for the bottleneck.
const bottleneckShare = 0.9

// Result is what a run measured. The names of its JSON members are stable; times
// are in the unit that the member's name ends in.
type Result struct {
	Scenario string `json:"scenario"`
	About    string `json:"about"`
	URL      string `json:"url"`

	Clients        int     `json:"clients"`
	Threads        int     `json:"threads"`
	TimeoutSeconds float64 `json:"timeout_seconds"`
	WarmupSeconds  float64 `json:"warmup_seconds"`

	// Requests is the number sent: those answered rightly, those that failed,
	// and those given up when the run was interrupted.
	Requests  uint64 `json:"requests"`
	OK        uint64 `json:"ok"`
	Abandoned uint64 `json:"abandoned"`
	// Failures counts by kind, with all kinds present; connect is about
	// connections, the others are about requests.
	Failures map[string]uint64 `json:"failures"`
	// Samples is the first failure of each kind that there was.
	Samples map[string]string `json:"samples,omitempty"`
	// Statuses counts the wrong statuses.
	Statuses map[int]uint64 `json:"statuses,omitempty"`
	// WarmupFailures are the failures before the measurement.
	WarmupFailures uint64 `json:"warmup_failures"`

	// Connections were opened in all, in ConnectSeconds before the measurement
	// began; Reconnects is how many ended during it.
	Connections    uint64  `json:"connections"`
	ConnectSeconds float64 `json:"connect_seconds"`
	Reconnects     uint64  `json:"reconnects"`
	Retried        uint64  `json:"retried"`

	// Seconds is from the first request to the end of the last.
	Seconds float64 `json:"seconds"`
	// RequestsPerSecond counts right answers only.
	RequestsPerSecond float64 `json:"requests_per_second"`

	BytesSent     uint64 `json:"bytes_sent"`
	BytesReceived uint64 `json:"bytes_received"`
	BytesBody     uint64 `json:"bytes_body"`

	// Latency is of right answers, from handing the request to the kernel to
	// reading the last byte.
	Latency LatencySummary `json:"latency_ms"`

	CPU CPUSummary `json:"generator_cpu"`
}

// LatencySummary is a distribution in milliseconds.
type LatencySummary struct {
	Min       float64 `json:"min"`
	Mean      float64 `json:"mean"`
	Deviation float64 `json:"stddev"`
	P50       float64 `json:"p50"`
	P75       float64 `json:"p75"`
	P90       float64 `json:"p90"`
	P95       float64 `json:"p95"`
	P99       float64 `json:"p99"`
	P999      float64 `json:"p99_9"`
	P9999     float64 `json:"p99_99"`
	Max       float64 `json:"max"`
}

// CPUSummary is what the generator itself used during the measurement. It is
// zero where the system does not say.
type CPUSummary struct {
	UserSeconds   float64 `json:"user_seconds"`
	SystemSeconds float64 `json:"system_seconds"`
	// PerRequest is user and system time in microseconds.
	PerRequest float64 `json:"per_request_us"`
	// Share is how much of its event loops' time the generator was busy, 0 to 1.
	Share float64 `json:"busy_share"`
	// Bottleneck says that the loops were so busy that a faster server would not
	// have shown.
	Bottleneck bool `json:"bottleneck"`
}

// cpuTime is CPU time of this process.
type cpuTime struct{ user, system time.Duration }

func (c cpuTime) since(o cpuTime) cpuTime { return cpuTime{c.user - o.user, c.system - o.system} }

func newResult(cfg *Config, t, warmup *tally, elapsed, connecting time.Duration, cpu cpuTime, opened uint64) *Result {
	r := &Result{
		Scenario:       cfg.Workload.Name(),
		About:          cfg.Workload.About(),
		URL:            cfg.Workload.Target().URL(),
		Clients:        cfg.Clients,
		Threads:        cfg.Threads,
		TimeoutSeconds: cfg.Timeout.Seconds(),
		WarmupSeconds:  cfg.Warmup.Seconds(),
		Requests:       t.sent,
		OK:             t.ok,
		Abandoned:      t.abandoned,
		Failures:       map[string]uint64{},
		Connections:    opened,
		ConnectSeconds: connecting.Seconds(),
		Reconnects:     t.reconnects,
		Retried:        t.retried,
		Seconds:        elapsed.Seconds(),
		BytesSent:      t.bytesOut,
		BytesReceived:  t.bytesIn,
		BytesBody:      t.bytesBody,
		Latency:        t.latency.summary(),
	}
	for _, kind := range Failures() {
		r.Failures[kind.String()] = t.failed[kind]
		if t.samples[kind] != "" && t.failed[kind] > 0 {
			if r.Samples == nil {
				r.Samples = map[string]string{}
			}
			r.Samples[kind.String()] = t.samples[kind]
		}
	}
	if len(t.statuses) > 0 {
		r.Statuses = t.statuses
	}
	if warmup != nil {
		r.WarmupFailures = warmup.failures()
	}
	if elapsed > 0 {
		r.RequestsPerSecond = float64(t.ok) / elapsed.Seconds()
	}
	r.CPU = cpu.summary(t.sent, cfg.Threads, elapsed)
	return r
}

func (c cpuTime) summary(requests uint64, threads int, elapsed time.Duration) CPUSummary {
	s := CPUSummary{UserSeconds: c.user.Seconds(), SystemSeconds: c.system.Seconds()}
	both := c.user + c.system
	if requests > 0 {
		s.PerRequest = round3(float64(both.Nanoseconds()) / 1e3 / float64(requests))
	}
	if elapsed > 0 {
		s.Share = round3(min(float64(both)/float64(elapsed)/float64(threads), 1))
	}
	s.Bottleneck = s.Share >= bottleneckShare
	return s
}

// Failed is the number of failures of all kinds, those of the warm-up included.
// A run is good if it is zero and nothing was abandoned.
func (r *Result) Failed() uint64 {
	n := r.WarmupFailures
	for _, v := range r.Failures {
		n += v
	}
	return n
}

// summary gives the distribution in milliseconds, to the microsecond.
func (l *Latency) summary() LatencySummary {
	q := func(q float64) float64 { return ms(l.Quantile(q)) }
	s := LatencySummary{
		Min: ms(l.Min()), Mean: ms(l.Mean()),
		P50: q(.5), P75: q(.75), P90: q(.9), P95: q(.95), P99: q(.99), P999: q(.999), P9999: q(.9999),
		Max: ms(l.Max()),
	}
	if l.Count() > 0 {
		s.Deviation = ms(l.Deviation())
	}
	return s
}

func round3(f float64) float64 { return math.Round(f*1000) / 1000 }
