//go:build !race

package hold

import (
	"slices"
	"testing"
)

// mutantTest is a rule, and how many histories may pass before a cluster without it is
// caught.
type mutantTest struct {
	off   mutant
	name  string
	kinds []int
	limit int
	// cramped says that only histories count in which nodes have too little memory.
	cramped bool
}

var mutants = []mutantTest{
	{grantKeeps, "grantKeeps", []int{planned}, 200, false},
	{noReadThrough, "noReadThrough", []int{planned}, 400, false},
	{noRecords, "noRecords", []int{planned, partition, freezes}, 3000, false},
	{dropUnacknowledged, "dropUnacknowledged", []int{lossy}, 1000, false},
	{grantImporting, "grantImporting", []int{planned}, 3000, false},
	{claimAlone, "claimAlone", []int{planned, crashes, freezes, lossy}, 1000, false},
	{forgetTerms, "forgetTerms", []int{lossy, freezes}, 3000, false},
	{noLease, "noLease", []int{freezes}, 400, false},
	{noFence, "noFence", []int{freezes}, 3000, false},
	{returnKeeps, "returnKeeps", []int{freezes}, 400, false},
	{keepHanded, "keepHanded", []int{crashes, lossy}, 6000, false},
	{lastWins, "lastWins", []int{planned}, 3000, false},
	{dropDoubt, "dropDoubt", []int{partition}, 400, false},
	{ownFirst, "ownFirst", []int{freezes, partition}, 3000, false},
	{serveAtOnce, "serveAtOnce", []int{planned}, 400, false},
	{neverSilent, "neverSilent", []int{freezes}, 400, false},
	{forgetSoon, "forgetSoon", []int{freezes, partition}, 3000, false},
	{dropHanded, "dropHanded", []int{partition}, 3000, false},
	{anyIncarnation, "anyIncarnation", []int{freezes, partition}, 3000, false},
	{dropAside, "dropAside", []int{recut}, 400, false},
	{closeSoon, "closeSoon", []int{recut}, 3000, false},
	{forgetEvicted, "forgetEvicted", []int{planned, freezes, partition}, 1000, true},
	{takeOld, "takeOld", []int{planned}, 100, true},
	{ownEars, "ownEars", []int{crossed}, 200, false},
	{blameOthers, "blameOthers", []int{freezes}, 400, false},
	{dropGaps, "dropGaps", []int{recut}, 9000, false},
	{flushOnce, "flushOnce", []int{planned, freezes, lossy}, 1000, false},
}

// Each rule is there for a promise: without it, the checker finds a history that
// breaks one. A checker that cannot fail proves nothing.
func TestMutantsAreCaught(t *testing.T) {
	for i, name := range declared(t) {
		if !slices.ContainsFunc(mutants, func(c mutantTest) bool { return c.name == name && c.off == mutant(i+1) }) &&
			!slices.ContainsFunc(scenarios, func(c scenario) bool { return c.name == name && c.off == mutant(i+1) }) {
			t.Errorf("nobody tries %s", name)
		}
	}
	for _, c := range mutants {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for n := range c.limit {
				kind := c.kinds[n%len(c.kinds)]
				seed := uint64(n / len(c.kinds))
				if kind < kinds {
					seed = seed*kinds + uint64(kind)
				}
				if c.cramped { // the kind stays as it is
					seed = seed*crampedEvery + crampedEvery - 1
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
