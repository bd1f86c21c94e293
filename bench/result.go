package bench

import "math"

// Result is what a run measured. The names of its JSON members are stable; times
// are in the unit that the member's name ends in.
type Result struct {
	// Label is the run's name in comparisons.
	Label    string `json:"label,omitempty"`
	Scenario string `json:"scenario"`
	About    string `json:"about"`
	URL      string `json:"url"`
	// Settings are what the run was told.
	Settings Settings `json:"settings"`

	Clients        int     `json:"clients"`
	Threads        int     `json:"threads"`
	TimeoutSeconds float64 `json:"timeout_seconds"`
	WarmupSeconds  float64 `json:"warmup_seconds"`
	// Rate is the number of requests a second that an open loop intends; zero of a
	// closed loop.
	Rate float64 `json:"rate,omitempty"`

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

	// Latency is of right answers, from handing the request to the kernel, or in an
	// open loop from the time at which it was to be sent, to reading the last byte.
	Latency LatencySummary `json:"latency_ms"`
	// Operations has each kind of operation apart, if there is more than one.
	Operations []OperationSummary `json:"operations,omitempty"`
	// Pace says how well an open loop kept its times; nil of a closed loop.
	Pace *PaceSummary `json:"pace,omitempty"`

	CPU CPUSummary `json:"generator_cpu"`
	// Warning says in words what CPU.Bottleneck means for the figures; it is empty if
	// they are the server's.
	Warning string `json:"warning,omitempty"`
	// Server is what the server's processes used; nil unless they were named.
	Server *ServerSummary `json:"server,omitempty"`

	// Rounds has each round apart, if there was more than one.
	Rounds []Round `json:"rounds,omitempty"`
	// Intervals show the run over time.
	Intervals Intervals `json:"intervals"`
	// Histogram is the distribution of latency.
	Histogram Histogram `json:"histogram"`

	// Comparison is for the caller to set, so that WriteJSON writes it, too.
	Comparison *Comparison `json:"comparison,omitempty"`
}

// OperationSummary is about the requests of one kind.
type OperationSummary struct {
	Name    string         `json:"name"`
	OK      uint64         `json:"ok"`
	Failed  uint64         `json:"failed"`
	Latency LatencySummary `json:"latency_ms"`
}

// PaceSummary says how far behind their intended times requests were sent.
type PaceSummary struct {
	// Late were sent more than a millisecond behind, LateBusy of them by the
	// generator's own fault: a connection was free and it was not there in time, or, which
	// counts for all of them, its loops were busy nearly without a pause.
	Late     uint64         `json:"late"`
	LateBusy uint64         `json:"late_busy"`
	Delay    LatencySummary `json:"delay_ms"`
}

// ServerSummary is what the server's processes used during the measurement.
type ServerSummary struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	// PerRequest is user and system time in microseconds, of a request sent.
	PerRequest float64 `json:"per_request_us"`
	// Resident is the memory at the end, in bytes.
	Resident int64 `json:"resident_bytes"`
}

// A Round is one of several measurements of the same.
type Round struct {
	Requests          uint64  `json:"requests"`
	OK                uint64  `json:"ok"`
	Failed            uint64  `json:"failed"`
	Seconds           float64 `json:"seconds"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	P50               float64 `json:"p50_ms"`
	P99               float64 `json:"p99_ms"`
	P999              float64 `json:"p99_9_ms"`
	Max               float64 `json:"max_ms"`
	GeneratorCPU      float64 `json:"generator_cpu_us"`
	ServerCPU         float64 `json:"server_cpu_us,omitempty"`
}

// Intervals are equal stretches of the measurement, one value of each list for
// each stretch; the last one may be shorter.
type Intervals struct {
	Seconds float64   `json:"seconds"`
	OK      []uint64  `json:"ok"`
	Failed  []uint64  `json:"failed"`
	P50     []float64 `json:"p50_ms"`
	P99     []float64 `json:"p99_ms"`
}

// Histogram counts right answers by latency: Count[i] took FromMS[i] up to ToMS[i].
// Steps without any are left out.
type Histogram struct {
	FromMS []float64 `json:"from_ms"`
	ToMS   []float64 `json:"to_ms"`
	Count  []uint64  `json:"count"`
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
	// Bottleneck says that a faster server would not have shown: the loops of a closed
	// loop were too busy, or an open loop was late with more than one request in a
	// hundred by its own fault.
	Bottleneck bool `json:"bottleneck"`
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
