package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// oneOf makes a member with a sample for each number of requests, half of which hit,
// and all of which took 10 to 25 µs.
func oneOf(name string, requests ...uint64) (m statsOfOne) {
	m.Name, m.State, m.Slots = name, "serving", 32768
	s := &m.Samples
	for _, n := range requests {
		s.Span = append(s.Span, 1000)
		s.Reads, s.Writes, s.Deletes = append(s.Reads, n), append(s.Writes, 0), append(s.Deletes, 0)
		s.Hits, s.Misses = append(s.Hits, n/2), append(s.Misses, n-n/2)
		for _, column := range []*[]uint64{&s.Failed, &s.Evictions, &s.Moving} {
			*column = append(*column, 0)
		}
		s.Processor, s.Entries, s.ArenaAge = append(s.Processor, 250_000), append(s.Entries, n), append(s.ArenaAge, n*1000)
		s.Live, s.Resident, s.Memory = append(s.Live, 1<<20), append(s.Resident, 100<<20), append(s.Memory, 256<<20)
		classes := make([]uint64, proto.LatencyCount)
		classes[2] = n
		s.Latency = append(s.Latency, classes)
	}
	return m
}

func body(members ...statsOfOne) *statsBody {
	b := &statsBody{Node: "a", Members: members}
	for _, bound := range proto.LatencyBounds() {
		b.Bounds = append(b.Bounds, float64(bound)/1e9)
	}
	return b
}

// TestTopPicture holds the picture to the letter.
func TestTopPicture(t *testing.T) {
	frozen := statsOfOne{Name: "c", State: "serving", Slots: 5, Error: "no_answer"}
	evil := oneOf("b\x1b[31m", 0, 0)
	v := topView{body: body(oneOf("a", 100, 0, 50, 200), evil, frozen), order: orderRequests, at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	const want = `
Smache  1 of 3 nodes not answering  03:04:05  seen from a

requests           88/s  ▅▁▃█
hit rate          50.0%  █ ██
p50              17.5µs  █ ██
p99              24.9µs  █ ██
memory           200MiB  ▅▅██
arena age         3m20s  ▅ ▃█
entries             200  0 evicted/s, 0 requests refused/s

NODE    STATE      SLOTS  MOVING  REQ/S*   HITS     P50     P99  ENTRIES  MEMORY    AGE    CPU
a       serving    50.0%       0      88  50.0%  17.5µs  24.9µs      200  100MiB  3m20s  25.0%
b?[31m  serving    50.0%       0       0      -       -       -        0  100MiB      -  25.0%
c       no answer   0.0%       -       -      -       -       -        -       -      -      -

q quit   sort by: n name  s slots  r requests  h hits  p p99  m memory`
	got := v.lines(100, 40)
	for i := range got { // the courses begin with blanks for what was before
		for strings.Contains(got[i], "   ▅") || strings.Contains(got[i], "   █") {
			got[i] = strings.NewReplacer("   ▅", "  ▅", "   █", "  █").Replace(got[i])
		}
	}
	if text := "\n" + strings.Join(got, "\n"); text != want {
		t.Errorf("the picture is%s\nwant%s", text, want)
	}
	for _, width := range []int{1, 20, 79} {
		for _, height := range []int{1, 2, 3, 10, 24} {
			lines := v.lines(width, height)
			if len(lines) > height {
				t.Errorf("%d lines for a height of %d", len(lines), height)
			}
			v.colors = true
			for i, line := range v.lines(width, height) {
				if uncolored(line) != lines[i] || len([]rune(lines[i])) > width || shown(line) != len([]rune(lines[i])) {
					t.Errorf("for %d x %d, line %d is %q and in colours %q", width, height, i, lines[i], line)
				}
			}
			v.colors = false
		}
	}
}

// TestTopNarrow: in a window of 80 columns, and of 60, what matters least is left out, and
// the picture says what; in none are figures cut.
func TestTopNarrow(t *testing.T) {
	addresses, machines := &topView{order: orderRequests}, &topView{order: orderSlots}
	var of []statsOfOne
	for i := range 3 {
		of = append(of, oneOf(fmt.Sprintf("smache@10.0.0.%d:4000", i+1), 120_000))
	}
	addresses.body, of = body(of...), nil
	for i := range 14 {
		of = append(of, oneOf(fmt.Sprintf("smache@ip-10-20-130-%d.eu-central-1.compute.internal:4000", 10+i), 120_000))
	}
	machines.body = body(of...)
	for _, c := range []struct {
		v             *topView
		width, height int
		want          string
	}{
		{addresses, 80, 24, `
NODE                  STATE    SLOTS  REQ/S*   HITS     P99  MEMORY    CPU
smache@10.0.0.1:4000  serving  50.0%  120.0k  50.0%  24.9µs  100MiB  25.0%
smache@10.0.0.2:4000  serving  50.0%  120.0k  50.0%  24.9µs  100MiB  25.0%
smache@10.0.0.3:4000  serving  50.0%  120.0k  50.0%  24.9µs  100MiB  25.0%
no room for MOVING, P50, ENTRIES, AGE

q quit   sort by: n name  s slots  r requests  h hits  p p99  m memory`},
		{addresses, 60, 24, `
NODE                  STATE    REQ/S*   HITS     P99  MEMORY
smache@10.0.0.1:4000  serving  120.0k  50.0%  24.9µs  100MiB
smache@10.0.0.2:4000  serving  120.0k  50.0%  24.9µs  100MiB
smache@10.0.0.3:4000  serving  120.0k  50.0%  24.9µs  100MiB
no room for SLOTS, MOVING, P50, ENTRIES, AGE, CPU

q quit   sort by: n s r h p m`},
		{machines, 80, 17, `
NODE                     STATE    SLOTS*   REQ/S   HITS     P99  MEMORY    CPU
smache@ip-10-20-130-10…  serving   50.0%  120.0k  50.0%  24.9µs  100MiB  25.0%
smache@ip-10-20-130-11…  serving   50.0%  120.0k  50.0%  24.9µs  100MiB  25.0%
smache@ip-10-20-130-12…  serving   50.0%  120.0k  50.0%  24.9µs  100MiB  25.0%
no room for 11 nodes, MOVING, P50, ENTRIES, AGE

q quit   sort by: n name  s slots  r requests  h hits  p p99  m memory`},
		{machines, 60, 15, `
NODE                  STATE    SLOTS*   REQ/S   HITS     P99
…he@ip-10-20-130-10…  serving   50.0%  120.0k  50.0%  24.9µs
no room for 13 nodes, MOVING, P50, ENTRIES, MEMORY, AGE, CPU

q quit   sort by: n s r h p m`},
	} {
		lines := c.v.lines(c.width, c.height)
		if got := "\n" + strings.Join(lines[10:], "\n"); got != c.want {
			t.Errorf("%d x %d:%s\nwant%s", c.width, c.height, got, c.want)
		}
		if last := lines[8]; !strings.HasSuffix(last, "evicted/s") && !strings.HasSuffix(last, "refused/s") {
			t.Errorf("%d x %d: %q is cut", c.width, c.height, last)
		}
		for _, line := range lines {
			if strings.HasSuffix(line, "…") {
				t.Errorf("%d x %d: %q is cut", c.width, c.height, line)
			}
		}
	}
	// What no line has room for is cut, and looks it.
	if got := machines.lines(20, 24)[0]; got != "Smache  14 nodes, s…" {
		t.Errorf("the title is %q", got)
	}
	// Names that have nothing in common lose their middle.
	rows := [][]string{{"a-name-of-thirty-characters-one"}, {"some-other-name-that-is-too-long"}, {"short"}}
	abridge(rows, 11)
	if got := fmt.Sprint(rows); got != "[[a-nam…s-one] [some-…-long] [short]]" {
		t.Errorf("the names are %s", got)
	}
}

// TestTopOrder: each key sorts, and others change nothing.
func TestTopOrder(t *testing.T) {
	slow := oneOf("slow", 10)
	slow.Samples.Latency[0][2], slow.Samples.Latency[0][9] = 0, 10
	slow.Slots = 1
	big := oneOf("big", 5)
	big.Samples.Resident[0], big.Samples.Hits[0], big.Samples.Misses[0] = 1<<40, 5, 0
	v := topView{body: body(slow, statsOfOne{Name: "away", Error: "silent", Slots: 99999}, oneOf("idle", 0), big)}
	for keys, want := range map[string]string{
		"n": "away big idle slow", "r": "slow big idle away", "p": "slow big idle away", "h": "big slow idle away",
		"s": "away big idle slow", "m": "big idle slow away", "rx\x1b": "slow big idle away",
	} {
		for _, key := range []byte(keys) {
			if !v.press(key) {
				t.Errorf("%q ends it", key)
			}
		}
		var names []string
		for _, row := range v.sorted() {
			names = append(names, row.member.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q sorts %s, want %s", keys, got, want)
		}
	}
	for _, key := range []byte("qQ\x03\x04") {
		if v.press(key) {
			t.Errorf("%q does not end it", key)
		}
	}
}

func TestFigureFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{formatRate(0), "0"}, {formatRate(3.14), "3.1"}, {formatRate(412.3), "412"}, {formatRate(12345), "12.3k"}, {formatRate(1.417e6), "1.42M"}, {formatRate(math.NaN()), "-"},
		{formatShare(0.5), "50.0%"}, {formatShare(math.NaN()), "-"},
		{formatLatency(5e-6), "5.00µs"}, {formatLatency(0.000132), "132µs"}, {formatLatency(0.00123), "1.23ms"}, {formatLatency(0.0456), "45.6ms"}, {formatLatency(2.5), "2.50s"}, {formatLatency(math.NaN()), "-"},
		{formatAge(1500 * time.Millisecond), "1.5s"}, {formatAge(90 * time.Second), "1m30s"}, {formatAge(3*time.Hour + 5*time.Minute), "3h5m"}, {formatAge(50 * time.Hour), "2d2h"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
	all := rates{latency: make([]float64, proto.LatencyCount)}
	all.latency[proto.LatencyCount-1] = 1
	if got := all.percentile(body().Bounds, 0.5); got != 5 {
		t.Errorf("beyond the last bound: %v", got)
	}
}

// TestTopNeedsTerminal: elsewhere it says what to use.
func TestTopNeedsTerminal(t *testing.T) {
	code, _, stderr := capture(t.Context(), "", nil, "top")
	if code != exitUsage || !strings.Contains(stderr, "status --watch") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// uncolored takes the colours out of a text.
func uncolored(text string) string {
	for {
		before, rest, found := strings.Cut(text, "\x1b[")
		_, after, _ := strings.Cut(rest, "m")
		if !found {
			return text
		}
		text = before + after
	}
}
