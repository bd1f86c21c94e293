package bench

import (
	"math"
	"testing"
	"time"
)

func TestLatencyQuantiles(t *testing.T) {
	l := NewLatency()
	for i := 1; i <= 10_000; i++ {
		l.Record(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{
		0: 1 * time.Microsecond, .5: 5 * time.Millisecond, .95: 9500 * time.Microsecond,
		.99: 9900 * time.Microsecond, .999: 9990 * time.Microsecond, 1: 10 * time.Millisecond,
	} {
		if got := l.Quantile(q); math.Abs(float64(got-want)) > max(float64(want)/500, 600) {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if l.Count() != 10_000 || l.Min() != time.Microsecond || l.Max() != 10*time.Millisecond || l.Mean() != 5000500*time.Nanosecond {
		t.Errorf("count %d, min %v, max %v, mean %v", l.Count(), l.Min(), l.Max(), l.Mean())
	}
	if d := l.Deviation(); d < 2880*time.Microsecond || d > 2893*time.Microsecond {
		t.Errorf("deviation %v", d)
	}
}

func TestLatencyExtremes(t *testing.T) {
	l := NewLatency()
	if l.Count() != 0 || l.Mean() != 0 || l.Max() != 0 || l.Min() != 0 || l.Quantile(.5) != 0 {
		t.Error("an empty Latency has figures")
	}
	if s := l.summary(); s != (LatencySummary{}) {
		t.Errorf("an empty Latency has figures: %+v", s)
	}
	l.Record(-time.Second)
	l.Record(100 * time.Hour)
	if l.Count() != 2 || l.Min() != 0 || l.Max() != time.Hour || l.Quantile(1) != time.Hour {
		t.Errorf("count %d, min %v, max %v", l.Count(), l.Min(), l.Max())
	}
	one := NewLatency()
	one.Record(1234567 * time.Nanosecond)
	if one.Min() != 1234567 || one.Quantile(.5) != 1234567 || one.Quantile(1) != 1234567 {
		t.Errorf("a single time is given as %v to %v", one.Quantile(.5), one.Quantile(1))
	}
}

func TestLatencyMerge(t *testing.T) {
	whole, a, b := NewLatency(), NewLatency(), NewLatency()
	for i := range 1000 {
		d := time.Duration(mix(uint64(i))%1e9) + time.Microsecond
		whole.Record(d)
		if i%3 == 0 {
			a.Record(d)
		} else {
			b.Record(d)
		}
	}
	a.Merge(b)
	a.Merge(NewLatency())
	empty := NewLatency()
	empty.Merge(a)
	for _, got := range []*Latency{a, empty} {
		if got.summary() != whole.summary() || got.Count() != 1000 {
			t.Errorf("got %+v, want %+v", got.summary(), whole.summary())
		}
	}
}

func BenchmarkLatencyRecord(b *testing.B) {
	l := NewLatency()
	i := 0
	for b.Loop() {
		l.Record(time.Duration(i&0xffff) * time.Microsecond)
		i++
	}
}
