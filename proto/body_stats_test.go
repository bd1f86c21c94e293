package proto

import (
	"errors"
	"testing"
	"time"
)

// TestStats reads figures of series of this version, of one with fewer figures and
// of one with more.
func TestStats(t *testing.T) {
	one := gSample(1)
	for _, c := range []struct {
		stats  Stats
		i      int
		figure Figure
		want   uint64
		count  int
	}{
		{gSeries(one, gSample(2)), 1, FigureHits, 2<<8 | 6, 2},
		{gSeries(one), 0, Figure(FigureCount - 1), 1<<8 | 41, 1},
		{Stats{Figures: 2, Samples: gWords(7, 8, 9, 10)}, 1, FigureSpan, 10, 2},
		{Stats{Figures: 2, Samples: gWords(7, 8, 9, 10)}, 1, FigureReads, 0, 2},
		{Stats{Figures: FigureCount + 1, Samples: append(AppendSample(nil, &one), make([]byte, 8)...)}, 0, FigureSpan, 1<<8 | 1, 1},
	} {
		if got := c.stats.Figure(c.i, c.figure); got != c.want || c.stats.Count() != c.count {
			t.Errorf("%v of sample %d of %d is %d, want %d of %d", c.figure, c.i, c.stats.Count(), got, c.want, c.count)
		}
	}
	if n := (&Stats{}).Count(); n != 0 {
		t.Errorf("no series has %d samples", n)
	}
}

func TestStatsErrors(t *testing.T) {
	var s Stats
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"a short answer", DecodeStats(make([]byte, statsLen-1), &s), ErrBody},
		{"no figures", DecodeStats(make([]byte, statsLen), &s), ErrBody},
		{"a sample that is not there", DecodeStats([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0}, &s), ErrBody},
		{"257 figures", DecodeStats([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0}, &s), ErrBodyLimit},
		{"301 samples", DecodeStats([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 45, 1}, &s), ErrBodyLimit},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
	for _, c := range []struct {
		body []byte
		want error
	}{{nil, ErrBody}, {make([]byte, 8), ErrBody}, {[]byte{1, 0, 1, 0, 0, 0, 0, 0}, ErrFrameReserved}} {
		if _, err := DecodeStatsAsk(c.body); !errors.Is(err, c.want) {
			t.Errorf("% x: %v, want %v", c.body, err, c.want)
		}
	}
	if last, err := DecodeStatsAsk(AppendStatsAsk(nil, 1<<20)); last != 1<<16-1 || err != nil {
		t.Errorf("too many are asked for as %d, %v", last, err)
	}
	long := Stats{Figures: 1, Age: 100 * 24 * time.Hour}
	if err := DecodeStats(AppendStats(nil, &long), &s); err != nil || s.Age != (1<<32-1)*time.Millisecond {
		t.Errorf("an age of a hundred days is read as %v, %v", s.Age, err)
	}
}

func TestFigureNames(t *testing.T) {
	names := map[string]bool{}
	for f := range FigureLatency + 1 {
		if f.String() == "" || names[f.String()] {
			t.Errorf("figure %d is %q", f, f)
		}
		names[f.String()] = true
	}
	if last := Figure(FigureCount - 1); last.String() != "latency" || (last+1).String() != "unknown" {
		t.Errorf("the last are %v and %v", last, last+1)
	}
	bounds := LatencyBounds()
	for i := range bounds[1:] {
		if bounds[i] >= bounds[i+1] {
			t.Errorf("the bounds %d and %d do not ascend", bounds[i], bounds[i+1])
		}
	}
}
