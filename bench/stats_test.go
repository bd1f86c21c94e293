package bench

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestRankTest(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64 // counted by hand: 2 × orders at least as uneven / all orders
	}{
		{[]float64{1, 2, 3}, []float64{4, 5, 6}, 2.0 / 20},
		{[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 2.0 / 252},
		{[]float64{6, 7, 8, 9, 10}, []float64{1, 2, 3, 4, 5}, 2.0 / 252},
		{[]float64{1, 2, 3, 5}, []float64{4, 6, 7, 8}, 4.0 / 70},
		{[]float64{1, 4}, []float64{2, 3}, 1},
		{[]float64{1, 1, 1}, []float64{1, 1, 1}, 1},
	} {
		if got := rankTest(c.a, c.b); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v, %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
	var a, b []float64
	for i := range 40 {
		a, b = append(a, float64(i)), append(b, float64(i)+100)
	}
	if p := rankTest(a, b); p > 1e-9 {
		t.Errorf("40 smaller values: p %v", p)
	}
	if p := rankTest(a, a); p < .9 {
		t.Errorf("the same values: p %v", p)
	}
}

// roundsOf makes a result with rounds of these rates.
func roundsOf(rates ...float64) *Result {
	r := &Result{Scenario: "get"}
	for _, rate := range rates {
		r.Rounds = append(r.Rounds, Round{RequestsPerSecond: rate, P50: 1000 / rate})
	}
	return r
}

func TestCompareRounds(t *testing.T) {
	base := roundsOf(100, 104, 98, 102, 101)
	for _, c := range []struct {
		now       *Result
		rate, p50 Verdict
	}{
		{roundsOf(99, 103, 101, 100, 105), NoDifference, NoDifference},
		{roundsOf(120, 124, 119, 121, 118), Better, Better},
		{roundsOf(90, 91, 89, 92, 88), Worse, Worse},
		{roundsOf(90, 120, 89, 125, 88), NoDifference, NoDifference},
	} {
		got := Compare(base, c.now)
		if !got.Rounds || len(got.Differences) != 2 || got.Differences[0].Verdict != c.rate || got.Differences[1].Verdict != c.p50 {
			t.Errorf("%+v", got.Differences)
		}
		d := got.Differences[0]
		if ratio := d.New / d.Old; ratio < d.Low || ratio > d.High {
			t.Errorf("a ratio of %v outside of %v to %v", ratio, d.Low, d.High)
		}
	}
}

// What only one of two results has is not compared: its ratio to nothing says nothing.
func TestCompareServerOfOne(t *testing.T) {
	before, now := roundsOf(100, 104, 98, 102, 101), roundsOf(100, 104, 98, 102, 101)
	for i := range now.Rounds {
		now.Rounds[i].ServerCPU = 6
	}
	for _, pair := range [][2]*Result{{before, now}, {now, before}} {
		for _, d := range Compare(pair[0], pair[1]).Differences {
			if d.Figure == "server CPU (us)" {
				t.Errorf("compared: %+v", d)
			}
		}
	}
}

// steady makes a result with intervals of about a rate.
func steady(count int, rate uint64) *Result {
	r := &Result{Scenario: "get", Intervals: Intervals{Seconds: .02}}
	for i := range count {
		r.Intervals.OK = append(r.Intervals.OK, rate+uint64(i*7%5))
		r.Intervals.P50 = append(r.Intervals.P50, 1)
		r.Intervals.P99 = append(r.Intervals.P99, 2+float64(i*7%5)/10)
	}
	return r
}

func TestCompareSlices(t *testing.T) {
	for _, c := range []struct {
		old, now *Result
		want     Verdict
	}{
		{steady(100, 1000), steady(120, 1000), NoDifference},
		{steady(100, 1000), steady(100, 1020), NoDifference}, // uneven, but too little
		{steady(100, 1000), steady(100, 1200), Better},
		{steady(100, 1000), steady(100, 800), Worse},
		{steady(4, 1000), steady(100, 800), TooFew},
	} {
		got := Compare(c.old, c.now)
		if got.Rounds || got.Differences[0].Verdict != c.want {
			t.Errorf("want %s: %+v", c.want, got.Differences)
		}
	}
}

func TestComparable(t *testing.T) {
	a := Result{Scenario: "get", About: "1 key", Clients: 9, Rate: 5}
	for want, change := range map[bool]func(*Result){true: func(r *Result) { r.URL = "x" }, false: func(r *Result) { r.Clients = 8 }} {
		b := a
		change(&b)
		if Comparable(&a, &b) != want {
			t.Errorf("comparable: %v", !want)
		}
	}
}

func TestReadResults(t *testing.T) {
	var text bytes.Buffer
	r := fixedResult(t, false)
	for range 2 {
		if err := r.WriteJSON(&text); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadResults(&text)
	if err != nil || len(got) != 2 || got[1].OK != r.OK || len(got[1].Histogram.Count) != len(r.Histogram.Count) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "x", "{}", `{"scenario":"get"} {`} {
		if _, err := ReadResults(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken for results", bad)
		}
	}
}

func TestSketch(t *testing.T) {
	for step := range sketchSteps {
		if low := sketchFloor(step); int64(low) < latencyMax && sketchStep(int64(low)) != step {
			t.Errorf("step %d begins at %v, which is in step %d", step, low, sketchStep(int64(low)))
		}
	}
	if sketchStep(-1) != 0 || sketchStep(math.MaxInt64) >= sketchSteps {
		t.Error("a time outside of the range has no step")
	}
	var s sketch
	for i := range 10_000 {
		s.add(int64(i) * 1000)
	}
	for _, q := range []float64{.1, .5, .9, .99} {
		if got, want := s.quantile(q), q*1e7; math.Abs(got/want-1) > .07 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}

// However a series is cut, what is in it stays.
func TestSeries(t *testing.T) {
	sum := newSeries(0)
	for range 3 {
		s := newSeries(1000)
		for i := range 2000 {
			s.add(1000+int64(i)*int64(10*time.Millisecond), 5000)
		}
		s.addFailed(1000)
		o := newSeries(1000)
		o.merge(s)
		o.merge(newSeries(1000))
		sum.append(o)
	}
	v := sum.summary()
	var ok, failed uint64
	for i := range v.OK {
		ok, failed = ok+v.OK[i], failed+v.Failed[i]
	}
	if ok != 6000 || failed != 3 || len(v.OK) > maxIntervals || sum.histogram().Count[0] != 6000 {
		t.Errorf("%d right, %d failed in %d intervals", ok, failed, len(v.OK))
	}
	if end := float64(len(v.OK)) * v.Seconds; end < 60 || end > 61 {
		t.Errorf("60 seconds end at %v", end)
	}
}

func TestHistogramRows(t *testing.T) {
	r := fixedResult(t, false)
	for _, limit := range []int{1, 7, 14, 40, 1000} {
		rows, sum := r.Histogram.rows(limit), uint64(0)
		for i, row := range rows {
			sum += row.count
			if row.from >= row.to || i > 0 && rows[i-1].to != row.from {
				t.Errorf("rows do not follow each other: %+v", rows)
			}
		}
		if sum != r.OK || len(rows) > limit {
			t.Errorf("%d requests in %d rows of %d", sum, len(rows), limit)
		}
	}
}

// A page stands alone: it names no other file.
func TestHTML(t *testing.T) {
	r := fixedResult(t, true)
	empty := newMeasurement(&Config{Workload: mustWorkload(t, NewControl, testHTTP(1, 0)), Clients: 1})
	empty.add(newTally(1, 0, false), 0, usage{})
	var page bytes.Buffer
	if err := WriteHTML(&page, []*Result{r, empty.result()}, []*Result{r}); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, part := range []string{"prefers-color-scheme: dark", "width=device-width", "Latency by percentile", "no difference", "first: status 503"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not there", part)
		}
	}
	for _, part := range []string{"<script", "src=", "href=", "@import", "NaN", "Inf"} {
		if strings.Contains(text, part) {
			t.Errorf("%q is there", part)
		}
	}
}

// A result is compared with that of its own label, or with one that has none.
func TestCounterpart(t *testing.T) {
	one, two, none := &Result{Scenario: "get", Label: "one"}, &Result{Scenario: "get", Label: "two"}, &Result{Scenario: "get"}
	for _, test := range []struct {
		r      *Result
		before []*Result
		want   *Result
	}{
		{two, []*Result{one}, nil},
		{two, []*Result{one, none, two}, two},
		{two, []*Result{one, none}, none},
		{none, []*Result{one, two}, one},
		{&Result{Scenario: "post"}, []*Result{one, two, none}, nil},
		{two, nil, nil},
	} {
		if got := Counterpart(test.r, test.before); got != test.want {
			t.Errorf("%+v: got %+v", test.r, got)
		}
	}
}

// Runs that are too short to be compared say so, everywhere.
func TestCompareTooShort(t *testing.T) {
	old, r := &Result{Scenario: "get"}, &Result{Scenario: "get"}
	r.Comparison = Compare(old, r)
	var text, page, machine bytes.Buffer
	err := errors.Join(r.Comparison.WriteText(&text), WriteHTML(&page, []*Result{r}, []*Result{old}), r.WriteJSON(&machine))
	if err != nil || !strings.Contains(text.String(), "too short") || !strings.Contains(page.String(), "too short") ||
		!strings.Contains(machine.String(), `"differences":[]`) {
		t.Errorf("%v: %s\n%s\n%s", err, text.String(), page.String(), machine.String())
	}
}
