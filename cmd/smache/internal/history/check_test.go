package history

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// parse makes operations of lines such as "set a 0 2", for one key:
//
//	get a 0 2         saw a, asked at 0, answered at 2 seconds
//	get - 0 2         a miss
//	set a 0 2         also with "ttl 1.5", "unknown", "unmet"
//	create a 0 2      the same
//	replace b a 0 2   wrote b in place of a, the same
//	delete 0 2        "missed", "unknown"
//	flush 0 2
func parse(t *testing.T, text string) (ops []Op) {
	t.Helper()
	for line := range strings.SplitSeq(text, ";") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		take := func() string {
			word := words[0]
			words = words[1:]
			return word
		}
		second := func() time.Duration {
			d, err := time.ParseDuration(take() + "s")
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return d
		}
		o := Op{Key: "k", Outcome: Done}
		switch take() {
		case "get":
			o.Kind = Get
			if o.Seen = take(); o.Seen == "-" {
				o.Seen, o.Outcome = "", Missed
			}
		case "set":
			o.Kind, o.Wrote = Set, take()
		case "create":
			o.Kind, o.Wrote = Create, take()
		case "replace":
			o.Kind, o.Wrote, o.Seen = Replace, take(), take()
		case "delete":
			o.Kind = Delete
		case "flush":
			o.Kind = Flush
		default:
			t.Fatalf("%q", line)
		}
		o.Begin, o.End = second(), second()
		for len(words) > 0 {
			switch take() {
			case "ttl":
				o.TTL = second()
			case "unknown":
				o.Outcome = Unknown
			case "unmet":
				o.Outcome = Unmet
			case "refused":
				o.Outcome = Refused
			case "missed":
				o.Outcome = Missed
			default:
				t.Fatalf("%q", line)
			}
		}
		ops = append(ops, o)
	}
	return ops
}

// fault is one at a second, of the node that has the key, or of another.
func fault(second float64, held bool) []Fault {
	return []Fault{{At: time.Duration(second * float64(time.Second)), Held: func(string) bool { return held }}}
}

// TestCheck: each broken promise is found, and what only looks like one is not.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		history string
		faults  []Fault
		want    string // the rule; empty: all is well
	}{
		{"set a 0 1; get a 2 3", nil, ""},
		{"get - 0 1; set a 2 3; get a 4 5", nil, ""},
		// A write that runs may be seen, or not yet.
		{"set a 0 1; set b 2 5; get a 3 4; get b 3 4", nil, ""},
		{"get - 0 3; set a 1 2", nil, ""},

		{"set a 0 1; get b 2 3", nil, RuleForeign},
		{"get b 2 3", nil, RuleForeign},
		{"set a 0 1; set b 2 3 unmet; get b 4 5", nil, RuleRefused},
		{"set a 0 1; set b 2 3 refused; get b 4 5", nil, RuleRefused},
		{"set a 0 1; delete 2 3 refused; get a 4 5", nil, ""},
		{"set a 0 1; delete 2 3 refused; get - 4 5", nil, RuleMiss},
		{"get a 0 1; set a 2 3", nil, RuleFuture},

		{"set a 0 1; set b 2 3; get a 4 5", nil, RuleOrder},
		{"set a 0 1; set b 2 3; get a 2.5 5", nil, ""},
		// Writes at the same time: each order is good, but only one.
		{"set a 0 9; set b 0 9; get a 1 2; get b 3 4; get b 5 6", nil, ""},
		{"set a 0 9; set b 0 9; get a 1 2; get b 3 4; get a 5 6", nil, RuleOrder},
		{"set a 0 1; set b 2 9; get b 3 4; get a 5 6", nil, RuleOrder},
		// Not answered: it may come late, even over a later one, but once.
		{"set a 0 1 unknown; set b 2 3; get a 4 5", nil, ""},
		{"set a 0 1 unknown; set b 2 3; get a 4 5; get b 6 7", nil, RuleOrder},
		{"set a 0 1 unknown; get a 2 3; set b 4 5; get a 6 7", nil, RuleOrder},
		// A crash loses values; it does not bring older ones back.
		{"set a 0 1; set b 2 3; get - 5 6; get a 7 8", fault(4, true), RuleOrder},

		{"set a 0 1; replace b a 2 3; get b 4 5", nil, ""},
		{"set a 0 1; replace b a 2 3; get a 4 5", nil, RuleOrder},
		{"set a 0 1; set b 2 3; replace c a 4 5", nil, RuleOrder},
		{"set a 0 1; replace b a 2 9; replace c a 2 9", nil, RuleTwice},
		{"set a 0 1; replace b a 2 9 unknown; replace c a 2 9", nil, ""},
		{"set a 0 1; replace b a 2 3 unmet", nil, RuleUnmet},
		{"set a 0 1; set b 0 1; replace c a 2 3 unmet", nil, ""},
		{"set a 0 1; set b 0 1; get a 2 3; replace c a 4 5 unmet; get a 6 7", nil, RuleUnmet},
		{"set a 0 1; delete 0 1; replace c a 2 3 unmet", nil, ""},

		{"set a 0 1; get - 2 3", nil, RuleMiss},
		{"set a 0 1; create b 2 3", nil, RuleMiss},
		{"set a 0 1; delete 2 3 missed", nil, RuleMiss},
		{"set a 0 1 unknown; get - 2 3", nil, ""},
		{"set a 0 1 unknown; get a 2 3; get - 4 5", nil, RuleMiss},
		{"set a 0 1; delete 2 3; get - 4 5", nil, ""},
		{"set a 0 1; delete 2 9; get - 4 5; get a 4 5", nil, ""},
		{"set a 0 1; delete 2 3 unknown; get a 4 5; get - 6 7", nil, ""},
		{"set a 2 3; delete 0 1; get - 4 5", nil, RuleMiss},
		{"set a 0 3; delete 1 2; get a 4 5; get - 6 7", nil, RuleMiss},
		{"set a 0 1; flush 2 3; get - 4 5", nil, ""},
		{"set a 0 1; get - 2 3", fault(1.5, true), ""},
		{"set a 0 1; get - 2 3", fault(1.5, false), RuleMiss},
		{"set a 2 3; get - 4 5", fault(1.5, true), RuleMiss},
		{"set a 0 1; get a 2 3; get - 4 5", fault(1.5, true), RuleMiss},
		{"set a 0 1; set b 2 3; get - 4 5", fault(3, true), ""},

		{"set a 0 1; delete 2 3; get a 4 5", nil, RuleReturn},
		{"set a 0 1; delete 2 3; get a 2.5 5", nil, ""},
		{"set a 0 1; delete 2 3; get - 5 6; get a 7 8", fault(4, true), RuleReturn},
		{"set a 0 1; delete 4 5 missed; get a 6 7", fault(2, true), RuleReturn},
		{"set a 0 1; flush 2 3; get a 4 5", nil, RuleReturn},
		{"set a 0 1; delete 2 3; create b 4 5 unmet", nil, RuleReturn},
		{"set a 0 1; delete 2 3; delete 4 5", nil, RuleReturn},
		{"delete 4 5", nil, RuleForeign},
		{"set a 0 1; delete 2 3; set b 4 5; delete 6 7", nil, ""},
		{"set a 0 1 unknown; delete 2 3; get a 4 5", nil, ""},

		{"set a 0 1 ttl 5; get a 5 7; get - 7 8", nil, ""},
		{"set a 0 1 ttl 5; get a 6.5 7", nil, RuleExpired},
		{"set a 0 1 ttl 5; create b 6.5 7 unmet", nil, RuleReturn},
		{"set a 0 1 ttl 5; get - 2 2.5", nil, RuleMiss},
		{"set a 0 1; set b 0 1 ttl 5; get - 7 8", nil, ""},
		{"set b 0 1 ttl 5; set a 2 3; get - 7 8", nil, RuleMiss},
	} {
		found := Check(parse(t, c.history), c.faults)
		switch {
		case c.want == "" && len(found) > 0:
			t.Errorf("%s: %v", c.history, found[0].String())
		case c.want != "" && !slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == c.want }):
			t.Errorf("%s: found %v, want %s", c.history, found, c.want)
		}
	}
}

// TestKeysAreApart: what happens to one key says nothing of another, but for a
// flush.
func TestKeysAreApart(t *testing.T) {
	ops := parse(t, "set a 0 1; delete 2 3; set b 0 1; get b 4 5; set c 0 1; flush 6 7; get c 8 9")
	for i, key := range []string{"1", "1", "2", "2", "3", "", "3"} {
		ops[i].Key = key
	}
	var log Log
	log.Add(ops[:3]...)
	log.Add(ops[3:]...)
	if log.Len() != len(ops) {
		t.Errorf("the log has %d operations", log.Len())
	}
	found := Check(log.Ops(), nil)
	if len(found) != 1 || found[0].Key != "3" || found[0].Rule != RuleReturn || len(found[0].Ops) != 3 {
		t.Fatalf("found %v", found)
	}
	if text := found[0].String(); !strings.Contains(text, "flush") || !strings.Contains(text, "saw c") {
		t.Errorf("it says %s", text)
	}
}

// model carries operations out on a register, each at a moment of its own.
type model struct {
	random *rand.Rand
	now    time.Duration
	value  string // empty: none
	expiry time.Duration
	ops    []Op
}

// step carries one operation out, with a begin before and an end after it.
func (m *model) step(number int) {
	m.now += time.Duration(m.random.IntN(200)) * time.Millisecond
	if m.expiry > 0 && m.now >= m.expiry {
		m.value, m.expiry = "", 0
	}
	wide := func() time.Duration { return time.Duration(m.random.IntN(500)+1) * time.Millisecond }
	o := Op{Kind: Kind(m.random.IntN(6) + 1), Outcome: Done, Key: "k", Begin: m.now - wide(), End: m.now + wide()}
	if o.Kind == Flush && m.random.IntN(4) > 0 {
		o.Kind = Get
	}
	name, done := fmt.Sprint("v", number), true
	switch o.Kind {
	case Get:
		if o.Seen = m.value; m.value == "" {
			o.Outcome = Missed
		}
	case Set:
		o.Wrote = name
	case Create:
		if o.Wrote = name; m.value != "" {
			o.Outcome = Unmet
		}
	case Replace:
		o.Wrote, o.Seen = name, m.value
		if m.value == "" || m.random.IntN(3) == 0 {
			o.Outcome, o.Seen = Unmet, fmt.Sprint("v", m.random.IntN(number+1))
			done = o.Seen != m.value
		}
	case Delete:
		if m.value == "" {
			o.Outcome = Missed
		}
	case Flush:
	}
	if !done {
		return
	}
	if o.Wrote != "" && m.random.IntN(4) == 0 {
		o.TTL = time.Duration(m.random.IntN(4000)+1) * time.Millisecond
	}
	if o.Outcome == Done {
		switch {
		case o.Wrote != "":
			m.value, m.expiry = o.Wrote, 0
			if o.TTL > 0 {
				m.expiry = m.now + o.TTL
			}
		case o.Kind == Delete || o.Kind == Flush:
			m.value, m.expiry = "", 0
		}
	}
	if o.Kind != Get && m.random.IntN(8) == 0 {
		o.Outcome = Unknown // whether it was done or not
	}
	m.ops = append(m.ops, o)
}

// TestCheckAllows: histories of a register that works break no rule, whatever the
// order in which its clients write theirs down.
func TestCheckAllows(t *testing.T) {
	for seed := range uint64(300) {
		m := model{random: rand.New(rand.NewPCG(seed, 1)), now: time.Second}
		for i := range 200 {
			m.step(i)
		}
		m.random.Shuffle(len(m.ops), func(i, j int) { m.ops[i], m.ops[j] = m.ops[j], m.ops[i] })
		if found := Check(m.ops, nil); len(found) > 0 {
			t.Fatalf("seed %d: %s", seed, found[0].String())
		}
	}
}

// TestCheckFinds: a read of such a history that is made to see what was overwritten,
// deleted or has expired long before, or nothing, is found, mostly.
func TestCheckFinds(t *testing.T) {
	wrong, missed := 0, 0
	for seed := range uint64(300) {
		m := model{random: rand.New(rand.NewPCG(seed, 2)), now: time.Second}
		for i := range 200 {
			m.step(i)
		}
		at := -1
		for i := 150; i < len(m.ops) && at < 0; i++ {
			if m.ops[i].Kind == Get {
				at = i
			}
		}
		if at < 0 {
			continue
		}
		for _, o := range m.ops[:50] {
			if o.Wrote != "" && o.Outcome == Done {
				m.ops[at].Outcome, m.ops[at].Seen = Done, o.Wrote
			}
		}
		wrong++
		if len(Check(m.ops, nil)) == 0 {
			missed++
		}
	}
	if wrong < 200 || missed > 0 {
		t.Errorf("of %d wrong histories %d were let pass", wrong, missed)
	}
}
