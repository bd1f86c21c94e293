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
)

// walk is what a walk through the active slots has found so far.
type walk struct {
	words                   int // that it has been to
	active, misplaced, left int // slots
	late                    bool
}

// walkOn goes on through the active slots: through all of them, or, where they are
// many, through the part that time asks for.
func (m *Machine) walkOn(passed time.Duration) {
	m.may = min(m.may+passed, takeAhead)
	many, words, from := m.many, len(m.active), m.from
	if many {
		pass := TickEvery * time.Duration(max(m.found, manySlots)) / manySlots
		words = min(max(int(time.Duration(words)*passed/pass), 1), words)
	}
	m.postponed = false
	for i := range words {
		m.walkWord((from + i) % len(m.active))
		if m.walk.words++; m.walk.words == len(m.active) {
			m.walked()
		}
	}
	if many || !m.postponed {
		m.from = (from + words) % len(m.active)
	}
}

func (m *Machine) walkWord(at int) {
	w := &m.walk
	for word := m.active[at]; word != 0; word &= word - 1 {
		n := at*64 + bits.TrailingZeros64(word)
		more, placed := m.tickSlot(Slot(n), &m.slots[n])
		if !more {
			m.active[at] &^= word & -word
		}
		if !placed {
			w.misplaced++
		}
		if src := m.slots[n].source; src != nil && src.to == nil {
			w.left++
		}
	}
	w.active += bits.OnesCount64(m.active[at])
}

// walked ends a walk, and shows what it has found.
func (m *Machine) walked() {
	w := &m.walk
	m.left, m.late = w.left, w.late
	m.many, m.found = w.active > manySlots, w.active
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
