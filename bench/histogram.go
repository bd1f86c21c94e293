package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a Latency, and its precision: three significant digits, in steps
// of half a microsecond at the low end.
const (
	latencyUnit   = 1000 // nanoseconds; HDR rounds it down to 512
	latencyMax    = int64(time.Hour)
	latencyDigits = 3
)

// Latency gathers times and answers for their quantiles. It is a histogram of
// high dynamic range: 0.1 % of precision from a microsecond to an hour, in a
// fixed 200 KiB, at some nanoseconds per Record and without allocation. The
// extremes and the sum are kept exactly.
//
// A Latency serves one goroutine; each event loop has its own, and Merge joins
// them.
type Latency struct {
	hdr      *hdrhistogram.Histogram
	min, max int64
	sum      float64
}

// NewLatency makes an empty Latency.
func NewLatency() *Latency {
	return &Latency{hdr: hdrhistogram.New(latencyUnit, latencyMax, latencyDigits)}
}

// Record adds one time. What is below zero counts as zero, and what is above an
// hour as an hour.
func (l *Latency) Record(d time.Duration) {
	ns := min(max(int64(d), 0), latencyMax)
	if n := l.hdr.TotalCount(); n == 0 || ns < l.min {
		l.min = ns
	}
	l.max = max(l.max, ns)
	l.sum += float64(ns)
	if err := l.hdr.RecordValue(ns); err != nil {
		panic("BUG: bench: a clamped latency does not fit: " + err.Error())
	}
}

// Merge adds what another Latency holds, which stays as it was.
func (l *Latency) Merge(o *Latency) {
	if o.Count() == 0 {
		return
	}
	if l.Count() == 0 || o.min < l.min {
		l.min = o.min
	}
	l.max = max(l.max, o.max)
	l.sum += o.sum
	l.hdr.Merge(o.hdr)
}

// Count is the number of times recorded.
func (l *Latency) Count() uint64 { return uint64(l.hdr.TotalCount()) }

// Min is the shortest time, exactly; zero if there is none.
func (l *Latency) Min() time.Duration { return time.Duration(l.min) }

// Max is the longest time, exactly; zero if there is none.
func (l *Latency) Max() time.Duration { return time.Duration(l.max) }

// Mean is the mean of the times; zero if there is none.
func (l *Latency) Mean() time.Duration {
	if l.Count() == 0 {
		return 0
	}
	return time.Duration(l.sum / float64(l.Count()))
}

// Deviation is the standard deviation.
func (l *Latency) Deviation() time.Duration { return time.Duration(l.hdr.StdDev()) }

// Quantile is the time within which a share of q, 0 to 1, of the requests was
// answered. It is never above Max.
func (l *Latency) Quantile(q float64) time.Duration {
	if l.Count() == 0 {
		return 0
	}
	return min(max(time.Duration(l.hdr.ValueAtQuantile(q*100)), l.Min()), l.Max())
}
