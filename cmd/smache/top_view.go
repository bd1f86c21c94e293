package main

import (
	"fmt"
	"math"
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
// not wanted: at most height lines of at most width characters. What there is no room for
// is left out, the least important first; a line that is too long all the same ends in an
// ellipsis.
func (v *topView) lines(width, height int) []string {
	lines := []string{v.title(width)}
	switch {
	case v.trouble != "":
		lines = append(lines, v.paint(red, tame(v.trouble)), "")
	default:
		lines = append(lines, "")
	}
	room := height - 2 // for all but the help
	if v.body != nil {
		lines = append(append(lines, v.summary(width)...), "")
		lines = append(lines, v.table(width, room-len(lines))...)
	}
	if len(lines) > room && room > 0 {
		lines = lines[:room]
	}
	help := "q quit   sort by: n name  s slots  r requests  h hits  p p99  m memory"
	if len(help) > width {
		help = "q quit   sort by: n s r h p m"
	}
	lines = append(lines, "", v.paint(faint, help))
	if len(lines) > height {
		lines = lines[:height]
	}
	for i := range lines {
		lines[i] = cut(lines[i], width)
	}
	return lines
}

// title says how the cluster is, and who says so and when, as far as there is room.
func (v *topView) title(width int) string {
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
	title := v.paint(bold, "Smache") + "  " + state
	for _, more := range []string{"  " + v.at.Format(time.TimeOnly), "  seen from " + tame(v.body.Node)} {
		if shown(title)+utf8.RuneCountInString(more) <= width {
			title += v.paint(faint, more)
		}
	}
	return title
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
		{"arena age", now.shownAge(), func(l *rates) float64 {
			if l.entries == 0 {
				return math.NaN()
			}
			return l.arenaAge.Seconds()
		}},
	} {
		values := make([]float64, len(course))
		for i := range course {
			values[i] = figure.of(&course[i])
		}
		lines = append(lines, fmt.Sprintf("%-10s %12s  %s", figure.name, figure.value, v.paint(cyan, sparkline(values))))
	}
	last := fmt.Sprintf("%-10s %12s", "entries", formatRate(now.entries))
	for _, more := range []string{"  " + formatRate(now.evictions) + " evicted/s", ", " + formatRate(now.failed) + " requests refused/s"} {
		if len(last)+len(more) <= width {
			last += more
		}
	}
	return append(lines, last)
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

// shown is how many characters of a line are seen: sequences that colour it take none.
func shown(line string) (n int) {
	for i := 0; i < len(line); n++ {
		if line[i] == '\x1b' {
			i += strings.IndexByte(line[i:], 'm') + 1
			n--
			continue
		}
		_, size := utf8.DecodeRuneInString(line[i:])
		i += size
	}
	return n
}

// cut shortens a line to a number of characters, of which the last then says so.
func cut(line string, width int) string {
	if shown(line) <= width {
		return line
	}
	seen := 0
	for i := 0; i < len(line); {
		if line[i] == '\x1b' {
			i += strings.IndexByte(line[i:], 'm') + 1
			continue
		}
		if seen == width-1 {
			return line[:i] + "…"
		}
		_, size := utf8.DecodeRuneInString(line[i:])
		i += size
		seen++
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
