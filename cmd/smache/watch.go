package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/smache/smache/engine"
	"github.com/smache/smache/proto"
)

// watchEvery is how often status --watch asks unless it is told.
const watchEvery = 10 * time.Second

// watch writes a line for each member, and what happened in the time since the lines
// before, until the context ends: plain text for logs. While the node does not answer
// it says so.
func watch(inv invocation, c *client, every time.Duration) int {
	last := int(math.Ceil(every.Seconds()))
	last = min(max(last, 1), proto.MaxSamples)
	ticker := time.NewTicker(max(every, time.Millisecond))
	defer ticker.Stop()
	for {
		body, got, err := askStats(inv.ctx, c, last)
		if inv.ctx.Err() != nil {
			return exitOK
		}
		if body == nil {
			fail(inv, "status", got, err)
		} else {
			printWatch(inv.stdout, body, last, time.Now())
		}
		select {
		case <-ticker.C:
		case <-inv.ctx.Done():
			return exitOK
		}
	}
}

// printWatch writes the lines of one moment: names and values, one blank between.
func printWatch(w io.Writer, body *statsBody, last int, now time.Time) {
	var text strings.Builder
	for i := range body.Members {
		m := &body.Members[i]
		fmt.Fprintf(&text, "%s member=%s state=%s slots=%d",
			now.UTC().Format(time.RFC3339), m.Name, strings.ReplaceAll(m.shownState(), " ", "_"), m.Slots)
		if l, ok := m.over(last, 0); ok && m.Error == "" {
			for _, pair := range [][2]string{
				{"moving", strconv.Itoa(l.moving)}, {"requests", formatRate(l.requests) + "/s"}, {"refused", formatRate(l.failed) + "/s"},
				{"hits", formatShare(l.hitRate())},
				{"p50", formatLatency(l.percentile(body.Bounds, 0.5))}, {"p99", formatLatency(l.percentile(body.Bounds, 0.99))},
				{"entries", formatRate(l.entries)}, {"evicted", formatRate(l.evictions) + "/s"},
				{"memory", engine.FormatBytes(int64(l.used()))}, {"arena_age", formatAge(l.arenaAge)}, {"cpu", formatShare(l.processor)},
			} {
				text.WriteString(" " + pair[0] + "=" + strings.ReplaceAll(pair[1], " ", ""))
			}
		}
		text.WriteByte('\n')
	}
	_, _ = io.WriteString(w, text.String())
}
