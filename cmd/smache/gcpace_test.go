package main

import (
	"context"
	"runtime/debug"
	"testing"
)

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 400}, {1 << 20, 400}, {8 << 20, 400}, {32 << 20, 100}, {64 << 20, 50},
		{256 << 20, 12}, {1 << 30, 6}, {1 << 40, 6},
	} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("%d bytes: %d %%, want %d", c.live, got, c.want)
		}
	}
}

func TestPaceCollector(t *testing.T) {
	before := debug.SetGCPercent(7)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	paceCollector(ctx)
	if got := debug.SetGCPercent(7); got == 7 || got < 6 || got > gcMost {
		t.Errorf("the collector's percentage is %d", got)
	}
}
