package history

import (
	"slices"
	"testing"
	"time"
)

// TestCut: what one side of a cut was told, "own", and what the other was, "other". The
// network is cut from 10 to 11 seconds and mended at 20; from 30 on the sides are one.
func TestCut(t *testing.T) {
	cut := Cut{Begin: 10 * time.Second, Done: 11 * time.Second, Heal: 20 * time.Second, Whole: 30 * time.Second}
	lost := []Fault{{At: cut.Done, Held: func(string) bool { return true }}}
	for _, c := range []struct {
		own, other string
		faults     []Fault
		want       string
	}{
		// Before the cut there is one history.
		{"get a 2 3", "set a 0 1", nil, ""},
		{"get b 4 5; get a 6 7", "set a 0 1; set b 2 3", nil, RuleOrder},
		{"get - 4 5", "set a 0 1", nil, RuleMiss},
		{"get a 12 13", "set a 0 1", nil, ""},
		{"get - 12 13", "set a 0 1", nil, RuleMiss},
		{"get - 12 13", "set a 0 1", lost, ""},

		// What is under way when the network is cut may be seen, or not.
		{"get a 12 13", "set a 9 12", nil, ""},
		{"get - 12 13", "set a 9 12", nil, ""},
		{"set a 0 1; get a 12 13; get b 14 15", "set b 9 12", nil, ""},
		{"set a 0 1; get b 12 13; get a 14 15", "set b 9 12", nil, RuleOrder},
		{"get a 9.5 10.5; get - 12 13", "set a 9 12", lost, ""},
		{"get a 9.5 10.5; get - 12 13", "set a 9 12", nil, RuleMiss},
		{"set a 12 13; get - 14 15", "set b 9 12", lost, RuleMiss},
		{"set a 0 1; get - 12 13", "delete 9 12", nil, ""},
		{"set a 0 1; get a 12 13", "delete 9 12", nil, ""},

		// Apart, each is a cluster of its own.
		{"set a 12 13; get a 14 15", "set b 12 13; get b 14 15", nil, ""},
		{"set a 12 13; get b 14 15", "set b 12 13", nil, RuleFuture},
		{"set a 19 21; get a 19.2 19.5", "", nil, ""},
		{"set a 12 13; get - 14 15", "", nil, RuleMiss},
		{"set a 12 13; get - 14 15", "", lost, RuleMiss},
		{"set a 12 13; get - 16 17", "set b 12 13; delete 14 15", nil, RuleMiss},
		{"set a 12 13; set b 14 15; get a 16 17", "", nil, RuleOrder},
		{"set a 0 1; delete 12 13; get a 14 15", "", nil, RuleReturn},
		{"get - 12 13; get a 40 41", "set a 0 1", lost, ""},
		{"get - 12 13; get a 40 41", "set a 0 1", nil, RuleMiss},
		{"set a 0 1; get - 12 13; get a 14 15; get - 16 17; get a 40 41", "", lost, RuleMiss},

		// As they come together, nothing is older than what their own side had.
		{"set a 12 13; get - 22 23; get a 40 41", "", nil, ""},
		{"set a 12 13; get b 22 23; get a 24 25; get b 40 41", "set b 12 13", nil, ""},
		{"set a 12 13; set b 14 15; get a 22 23", "", nil, RuleOrder},
		{"get a 22 23", "set a 0 1; set b 14 15", nil, ""},
		{"set a 0 1; delete 14 15; get a 22 23", "", nil, RuleReturn},
		{"set a 12 13; set b 22 23; get a 24 25; get b 40 41", "", nil, ""},
		{"set a 12 13; delete 22 23; get a 24 25; get - 40 41", "", nil, ""},
		{"set a 12 13; create b 22 23; get b 40 41", "", nil, ""},
		{"set a 12 13; replace b a 22 23 unmet; get a 40 41", "", nil, ""},
		{"set a 12 13; replace b a 22 23 unmet; get b 40 41", "", nil, RuleRefused},

		// Then the latest of either side is left, and nothing is lost.
		{"set a 12 13; get a 40 41", "set b 12 13", nil, ""},
		{"set a 12 13; get b 40 41", "set b 12 13", nil, ""},
		{"set a 12 13; get b 40 41; get a 42 43", "set b 12 13", nil, RuleOrder},
		{"set a 12 13; get a 40 41", "set b 12 13; get b 42 43", nil, RuleOrder},
		{"set a 12 13; set b 14 15; get a 40 41", "set c 12 13", nil, RuleOrder},
		{"get a 40 41", "set a 12 13; set b 14 15", nil, RuleOrder},
		{"set a 12 13; set b 22 23; get a 40 41", "", nil, RuleOrder},
		{"set a 12 13; delete 14 15; get a 40 41", "", nil, RuleReturn},
		{"set a 12 13; delete 22 23; get a 40 41", "", nil, RuleReturn},
		{"set a 12 13; get - 40 41", "", lost, RuleMiss},
		{"set a 22 23; get - 40 41", "", lost, RuleMiss},
		{"get - 40 41", "set a 12 13", nil, RuleMiss},
		{"get - 40 41", "set a 0 1", lost, RuleMiss}, // whom the other side did not lose it to
		{"set a 12 13; get - 40 41", "set b 12 13; delete 14 15", nil, ""},
		{"set a 12 13; get - 40 41", "delete 14 15 missed", nil, ""},
		{"set a 12 13; delete 22 23 missed; get - 40 41", "", nil, ""},
		{"set a 12 13; get - 40 41", "set b 14 15 ttl 8", nil, ""},
		{"set a 12 13; get - 40 41", "set b 39 40 ttl 8", nil, RuleMiss},
		{"set a 12 13; get b 40 41", "set b 14 15 ttl 8", nil, RuleExpired},
		{"set a 12 13; get c 40 41", "set b 14 15", nil, RuleForeign},

		// From then on there is one history again.
		{"set a 40 41; get b 42 43", "set b 12 13", nil, RuleOrder},
		{"set a 40 41", "set b 12 13; get b 42 43", nil, RuleOrder},
		{"set a 40 41", "set b 42 43; get a 44 45", nil, RuleOrder},
		{"set a 40 41", "get - 42 43", nil, RuleMiss},
		{"delete 40 41", "set b 12 13; get b 42 43", nil, RuleReturn},
		{"set a 12 13; replace c a 40 41; get c 42 43", "set b 12 13", nil, ""},
		{"set a 12 13; replace c a 40 41 unmet; get b 42 43", "set b 12 13", nil, ""},
		{"set a 12 13; replace c a 40 41 unmet", "", nil, RuleUnmet},
	} {
		found := cut.Check([2][]Op{parse(t, c.own), parse(t, c.other)}, [2][]Fault{c.faults, nil})
		switch {
		case c.want == "" && len(found) > 0:
			t.Errorf("%s | %s: %v", c.own, c.other, found[0].String())
		case c.want != "" && !slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == c.want }):
			t.Errorf("%s | %s: found %v, want %s", c.own, c.other, found, c.want)
		}
	}
}
