package bench

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tails of Student's t, from the usual tables.
func TestStudentTail(t *testing.T) {
	for _, c := range []struct{ t, freedom, want float64 }{
		{12.706, 1, .05}, {2.228, 10, .05}, {3.169, 10, .01}, {2.042, 30, .05}, {0, 5, 1}, {4.303, 2, .05}, {1.533, 4, .2},
		{math.Inf(1), 3, 0},
	} {
		if got := studentTail(c.t, c.freedom); math.Abs(got-c.want) > 2e-4 {
			t.Errorf("t %v with %v: %v, want %v", c.t, c.freedom, got, c.want)
		}
	}
}

func TestHolm(t *testing.T) {
	got := holm([]float64{.04, .01, .5, .011})
	for i, want := range []float64{.08, .04, .5, .04} { // times 2, 4, 1 and 3, never falling
		if math.Abs(got[i]-want) > 1e-9 {
			t.Errorf("%v", got)
		}
	}
}

// A simulation makes runs of a server whose figures wander: within a run each sample
// resembles the one before, and whole runs differ from each other.
type simulation struct {
	name        string
	noise       float64 // deviation of a sample, as a share
	correlation float64 // of neighbouring samples
	drift       float64 // deviation between runs, as a share
	rounds      int     // 0: one run, cut into stretches
	found       float64 // the least share of servers that take a fifth longer to be found
}

// run makes a result in which everything takes slower times the usual time.
func (s *simulation) run(random *rand.Rand, slower float64) *Result {
	wander := func() func() float64 {
		run, at := s.drift*random.NormFloat64(), s.noise*random.NormFloat64()
		return func() float64 {
			at = s.correlation*at + math.Sqrt(1-s.correlation*s.correlation)*s.noise*random.NormFloat64()
			return run + at
		}
	}
	all, tail, cpu := wander(), wander(), wander()
	sample := func() Round {
		load, late := math.Exp(all())*slower, math.Exp(2*tail())
		return Round{
			RequestsPerSecond: 50_000 / load, P50: 2 * load, P99: 5 * load * late, P999: 9 * load * late * late,
			Max: 20 * load * late * late, ServerCPU: 15 * math.Exp(cpu()/2) * slower, GeneratorCPU: 8,
		}
	}
	r := &Result{Scenario: "get"}
	for range s.rounds {
		r.Rounds = append(r.Rounds, sample())
	}
	if s.rounds > 0 {
		return r
	}
	r.Intervals.Seconds = .02
	for range 161 {
		one := sample()
		r.Intervals.OK = append(r.Intervals.OK, uint64(one.RequestsPerSecond/50))
		r.Intervals.P50, r.Intervals.P99 = append(r.Intervals.P50, one.P50), append(r.Intervals.P99, one.P99)
	}
	return r
}

// Of runs of the same, at most one comparison in twenty calls any figure better or
// worse, whether the samples resemble each other and the runs differ or not; and a
// server that takes a fifth longer is found, on a machine that is not too uneven.
func TestCompareSimulated(t *testing.T) {
	const pairs = 500
	differs := func(c *Comparison, verdict Verdict) bool {
		return slices.ContainsFunc(c.Differences, func(d Difference) bool { return d.Verdict == verdict })
	}
	for _, s := range []simulation{
		{"quiet", .01, 0, .02, 7, .99},
		{"usual", .03, .3, .03, 7, .9},
		{"usual, 5 rounds", .03, .3, .03, 5, .9},
		{"uneven", .1, .5, .08, 7, 0},
		{"very uneven", .25, 0, .25, 7, 0},
		{"many rounds", .03, .3, .03, 30, .99},
		{"one run", .05, .5, .03, 0, .8},
		{"one run, uneven", .2, .8, .1, 0, 0},
	} {
		random := rand.New(rand.NewPCG(1, 2))
		alarms, found, wrong := 0, 0, 0
		for range pairs {
			if c := Compare(s.run(random, 1), s.run(random, 1), 0); differs(c, Better) || differs(c, Worse) {
				alarms++
			}
			c := Compare(s.run(random, 1), s.run(random, 1.2), 0)
			if differs(c, Worse) {
				found++
			}
			if differs(c, Better) {
				wrong++
			}
		}
		t.Logf("%s: %d false alarms, %d slower ones found of %d", s.name, alarms, found, pairs)
		if alarms > pairs/20 || wrong > pairs/20 {
			t.Errorf("%s: %d false alarms, %d the wrong way, of %d", s.name, alarms, wrong, pairs)
		}
		if float64(found) < s.found*pairs {
			t.Errorf("%s: only %d of %d slower ones were found", s.name, found, pairs)
		}
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
		got := Compare(base, c.now, 0)
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
		for _, d := range Compare(pair[0], pair[1], 0).Differences {
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
		got := Compare(c.old, c.now, 0)
		if got.Rounds || got.Differences[0].Verdict != c.want {
			t.Errorf("want %s: %+v", c.want, got.Differences)
		}
	}
}

// Whatever changes what is measured keeps results from being compared, is named, and
// shows in every form of the report.
func TestSettings(t *testing.T) {
	type both struct {
		workload WorkloadConfig
		run      Config
	}
	result := func(change func(*both)) *Result {
		b := both{workload: testHTTP(100, 0), run: Config{Clients: 9, Requests: 1000}}
		change(&b)
		var err error
		b.run.Workload = mustWorkload(t, NewPost, b.workload)
		if b.run, err = b.run.withDefaults(); err != nil {
			t.Fatal(err)
		}
		m := newMeasurement(&b.run)
		m.add(newTally(1, 0, b.run.Pacer != nil), 0, usage{})
		return m.result()
	}
	base := result(func(*both) {})
	if got := Differing(base, result(func(b *both) { b.workload.Endpoint.Host, b.run.Rounds = "other", 7 })); got != nil {
		t.Errorf("another server, or more rounds: %v", got)
	}
	pacer, err := ConstantRate(500)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*both){
		"--ttl is 1m0s, and was none":                 func(b *both) { b.workload.TTL = time.Minute },
		"--vary is true, and was false":               func(b *both) { b.workload.Vary = true },
		"--threads is 3, and was 1":                   func(b *both) { b.run.Threads = 3 },
		"--clients is 8, and was 9":                   func(b *both) { b.run.Clients = 8 },
		"--rate is 500, and was not set":              func(b *both) { b.run.Pacer = pacer },
		"--warmup is 2s, and was none":                func(b *both) { b.run.Warmup = 2 * time.Second },
		"--requests is 1001, and was 1000":            func(b *both) { b.run.Requests++ },
		"--duration is 1s, and was none":              func(b *both) { b.run.Duration = time.Second },
		"--retry is true, and was false":              func(b *both) { b.run.Retry = true },
		"--timeout is 3s, and was 10s":                func(b *both) { b.run.Timeout = 3 * time.Second },
		"--keys is 101, and was 100":                  func(b *both) { b.workload.Keys.Count++ },
		"--keys is 2 chosen, and was 100":             func(b *both) { b.workload.Keys.Only = []uint64{3, 5} },
		"--order is zipf, and was random":             func(b *both) { b.workload.Keys.Order = OrderZipf },
		"--seed is 8, and was 7":                      func(b *both) { b.workload.Keys.Seed = 8 },
		"--key-prefix is k-, and was bench-":          func(b *both) { b.workload.Keys.Prefix = "k-" },
		"--value-size is 400, and was 58":             func(b *both) { b.workload.ValueSize = 400 },
		"--header is X-Secret, and was Authorization": func(b *both) { b.workload.Headers = []string{"X-Secret: s3cret"} },
	} {
		changed := result(change)
		if got := strings.Join(Differing(base, changed), "; "); !strings.HasPrefix(got, want) && !strings.Contains(got, "; "+want) {
			t.Errorf("want %q, got %q", want, got)
		}
		if _, differing := Nearest(changed, []*Result{{Scenario: "get"}, base}); Counterpart(changed, []*Result{base}) != nil || len(differing) == 0 {
			t.Errorf("%s: compared", want)
		}
		var text, page, line, csv bytes.Buffer
		if err := errors.Join(changed.WriteText(&text), WriteHTML(&page, []*Result{changed}, nil, 0), changed.WriteJSON(&line), changed.WriteCSV(&csv)); err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.Split(want, ",")[0], "--"), " is ")
		for form, part := range map[string]string{
			text.String(): "--" + name + "=", page.String(): "<td>--" + name + "</td><td>" + value + "</td>",
			line.String(): `"` + name + `":"` + value + `"`, csv.String(): "--" + name + "=",
		} {
			if !strings.Contains(form, part) || strings.Contains(form, "s3cret") {
				t.Errorf("%s: no %q in\n%s", want, part, form)
			}
		}
	}
	for kind, w := range map[string]func(x string) (Workload, error){
		"read-share": func(x string) (Workload, error) { return NewMixed(testHTTP(9, 0), float64(len(x))/10) },
		"updates":    func(x string) (Workload, error) { return NewLocation(testHTTP(900, 0), uint64(len(x)), 5) },
		"reads":      func(x string) (Workload, error) { return NewLocation(testHTTP(900, 0), 5, uint64(len(x))) },
		"path":       func(x string) (Workload, error) { return NewHTTP(testHTTP(9, 0), HTTPCall{Path: "/" + x}) },
		"body": func(x string) (Workload, error) {
			return NewHTTP(testHTTP(9, 0), HTTPCall{Path: "/", Body: strings.Repeat("x", 1000) + x})
		},
		"method": func(x string) (Workload, error) { return NewHTTP(testHTTP(9, 0), HTTPCall{Path: "/", Method: x}) },
		"answer": func(x string) (Workload, error) { return NewHTTP(testHTTP(9, 0), HTTPCall{Path: "/", Answer: x}) },
	} {
		one, first := w("a")
		two, second := w("bb")
		if first != nil || second != nil {
			t.Fatal(first, second)
		}
		if got := two.Settings().differing(one.Settings()); len(got) != 1 || !strings.HasPrefix(got[0], "--"+kind+" is ") {
			t.Errorf("%s: %v", kind, got)
		}
	}
	if got := Differing(&Result{Scenario: "post"}, base); len(got) != 1 || !strings.Contains(got[0], "older") {
		t.Errorf("%v", got)
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
	if err := WriteHTML(&page, []*Result{r, empty.result()}, []*Result{r}, 0); err != nil {
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
	r.Comparison = Compare(old, r, 0)
	var text, page, machine bytes.Buffer
	err := errors.Join(r.Comparison.WriteText(&text), WriteHTML(&page, []*Result{r}, []*Result{old}, 0), r.WriteJSON(&machine))
	if err != nil || !strings.Contains(text.String(), "too short") || !strings.Contains(page.String(), "too short") ||
		!strings.Contains(machine.String(), `"differences":[]`) {
		t.Errorf("%v: %s\n%s\n%s", err, text.String(), page.String(), machine.String())
	}
}
