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
	only  string // the trait of the histories that count; none: all do
	from  uint64 // the first seed: one of the few that are known to do
}

var mutants = []mutantTest{
	{grantKeeps, "grantKeeps", []int{planned}, 200, "", 0},
	{noReadThrough, "noReadThrough", []int{planned}, 400, "", 0},
	{noRecords, "noRecords", []int{planned, partition, freezes}, 3000, "", 0},
	{dropUnacknowledged, "dropUnacknowledged", []int{lossy}, 1000, "", 0},
	{grantImporting, "grantImporting", []int{planned}, 3000, "", 0},
	{claimAlone, "claimAlone", []int{planned, crashes, freezes, lossy}, 1000, "", 0},
	{forgetTerms, "forgetTerms", []int{lossy, freezes}, 3000, "", 0},
	{noLease, "noLease", []int{freezes}, 400, "", 0},
	{noFence, "noFence", []int{freezes}, 3000, "", 0},
	{returnKeeps, "returnKeeps", []int{freezes}, 400, "", 0},
	{keepHanded, "keepHanded", []int{crashes, lossy}, 6000, "", 0},
	{lastWins, "lastWins", []int{planned}, 3000, "", 0},
	{dropDoubt, "dropDoubt", []int{partition}, 400, "", 0},
	{ownFirst, "ownFirst", []int{freezes, partition}, 3000, "", 0},
	{serveAtOnce, "serveAtOnce", []int{planned}, 400, "", 0},
	{neverSilent, "neverSilent", []int{freezes}, 400, "", 0},
	{forgetSoon, "forgetSoon", []int{freezes, partition}, 3000, "", 0},
	{dropHanded, "dropHanded", []int{partition}, 3000, "", 0},
	{anyIncarnation, "anyIncarnation", []int{freezes, partition}, 3000, "", 0},
	{dropAside, "dropAside", []int{recut}, 400, "", 0},
	{closeSoon, "closeSoon", []int{recut}, 3000, "", 0},
	{forgetEvicted, "forgetEvicted", []int{planned, freezes, partition}, 1000, "cramped", 0},
	{takeOld, "takeOld", []int{planned}, 100, "cramped", 0},
	{ownEars, "ownEars", []int{crossed}, 200, "", 0},
	{blameOthers, "blameOthers", []int{freezes}, 400, "", 0},
	{slotTerms, "slotTerms", []int{freezes, recut, torn}, 1000, "", 0},
	{shareAny, "shareAny", []int{partition, recut}, 3000, "", 0},
	{grantOnce, "grantOnce", []int{recut, torn}, 1000, "", 0},
	{dropRefused, "dropRefused", []int{partition, recut}, 400, "", 0},
	{anySource, "anySource", []int{freezes}, 1000, "", 0},
	{deafRecords, "deafRecords", []int{partition, freezes}, 200, "", 0},
	{sourceForgets, "sourceForgets", []int{partition, freezes}, 400, "", 0},
	{recordsStay, "recordsStay", []int{partition, freezes}, 400, "", 0},
	{countPromises, "countPromises", []int{partition, recut}, 200, "", 0},
	{impatient, "impatient", []int{recut}, 400, "", 0},
	{meetAlone, "meetAlone", []int{freezes, torn}, 1000, "", 0},
	{goneCounts, "goneCounts", []int{crashes, torn}, 400, "", 0},
	{takeFlushed, "takeFlushed", []int{planned, freezes}, 1000, "", 0},
	{dropEmpty, "dropEmpty", []int{recut}, 9000, "", 0},
	{keepUnsupported, "keepUnsupported", []int{freezes}, 1, "", 40297},
	{readyAtOnce, "readyAtOnce", []int{planned}, 400, "", 0},
	{forgetOverflow, "forgetOverflow", []int{planned, freezes}, 1000, "scant", 0},
	{followWall, "followWall", []int{planned}, 200, "jumping", 0},
	{takeUnasked, "takeUnasked", []int{freezes}, 1, "", 7004457},
	{topTerm, "topTerm", []int{partition}, 1, "", 9009969},
	{grantSame, "grantSame", []int{lossy}, 1, "", 9007613},
	{forgetSpan, "forgetSpan", []int{freezes}, 5000, "scant", 0},
	{flushOnce, "flushOnce", []int{planned, freezes, lossy}, 1000, "", 0},
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
		if c.only != "" {
			kinds += "; " + c.only
		}
		if c.from > 0 {
			kinds += fmt.Sprint("; seed ", c.from)
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
			next := slices.Repeat([]uint64{c.from}, len(c.kinds)) // seeds, of each kind
			for n := range c.limit {
				at := n % len(c.kinds)
				kind, seed := c.kinds[at], next[at]
				for kind < kinds && seed%kinds != uint64(kind) || c.only != "" && !traits[c.only](seed) {
					seed++
				}
				next[at] = seed + 1
				if err := history(seed, kind, c.off, nil); err != nil {
					t.Logf("caught after %d histories: %.150v", n+1, err)
					return
				}
			}
			t.Errorf("not caught in %d histories", c.limit)
		})
	}
}
