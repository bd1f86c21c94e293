//go:build !race

package hold

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
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
	{slotTerms, "slotTerms", []int{freezes, recut, torn}, 1000, false},
	{shareAny, "shareAny", []int{partition, recut}, 3000, false},
	{grantOnce, "grantOnce", []int{recut, torn}, 1000, false},
	{dropRefused, "dropRefused", []int{partition, recut}, 400, false},
	{anySource, "anySource", []int{freezes}, 1000, false},
	{deafRecords, "deafRecords", []int{partition, freezes}, 200, false},
	{sourceForgets, "sourceForgets", []int{partition, freezes}, 400, false},
	{recordsStay, "recordsStay", []int{partition, freezes}, 400, false},
	{countPromises, "countPromises", []int{partition, recut}, 200, false},
	{impatient, "impatient", []int{recut}, 400, false},
	{meetAlone, "meetAlone", []int{freezes, torn}, 1000, false},
	{goneCounts, "goneCounts", []int{crashes, torn}, 400, false},
	{takeFlushed, "takeFlushed", []int{planned, freezes}, 1000, false},
	{dropEmpty, "dropEmpty", []int{recut}, 9000, false},
	{keepUnsupported, "keepUnsupported", []int{freezes}, 3000, false},
	{readyAtOnce, "readyAtOnce", []int{planned}, 400, false},
	{flushOnce, "flushOnce", []int{planned, freezes, lossy}, 1000, false},
}

// kindNames are the kinds of histories, as docs/CLUSTER.md names them.
var kindNames = [...]string{
	planned: "planned", crashes: "crashes", freezes: "freezes", lossy: "lossy", partition: "partition",
	recut: "recut", torn: "torn", crossed: "crossed",
}

// The table of docs/CLUSTER.md has a row for each switch: the rules that it belongs to, what
// it does, as mutant.go says, the kinds of histories in which it must be caught, or that it
// has a written one, and within how many.
func TestMutantsAreListed(t *testing.T) {
	source, err := os.ReadFile("mutant.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/CLUSTER.md")
	if err != nil {
		t.Fatal(err)
	}
	where := map[string][2]string{}
	for _, c := range scenarios {
		where[c.name] = [2]string{"written", "1"}
	}
	for _, c := range mutants {
		kinds := ""
		for _, kind := range c.kinds {
			kinds += ", " + kindNames[kind]
		}
		if c.cramped {
			kinds += "; cramped"
		}
		where[c.name] = [2]string{kinds[2:], fmt.Sprint(c.limit)}
	}
	rows := regexp.MustCompile(`(?m)^\t(\w+)\s+mutant = \d+\s+// (.*) \(rules? ([\d, ]+)\)$`).FindAllStringSubmatch(string(source), -1)
	if want := len(declared(t)); len(rows) != want {
		t.Errorf("%d of %d switches say what they do, and of which rule", len(rows), want)
	}
	for _, row := range rows {
		name, does, rules, at := row[1], row[2], row[3], where[row[1]]
		line := fmt.Sprintf("\n| %s | `%s` | %s | %s | ", rules, name, does, at[0])
		_, rest, found := strings.Cut(string(doc), line)
		if rest, _, _ = strings.Cut(rest, "\n"); !found || !strings.HasSuffix(rest, " | "+at[1]+" |") {
			t.Errorf("docs/CLUSTER.md has no row %s… | %s |", strings.TrimSpace(line), at[1])
		}
	}
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
