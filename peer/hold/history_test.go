package hold

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
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
	kinds     = 5 // those that a seed says which of them it is, if KIND does not

	recut   = 5 // partitions, and another cut while the sides come together
	torn    = 6 // partitions in which nodes crash
	crossed = 7 // partitions in which some nodes reach both sides
)

const (
	historySlots = 4
	keysOfSlot   = 6

	togetherEvery = 4 // of so many one has nodes that all wait for each other
	pacedEvery    = 3 // of so many one has nodes that see to few slots at a time
)

// traits are what some histories have and others do not, as their seeds say.
var traits = map[string]func(seed uint64) bool{
	"cramped":  func(seed uint64) bool { return seed%16 == 15 },              // some nodes have too little memory
	"scant":    func(seed uint64) bool { return seed%7 == 5 },                // there is room for few records
	"jumping":  func(seed uint64) bool { return seed%7 == 2 || seed%7 == 3 }, // wall clocks jump
	"drifting": func(seed uint64) bool { return seed%7 == 3 || seed%7 == 4 }, // monotonic clocks differ
}

// client sends random operations to random nodes.
func (s *sim) client(every time.Duration) {
	names := s.names()
	n := s.nodes[names[s.rng.IntN(len(names))]]
	if !s.quiet && n.up && !n.leaving && n.m.self.State == StateServing {
		op := &clientOp{key: fmt.Sprintf("%c%d", 'a'+s.rng.IntN(s.slots), s.rng.IntN(keysOfSlot))}
		op.slot = slotOf(op.key, s.slots)
		switch p := s.rng.IntN(20); {
		case p < 9, s.cold>>(op.key[1]-'0')&1 != 0:
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
func history(seed uint64, kind int, off mutant, trace func(string, ...any)) error {
	s := newSim(seed, historySlots, off)
	if trace != nil {
		s.trace = trace
		if v, err := strconv.Atoi(os.Getenv("SLOT")); err == nil {
			s.watch = v
		}
	}
	return s.play(seed, kind)
}

// play is what happens in a history.
func (s *sim) play(seed uint64, kind int) error {
	s.cramped = traits["cramped"](seed)
	s.together = seed/kinds%togetherEvery == 1
	if seed%pacedEvery == 1 {
		s.pace = rand.New(rand.NewPCG(seed, 78))
	}
	// In partitions, what there was no room to record comes back: see TestOpen.
	s.scant = s.scant || traits["scant"](seed) && (kind < partition || os.Getenv("SCANT") != "")
	if traits["jumping"](seed) {
		s.jumps = rand.New(rand.NewPCG(seed, 79))
	}
	if traits["drifting"](seed) {
		s.drift = rand.New(rand.NewPCG(seed, 80))
	}
	nodes := 2 + s.rng.IntN(3)
	if kind == crossed {
		nodes++ // two sides, and one in between
	}
	for i := range nodes {
		s.start(fmt.Sprint("n", i))
		s.run(time.Duration(s.rng.IntN(300)) * time.Millisecond)
	}
	s.run(8 * time.Second)
	if s.jumps != nil {
		s.jump()
	}
	s.client(8 * time.Millisecond)
	s.run(time.Second)
	s.check.strict = kind != lossy && kind != crossed
	s.check.crashes = kind == crashes || kind == lossy || kind == torn
	if kind == lossy {
		s.loss, s.double = 0.05, 0.05
	}
	s.cold = s.rng.IntN(1 << keysOfSlot) // what nobody writes again must not be lost either
	for range 2 + s.rng.IntN(4) {
		s.upset(kind)
		switch s.rng.IntN(6) { // and another while the first is under way
		case 0, 1:
			s.run(time.Duration(s.rng.IntN(150)) * time.Millisecond)
			s.upset(kind)
		case 2:
			s.untilMoving()
			s.upset(kind)
		}
		s.run(time.Duration(s.rng.IntN(4000)) * time.Millisecond)
	}
	s.run(4 * time.Second)
	if s.side != nil {
		s.heal(kind)
	}
	s.count(kind)
	return s.check.err
}

// untilMoving lets time pass until a slot is half moved, or two seconds.
func (s *sim) untilMoving() {
	for end := s.now + 2*time.Second; s.now < end && s.check.err == nil; s.run(5 * time.Millisecond) {
		for _, name := range s.upNames() {
			for i := range s.nodes[name].m.slots {
				if src := s.nodes[name].m.slots[i].source; src != nil && src.to != nil && len(src.handed) > 0 {
					return
				}
			}
		}
	}
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
	if kind < partition && any.m.self.State == StateServing && s.rng.IntN(8) == 0 { // of two sides that differ in flushes, one is emptied
		any.event(func() { s.flush(any) })
	}
	joins := func() { s.start(fmt.Sprint("n", len(s.nodes))) }
	switch {
	case len(up) < 2, kind == crossed && len(up) < 3, s.rng.IntN(3) == 0:
		joins()
	case kind == planned:
		if any.hasHeir() {
			s.leave(any)
		}
	case kind == crashes, kind == lossy, kind == torn && s.side != nil && s.backed(any) && s.rng.IntN(2) == 0:
		s.lastFault = max(s.lastFault, s.now)
		s.kill(any)
		if s.rng.IntN(2) == 0 {
			name := any.id.Name
			s.after(time.Duration(s.rng.IntN(2000))*time.Millisecond, func() { s.start(name) })
		}
	case kind == freezes && len(up) > 2 && s.well(up) && s.rng.IntN(4) == 0:
		s.lastFault = max(s.lastFault, s.now+8*time.Second)
		s.fade(any)
	case kind == freezes:
		if !any.hasHeir() {
			return // nobody would be left who knows anything: that is a partition
		}
		d := time.Duration(s.rng.IntN(6000)) * time.Millisecond
		// For a while it does not know that it was counted dead.
		s.lastFault = max(s.lastFault, s.now+d+2*time.Second)
		s.freeze(any, d)
		if s.rng.IntN(3) == 0 { // and again, soon after it has come back
			s.after(d, func() { s.freezeAgain(any, s.now+time.Second) })
		}
	case s.side == nil:
		s.cut(up, kind)
	}
}

// cut keeps the nodes of two sides from each other. Of the kind crossed, some nodes are on
// neither, and reach all.
func (s *sim) cut(up []*simNode, kind int) {
	s.side = map[string]int{}
	for i, n := range up {
		s.side[n.id.Name] = 1 + s.rng.IntN(2)
		if i < 2 {
			s.side[n.id.Name] = i + 1
		} else if kind == crossed && (i == 2 || s.rng.IntN(3) == 0) {
			s.side[n.id.Name] = 0
		}
	}
	if kind == crossed && s.rng.IntN(2) == 0 {
		s.apartAtRandom(up)
	}
	s.check.cut(kind)
	s.trace("%v cut %v", s.now, s.side)
}

// apartAtRandom cuts, in place of two sides, links between any two nodes, so that
// everybody still reaches everybody over others.
func (s *sim) apartAtRandom(up []*simNode) {
	clear(s.side)
	s.severed = map[[2]string]bool{}
	for i, n := range up {
		heard := s.rng.IntN(max(i, 1))
		for j, o := range up[:i] {
			if j != heard && s.rng.IntN(3) > 0 {
				s.severed[[2]string{n.id.Name, o.id.Name}] = true
				s.severed[[2]string{o.id.Name, n.id.Name}] = true
			}
		}
	}
}

// freezeAgain freezes a node that has come back, as soon as it has asked for slots.
func (s *sim) freezeAgain(n *simNode, before time.Duration) {
	switch {
	case !n.up || n.leaving || s.now < n.frozen || !n.hasHeir() || s.fading != nil:
	case n.m.taking > 0 || s.now >= before:
		d := silence + time.Duration(s.rng.IntN(3000))*time.Millisecond
		s.lastFault = max(s.lastFault, s.now+d+2*time.Second)
		s.freeze(n, d)
	default:
		s.after(time.Millisecond, func() { s.freezeAgain(n, before) })
	}
}

// well reports whether nodes have nothing to complain of, and are all there are.
func (s *sim) well(up []*simNode) bool {
	for _, n := range up {
		if len(n.m.list) != len(up) || len(n.m.alive)+1 != len(up) || n.m.self.State != StateServing {
			return false
		}
	}
	return true
}

// backed reports whether a node's side has another that is of the cluster, too.
func (s *sim) backed(n *simNode) bool {
	return slices.ContainsFunc(s.upNames(), func(name string) bool {
		o := s.nodes[name]
		return o != n && !s.apart(o, n) && o.m.self.State == StateServing
	})
}

// hasHeir reports whether a node knows of another that will take its slots.
func (n *simNode) hasHeir() bool {
	for _, o := range n.m.alive {
		if other := n.sim.nodes[o.Name]; o.State == StateServing && other.up && !other.leaving && n.sim.now >= other.frozen {
			return true
		}
	}
	return false
}

// heal ends the cut, and waits until the sides have agreed. Then every node must
// give what was written under the highest version on either side.
func (s *sim) heal(kind int) {
	if kind == recut {
		s.trace("%v heal", s.now)
		s.side = nil
		s.run(time.Duration(s.rng.IntN(4000)) * time.Millisecond)
		var up []*simNode
		for _, name := range s.upNames() {
			up = append(up, s.nodes[name])
		}
		s.rng.Shuffle(len(up), func(i, j int) { up[i], up[j] = up[j], up[i] })
		s.cut(up, kind)
		s.run(time.Duration(s.rng.IntN(8000)) * time.Millisecond)
	}
	s.quiet = true
	s.run(time.Second)
	s.trace("%v heal", s.now)
	s.side, s.severed = nil, nil
	s.run(15 * time.Second)
	s.check.healed()
	s.audit()
	s.quiet = false
	s.run(3 * time.Second)
}

// audit reads every key through every node: all must give the same.
func (s *sim) audit() {
	read := map[string][]*clientOp{}
	for _, name := range s.upNames() {
		for _, key := range sortedKeys(s.check.keys) {
			n, op := s.nodes[name], &clientOp{action: actGet, key: key, slot: slotOf(key, s.slots)}
			op.asked = s.check.begin(n, op)
			read[key] = append(read[key], op)
			n.event(func() { n.do(op) })
		}
	}
	s.run(time.Second)
	for _, key := range sortedKeys(read) {
		first := read[key][0]
		for _, op := range read[key] {
			if op.result == resultBusy || op.entry.version != first.entry.version && op.entry.expiry == 0 && first.entry.expiry == 0 {
				s.check.fail("%q through %s gives %+v (result %d), and through %s %+v: %s",
					key, op.asked.node, op.entry, op.result, first.asked.node, first.entry, s.describe(op.slot))
			}
		}
	}
}

// fromEnv gives a number out of the environment.
func fromEnv(name string, otherwise uint64) uint64 {
	if v, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return v
	}
	return otherwise
}

// kindOf gives the kind of a history: KIND, or else what its seed says.
func kindOf(seed uint64) int { return int(fromEnv("KIND", seed%kinds)) }

// TestHistories runs histories, on all cores. HISTORIES says how many, FROM the first
// seed, KIND the only kind, FAILURES after how many faults to stop. Unless KIND is given,
// there are a tenth more, of the kinds recut, torn and crossed.
func TestHistories(t *testing.T) {
	n := fromEnv("HISTORIES", 1000)
	if raceEnabled {
		n = fromEnv("HISTORIES", 50)
	}
	from, step, tolerated := fromEnv("FROM", 0), uint64(1), fromEnv("FAILURES", 1)
	total := n
	switch kind, err := strconv.ParseUint(os.Getenv("KIND"), 10, 64); {
	case err != nil:
		total += n / 10
	case kind < kinds:
		from, step = from/kinds*kinds+kind, kinds
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // what there is at a time is small
	var next, done, failed atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < total && failed.Load() < tolerated; i = next.Add(1) - 1 {
				seed := from + i*step
				kind := kindOf(seed)
				if i >= n {
					seed, kind = from+(i-n)/3, recut+int(i%3)
				}
				if err := history(seed, kind, whole, nil); err != nil {
					t.Errorf("seed %d (kind %d): %v", seed, kind, err)
					failed.Add(1)
				}
				if d := done.Add(1); d%5000 == 0 {
					t.Logf("%d of %d histories", d, total)
				}
			}
		})
	}
	workers.Wait()
}

// A history is a function of its seed: whoever plays one again sees every event, message and
// answer again, at the same time.
func TestHistoriesReplay(t *testing.T) {
	seeds := uint64(5 * kinds)
	if raceEnabled {
		seeds = kinds
	}
	sums := map[uint64]bool{}
	for seed := range seeds {
		for _, kind := range []int{int(seed % kinds), recut + int(seed%3)} {
			play := func() uint64 {
				s := newSim(seed, historySlots, whole)
				s.sum = fnv.New64a()
				if err := s.play(seed, kind); err != nil {
					t.Errorf("seed %d (kind %d): %v", seed, kind, err)
				}
				return s.sum.Sum64()
			}
			first := play()
			if play() != first {
				t.Errorf("seed %d (kind %d) is not the same again", seed, kind)
			}
			sums[first] = true
		}
	}
	if len(sums) != int(2*seeds) {
		t.Errorf("%d histories have %d sums", 2*seeds, len(sums))
	}
}

// TestSeed replays one history, given as SEED, with a trace; without a rule, if OFF is the
// number of its switch.
func TestSeed(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		seed = 1
	}
	if err := history(seed, kindOf(seed), mutant(fromEnv("OFF", 0)), t.Logf); err != nil {
		t.Fatal(err)
	}
}
