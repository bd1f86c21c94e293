package hold

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A scenario is a history that is written down, for a rule that random ones hardly ever
// need. The checker must find nothing in it, and a broken promise without the rule.
type scenario struct {
	off  mutant
	name string
	seed uint64 // says who weighs what, and so what belongs to whom
	play func(s *sim)
}

var scenarios = []scenario{
	{breakSoon, "breakSoon", 1, cutOffImporter},
	{vouchless, "vouchless", 3, heirThatDied},
	{anyList, "anyList", 1, ownerThatKnowsHalf},
	{aloneAtOnce, "aloneAtOnce", 1, aloneInTurn},
	{forgoFlush, "forgoFlush", 2, flushesAtOnce},
	{sameFlush, "sameFlush", 2, flushesAtOnce},
	{nextTerm, "nextTerm", 0, heldUnheard},
	{letClaimed, "letClaimed", 0, claimInVain},
	{dropGaps, "dropGaps", 0, promisedInVain},
	{holdOn, "holdOn", 0, promisedInVain},
	{holdOn, "holdOn", 0, promisedToAnother},
	{stillRecords, "stillRecords", 0, deletedMeanwhile},
	{joinUntold, "joinUntold", 0, meetsOneThatDies},
	{grantEarly, "grantEarly", 0, takesUnheard},
	{takeUnleased, "takeUnleased", 17, takesInVain},
	{noAdopt, "noAdopt", 10, sameTimeTwice},
	{settleSoon, "settleSoon", 28, leftUnheard},
	{hopeless, "hopeless", 0, backInTurn},
	{keepDisowned, "keepDisowned", 0, voucherThatDies},
	{claimUnleased, "claimUnleased", 0, claimsAsleep},
	{noMargin, "noMargin", 14, slowClock},
	{noStrangers, "noStrangers", 0, linkThatIsLate},
	{doubtOn, "doubtOn", 0, neverVouched},
	{silentOn, "silentOn", 0, neverBack},
	{fadeRecords, "fadeRecords", 0, backInTime},
}

func TestScenarios(t *testing.T) {
	for _, c := range scenarios {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(c.seed, historySlots, whole)
			if c.play(s); s.check.err != nil {
				t.Errorf("with all rules: %v", s.check.err)
			}
			s = newSim(c.seed, historySlots, c.off)
			if c.play(s); s.check.err == nil {
				t.Error("not caught")
			} else {
				t.Logf("caught: %.150v", s.check.err)
			}
		})
	}
}

// ask has a node do something with a key, and gives the operation, which may not be
// answered yet.
func (s *sim) ask(n *simNode, action action, key string) *clientOp {
	op := &clientOp{action: action, key: key, slot: slotOf(key, s.slots)}
	if action == actSet {
		s.serial++
		op.value = fmt.Sprint(key, "#", s.serial)
		s.check.made[op.value] = &made{key: key, at: s.now}
	}
	op.asked = s.check.begin(n, op)
	n.event(func() { n.do(op) })
	return op
}

// until lets time pass until something is so, at most ten seconds.
func (s *sim) until(so func() bool) {
	for end := s.now + 10*time.Second; !so(); s.run(time.Millisecond) {
		if s.check.err != nil {
			return
		}
		if s.now > end {
			s.check.fail("the scenario does not come about")
		}
	}
}

// An importer is cut off from its source, then from the rest, who have told it by then
// that they hear the source, but that was lost. It serves until its lease ends: what its
// source has it must not change meanwhile, for that takes the slot back, with them.
func cutOffImporter(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	s.all(s.nodes["n1"], actSet)
	importer := s.start("n2")
	s.lose = func(_, to *simNode, msg *Message) bool {
		return to == importer && (msg.Kind == MsgBatch || msg.Kind == MsgHeard)
	}
	var source *simNode
	key := ""
	s.until(func() bool {
		for i := range importer.m.slots {
			for _, im := range importer.m.slots[i].imports {
				source, key = s.nodes[im.from.Name], fmt.Sprintf("%c0", 'a'+i)
			}
		}
		return source != nil
	})
	s.fading, s.dark = importer, map[*simNode]bool{source: true}
	s.run(silence - 400*time.Millisecond)
	s.dark = map[*simNode]bool{s.nodes["n0"]: true, s.nodes["n1"]: true}
	s.run(time.Second)
	s.ask(importer, actSet, key)
	s.run(4 * time.Second)
	s.ask(source, actGet, key)
	s.run(time.Second)
}

// keysOf gives a key of each slot.
func (s *sim) keysOf() (keys []string) {
	for i := range s.slots {
		keys = append(keys, fmt.Sprintf("%c0", 'a'+i))
	}
	return keys
}

// all has a node do something with a key of each slot, and waits for the answers.
func (s *sim) all(n *simNode, action action) {
	for _, key := range s.keysOf() {
		s.ask(n, action, key)
	}
	s.run(time.Second)
}

// A node stands still, its heir changes what it held, and dies. One that has just joined
// knows nothing of that: what the first one has when it returns is overtaken all the same.
func heirThatDied(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	first, heir := s.nodes["n0"], s.nodes["n1"]
	if heir.m.stats.Held.Load() > first.m.stats.Held.Load() {
		first, heir = heir, first
	}
	s.all(first, actSet)
	s.freeze(first, 14*time.Second)
	s.run(6 * time.Second)
	s.all(heir, actSet)
	other := s.start("n2")
	s.run(3 * time.Second)
	s.kill(heir)
	s.run(12 * time.Second)
	s.all(other, actGet)
}

// A node is cut off from the holder of a slot that belongs to it before it could take that,
// and counts it dead. Who hears both must not agree that it claims the slot.
func ownerThatKnowsHalf(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	s.all(s.nodes["n0"], actSet)
	s.lose = func(_, _ *simNode, msg *Message) bool { return msg.Kind == MsgTake }
	owner := s.start("n2")
	s.until(func() bool { return owner.m.self.State == StateServing })
	s.severed = map[[2]string]bool{{"n1", "n2"}: true, {"n2", "n1"}: true}
	s.lose = func(from, to *simNode, msg *Message) bool {
		return to == owner && msg.Kind == MsgHeard || from == owner && msg.Kind == MsgMembers
	}
	s.run(4 * time.Second)
	s.all(owner, actGet)
}

// Two nodes stand still, one after the other. The second does not hear at once, when it goes
// on, that the first has what it held, and counts it dead; it must wait for that.
func aloneInTurn(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	first, second := s.nodes["n0"], s.nodes["n1"]
	if first.m.stats.Held.Load() > second.m.stats.Held.Load() {
		first, second = second, first
	}
	s.all(second, actSet)
	var keys []string
	for i, key := range s.keysOf() {
		if second.m.slots[i].role == roleHolding {
			keys = append(keys, key)
		}
	}
	s.freeze(first, 6*time.Second)
	s.run(5 * time.Second)
	s.freeze(second, 8*time.Second)
	s.lose = func(_, _ *simNode, _ *Message) bool { return true } // until a moment after
	s.run(7 * time.Second)
	for _, key := range keys {
		s.ask(first, actSet, key)
	}
	s.run(time.Second)
	for range 20 {
		for _, key := range keys {
			s.ask(second, actGet, key)
		}
		s.run(10 * time.Millisecond)
	}
	s.lose = nil
	s.run(3 * time.Second)
}

// A node begins a flush, and has not heard of another under a higher number, after which
// more was written. That goes as well.
func flushesAtOnce(s *sim) {
	for i := range 3 {
		s.start(fmt.Sprint("n", i))
	}
	s.run(8 * time.Second)
	last, other, writer := s.nodes["n0"], s.nodes["n1"], s.nodes["n2"]
	s.severed = map[[2]string]bool{{"n0", "n1"}: true, {"n1", "n0"}: true}
	s.lose = func(_, to *simNode, _ *Message) bool { return to == last }
	s.flush(other)
	s.run(50 * time.Millisecond)
	s.all(writer, actSet)
	s.severed, s.lose = nil, nil
	s.flush(last)
	s.run(time.Second)
	s.all(writer, actGet)
}

// A node gets slots of one that leaves, under a term of which the third does not hear, and
// stands still. What the third writes instead must be later than what was written there.
func heldUnheard(s *sim) {
	for i := range 3 {
		s.start(fmt.Sprint("n", i))
	}
	s.run(8 * time.Second)
	taker, third, leaver := s.nodes["n0"], s.nodes["n1"], s.nodes["n2"]
	var keys []string
	for i, key := range s.keysOf() {
		if leaver.m.slots[i].role == roleHolding {
			keys = append(keys, key)
		}
	}
	s.lose = func(_, to *simNode, _ *Message) bool { return to == third }
	s.leave(leaver)
	s.run(600 * time.Millisecond)
	s.kill(leaver)
	s.run(300 * time.Millisecond)
	for _, key := range keys {
		if taker.m.slots[slotOf(key, s.slots)].role != roleNone {
			s.ask(taker, actSet, key)
		}
	}
	s.run(300 * time.Millisecond)
	s.freeze(taker, 8*time.Second)
	s.lose = nil
	s.run(6 * time.Second)
	s.all(third, actSet)
	s.run(6 * time.Second)
	s.all(third, actGet)
}

// A slot is on its way when it comes to belong to a third node, then to a fourth. That one
// asks the third, which knows of no holder, and claims the slot. The importer does not agree;
// but if its source did, it would give the rest to nobody.
func claimInVain(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	s.all(s.nodes["n0"], actSet)
	importer := s.start("n2")
	s.lose = func(_, to *simNode, msg *Message) bool { return to == importer && msg.Kind == MsgBatch }
	s.until(func() bool { return importer.m.stats.Importing.Load() > 0 && importer.m.taking == 0 })
	for _, name := range []string{"n3", "n6"} { // by seed 0 a slot is the importer's, then one's, then the other's
		n := s.start(name)
		s.until(func() bool { return n.m.self.State == StateServing })
		s.run(300 * time.Millisecond)
	}
	s.all(importer, actGet)
}

// The sides of a partition come together, and a node claims slots, which others agree to.
// Then they do not hear it any more, and hold these slots themselves. They cannot know that
// nobody has held them in between, until it is back to say so: then what was written before
// must reach what was written after that.
func promisedInVain(s *sim) {
	for i := range 3 {
		s.start(fmt.Sprint("n", i))
	}
	s.run(8 * time.Second)
	first, second, claimer := s.nodes["n0"], s.nodes["n1"], s.nodes["n2"]
	s.side = map[string]int{"n0": 1, "n1": 1, "n2": 2}
	s.check.cut(recut)
	s.run(6 * time.Second)
	s.all(first, actSet)
	s.side = nil
	deafen := s.claimsInVain(claimer)
	var claimed []int
	s.until(func() bool {
		for i := range claimer.m.slots {
			if c := claimer.m.slots[i].claim; c != nil && first.m.slots[i].term == c.term && second.m.slots[i].term == c.term {
				claimed = append(claimed, i)
			}
		}
		return len(claimed) > 0
	})
	deafen()
	s.until(func() bool {
		return !slices.ContainsFunc(claimed, func(i int) bool {
			return first.m.slots[i].role == roleNone && second.m.slots[i].role == roleNone
		})
	})
	s.lose = nil
	s.run(15 * time.Second)
	s.check.healed()
	s.all(first, actGet)
}

// claimsInVain has what others agree to not reach a node. From when deafen is called it goes on
// to hear them, but they count it dead, and it does not hear of that.
func (s *sim) claimsInVain(claimer *simNode) (deafen func()) {
	lost, deaf := map[Kind]bool{MsgClaimOK: true}, false
	s.lose = func(from, to *simNode, msg *Message) bool {
		return to == claimer && lost[msg.Kind] || from == claimer && deaf && msg.Kind == MsgPong
	}
	return func() { deaf, lost[MsgMembers] = true, true }
}

// The same, but whom the slot belongs to was cut off alone, with what it has: when it is back
// it claims the slot, and is the holder by the time that the one who claimed it in vain can be
// asked.
func promisedToAnother(s *sim) {
	owner, _ := s.promiseToAnother()
	s.lose = nil
	s.run(15 * time.Second)
	s.check.healed()
	s.all(owner, actGet)
}

// promiseToAnother goes as far as that the owner holds the slot, and the claimer is not back.
func (s *sim) promiseToAnother() (owner *simNode, at int) {
	for i := range 4 {
		s.start(fmt.Sprint("n", i))
	}
	s.run(8 * time.Second)
	owner, claimer, leaver, agrees := s.inTurn()
	s.side = map[string]int{owner.id.Name: 1, claimer.id.Name: 2, leaver.id.Name: 2, agrees.id.Name: 2}
	deafen := s.claimsInVain(claimer)
	s.check.cut(recut)
	s.run(6 * time.Second)
	s.all(owner, actSet)
	s.leave(leaver) // from then on terms are above those of the other side
	s.until(func() bool { return !leaver.up })
	s.run(time.Second)
	at = -1
	term := uint32(0)
	s.until(func() bool {
		for i := range claimer.m.slots {
			c := claimer.m.slots[i].claim
			if c != nil && agrees.m.slots[i].term == c.term && c.term > owner.m.slots[i].term && owner.m.slots[i].role == roleHolding {
				at, term = i, c.term
			}
		}
		return at >= 0
	})
	deafen()
	s.side = nil
	s.until(func() bool { return owner.m.slots[at].role == roleHolding && owner.m.slots[at].holderTerm > term })
	return owner, at
}

// inTurn gives four nodes such that a slot belongs to the first; without that to the second,
// whether or not the third is there.
func (s *sim) inTurn() (first, second, third, fourth *simNode) {
	by := func(slot int, without ...string) string {
		rest := slices.DeleteFunc(slices.Clone(s.nodes["n0"].m.list), func(o Member) bool { return slices.Contains(without, o.Name) })
		return rest[place(rest)(Slot(slot))].Name
	}
	for i := range s.slots {
		a := by(i)
		for _, c := range s.names() {
			b := by(i, a)
			if c == a || c == b || by(i, a, c) != b {
				continue
			}
			for _, d := range s.names() {
				if d != a && d != b && d != c {
					return s.nodes[a], s.nodes[b], s.nodes[c], s.nodes[d]
				}
			}
		}
	}
	panic("no such slot")
}

// A node has met another, which dies before it could say who else there is. The new one must
// not take that for a cluster of its own.
func meetsOneThatDies(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	met, other := s.nodes["n0"], s.nodes["n1"]
	s.all(met, actSet)
	s.lose = func(from, to *simNode, msg *Message) bool {
		return to.id.Name == "n2" && (from == other || msg.Kind == MsgMembers)
	}
	joiner := s.start("n2")
	s.until(func() bool { return joiner.m.peers["n0"] != nil && joiner.m.now < joiner.m.lease })
	s.run(200 * time.Millisecond)
	s.kill(met)
	s.run(time.Second)
	s.all(joiner, actGet)
	s.lose = nil
	s.run(3 * time.Second)
	s.all(joiner, actGet)
}

// A node joins, and wants slots of one that dies, before the third has heard of it. That one
// knows of nobody to ask, and claims them all: the new node must not have got any.
func takesUnheard(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	holder, third := s.nodes["n0"], s.nodes["n1"]
	s.lose = func(from, to *simNode, msg *Message) bool {
		return to == third && (from != holder || msg.Kind == MsgMembers)
	}
	joiner := s.start("n2")
	s.until(func() bool { return joiner.m.self.State == StateServing })
	s.run(400 * time.Millisecond)
	s.all(joiner, actSet)
	s.kill(holder)
	s.run(300 * time.Millisecond)
	s.all(third, actGet)
	s.lose = nil
	s.run(3 * time.Second)
	s.all(third, actGet)
}

// A node stands still, and a key that it has is deleted where its slots went. That one stands
// still as well, for longer than records are kept, and the first returns meanwhile: what it is
// left with must find the record.
func deletedMeanwhile(s *sim) {
	for i := range 3 {
		s.start(fmt.Sprint("n", i))
	}
	s.run(8 * time.Second)
	first := s.nodes["n0"]
	for _, name := range s.names() {
		if n := s.nodes[name]; n.m.stats.Held.Load() > first.m.stats.Held.Load() {
			first = n
		}
	}
	s.all(first, actSet)
	at := slices.IndexFunc(first.m.slots, func(st slot) bool { return st.role == roleHolding })
	s.freeze(first, 6*time.Second)
	var heir *simNode
	s.until(func() bool {
		for _, name := range s.names() {
			if n := s.nodes[name]; n != first && n.m.slots[at].role == roleHolding {
				heir = n
			}
		}
		return heir != nil
	})
	s.ask(heir, actDelete, s.keysOf()[at])
	s.until(func() bool { return heir.m.member(first.id.Name).Incarnation > first.id.Incarnation })
	s.freeze(heir, 7*time.Second)
	s.run(20 * time.Second)
	s.all(first, actGet)
}

// What a node that has joined asks is not answered, though it arrives. When its lease has
// ended it leaves with the others what it has not taken by then: they serve it.
func takesInVain(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	s.check.strict = true
	joiner := s.start("n2")
	s.until(func() bool { return joiner.m.self.State == StateServing })
	leased := true
	s.lose = func(from, to *simNode, msg *Message) bool {
		return to == joiner && msg.Kind == MsgPong || from == joiner && msg.Kind == MsgTake && leased
	}
	s.until(func() bool { return s.now >= joiner.m.lease })
	leased = false
	s.run(60 * time.Millisecond)
	for _, key := range s.keysOf() {
		s.ask(s.nodes["n0"], actSet, key)
	}
	s.run(opTime + 15*time.Millisecond)
	s.lose = nil
	s.run(3 * time.Second)
	s.all(joiner, actGet)
}

// Keys are deleted, and their slots go to a node whose wall clock is behind. What is written
// there, when that clock shows what the other's did, gets another ETag.
func sameTimeTwice(s *sim) {
	holder := s.start("n0")
	s.run(8 * time.Second)
	at := map[string]time.Duration{}
	for _, key := range s.keysOf() {
		at[key] = s.now
		s.ask(holder, actSet, key)
		s.run(time.Millisecond)
	}
	s.all(holder, actDelete)
	taker := s.start("n1")
	s.until(func() bool { return taker.m.stats.Taken.Load() > 0 && taker.m.stats.Misplaced.Load() == 0 })
	for _, key := range s.keysOf() {
		if taker.m.slots[slotOf(key, s.slots)].role == roleHolding {
			s.run(at[key] + holder.skew - taker.skew - s.now)
			s.ask(taker, actSet, key)
		}
	}
	s.run(time.Second)
}

// A node stands still, and keys that it has are deleted meanwhile. It is back when another
// joins, which takes the slots before it hears that the first is left with something. What
// was deleted must find the records that have come along.
func leftUnheard(s *sim) {
	for i := range 3 {
		s.start(fmt.Sprint("n", i))
	}
	s.run(8 * time.Second)
	first, heir := s.nodes["n2"], s.nodes["n1"]
	s.all(heir, actSet)
	s.freeze(first, 8*time.Second)
	s.run(6 * time.Second)
	s.all(heir, actDelete)
	var joiner *simNode
	s.lose = func(from, to *simNode, msg *Message) bool {
		return from == first && (msg.Kind == MsgTake || msg.Kind == MsgOffer || to == joiner && msg.Kind == MsgPing)
	}
	s.until(func() bool { return heir.m.member(first.id.Name).Incarnation > first.id.Incarnation })
	joiner = s.start("n3")
	s.run(2 * time.Second)
	s.lose = nil
	s.run(3 * time.Second)
	s.all(joiner, actGet)
}

// The sides of a partition come together. One node hears at once that it was counted dead, and
// one of its side two seconds later. What the first holds can be vouched for then; until then there
// is hardly room to set it aside.
func backInTurn(s *sim) {
	s.aside = 1
	for i := range 3 {
		s.start(fmt.Sprint("n", i))
	}
	s.run(8 * time.Second)
	first, second := s.nodes["n2"], s.nodes["n1"]
	s.side = map[string]int{"n0": 2, "n1": 1, "n2": 1}
	s.check.cut(recut)
	s.run(6 * time.Second)
	s.all(first, actSet)
	s.lose = func(_, to *simNode, msg *Message) bool { return to == second && msg.Kind == MsgMembers }
	s.side = nil
	s.until(func() bool { return first.m.back > 0 })
	s.run(grace - 400*time.Millisecond) // longer than a claim has to wait
	s.lose = nil
	s.run(15 * time.Second)
	s.check.healed()
	s.all(first, actGet)
}

// A node stands still, and who got its slots dies when it is back. Nobody can vouch for what it
// is left with any more: it does not wait for that, for a second later all must be served.
func voucherThatDies(s *sim) {
	for i := range 3 {
		s.start(fmt.Sprint("n", i))
	}
	s.run(8 * time.Second)
	s.check.strict = true
	first, heir, third := s.nodes["n2"], s.nodes["n1"], s.nodes["n0"]
	s.freeze(first, 6*time.Second)
	s.run(5 * time.Second)
	s.lose = func(from, _ *simNode, msg *Message) bool { return from == first && msg.Kind == MsgTake }
	s.until(func() bool { return first.m.back > 0 })
	s.kill(heir)
	s.lose = nil
	s.run(time.Second)
	clear(s.check.busyUntil)
	clear(s.check.busyNode)
	s.all(third, actSet)
}

// The owner of a slot holds it, and has set aside what a promise parts from that. It stands still
// before it hears that the one who was promised the slot is back. Another gets the slot, changes
// it, and dies. When the first goes on, it hears of terms, and not that it was counted dead. If it
// claimed what it holds under a new one, it would seem to have held the slot all along.
func claimsAsleep(s *sim) {
	owner, at := s.promiseToAnother()
	s.run(30 * time.Millisecond)
	s.check.healed()
	key := s.keysOf()[at]
	s.ask(owner, actSet, key)
	s.freeze(owner, 16*time.Second)
	var heir *simNode
	s.lose = func(from, to *simNode, _ *Message) bool {
		o := from.m.member(owner.id.Name)
		return to == owner && (from == heir || o != nil && !o.Alive())
	}
	s.run(8 * time.Second)
	heir = s.start("n4")
	s.until(func() bool { return heir.m.slots[at].role == roleHolding })
	s.ask(heir, actSet, key)
	s.run(time.Second)
	s.kill(heir)
	s.run(time.Second)
	heir = s.start("n4")
	s.run(owner.frozen - s.now + 5*time.Millisecond)
	for i, other := range s.keysOf() {
		if i != at {
			s.ask(owner, actSet, other) // and learns who holds what, under which term
		}
	}
	s.run(20 * time.Millisecond)
	s.start("n5").m.Met(s.now, owner.id) // its list is another, so that it claims anew
	s.run(200 * time.Millisecond)
	s.lose = nil
	s.run(4 * time.Second)
	s.ask(heir, actGet, key)
	s.run(time.Second)
}

// A node whose clock runs slow is heard no more, and hears the others until they count it dead.
// They, whose clocks run fast, must not hold what it has before its lease is over.
func slowClock(s *sim) {
	s.start("n0").drift = -maxDrift
	s.start("n1").drift = maxDrift
	s.run(8 * time.Second)
	slow, fast := s.nodes["n0"], s.nodes["n1"]
	s.all(slow, actSet)
	at := slices.IndexFunc(slow.m.slots, func(st slot) bool { return st.role == roleHolding })
	key := s.keysOf()[at]
	s.lose = func(from, to *simNode, msg *Message) bool {
		return from == slow && msg.Kind == MsgPong || to == slow && msg.Kind == MsgMembers
	}
	s.until(func() bool { return fast.m.slots[at].role == roleHolding })
	s.ask(fast, actSet, key)
	for range 100 {
		s.ask(slow, actGet, key)
		s.run(time.Millisecond)
	}
	s.lose = nil
	s.run(3 * time.Second)
	s.all(slow, actGet)
}

// A node joins, and has a link to one of two others long before that to the second. Both count
// each other alive until then, though they have never spoken: nobody has to come back.
func linkThatIsLate(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	s.check.strict = true
	s.start("n2")
	s.severed = map[[2]string]bool{{"n0", "n2"}: true, {"n2", "n0"}: true}
	s.lose = func(_, _ *simNode, msg *Message) bool { return msg.Kind == MsgHeard }
	for range 5 {
		s.all(s.nodes["n1"], actSet)
	}
	s.severed, s.lose = nil, nil
	for range 3 {
		s.all(s.nodes["n1"], actGet)
	}
}

// A node stands still, and two join meanwhile. One of them gets a slot of the first; the other
// stands still for good, and cannot say to the first, which is back, that it has held none. Nobody
// vouches for what the first is left with: it lets it go some time.
func neverVouched(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	first := s.nodes["n0"]
	s.all(first, actSet)
	s.freeze(first, 10*time.Second)
	s.run(5 * time.Second)
	s.start("n2")
	other := s.start("n3")
	s.lose = func(from, to *simNode, _ *Message) bool { return from == other && to == first }
	s.run(4 * time.Second)
	s.freeze(other, time.Hour)
	s.until(func() bool { return first.m.back > 0 })
	s.run(healTime - time.Second)
	if first.m.before == nil {
		s.check.fail("the scenario does not come about")
	}
	s.run(time.Minute)
	if first.m.before != nil {
		s.check.fail("%v is still in doubt: %s", first.id, s.describe(0))
	}
}

// A node stands still for good. The others take note of that, and forget it.
func neverBack(s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	s.freeze(s.nodes["n0"], time.Hour)
	for _, want := range []State{StateSilent, StateGone} {
		s.run(healTime - time.Minute)
		if o := s.nodes["n1"].m.member("n0"); o == nil || o.State != want {
			s.check.fail("n0 is %+v, and ought to be %d", o, want)
		}
		s.run(2 * time.Minute)
	}
	if o := s.nodes["n1"].m.member("n0"); o != nil {
		s.check.fail("n0 is %+v, and ought to be forgotten", o)
	}
}

// A node stands still for almost as long as records are kept for it. What was deleted meanwhile
// must not come back with it.
func backInTime(s *sim) { s.backAfter(healTime - time.Minute) }

// backAfter has the node that holds most stand still, and others delete what it has.
func (s *sim) backAfter(d time.Duration) {
	for i := range 3 {
		s.start(fmt.Sprint("n", i))
	}
	s.run(8 * time.Second)
	first, other := s.nodes["n0"], s.nodes["n1"]
	if other.m.stats.Held.Load() > first.m.stats.Held.Load() {
		first, other = other, first
	}
	s.all(first, actSet)
	s.freeze(first, d)
	s.run(8 * time.Second)
	s.all(other, actDelete)
	s.run(first.frozen - s.now + 15*time.Second)
	s.all(other, actGet)
}

// What docs/CLUSTER.md says is open is found: whoever closes it hears of that.
func TestOpen(t *testing.T) {
	t.Run("back late", func(t *testing.T) {
		s := newSim(0, historySlots, whole)
		if s.backAfter(healTime + time.Minute); s.check.err == nil {
			t.Error("what was deleted does not come back")
		}
	})
	t.Run("no room for records in a partition", func(t *testing.T) {
		for n := range uint64(100) {
			s := newSim(n, historySlots, whole)
			s.scant = true
			if err := s.play(n, partition); err != nil {
				t.Logf("after %d histories: %.150v", n+1, err)
				return
			}
		}
		t.Error("nothing comes back")
	})
}
