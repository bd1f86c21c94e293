package bench

import (
	"fmt"
	"strings"
)

const (
	histogramRows = 14
	histogramBar  = 46
)

// writeHistogram draws the distribution of latency, in rows of equal width on a
// logarithmic scale.
func (r *Result) writeHistogram(b *strings.Builder) {
	rows := r.Histogram.rows(histogramRows)
	if len(rows) == 0 {
		return
	}
	most := uint64(0)
	for _, row := range rows {
		most = max(most, row.count)
	}
	b.WriteString("Distribution (ms, requests)\n")
	for _, row := range rows {
		bar := strings.Repeat("#", int((row.count*histogramBar+most-1)/most))
		fmt.Fprintf(b, "%9.3f .. %9.3f %9d %s\n", row.from, row.to, row.count, bar)
	}
	b.WriteByte('\n')
}

// A row is a stretch of a histogram.
type row struct {
	from, to float64
	count    uint64
}

// rows sums a histogram up in a few rows, those without any count in between
// included.
func (h *Histogram) rows(limit int) []row {
	if len(h.Count) == 0 {
		return nil
	}
	step := func(ms float64) int { return sketchStep(int64(ms*1e6 + 1e3)) } // back from the rounding
	first, last := sketchStep(int64(h.FromMS[0]*1e6)), step(h.FromMS[len(h.FromMS)-1])
	width := (last-first)/limit + 1
	rows := make([]row, (last-first)/width+1)
	for i := range rows {
		rows[i].from, rows[i].to = sketchFloor(first+i*width)/1e6, sketchFloor(min(first+(i+1)*width, sketchSteps))/1e6
	}
	for i, n := range h.Count {
		at := step((h.FromMS[i]+h.ToMS[i])/2) - first
		rows[max(min(at/width, len(rows)-1), 0)].count += n
	}
	return rows
}

// writeOperations writes a line for each kind of operation.
func (r *Result) writeOperations(b *strings.Builder) {
	if len(r.Operations) == 0 {
		return
	}
	fmt.Fprintf(b, "%-10s%10s%8s%10s%10s%10s%10s%10s\n", "ms", "right", "failed", "50%", "99%", "99.9%", "99.99%", "100%")
	for _, o := range r.Operations {
		l := o.Latency
		fmt.Fprintf(b, "%-10s%10d%8d%10.3f%10.3f%10.3f%10.3f%10.3f\n", o.Name, o.OK, o.Failed, l.P50, l.P99, l.P999, l.P9999, l.Max)
	}
	b.WriteByte('\n')
}

// writePace says how an open loop kept its times.
func (r *Result) writePace(line func(name, format string, args ...any)) {
	if r.Pace == nil {
		return
	}
	d := r.Pace.Delay
	line("Sent late", "%d by more than 1 ms, %d of them by the generator's own fault; behind by p50 %.3f, p99 %.3f, at most %.3f [ms]",
		r.Pace.Late, r.Pace.LateBusy, d.P50, d.P99, d.Max)
}

// writeRounds writes a line for each round.
func (r *Result) writeRounds(b *strings.Builder) {
	if len(r.Rounds) == 0 {
		return
	}
	fmt.Fprintf(b, "%-10s%12s%10s%10s%10s%10s%12s\n", "round", "requests/s", "50%", "99%", "99.9%", "100%", "server us")
	for i, o := range r.Rounds {
		fmt.Fprintf(b, "%-10d%12.0f%10.3f%10.3f%10.3f%10.3f%12.2f\n", i+1, o.RequestsPerSecond, o.P50, o.P99, o.P999, o.Max, o.ServerCPU)
	}
	b.WriteByte('\n')
}
