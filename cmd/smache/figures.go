package main

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// statsBody is the answer of /stats, as far as it is shown.
type statsBody struct {
	Node    string       `json:"node"`
	Moving  int          `json:"moving"`
	Bounds  []float64    `json:"latency_bounds"` // seconds
	Members []statsOfOne `json:"members"`
}

// statsOfOne is one member of a statsBody.
type statsOfOne struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Slots   int    `json:"slots"`
	Error   string `json:"error"`
	Samples struct {
		Span      []uint64   `json:"span_ms"`
		Reads     []uint64   `json:"reads"`
		Writes    []uint64   `json:"writes"`
		Deletes   []uint64   `json:"deletes"`
		Failed    []uint64   `json:"failed"`
		Hits      []uint64   `json:"hits"`
		Misses    []uint64   `json:"misses"`
		Evictions []uint64   `json:"evictions"`
		Processor []uint64   `json:"processor_us"`
		Entries   []uint64   `json:"entries"`
		Live      []uint64   `json:"live_bytes"`
		ArenaAge  []uint64   `json:"arena_age_ms"`
		Resident  []uint64   `json:"resident_bytes"`
		Memory    []uint64   `json:"memory_bytes"`
		Moving    []uint64   `json:"moving"`
		Latency   [][]uint64 `json:"latency"`
	} `json:"samples"`
}

// askStats asks a node for the last samples of all members. If it says that something
// is wrong, answer or err tell what.
func askStats(ctx context.Context, c *client, last int) (body *statsBody, got answer, err error) {
	got, err = c.do(ctx, http.MethodGet, "/stats?last="+strconv.Itoa(last), nil, nil)
	if err != nil || got.status != http.StatusOK {
		return nil, got, err
	}
	body = &statsBody{}
	if json.Unmarshal(got.body, body) != nil {
		return nil, got, nil
	}
	for i := range body.Members {
		if !body.Members[i].whole() {
			return nil, got, nil
		}
	}
	return body, got, nil
}

// A rates is how a node, or all of them, fared over some time: counts for each second,
// sizes as they were at its end.
type rates struct {
	requests, reads, writes, deletes float64
	failed, evictions, processor     float64
	hits, misses                     float64 // in all
	latency                          []float64
	entries, live, resident, memory  float64 // bytes, but the entries
	arenaAge                         time.Duration
	moving                           int
}

// over sums some samples up: those from the from'th to the to'th last, 0 being behind
// the latest. It says whether there were any.
func (m *statsOfOne) over(from, to int) (l rates, any bool) {
	s := &m.Samples
	n := len(s.Span)
	begin, end := max(n-from, 0), n-to
	if begin >= end {
		return rates{}, false
	}
	sum := func(column []uint64) (total float64) {
		for _, v := range column[begin:end] {
			total += float64(v)
		}
		return total
	}
	seconds := math.Max(sum(s.Span)/1000, 1e-3)
	l = rates{
		reads: sum(s.Reads) / seconds, writes: sum(s.Writes) / seconds, deletes: sum(s.Deletes) / seconds,
		failed: sum(s.Failed) / seconds, evictions: sum(s.Evictions) / seconds, processor: sum(s.Processor) / 1e6 / seconds,
		hits: sum(s.Hits), misses: sum(s.Misses),
		entries: float64(s.Entries[end-1]), live: float64(s.Live[end-1]),
		resident: float64(s.Resident[end-1]), memory: float64(s.Memory[end-1]),
		arenaAge: time.Duration(s.ArenaAge[end-1]) * time.Millisecond, moving: int(s.Moving[end-1]),
	}
	l.requests = l.reads + l.writes + l.deletes
	for _, classes := range s.Latency[begin:end] {
		for len(l.latency) < len(classes) {
			l.latency = append(l.latency, 0)
		}
		for class, n := range classes {
			l.latency[class] += float64(n)
		}
	}
	return l, true
}

// whole says that every list has as many values: an answer that is not of this kind
// must not end the program.
func (m *statsOfOne) whole() bool {
	s := &m.Samples
	for _, column := range [][]uint64{
		s.Reads, s.Writes, s.Deletes, s.Failed, s.Hits, s.Misses, s.Evictions, s.Processor,
		s.Entries, s.Live, s.ArenaAge, s.Resident, s.Memory, s.Moving,
	} {
		if len(column) != len(s.Span) {
			return false
		}
	}
	return len(s.Latency) == len(s.Span)
}

// over is what all members together. The latest samples of two members are less
// than a second apart, and so are those before them.
func (b *statsBody) over(from, to int) (all rates, any bool) {
	for i := range b.Members {
		l, ok := b.Members[i].over(from, to)
		if !ok {
			continue
		}
		any = true
		all.add(&l)
	}
	return all, any
}

// add adds what another node did. Of ages the lowest counts, of entries that there are;
// a slot that moves is counted by both nodes that it concerns.
func (l *rates) add(o *rates) {
	l.requests += o.requests
	l.reads += o.reads
	l.writes += o.writes
	l.deletes += o.deletes
	l.failed += o.failed
	l.evictions += o.evictions
	l.processor += o.processor
	l.hits += o.hits
	l.misses += o.misses
	if o.entries > 0 && (l.entries == 0 || o.arenaAge < l.arenaAge) {
		l.arenaAge = o.arenaAge
	}
	l.entries += o.entries
	l.live += o.live
	l.resident += o.resident
	l.memory += o.memory
	l.moving = max(l.moving, o.moving)
	for len(l.latency) < len(o.latency) {
		l.latency = append(l.latency, 0)
	}
	for class, n := range o.latency {
		l.latency[class] += n
	}
}

// hitRate is the part of the reads that found their key; NaN if there were none.
func (l *rates) hitRate() float64 { return l.hits / (l.hits + l.misses) }

// percentile gives the seconds within which a part of the requests was answered, in
// proportion within its class; of the last class, where it begins. NaN if there were
// no requests.
func (l *rates) percentile(bounds []float64, part float64) float64 {
	total := 0.0
	for _, n := range l.latency {
		total += n
	}
	before := 0.0
	for class, n := range l.latency {
		if n > 0 && before+n >= part*total {
			low := 0.0
			if class > 0 {
				low = bounds[min(class, len(bounds))-1]
			}
			if class >= len(bounds) {
				return low
			}
			return low + (bounds[class]-low)*(part*total-before)/n
		}
		before += n
	}
	return math.NaN()
}

// used is the memory that is in use, as far as the system tells.
func (l *rates) used() float64 {
	if l.resident > 0 {
		return l.resident
	}
	return l.live
}

// shownAge writes the age of the oldest entry, if there is any.
func (l *rates) shownAge() string {
	if l.entries == 0 {
		return unknown
	}
	return formatAge(l.arenaAge)
}

// unknown stands for a figure that there is not.
const unknown = "-"

// formatRate writes a number with the digits that matter: 0, 3.5, 412, 12.3k, 1.42M.
func formatRate(v float64) string {
	switch {
	case math.IsNaN(v):
		return unknown
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', 2, 64) + "M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', 1, 64) + "k"
	case v >= 10 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// formatShare writes a part of one in parts of a hundred.
func formatShare(v float64) string {
	if math.IsNaN(v) {
		return unknown
	}
	return strconv.FormatFloat(v*100, 'f', 1, 64) + "%"
}

// formatLatency writes seconds with three digits.
func formatLatency(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e-3, "µs"}, {1, "ms"}, {math.Inf(1), "s"}} {
		if v < unit.size {
			scaled := v * map[string]float64{"µs": 1e6, "ms": 1e3, "s": 1}[unit.name]
			return strconv.FormatFloat(scaled, 'f', max(0, 2-max(0, int(math.Log10(max(scaled, 1))))), 64) + unit.name
		}
	}
	return unknown
}

// formatAge writes a time in its largest units.
func formatAge(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return strconv.Itoa(int(d/(24*time.Hour))) + "d" + strconv.Itoa(int(d/time.Hour%24)) + "h"
	case d >= time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + "h" + strconv.Itoa(int(d/time.Minute%60)) + "m"
	case d >= time.Minute:
		return strconv.Itoa(int(d/time.Minute)) + "m" + strconv.Itoa(int(d/time.Second%60)) + "s"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
}

// shownState is what is said of a member's state: why it does not tell, if so.
func (m *statsOfOne) shownState() string {
	switch m.Error {
	case "":
		return m.State
	case "no_answer":
		return "no answer"
	case "not_known":
		return "old build"
	}
	return m.Error
}
