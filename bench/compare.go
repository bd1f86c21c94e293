package bench

import (
	"fmt"
	"io"
	"strings"
)

// A Verdict says what a difference means.
type Verdict string

// The verdicts.
const (
	Better       Verdict = "better"
	Worse        Verdict = "worse"
	NoDifference Verdict = "no difference"
	// TooFew says that there are not enough samples to tell.
	TooFew Verdict = "too few samples"
)

const (
	// minRounds is the number of rounds from which on they are the samples; two
	// times five can give a p-value of 0.008.
	minRounds = 5
	// alpha is the p-value from which on a difference is more than noise.
	alpha = 0.02
	// sliceCount is the number of samples that a run without rounds is cut into. They
	// follow each other closely and know nothing of what differs from run to run, so
	// that more is asked of them.
	sliceCount, minSlices = 16, 8
	sliceAlpha            = 0.001
	sliceShare            = 0.05
)

// A Comparison is an old and a new result of the same scenario.
type Comparison struct {
	Old, New *Result `json:"-"`
	// Rounds says that the samples are whole rounds; else they are slices of one.
	Rounds      bool         `json:"rounds"`
	Differences []Difference `json:"differences"`
}

// A Difference is what became of one figure.
type Difference struct {
	Figure string `json:"figure"`
	// Old and New are the medians of the samples.
	Old float64 `json:"old"`
	New float64 `json:"new"`
	// Low and High are the range of New over Old, with 95 %.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// P is the p-value of the rank test.
	P       float64 `json:"p"`
	Verdict Verdict `json:"verdict"`
}

// Comparable reports whether two results are of the same scenario, with the same
// keys, clients and rate, and of the same label, unless one of them has none.
func Comparable(a, b *Result) bool {
	return a.Scenario == b.Scenario && a.About == b.About && a.Clients == b.Clients && a.Rate == b.Rate &&
		(a.Label == b.Label || a.Label == "" || b.Label == "")
}

// Counterpart finds the first of the results before that r is Comparable with, one of
// the same label rather than one without; nil if there is none.
func Counterpart(r *Result, before []*Result) (found *Result) {
	for _, b := range before {
		switch {
		case !Comparable(b, r):
		case b.Label == r.Label:
			return b
		case found == nil:
			found = b
		}
	}
	return found
}

// A figure is one that is compared.
type figure struct {
	name    string
	more    bool // is better
	cpu     bool // is no figure if it is zero
	ofRound func(Round) float64
	ofSlice func(*slice) float64
}

// slice is a stretch of a run.
type slice struct {
	seconds  float64
	ok       uint64
	p50, p99 float64
}

var figures = []figure{
	{"requests/s", true, false, func(r Round) float64 { return r.RequestsPerSecond }, func(s *slice) float64 { return float64(s.ok) / s.seconds }},
	{"p50 (ms)", false, false, func(r Round) float64 { return r.P50 }, func(s *slice) float64 { return s.p50 }},
	{"p99 (ms)", false, false, func(r Round) float64 { return r.P99 }, func(s *slice) float64 { return s.p99 }},
	{"p99.9 (ms)", false, false, func(r Round) float64 { return r.P999 }, nil},
	{"longest (ms)", false, false, func(r Round) float64 { return r.Max }, nil},
	{"server CPU (us)", false, true, func(r Round) float64 { return r.ServerCPU }, nil},
	{"generator CPU (us)", false, true, func(r Round) float64 { return r.GeneratorCPU }, nil},
}

// Compare says which differences between two results are more than noise. With at
// least five rounds on either side the rounds are compared by a rank test. Without,
// stretches of the two runs are, with more asked of them; what differs from run to
// run cannot be seen then.
func Compare(before, after *Result) *Comparison {
	c := &Comparison{Old: before, New: after, Differences: []Difference{}, Rounds: len(before.Rounds) >= minRounds && len(after.Rounds) >= minRounds}
	for _, f := range figures {
		a, b := samples(before, &f, c.Rounds), samples(after, &f, c.Rounds)
		// CPU of zero is one that was not measured, or that ticks are too coarse for.
		if len(a) == 0 || len(b) == 0 || median(a) == 0 && median(b) == 0 || f.cpu && min(median(a), median(b)) == 0 {
			continue
		}
		c.Differences = append(c.Differences, compareSamples(&f, a, b, c.Rounds))
	}
	return c
}

func compareSamples(f *figure, a, b []float64, rounds bool) Difference {
	d := Difference{Figure: f.name, Old: median(a), New: median(b), P: rankTest(a, b), Verdict: NoDifference}
	d.Low, d.High = ratioInterval(a, b)
	differs := d.P < alpha
	if !rounds {
		ratio := d.New / max(d.Old, 1e-9)
		differs = d.P < sliceAlpha && (ratio < 1-sliceShare || ratio > 1+sliceShare)
	}
	switch {
	case !rounds && (len(a) < minSlices || len(b) < minSlices):
		d.Verdict = TooFew
	case differs && d.New > d.Old == f.more:
		d.Verdict = Better
	case differs:
		d.Verdict = Worse
	}
	return d
}

// samples of a figure.
func samples(r *Result, f *figure, rounds bool) (values []float64) {
	if rounds {
		for _, round := range r.Rounds {
			values = append(values, f.ofRound(round))
		}
		return values
	}
	if f.ofSlice == nil {
		return nil
	}
	for _, s := range r.Intervals.slices() {
		values = append(values, f.ofSlice(&s))
	}
	return values
}

// slices cuts a run into stretches of equal length, without its last interval,
// which may be a short one.
func (v *Intervals) slices() (list []slice) {
	n := len(v.OK) - 1
	each := max((n+sliceCount-1)/sliceCount, 1)
	for i := 0; i+each <= n; i += each {
		s := slice{seconds: float64(each) * v.Seconds}
		for k := i; k < i+each; k++ {
			s.ok += v.OK[k]
		}
		s.p50, s.p99 = median(v.P50[i:i+each]), median(v.P99[i:i+each])
		list = append(list, s)
	}
	return list
}

// tooShort says why there is no difference at all.
const tooShort = "no figure has samples in both; a run is too short, or without a right answer."

// WriteText writes the comparison for people. The error is that of w.
func (c *Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	basis := fmt.Sprintf("%d rounds before, %d now", len(c.Old.Rounds), len(c.New.Rounds))
	if !c.Rounds {
		basis = "stretches of one run each; what differs from run to run shows only with --rounds 5 or more, twice"
	}
	fmt.Fprintf(&b, "Compared with before:   %s\n", basis)
	if len(c.Differences) == 0 {
		b.WriteString("Not compared: " + tooShort + "\n")
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "%-20s%12s%12s%9s   %-16s%-9s%s\n", "median", "before", "now", "ratio", "95 % range", "p", "")
	for _, d := range c.Differences {
		fmt.Fprintf(&b, "%-20s%12.3f%12.3f%9.3f   %-16s%-9.4f%s\n", d.Figure, d.Old, d.New, d.New/max(d.Old, 1e-9),
			fmt.Sprintf("%.3f..%.3f", d.Low, d.High), d.P, d.Verdict)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
