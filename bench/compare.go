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
	// NotJudged is that of figures which are shown, but say nothing of the server, or
	// are one extreme value.
	NotJudged Verdict = "not judged"
)

const (
	// DefaultMinDifference is the least difference that is called better or worse.
	DefaultMinDifference = 0.05
	// minRounds is the number of rounds from which on they are the samples.
	minRounds = 5
	// sliceCount is the number of samples that a run without rounds is cut into.
	sliceCount, minSlices = 16, 8
	// alpha bounds the chance that any of the figures is called better or worse if the
	// two runs are of the same.
	alpha = 0.05
)

// A Comparison is an old and a new result of the same scenario.
type Comparison struct {
	Old, New *Result `json:"-"`
	// Rounds says that the samples are whole rounds; else they are slices of one.
	Rounds bool `json:"rounds"`
	// MinDifference is the least difference, as a share, that is more than noise.
	MinDifference float64      `json:"min_difference"`
	Differences   []Difference `json:"differences"`
}

// A Difference is what became of one figure.
type Difference struct {
	Figure string `json:"figure"`
	// Old and New are the medians of the samples.
	Old float64 `json:"old"`
	New float64 `json:"new"`
	// Low and High are the range of New over Old, with 95 %, for this figure alone; 0
	// if there are too few samples.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// P is the p-value, corrected for the number of figures that are judged; 1 of one
	// that is not.
	P       float64 `json:"p"`
	Verdict Verdict `json:"verdict"`

	moreIsBetter bool
	rises        bool // by the means of the logarithms, which the p-value is about
}

// Differing says what keeps two results from being compared: of what they were told, and
// of their labels, unless one of them has none. The server may be another. It is nil if
// they can be, and of results of different scenarios says only that.
func Differing(before, after *Result) []string {
	if before.Scenario != after.Scenario {
		return []string{fmt.Sprintf("the scenario is %s, and was %s", after.Scenario, before.Scenario)}
	}
	var list []string
	if before.Label != after.Label && before.Label != "" && after.Label != "" {
		list = append(list, fmt.Sprintf("--label is %s, and was %s", after.Label, before.Label))
	}
	return append(list, after.Settings.differing(before.Settings)...)
}

// Nearest finds the first of the results before of which r is Differing in the fewest
// things, and those; nil if there are none before.
func Nearest(r *Result, before []*Result) (nearest *Result, differing []string) {
	for _, b := range before {
		list := Differing(b, r)
		other := b.Scenario != r.Scenario
		if nearest == nil || !other && (nearest.Scenario != r.Scenario || len(list) < len(differing)) {
			nearest, differing = b, list
		}
	}
	return nearest, differing
}

// Counterpart finds the first of the results before that r can be compared with, one of
// the same label rather than one without; nil if there is none.
func Counterpart(r *Result, before []*Result) (found *Result) {
	for _, b := range before {
		switch {
		case Differing(b, r) != nil:
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
	judged  bool
	drift   float64 // between runs of the same, in halves of the least difference
	cpu     bool    // is no figure if it is zero
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
	{"requests/s", true, true, 1, false, func(r Round) float64 { return r.RequestsPerSecond }, func(s *slice) float64 { return float64(s.ok) / s.seconds }},
	{"p50 (ms)", false, true, 1, false, func(r Round) float64 { return r.P50 }, func(s *slice) float64 { return s.p50 }},
	{"p99 (ms)", false, true, 2, false, func(r Round) float64 { return r.P99 }, func(s *slice) float64 { return s.p99 }},
	{"p99.9 (ms)", false, true, 4, false, func(r Round) float64 { return r.P999 }, nil},
	{"longest (ms)", false, false, 4, false, func(r Round) float64 { return r.Max }, nil},
	{"server CPU (us)", false, true, 1, true, func(r Round) float64 { return r.ServerCPU }, nil},
	{"generator CPU (us)", false, false, 1, true, func(r Round) float64 { return r.GeneratorCPU }, nil},
}

// Compare says which differences between two results are more than noise. With at
// least five rounds on either side the rounds are its samples, else stretches of the two
// runs. If both are of the same, the chance that any figure is called better or worse is
// at most 5 %, with these allowances: samples that follow each other may be alike; runs
// may differ by more than their samples do, see runVariance; all judged figures count as
// one question (Holm); and no difference below the share minDifference, or
// DefaultMinDifference if that is zero, is called one. docs/BENCHMARKING.md says how well
// that holds.
func Compare(before, after *Result, minDifference float64) *Comparison {
	if minDifference == 0 {
		minDifference = DefaultMinDifference
	}
	c := &Comparison{Old: before, New: after, MinDifference: minDifference, Differences: []Difference{},
		Rounds: len(before.Rounds) >= minRounds && len(after.Rounds) >= minRounds}
	var judged []int // of c.Differences
	var chances []float64
	for _, f := range figures {
		a, b := samples(before, &f, c.Rounds), samples(after, &f, c.Rounds)
		// CPU of zero is one that was not measured, or that ticks are too coarse for.
		if len(a) == 0 || len(b) == 0 || median(a) == 0 && median(b) == 0 || f.cpu && min(median(a), median(b)) == 0 {
			continue
		}
		d := Difference{Figure: f.name, Old: median(a), New: median(b), P: 1, Verdict: NotJudged, moreIsBetter: f.more}
		switch {
		case !c.Rounds && (len(a) < minSlices || len(b) < minSlices):
			d.Verdict = TooFew
		default:
			between := newContrast(a, b, f.drift*minDifference/2)
			d.Low, d.High = between.interval()
			if f.judged {
				judged, chances = append(judged, len(c.Differences)), append(chances, between.p())
				d.rises = between.difference > 0
			}
		}
		c.Differences = append(c.Differences, d)
	}
	for i, p := range holm(chances) {
		c.Differences[judged[i]].judge(p, minDifference)
	}
	return c
}

// Range writes Low and High.
func (d *Difference) Range() string {
	const large = 100
	switch {
	case d.High == 0:
		return "-"
	case d.High > large:
		return fmt.Sprintf("%.3f..", d.Low)
	default:
		return fmt.Sprintf("%.3f..%.3f", d.Low, d.High)
	}
}

// judge sets the verdict by a p-value that is corrected for the number of figures.
func (d *Difference) judge(p, minDifference float64) {
	larger := max(d.New, d.Old) / max(min(d.New, d.Old), 1e-9)
	d.P = p
	switch {
	case p >= alpha || larger < 1+minDifference || d.rises != (d.New > d.Old):
		d.Verdict = NoDifference
	case d.New > d.Old == d.moreIsBetter:
		d.Verdict = Better
	default:
		d.Verdict = Worse
	}
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
		basis = "stretches of one run each; --rounds 5 or more, twice, knows more of what is noise"
	}
	fmt.Fprintf(&b, "Compared with before:   %s; from %.3g %% on\n", basis, c.MinDifference*100)
	if len(c.Differences) == 0 {
		b.WriteString("Not compared: " + tooShort + "\n")
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "%-20s%12s%12s%9s   %-16s%-9s%s\n", "median", "before", "now", "ratio", "95 % range", "p", "")
	for _, d := range c.Differences {
		fmt.Fprintf(&b, "%-20s%12.3f%12.3f%9.3f   %-16s%-9.4f%s\n", d.Figure, d.Old, d.New, d.New/max(d.Old, 1e-9),
			d.Range(), d.P, d.Verdict)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
