package bench

import (
	"math/bits"
	"sync"
	"time"
)

// A sketch counts times in steps of a sixteenth of an octave, 6 %, from half a
// microsecond to an hour: small enough for one in each interval of a run.
type sketch [sketchSteps]uint32

const (
	sketchUnit  = 9 // 2^9 ns is the lowest step
	sketchSteps = 16 * 30
)

// sketchStep is the step of a time in nanoseconds.
func sketchStep(ns int64) int {
	u := uint64(min(max(ns, 0), latencyMax)) >> sketchUnit
	if u < 16 {
		return int(u)
	}
	e := bits.Len64(u) - 5
	return (e+1)*16 + int(u>>e) - 16
}

// sketchFloor is the least time of a step, in nanoseconds.
func sketchFloor(step int) float64 {
	if step < 16 {
		return float64(int64(step) << sketchUnit)
	}
	e := step/16 - 1
	return float64(int64(step%16+16) << e << sketchUnit)
}

func (s *sketch) add(ns int64) { s[sketchStep(ns)]++ }

func (s *sketch) merge(o *sketch) {
	for i, n := range o {
		s[i] += n
	}
}

func (s *sketch) count() (n uint64) {
	for _, c := range s {
		n += uint64(c)
	}
	return n
}

// quantile is the time within which a share of q was answered, in nanoseconds.
func (s *sketch) quantile(q float64) float64 {
	left := q * float64(s.count())
	for i, n := range s {
		if n == 0 {
			continue
		}
		if left <= float64(n) { // evenly spread over the step
			low := sketchFloor(i)
			return low + (sketchFloor(i+1)-low)*max(left, 0)/float64(n)
		}
		left -= float64(n)
	}
	return 0
}

const (
	// intervalMin is the width of a series' intervals at first; they double as
	// often as there are more than maxIntervals.
	intervalMin  = 20 * time.Millisecond
	maxIntervals = 256
)

// An interval is what ended in one stretch of a phase.
type interval struct {
	ok, failed uint64
	took       sketch
}

// A series counts by intervals of time. It serves one goroutine.
type series struct {
	begin int64
	width int64
	list  []interval
}

func newSeries(begin int64) *series { return &series{begin: begin, width: int64(intervalMin)} }

// at is the interval of a time on the run's clock.
func (s *series) at(now int64) *interval {
	i := max(now-s.begin, 0) / s.width
	for i >= maxIntervals {
		s.coarsen()
		i = max(now-s.begin, 0) / s.width
	}
	for int(i) >= len(s.list) {
		s.list = append(s.list, interval{})
	}
	return &s.list[i]
}

func (s *series) add(now, took int64) {
	i := s.at(now)
	i.ok++
	i.took.add(took)
}

func (s *series) addFailed(now int64) { s.at(now).failed++ }

// coarsen joins intervals in pairs.
func (s *series) coarsen() {
	half := (len(s.list) + 1) / 2
	for i := range half {
		s.list[i] = s.list[2*i]
		if 2*i+1 < len(s.list) {
			s.list[i].add(&s.list[2*i+1])
		}
	}
	s.list = s.list[:half]
	s.width *= 2
}

func (i *interval) add(o *interval) {
	i.ok += o.ok
	i.failed += o.failed
	i.took.merge(&o.took)
}

// merge adds another series of the same beginning.
func (s *series) merge(o *series) {
	for s.width < o.width {
		s.coarsen()
	}
	for i := range o.list {
		s.at(s.begin + int64(i)*o.width).add(&o.list[i])
	}
}

// append adds a series that came later, behind this one.
func (s *series) append(o *series) {
	for s.width < o.width {
		s.coarsen()
	}
	end := s.begin + int64(len(s.list))*s.width
	for i := range o.list {
		s.at(end + int64(i)*o.width).add(&o.list[i])
	}
}

// live gathers the latest times of all loops for the display.
type live struct {
	mu   sync.Mutex
	took sketch
}

// take empties a loop's sketch.
func (l *live) take(recent *sketch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took.merge(recent)
	*recent = sketch{}
}

func (l *live) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = sketch{}
}

// p99 gives the latest p99, and begins anew.
func (l *live) p99() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := time.Duration(l.took.quantile(.99))
	l.took = sketch{}
	return d
}
