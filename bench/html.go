package bench

import (
	"fmt"
	html "html/template"
	"io"
	"strconv"

	_ "embed"
)

//go:embed page.html
var pageText string

var page = html.Must(html.New("page").Funcs(html.FuncMap{"number": pageNumber}).Parse(pageText))

// pageNumber writes a figure with no more digits than a reader needs.
func pageNumber(v float64) string {
	digits := 0
	for limit := 1000.0; digits < 3 && v < limit; limit /= 10 {
		digits++
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// A pageResult is a result as the page shows it.
type pageResult struct {
	Title, About string
	Cards        []pageRow
	Charts       []pageChart
	Settings     []pageRow
	Differences  []Difference
	Basis        string
	Warning      string
}

type pageRow struct{ Name, Value string }

type pageChart struct {
	Title, Note string
	SVG         html.HTML
}

// WriteHTML writes one page about results, which needs no other file: for each the
// distribution of latency, the run over time and what it was told. Where before
// holds its Counterpart, that is drawn beside, and compared as Compare does. The error is
// that of w.
func WriteHTML(w io.Writer, results, before []*Result, minDifference float64) error {
	var list []pageResult
	for _, r := range results {
		list = append(list, newPageResult(r, Counterpart(r, before), minDifference))
	}
	return page.Execute(w, list)
}

func newPageResult(r, old *Result, minDifference float64) pageResult {
	p := pageResult{Title: r.Scenario, About: r.About, Warning: r.Warning, Settings: r.settings()}
	if r.Label != "" {
		p.Title = r.Label + ": " + r.Scenario
	}
	p.Cards = []pageRow{
		{"requests/s", fmt.Sprintf("%.0f", r.RequestsPerSecond)},
		{"p50", FormatMilliseconds(r.Latency.P50)}, {"p99", FormatMilliseconds(r.Latency.P99)},
		{"p99.9", FormatMilliseconds(r.Latency.P999)}, {"longest", FormatMilliseconds(r.Latency.Max)},
		{"failed", strconv.FormatUint(r.Failed(), 10)},
	}
	if r.Server != nil {
		p.Cards = append(p.Cards, pageRow{"server CPU", fmt.Sprintf("%.1f µs", r.Server.PerRequest)})
	}
	if len(r.Histogram.Count) > 0 {
		p.Charts = []pageChart{
			{"Latency by percentile", "milliseconds; both scales logarithmic", percentileChart(r, old)},
			{"Distribution of latency", "requests, by milliseconds", histogramChart(r)},
			{"Throughput over time", "right answers a second, by seconds", rateChart(r, old)},
			{"p50 and p99 over time", "milliseconds, by seconds", latencyChart(r)},
		}
	}
	if old != nil {
		c := Compare(old, r, minDifference)
		p.Differences, p.Basis = c.Differences, "The samples are rounds."
		if !c.Rounds {
			p.Basis = "The samples are stretches of one run each: --rounds 5 or more, twice, knows more of what is noise."
		}
		p.Basis += fmt.Sprintf(" If nothing has changed, the chance of any figure being called better or worse is 5 %%; differences below %.3g %% are none.", c.MinDifference*100)
		if len(c.Differences) == 0 {
			p.Basis = "Not compared: " + tooShort
		}
	}
	return p
}

// settings is what the run was told, and what came of it beyond the charts.
func (r *Result) settings() []pageRow {
	rows := []pageRow{
		{"Server", r.URL},
		{"Loop", "closed: each client sends when it was answered"},
		{"Rounds", strconv.Itoa(max(len(r.Rounds), 1))},
		{"Requests", fmt.Sprintf("%d in %.3f s, %d right", r.Requests, r.Seconds, r.OK)},
		{"Connections", fmt.Sprintf("%d opened, %d ended during the run", r.Connections, r.Reconnects)},
		{"Bytes", fmt.Sprintf("%d sent, %d received", r.BytesSent, r.BytesReceived)},
		{"Generator CPU", fmt.Sprintf("%.2f µs per request, loops %.0f %% busy", r.CPU.PerRequest, r.CPU.Share*100)},
	}
	if r.Pace != nil {
		rows[1].Value = fmt.Sprintf("open: %g requests a second intended", r.Rate)
		rows = append(rows, pageRow{"Sent late", fmt.Sprintf("%d by more than 1 ms, %d by the generator's own fault", r.Pace.Late, r.Pace.LateBusy)})
	}
	for _, name := range r.Settings.names() {
		if value := r.Settings[name]; value != "" {
			rows = append(rows, pageRow{"--" + name, value})
		}
	}
	for _, kind := range Failures() {
		if n := r.Failures[kind.String()]; n > 0 {
			rows = append(rows, pageRow{"Failed: " + kind.String(), fmt.Sprintf("%d, first: %s", n, r.Samples[kind.String()])})
		}
	}
	for _, o := range r.Operations {
		rows = append(rows, pageRow{o.Name, fmt.Sprintf("%d right, %d failed; p50 %s, p99 %s, p99.9 %s", o.OK, o.Failed,
			FormatMilliseconds(o.Latency.P50), FormatMilliseconds(o.Latency.P99), FormatMilliseconds(o.Latency.P999))})
	}
	return rows
}

// FormatMilliseconds writes a time in milliseconds with about three digits.
func FormatMilliseconds(ms float64) string {
	switch {
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f ms", ms)
	default:
		return fmt.Sprintf("%.2f ms", ms)
	}
}
