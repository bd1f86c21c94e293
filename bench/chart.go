package bench

import (
	"fmt"
	html "html/template"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The size of a chart, in units that are pixels on a phone, and its margins.
const (
	chartWidth, chartHeight            = 400.0, 220.0
	chartLeft, chartRight              = 46.0, 10.0
	chartTop, chartBottom              = 20.0, 24.0
	percentileDecades                  = 4.0 // up to 99.99 %
	chartMarksAcross, chartMarksUpward = 6, 5
	chartPoints                        = 60 // of a line over time, at most
)

// A chart is drawn into SVG, whose colours the page's style sheet gives.
type chart struct {
	b    strings.Builder
	x, y axis
}

// An axis places values from low to high between two ends.
type axis struct {
	low, high  float64
	begin, end float64
	log        bool
}

func (a *axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log(max(v, low)), math.Log(low), math.Log(high)
	}
	if high <= low {
		return a.begin
	}
	return a.begin + (min(max(v, low), high)-low)/(high-low)*(a.end-a.begin)
}

func newChart(x, y axis) *chart {
	x.begin, x.end = chartLeft, chartWidth-chartRight
	y.begin, y.end = chartHeight-chartBottom, chartTop
	c := &chart{x: x, y: y}
	fmt.Fprintf(&c.b, `<svg viewBox="0 0 %g %g" role="img">`, chartWidth, chartHeight)
	return c
}

// marks gives round values of an axis.
func (a *axis) marks(about int) (values []float64) {
	if a.log {
		for v := math.Pow(10, math.Floor(math.Log10(a.low))); v <= a.high*1.0001; v *= 10 {
			for _, m := range []float64{1, 2, 5} {
				if w := v * m; w >= a.low && w <= a.high*1.0001 && (m == 1 || a.high/a.low < 200) {
					values = append(values, w)
				}
			}
		}
		return values
	}
	raw := max(a.high-a.low, 1e-9) / float64(about)
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5, 10} {
		if step*m >= raw {
			step *= m
			break
		}
	}
	for v := math.Ceil(a.low/step) * step; v <= a.high*1.0001; v += step {
		values = append(values, v)
	}
	return values
}

// grid draws the lines and their values.
func (c *chart) grid() {
	for _, v := range c.y.marks(chartMarksUpward) {
		y := c.y.at(v)
		fmt.Fprintf(&c.b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, c.x.begin, c.x.end, y, y)
		fmt.Fprintf(&c.b, `<text x="%g" y="%.1f" text-anchor="end">%s</text>`, c.x.begin-5, y+4, shortNumber(v))
	}
}

func (c *chart) across() {
	last := -100.0
	for _, v := range c.x.marks(chartMarksAcross) {
		if x := c.x.at(v); x-last >= 34 {
			c.label(x, shortNumber(v))
			last = x
		}
	}
}

// label writes a value below the chart.
func (c *chart) label(x float64, text string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`, min(x, chartWidth-19), chartHeight-6, text)
}

// line draws a line of a class.
func (c *chart) line(class string, points [][2]float64) {
	fmt.Fprintf(&c.b, `<path class="%s" d="`, class)
	for i, p := range points {
		fmt.Fprintf(&c.b, "%c%.1f %.1f", "ML"[min(i, 1)], c.x.at(p[0]), c.y.at(p[1]))
	}
	c.b.WriteString(`"/>`)
}

// key says what a line is.
func (c *chart) key(place int, class, text string) {
	fmt.Fprintf(&c.b, `<text class="key%s" x="%g" y="%g">%s</text>`, class, c.x.begin+8+float64(place)*40, chartTop-7, text)
}

func (c *chart) done() html.HTML {
	c.b.WriteString("</svg>")
	return html.HTML(c.b.String()) // numbers and constants alone
}

// shortNumber writes a mark of an axis.
func shortNumber(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + "M"
	case v >= 1e3:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + "k"
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

// percentiles gives the points of a distribution, x as decades of nines.
func (h *Histogram) percentiles() (points [][2]float64) {
	all, sum := uint64(0), uint64(0)
	for _, n := range h.Count {
		all += n
	}
	for i, n := range h.Count {
		sum += n
		left := max(1-float64(sum)/float64(all), 1e-9)
		points = append(points, [2]float64{min(-math.Log10(left), percentileDecades), h.ToMS[i]})
		if left < 1e-4 {
			break
		}
	}
	return points
}

func percentileChart(r, old *Result) html.HTML {
	points := r.Histogram.percentiles()
	low, high := points[0][1], points[len(points)-1][1]
	var before [][2]float64
	if old != nil && len(old.Histogram.Count) > 0 {
		before = old.Histogram.percentiles()
		low, high = min(low, before[0][1]), max(high, before[len(before)-1][1])
	}
	c := newChart(axis{low: 0, high: percentileDecades}, axis{low: max(low, 1e-3), high: max(high*1.1, 2e-3), log: true})
	c.grid()
	for _, q := range []string{"0", "50", "90", "99", "99.9", "99.99"} {
		share, _ := strconv.ParseFloat(q, 64) // constants
		c.label(c.x.at(-math.Log10(1-share/100+1e-12)), q)
	}
	if before != nil {
		c.line("old", before)
	}
	c.line("one", points)
	return c.done()
}

func histogramChart(r *Result) html.HTML {
	rows := r.Histogram.rows(40)
	most := 0.0
	for _, row := range rows {
		most = max(most, float64(row.count))
	}
	c := newChart(axis{low: max(rows[0].from, 5e-4), high: rows[len(rows)-1].to, log: true}, axis{high: most * 1.05})
	c.grid()
	c.across()
	for _, row := range rows {
		x, top := c.x.at(row.from), c.y.at(float64(row.count))
		fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x, top, max(c.x.at(row.to)-x-1, .5), c.y.begin-top)
	}
	return c.done()
}

// rates gives the points of throughput; the last interval, which may be shorter,
// is left out if there are others.
func (v *Intervals) rates() (points [][2]float64) {
	whole := v.OK[:max(len(v.OK)-1, min(len(v.OK), 1))]
	each := (len(whole) + chartPoints - 1) / chartPoints
	for i := 0; i+each <= len(whole); i += each {
		sum := uint64(0)
		for _, n := range whole[i : i+each] {
			sum += n
		}
		seconds := float64(each) * v.Seconds
		points = append(points, [2]float64{float64(i)*v.Seconds + seconds/2, float64(sum) / seconds})
	}
	return points
}

func rateChart(r, old *Result) html.HTML {
	lines := [][][2]float64{r.Intervals.rates()}
	if old != nil {
		lines = append(lines, old.Intervals.rates())
	}
	most, end := 1.0, float64(len(r.Intervals.OK))*r.Intervals.Seconds
	for _, line := range lines {
		for _, p := range line {
			end, most = max(end, p[0]), max(most, p[1])
		}
	}
	c := newChart(axis{high: end}, axis{high: most * 1.1})
	c.grid()
	c.across()
	if old != nil {
		c.line("old", lines[1])
	}
	c.line("one", lines[0])
	return c.done()
}

func latencyChart(r *Result) html.HTML {
	v := &r.Intervals
	var p50, p99 [][2]float64
	most := 1e-3
	each := max((len(v.OK)+chartPoints-1)/chartPoints, 1)
	for i := 0; i < len(v.OK); i += each {
		end := min(i+each, len(v.OK))
		if slices.Max(v.OK[i:end]) == 0 {
			continue
		}
		x := float64(i+end) / 2 * v.Seconds
		worst := slices.Max(v.P99[i:end])
		p50, p99 = append(p50, [2]float64{x, median(v.P50[i:end])}), append(p99, [2]float64{x, worst})
		most = max(most, worst)
	}
	c := newChart(axis{high: float64(len(v.OK)) * v.Seconds}, axis{high: most * 1.1})
	c.grid()
	c.across()
	c.line("two", p99)
	c.line("one", p50)
	c.key(0, "two", "p99")
	c.key(1, "one", "p50")
	return c.done()
}
