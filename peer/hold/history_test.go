package hold

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// The kinds of histories. Each tries what the promises say something about.
const (
	planned   = 0 // joins and leaves: nothing is lost, nothing fails
	crashes   = 1
	freezes   = 2
	lossy     = 3 // crashes and joins on a network that loses and doubles
	partition = 4
	kinds     = 5
)

const historySlots = 4

// client sends random operations to random nodes.
func (s *sim) client(every time.Duration) {
	names := s.names()
	n := s.nodes[names[s.rng.IntN(len(names))]]
	if !s.quiet && n.up && !n.leaving && n.m.self.State == StateServing {
		op := &clientOp{key: fmt.Sprintf("%c%d", 'a'+s.rng.IntN(s.slots), s.rng.IntN(6))}
		op.slot = slotOf(op.key, s.slots)
		switch p := s.rng.IntN(20); {
		case p < 9:
			op.action = actGet
		case p < 15:
			op.action = actSet
		case p < 17:
			op.action = actSetIf
			op.expect = s.check.key(op.key).floor
		default:
			op.action = actDelete
		}
		if op.action == actSet || op.action == actSetIf {
			op.value = fmt.Sprint(op.key, "#", s.serial)
			s.check.made[op.value] = &made{key: op.key, at: s.now}
			if s.rng.IntN(6) == 0 {
				op.ttl = time.Duration(100+s.rng.IntN(3000)) * time.Millisecond
			}
		}
		op.asked = s.check.begin(n, op)
		n.event(func() { n.do(op) })
	}
	s.after(time.Duration(s.rng.Int64N(int64(2*every))), func() { s.client(every) })
}

// history runs one history and gives what it found.
func history(seed uint64, off mutant, trace func(string, ...any)) error {
	s := newSim(seed, historySlots, off)
	if trace != nil {
		s.trace = trace
		if v, err := strconv.Atoi(os.Getenv("SLOT")); err == nil {
			s.watch = Slot(v)
		}
	}
	kind := int(seed % kinds)
	nodes := 2 + s.rng.IntN(3)
	for i := range nodes {
		s.start(fmt.Sprint("n", i))
		s.run(time.Duration(s.rng.IntN(300)) * time.Millisecond)
	}
	s.run(8 * time.Second)
	s.client(8 * time.Millisecond)
	s.run(time.Second)
	s.check.strict = kind != lossy
	s.check.crashes = kind == crashes || kind == lossy
	if kind == lossy {
		s.loss, s.double = 0.05, 0.05
	}
	for range 2 + s.rng.IntN(4) {
		s.upset(kind)
		if s.rng.IntN(3) == 0 { // and another while the first is under way
			s.run(time.Duration(s.rng.IntN(150)) * time.Millisecond)
			s.upset(kind)
		}
		s.run(time.Duration(s.rng.IntN(4000)) * time.Millisecond)
	}
	s.run(4 * time.Second)
	if kind == partition {
		s.heal()
	}
	return s.check.err
}

// upset does one thing to the cluster.
func (s *sim) upset(kind int) {
	var up []*simNode
	for _, name := range s.names() {
		if n := s.nodes[name]; n.up && !n.leaving && s.now >= n.frozen {
			up = append(up, n)
		}
	}
	any := up[s.rng.IntN(len(up))]
	joins := func() { s.start(fmt.Sprint("n", len(s.nodes))) }
	switch {
	case len(up) < 2, s.rng.IntN(3) == 0:
		joins()
	case kind == planned:
		if any.hasHeir() {
			s.leave(any)
		}
	case kind == crashes, kind == lossy:
		s.lastFault = max(s.lastFault, s.now)
		s.kill(any)
		if s.rng.IntN(2) == 0 {
			name := any.id.Name
			s.after(time.Duration(s.rng.IntN(2000))*time.Millisecond, func() { s.start(name) })
		}
	case kind == freezes:
		if !any.hasHeir() {
			return // nobody would be left who knows anything: that is a partition
		}
		d := time.Duration(s.rng.IntN(6000)) * time.Millisecond
		// For a while it does not know that it was counted dead.
		s.lastFault = max(s.lastFault, s.now+d+2*time.Second)
		s.freeze(any, d)
	case kind == partition && len(s.cut) == 0:
		s.check.lenient = true
		side := map[string]bool{}
		for _, n := range up {
			side[n.id.Name] = s.rng.IntN(2) == 0
		}
		for a := range s.nodes {
			for b := range s.nodes {
				if side[a] != side[b] {
					s.cut[pair(a, b)] = true
				}
			}
		}
		s.trace("%v cut %v", s.now, s.cut)
	}
}

// hasHeir reports whether a node knows of another that will take its slots.
func (n *simNode) hasHeir() bool {
	for _, o := range n.m.alivePeers() {
		if other := n.sim.nodes[o.Name]; o.State == StateServing && other.up && !other.leaving && n.sim.now >= other.frozen {
			return true
		}
	}
	return false
}

// heal ends the cut, and waits until the sides have agreed; then every node must
// give the same, and something must be left.
func (s *sim) heal() {
	s.trace("%v heal", s.now)
	s.quiet = true
	s.run(time.Second)
	before := s.values()
	s.cut = map[[2]string]bool{}
	s.run(15 * time.Second)
	s.check.forget()
	kept, after := 0, s.values()
	s.quiet = false
	for key := range before {
		if after[key] {
			kept++
		}
	}
	if len(before) >= 8 && kept == 0 {
		s.check.fail("of %d keys %d are left after healing", len(before), kept)
	}
	s.run(3 * time.Second)
}

// values are the keys with entries, of no limited life, at nodes that hold them.
func (s *sim) values() map[string]bool {
	keys := map[string]bool{}
	for _, n := range s.nodes {
		for i := range n.data {
			for key, e := range n.data[i].entries {
				if n.up && n.data[i].role != roleNone && e.expiry == 0 {
					keys[key] = true
				}
			}
		}
	}
	return keys
}

func TestHistories(t *testing.T) {
	n := 500
	if v, err := strconv.Atoi(os.Getenv("HISTORIES")); err == nil {
		n = v
	}
	for seed := range uint64(n) {
		if err := history(seed, whole, nil); err != nil {
			t.Fatalf("seed %d (kind %d): %v", seed, seed%kinds, err)
		}
	}
}

// TestSeed replays one history, given as SEED, with a trace.
func TestSeed(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		seed = 1
	}
	if err := history(seed, whole, t.Logf); err != nil {
		t.Fatal(err)
	}
}

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
}

// Each rule is there for a promise: without it, the checker finds a history that
// breaks one. A checker that cannot fail proves nothing.
func TestMutantsAreCaught(t *testing.T) {
	for _, c := range mutants {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for n := range c.limit {
				kind := c.kinds[n%len(c.kinds)]
				if err := history(uint64(n/len(c.kinds)*kinds+kind), c.off, nil); err != nil {
					t.Logf("caught after %d histories: %.150v", n+1, err)
					return
				}
			}
			t.Errorf("not caught in %d histories", c.limit)
		})
	}
}
