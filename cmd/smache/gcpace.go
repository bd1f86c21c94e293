package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage may gather before the Go runtime collects it. Go's own rule, as
// much as there is that lives, doubles what the index of a large cache takes, for
// nothing: what lives is nearly all tables without pointers, which the collector
// passes over, and requests leave hardly any garbage. In a small process the same
// rule collects all the time.
const (
	gcSlack      = 32 << 20 // bytes, at least
	gcSlackShare = 16       // of what lives, one part in so many
	gcMost       = 400      // percent of what lives
	gcEvery      = time.Second
)

// gcPercent gives the percentage for debug.SetGCPercent when live bytes live.
func gcPercent(live uint64) int {
	slack := max(gcSlack, live/gcSlackShare)
	return int(min(slack*100/max(live, 1), gcMost))
}

// paceCollector keeps the collector's percentage at what gcPercent says, until ctx
// ends.
func paceCollector(ctx context.Context) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(gcEvery)
	defer tick.Stop()
	for set := 0; ; {
		metrics.Read(sample)
		// Setting it stops the world for a moment: not for every small change.
		if want := gcPercent(sample[0].Value.Uint64()); want*5 < set*4 || want*4 > set*5 {
			debug.SetGCPercent(want)
			set = want
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
