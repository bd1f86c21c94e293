package main

import (
	"testing"

	"github.com/smache/smache/engine"
)

const mib = 1 << 20

// manualMemory is the sizing rule of docs/OPERATIONS.md: what --memory of each node has
// to be, in MiB, for so many entries with so many bytes of key and value.
func manualMemory(entries, bytes float64, cluster bool) float64 {
	rest := entries*max(251, 2.48*(bytes+25))/mib + 48
	small, large := (rest+28)/0.708, rest+512
	if cluster {
		small, large = (rest+52)/0.70, (rest+536)/0.99
	}
	if small < 2520 {
		return small
	}
	return large
}

// TestSizing: a node with the memory that the manual's rule gives keeps as many entries as
// it says without evicting any, and with a fifth less it would not.
func TestSizing(t *testing.T) {
	fits := func(memory, entries, bytes float64, cluster bool) bool {
		plan, err := engine.PlanMemory(int64(memory*mib), cluster, 0, 0, 0, 0)
		return err == nil && float64(plan.MaxEntries) >= entries && 0.7*float64(plan.Arena) >= entries*(bytes+25)
	}
	for _, entries := range []float64{500_000, 1e6, 3e6, 1e7, 1e8} {
		for _, bytes := range []float64{40, 80, 120, 300, 1000, 4000} {
			for _, cluster := range []bool{false, true} {
				memory := manualMemory(entries, bytes, cluster)
				if !fits(memory, entries, bytes, cluster) {
					t.Errorf("%.0f entries of %.0f bytes, in a cluster %t: %.0f MiB are too few", entries, bytes, cluster, memory)
				}
				if memory > 1000 && fits(memory*4/5, entries, bytes, cluster) {
					t.Errorf("%.0f entries of %.0f bytes, in a cluster %t: of %.0f MiB a fifth is not needed", entries, bytes, cluster, memory)
				}
			}
		}
	}
	// The manual's examples.
	for _, c := range []struct {
		entries, bytes float64
		cluster        bool
		want           float64
	}{{1e6, 120, false, 592}, {4e6, 220, true, 2931}, {10e6 / 3, 1020, true, 8912}} {
		if got := manualMemory(c.entries, c.bytes, c.cluster); got < c.want-1 || got > c.want+1 {
			t.Errorf("the example of %.0f entries of %.0f bytes: %.0f MiB, and the manual says %.0f", c.entries, c.bytes, got, c.want)
		}
	}
}
