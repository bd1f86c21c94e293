package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/smache/smache/engine"
)

// order is what the table of members is sorted by.
type order byte

// The orders, each by the key that chooses it.
const (
	orderName     order = 'n'
	orderSlots    order = 's'
	orderRequests order = 'r'
	orderHits     order = 'h'
	orderLatency  order = 'p'
	orderMemory   order = 'm'
)

// topView is what top shows, and how.
type topView struct {
	body    *statsBody // the last that came; nil before
	at      time.Time  // when it came
	trouble string     // why there is none newer
	colors  bool
	order   order
}

// press takes a key. It says no if that ends the program.
func (v *topView) press(key byte) bool {
	switch key {
	case 'q', 'Q', 3, 4: // Ctrl-C and Ctrl-D, which a raw terminal passes on
		return false
	case byte(orderName), byte(orderSlots), byte(orderRequests), byte(orderHits), byte(orderLatency), byte(orderMemory):
		v.order = order(key)
	}
	return true
}

// The colours, as ECMA-48 numbers them.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
	cyan   = "36"
	bold   = "1"
	faint  = "2"
)

// paint gives a text a colour, where colours are wanted.
func (v *topView) paint(color, text string) string {
	if !v.colors || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// lately is how many of the last samples make a figure of the present.
const lately = 5

// lines gives the picture for a terminal of that size, without colours where they are
// not wanted: at most height lines of at most width characters.
func (v *topView) lines(width, height int) []string {
	lines := []string{v.title()}
	switch {
	case v.trouble != "":
		lines = append(lines, v.paint(red, tame(v.trouble)), "")
	default:
		lines = append(lines, "")
	}
	if v.body != nil {
		lines = append(append(lines, v.summary(width)...), "")
		lines = append(lines, v.table()...)
	}
	help := v.paint(faint, "q quit   sort by: n name  s slots  r requests  h hits  p p99  m memory")
	if room := height - 2; len(lines) > room && room > 0 {
		lines = lines[:room]
	}
	lines = append(lines, "", help)
	if len(lines) > height {
		lines = lines[:height]
	}
	for i := range lines {
		lines[i] = cut(lines[i], width)
	}
	return lines
}

// title says how the cluster is.
func (v *topView) title() string {
	if v.body == nil {
		return v.paint(bold, "Smache") + "  asking…"
	}
	bad, busy := 0, 0
	for i := range v.body.Members {
		switch m := &v.body.Members[i]; {
		case m.Error != "" || m.State == "silent":
			bad++
		case m.State != "serving":
			busy++
		}
	}
	n := strconv.Itoa(len(v.body.Members)) + " nodes"
	if len(v.body.Members) == 1 {
		n = "1 node"
	}
	state := v.paint(green, n+", serving")
	all, _ := v.body.over(1, 0)
	moving := max(v.body.Moving, all.moving)
	switch {
	case bad > 0:
		state = v.paint(red, fmt.Sprintf("%d of %s not answering", bad, n))
	case busy > 0:
		state = v.paint(yellow, fmt.Sprintf("%d of %s joining or leaving", busy, n))
	}
	if moving > 0 {
		state += v.paint(yellow, ", "+strconv.Itoa(moving)+" slots moving")
	}
	return v.paint(bold, "Smache") + "  " + state + v.paint(faint, "  seen from "+tame(v.body.Node)+"  "+v.at.Format(time.TimeOnly))
}

// summary shows the cluster as a whole, each figure with its course.
func (v *topView) summary(width int) (lines []string) {
	now, _ := v.body.over(lately, 0)
	points := min(max(width-26, 0), topSamples)
	course := make([]rates, 0, points)
	for i := points; i > 0; i-- {
		l, any := v.body.over(i, i-1)
		if !any {
			l = rates{hits: math.NaN(), requests: math.NaN(), resident: math.NaN(), live: math.NaN()}
		}
		course = append(course, l)
	}
	bounds := v.body.Bounds
	for _, figure := range []struct {
		name, value string
		of          func(*rates) float64
	}{
		{"requests", formatRate(now.requests) + "/s", func(l *rates) float64 { return l.requests }},
		{"hit rate", formatShare(now.hitRate()), (*rates).hitRate},
		{"p50", formatLatency(now.percentile(bounds, 0.5)), func(l *rates) float64 { return l.percentile(bounds, 0.5) }},
		{"p99", formatLatency(now.percentile(bounds, 0.99)), func(l *rates) float64 { return l.percentile(bounds, 0.99) }},
		{"memory", engine.FormatBytes(int64(now.used())), (*rates).used},
	} {
		values := make([]float64, len(course))
		for i := range course {
			values[i] = figure.of(&course[i])
		}
		lines = append(lines, fmt.Sprintf("%-10s %12s  %s", figure.name, figure.value, v.paint(cyan, sparkline(values))))
	}
	age := unknown
	if now.entries > 0 {
		age = formatAge(now.arenaAge)
	}
	return append(lines, fmt.Sprintf("%-10s %12s  %s evicted/s, %s refused/s, arena age %s", "entries",
		formatRate(now.entries), formatRate(now.evictions), formatRate(now.failed), age))
}

// sparks are the heights of a sparkline.
var sparks = []rune("▁▂▃▄▅▆▇█")

// sparkline draws values from 0 to the highest; a blank is where there is none.
func sparkline(values []float64) string {
	highest := 0.0
	for _, v := range values {
		if v > highest { // not for NaN
			highest = v
		}
	}
	var line strings.Builder
	for _, v := range values {
		switch {
		case math.IsNaN(v):
			line.WriteByte(' ')
		case highest == 0:
			line.WriteRune(sparks[0])
		default:
			line.WriteRune(sparks[int(math.Round(v/highest*float64(len(sparks)-1)))])
		}
	}
	return line.String()
}

// A topRow is a member in the table.
type topRow struct {
	member *statsOfOne
	rates  rates
	known  bool
}

// sorted gives the members in the order chosen: names upwards, the rest downwards,
// with those that have no figures last.
func (v *topView) sorted() []topRow {
	rows := make([]topRow, len(v.body.Members))
	for i := range rows {
		m := &v.body.Members[i]
		rows[i].member = m
		if m.Error == "" {
			rows[i].rates, rows[i].known = m.over(lately, 0)
		}
	}
	size := func(r *topRow) float64 {
		switch {
		case v.order == orderSlots:
			return float64(r.member.Slots)
		case v.order == orderName:
			return 0
		case !r.known:
			return -2
		}
		is := map[order]float64{
			orderRequests: r.rates.requests, orderHits: r.rates.hitRate(),
			orderLatency: r.rates.percentile(v.body.Bounds, 0.99), orderMemory: r.rates.used(),
		}[v.order]
		if math.IsNaN(is) {
			return -1
		}
		return is
	}
	slices.SortStableFunc(rows, func(a, b topRow) int {
		return cmp.Or(-cmp.Compare(size(&a), size(&b)), cmp.Compare(a.member.Name, b.member.Name))
	})
	return rows
}

// topColumns are the columns of the table, with the order that each stands for.
var topColumns = []struct {
	name string
	by   order
}{
	{"NODE", orderName}, {"STATE", 0}, {"SLOTS", orderSlots}, {"MOVING", 0}, {"REQ/S", orderRequests}, {"HITS", orderHits},
	{"P50", 0}, {"P99", orderLatency}, {"ENTRIES", 0}, {"MEMORY", orderMemory}, {"AGE", 0}, {"CPU", 0},
}

// table shows the members.
func (v *topView) table() []string {
	rows := v.sorted()
	cells := make([][]string, 1, len(rows)+1)
	for _, c := range topColumns {
		name := c.name
		if c.by == v.order {
			name += "*"
		}
		cells[0] = append(cells[0], name)
	}
	for i := range rows {
		r := &rows[i]
		line := []string{tame(r.member.Name), r.member.shownState(), showShare(r.member.Slots)}
		if l := &r.rates; r.known {
			age := unknown
			if l.entries > 0 {
				age = formatAge(l.arenaAge)
			}
			line = append(line, strconv.Itoa(l.moving), formatRate(l.requests), formatShare(l.hitRate()),
				formatLatency(l.percentile(v.body.Bounds, 0.5)), formatLatency(l.percentile(v.body.Bounds, 0.99)),
				formatRate(l.entries), engine.FormatBytes(int64(l.used())), age, formatShare(l.processor))
		}
		for len(line) < len(topColumns) {
			line = append(line, unknown)
		}
		cells = append(cells, line)
	}
	widths := make([]int, len(topColumns))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var lines []string
	for n, line := range cells {
		var text strings.Builder
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case n == 0:
				cell = v.paint(bold, cell)
			case i == 1:
				cell = v.paint(stateColor(rows[n-1].member), cell)
			}
			if i < 2 { // text to the left, figures to the right
				text.WriteString(cell + pad + "  ")
			} else {
				text.WriteString(pad + cell + "  ")
			}
		}
		lines = append(lines, strings.TrimRight(text.String(), " "))
	}
	return lines
}

func stateColor(m *statsOfOne) string {
	switch {
	case m.Error != "" || m.State == "silent":
		return red
	case m.State == "serving":
		return green
	}
	return yellow
}

// cut shortens a line to a number of characters; sequences that colour it take none.
func cut(line string, width int) string {
	shown := 0
	for i := 0; i < len(line); {
		if line[i] == '\x1b' {
			i += strings.IndexByte(line[i:], 'm') + 1
			continue
		}
		if shown == width {
			return line[:i]
		}
		_, size := utf8.DecodeRuneInString(line[i:])
		i += size
		shown++
	}
	return line
}

// tame replaces what a terminal might take for an order: names come from the
// network.
func tame(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}
