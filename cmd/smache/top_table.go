package main

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/smache/smache/engine"
)

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

// topColumns are the columns of the table, with the order that each stands for, and when
// its turn is to make room in a narrow window: the lowest goes first, 0 never does.
var topColumns = []struct {
	name string
	by   order
	turn int
}{
	{"NODE", orderName, 0}, {"STATE", 0, 0}, {"SLOTS", orderSlots, 5}, {"MOVING", 0, 1}, {"REQ/S", orderRequests, 10}, {"HITS", orderHits, 8},
	{"P50", 0, 2}, {"P99", orderLatency, 9}, {"ENTRIES", 0, 4}, {"MEMORY", orderMemory, 7}, {"AGE", 0, 3}, {"CPU", 0, 6},
}

// leastName is how much of a long name is shown at least: other columns make room for it.
const leastName = 20

// table shows the members, in at most height lines if that is enough for one of them. The
// last says what there is no room for.
func (v *topView) table(width, height int) []string {
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
		cells = append(cells, v.cells(&rows[i]))
	}
	widths := make([]int, len(topColumns))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	hidden := v.fit(widths, width)
	abridge(cells[1:], widths[0])
	widths[0] = 0
	for _, line := range cells {
		widths[0] = max(widths[0], utf8.RuneCountInString(line[0]))
	}
	var missing []string
	if some := len(rows) - max(height-2, 1); some > 0 && 1+len(rows)+min(len(hidden), 1) > height {
		missing = append(missing, strconv.Itoa(some)+" nodes")
		cells = cells[:len(cells)-some]
	}
	for _, i := range hidden {
		missing = append(missing, topColumns[i].name)
	}
	var lines []string
	for n, line := range cells {
		var text strings.Builder
		for i, cell := range line {
			if slices.Contains(hidden, i) {
				continue
			}
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
	if len(missing) > 0 {
		lines = append(lines, v.paint(faint, "no room for "+strings.Join(missing, ", ")))
	}
	return lines
}

// cells gives what the columns say of a member.
func (v *topView) cells(r *topRow) []string {
	line := []string{tame(r.member.Name), r.member.shownState(), showShare(r.member.Slots)}
	if l := &r.rates; r.known {
		line = append(line, strconv.Itoa(l.moving), formatRate(l.requests), formatShare(l.hitRate()),
			formatLatency(l.percentile(v.body.Bounds, 0.5)), formatLatency(l.percentile(v.body.Bounds, 0.99)),
			formatRate(l.entries), engine.FormatBytes(int64(l.used())), l.shownAge(), formatShare(l.processor))
	}
	for len(line) < len(topColumns) {
		line = append(line, unknown)
	}
	return line
}

// fit makes columns fit a width: it narrows that of the names, and says which others are
// to be hidden if that is not enough. The one that is sorted by stays.
func (v *topView) fit(widths []int, width int) (hidden []int) {
	need := -2
	for _, w := range widths {
		need += w + 2
	}
	name := widths[0]
	least := min(name, leastName)
	for need-name+least > width {
		next := -1
		for i, c := range topColumns {
			if c.turn == 0 || c.by == v.order || slices.Contains(hidden, i) {
				continue
			}
			if next < 0 || c.turn < topColumns[next].turn {
				next = i
			}
		}
		if next < 0 {
			break
		}
		hidden = append(hidden, next)
		need -= widths[next] + 2
	}
	if need > width {
		widths[0] = max(width-(need-name), least)
	}
	slices.Sort(hidden)
	return hidden
}

// abridge shortens the names in rows to a number of characters, if one is longer: all by
// what they have in common at the end, as machines of one domain have; then by what they
// have in common at the beginning, as far as needed; and each in its middle if that is not
// enough.
func abridge(rows [][]string, width int) {
	names := make([][]rune, len(rows))
	longest := func() (n int) {
		for _, name := range names {
			n = max(n, len(name))
		}
		return n
	}
	for i := range rows {
		names[i] = []rune(rows[i][0])
	}
	common := func(at func(name []rune, n int) rune) (n int) {
		for ; ; n++ {
			for _, name := range names {
				if n == len(name) || at(name, n) != at(names[0], n) {
					return n
				}
			}
		}
	}
	if len(names) > 1 && longest() > width {
		if n := common(func(name []rune, n int) rune { return name[len(name)-1-n] }); n > 1 {
			for i, name := range names {
				names[i] = append(name[:len(name)-n], '…')
			}
		}
	}
	if more := longest() - width + 1; len(names) > 1 && more > 1 {
		if n := min(more, common(func(name []rune, n int) rune { return name[n] })); n > 1 {
			for i, name := range names {
				names[i] = append([]rune{'…'}, name[n:]...)
			}
		}
	}
	for i, name := range names {
		if len(name) > width {
			head := (width - 1) / 2
			name = append(append(name[:head:head], '…'), name[len(name)-(width-1-head):]...)
		}
		rows[i][0] = string(name)
	}
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
