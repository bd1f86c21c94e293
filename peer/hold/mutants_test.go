//go:build !race

package hold

import "testing"

// mutants are the rules, and how many histories may pass before a cluster without
// one of them is caught.
var mutants = []struct {
	off   mutant
	name  string
	kinds []int
	limit int
}{
	{grantKeeps, "grantKeeps", []int{planned}, 200},
	{noReadThrough, "noReadThrough", []int{planned}, 400},
	{noRecords, "noRecords", []int{planned, partition, freezes}, 3000},
	{dropUnacknowledged, "dropUnacknowledged", []int{lossy}, 1000},
	{grantImporting, "grantImporting", []int{planned}, 3000},
	{claimAlone, "claimAlone", []int{planned, crashes, freezes, lossy}, 1000},
	{forgetTerms, "forgetTerms", []int{lossy, freezes}, 3000},
	{noLease, "noLease", []int{freezes}, 400},
	{noFence, "noFence", []int{freezes}, 3000},
	{returnKeeps, "returnKeeps", []int{freezes}, 400},
	{keepHanded, "keepHanded", []int{crashes, lossy}, 6000},
	{lastWins, "lastWins", []int{planned}, 3000},
	{dropDoubt, "dropDoubt", []int{partition}, 400},
	{ownFirst, "ownFirst", []int{freezes, partition}, 3000},
	{serveAtOnce, "serveAtOnce", []int{planned}, 400},
	{neverSilent, "neverSilent", []int{freezes}, 400},
	{forgetSoon, "forgetSoon", []int{freezes, partition}, 3000},
	{dropHanded, "dropHanded", []int{partition}, 3000},
	{anyIncarnation, "anyIncarnation", []int{freezes, partition}, 3000},
	{breakSoon, "breakSoon", []int{freezes}, 3000},
	{dropAside, "dropAside", []int{recut}, 400},
	{closeSoon, "closeSoon", []int{recut}, 3000},
	{flushOnce, "flushOnce", []int{planned, freezes, lossy}, 1000},
}

// Each rule is there for a promise: without it, the checker finds a history that
// breaks one. A checker that cannot fail proves nothing.
func TestMutantsAreCaught(t *testing.T) {
	for _, c := range mutants {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for n := range c.limit {
				kind := c.kinds[n%len(c.kinds)]
				seed := uint64(n / len(c.kinds))
				if kind < kinds {
					seed = seed*kinds + uint64(kind)
				}
				if err := history(seed, kind, c.off, nil); err != nil {
					t.Logf("caught after %d histories: %.150v", n+1, err)
					return
				}
			}
			t.Errorf("not caught in %d histories", c.limit)
		})
	}
}
