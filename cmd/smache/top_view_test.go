package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
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
Smache  1 of 3 nodes not answering  seen from a  03:04:05

requests           88/s  ▅▁▃█
hit rate          50.0%  █ ██
p50              17.5µs  █ ██
p99              24.9µs  █ ██
memory           200MiB  ▅▅██
entries             200  0 evicted/s, 0 refused/s, arena age 3m20s

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
				if uncolored(line) != lines[i] || len([]rune(lines[i])) > width {
					t.Errorf("for %d x %d, line %d is %q and in colours %q", width, height, i, lines[i], line)
				}
			}
			v.colors = false
		}
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

// TestWatch: a line for each member, again and again, until it is ended; what is wrong
// is said beside.
func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan string, 1)
	answers := 0
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch answers++; answers {
		case 1:
			fmt.Fprint(w, `{"node":"a","latency_bounds":[1],"members":[{"name":"a","state":"serving","slots":7,"samples":{"span_ms":[1000],"reads":[5],"writes":[1],
				"deletes":[0],"failed":[2],"hits":[4],"misses":[1],"evictions":[0],"processor_us":[500000],"entries":[9],"live_bytes":[10],"arena_age_ms":[1000],
				"resident_bytes":[1048576],"memory_bytes":[5],"moving":[3],"latency":[[6,0]]}},{"name":"b","state":"serving","slots":9,"error":"no_answer"}]}`)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"message":"the node is shutting down","code":"draining"}`)
		case 3:
			fmt.Fprint(w, `{"members":[{"name":"a","samples":{"span_ms":[1000]}}]}`)
		default:
			asked <- r.URL.RawQuery
			cancel()
		}
	}))
	defer node.Close()
	code, stdout, stderr := capture(ctx, "", nil, "status", "--server", node.URL, "--watch", "20ms")
	const want = " member=a state=serving slots=7 moving=3 requests=6/s refused=2/s hits=80.0% p50=500ms p99=990ms entries=9 evicted=0/s memory=1MiB arena_age=1.0s cpu=50.0%\n"
	lines := strings.SplitAfter(stdout, "\n")
	if code != exitOK || len(lines) != 3 || !strings.HasSuffix(lines[0], want) || !strings.HasSuffix(lines[1], " member=b state=no_answer slots=9\n") {
		t.Errorf("exit %d, %q", code, stdout)
	}
	if _, err := time.Parse(time.RFC3339, strings.Split(stdout, " ")[0]); err != nil {
		t.Error(err)
	}
	if strings.Count(stderr, "\n") != 2 || !strings.Contains(stderr, "draining") {
		t.Errorf("beside it says %q", stderr)
	}
	if query := <-asked; query != "last=1" {
		t.Errorf("it asks for %s", query)
	}
	for _, args := range [][]string{{"5s"}, {"--watch", "0s"}, {"--watch", "often"}, {"--watch", "1s", "2s"}} {
		if code, _, stderr := capture(t.Context(), "", nil, append([]string{"status"}, args...)...); code != exitUsage {
			t.Errorf("status %q: exit %d, %q", args, code, stderr)
		}
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
