package hold

import (
	"math/bits"
	"time"
)

// This file spreads over time what there is to do for slots: where many change hands,
// a node that did all of it at once would keep requests waiting.

const (
	// stepEvery is how often Tick is to be called while slots wait to be taken, or more
	// than manySlots are active: then each tick sees to a part of them, so that these
	// many are seen to in TickEvery.
	stepEvery = 10 * time.Millisecond
	manySlots = 4096
	// takePace is how many slots with entries a node takes in a second, or all nodes
	// together from one that leaves. Empty ones cost next to nothing: while only such
	// come, the pace grows up to emptyPace.
	takePace  = 3200
	emptyPace = 1 << 16
	// takeAhead bounds the time at that pace that is saved up.
	takeAhead = 30 * time.Millisecond
	// walkPortion is how many slots Tick and Walk see to at a time: a millisecond's work,
	// or some. Where a call gets only so far, as on a machine with much more to do than it
	// can, a portion is all that a turn gives; with 256 of them 32 nodes in one process
	// took twice as long to settle.
	walkPortion = 4096
	// walkPause is how long what is behind with slots leaves to other events in between.
	walkPause = 2 * time.Millisecond
)

// walk is what a walk through the slots has found so far.
type walk struct {
	slots                   int // that it has passed
	active, misplaced, left int
	vacant                  int // slots of this node that nobody is known to hold
	late                    bool
}

// owe notes what time asks for: a round through all slots, or, where many are active, a
// part of one. What was not done yet is never more than a round.
func (m *Machine) owe(passed time.Duration) {
	m.may = min(m.may+passed, takeAhead)
	due := len(m.slots)
	if m.many {
		pass := TickEvery * time.Duration(max(m.found, m.cfg.many)) / time.Duration(m.cfg.many)
		due = max(int(time.Duration(due)*min(passed, pass)/pass), 1)
		m.postponed = false
	} else if m.due == 0 && m.postponed {
		m.postponed, m.from = false, m.first
		m.walk = walk{} // or it would end before it has passed all
	}
	m.due = min(m.due+due, len(m.slots))
}

// Walk does another portion of what the last Tick, or another Walk, has left. So its
// caller can see how long that takes: a node that is late must make up for it, however
// slow it is, but not in one go, or pings wait for that.
func (m *Machine) Walk(now time.Duration) (more bool) {
	m.now = now
	defer m.settleUp()
	return m.walkOn()
}

// walkOn passes slots until a portion of active ones has been seen to.
func (m *Machine) walkOn() (more bool) {
	m.stepped = m.now
	for left := m.cfg.portion; m.due > 0 && left > 0; {
		idle := min(m.idleFrom(m.from), m.due, len(m.slots)-int(m.from), len(m.slots)-m.walk.slots)
		if idle == 0 {
			m.walkSlot(m.from)
			left--
		}
		passed := max(idle, 1)
		m.due -= passed
		m.from = Slot((int(m.from) + passed) % len(m.slots))
		if m.walk.slots += passed; m.walk.slots == len(m.slots) {
			m.walked()
		}
	}
	return m.due > 0
}

// idleFrom gives how many slots from n on are known to have nothing to do.
func (m *Machine) idleFrom(n Slot) int {
	if word := m.active[n/64] >> (n % 64); word != 0 {
		return bits.TrailingZeros64(word)
	}
	return 64 - int(n%64)
}

func (m *Machine) walkSlot(n Slot) {
	w := &m.walk
	more, placed := m.tickSlot(n, &m.slots[n])
	if !more {
		m.active[n/64] &^= 1 << (n % 64)
	} else {
		w.active++
	}
	if !placed {
		w.misplaced++
	}
	s := &m.slots[n]
	if s.source != nil && s.source.to == nil {
		w.left++
	}
	if s.role == roleNone && m.owner(n) == m.me && (s.holder == nil || s.holderTerm == 0 || !s.holder.alive) {
		w.vacant++
	}
}

// walked ends a walk, and shows what it has found.
func (m *Machine) walked() {
	w := &m.walk
	m.left, m.late = w.left, w.late
	if provided := w.vacant == 0 && m.self.State == StateServing; provided != m.provided {
		m.provided, m.early = provided, m.early || !m.covered // all wait to hear that
	}
	m.many, m.found = w.active > m.cfg.many, w.active
	m.busy = w.active > 0 || m.marked
	m.stats.Misplaced.Store(int64(w.misplaced))
	m.marked, m.walk = false, walk{}
}

// takes reports whether one more slot may be taken from its holder now, and counts it.
func (m *Machine) takes(holder *node) bool {
	each := time.Second / time.Duration(m.pace)
	if o := m.member(holder.Name); o != nil && o.State == StateLeaving { // the others take from it as well
		each = min(each*time.Duration(len(m.alive)), takeAhead)
	}
	if m.taking+int(m.stats.Importing.Load()) >= m.cfg.Window || m.may < each {
		return false
	}
	m.may -= each
	m.taking++
	return true
}

// tookOne sets the pace after a slot that was taken: what was empty does not count.
func (m *Machine) tookOne(empty bool) {
	m.taking = max(m.taking-1, 0)
	if !empty {
		m.pace = takePace
		return
	}
	m.may += time.Second / time.Duration(m.pace)
	m.pace = min(m.pace+m.pace/8, emptyPace)
}
