package store

import (
	"time"

	"github.com/smache/smache/proto"
)

// The sweeper walks through all sets, time and again, and drops what has expired;
// reads and writes never see an expired entry, but its memory and its place in
// the counts go only when the sweeper, a write or the ring comes by. On its way
// it learns the age of the oldest entry.
const (
	// sweepRound is how long one walk through all slots takes. It goes by the clock:
	// each step passes the slots that fell due since the last, whatever is in them.
	sweepRound = 60 * time.Second
	// A step should look at sweepStep places of sets, about a millisecond's work; but
	// one is due after sweepTick at the earliest, and after sweepRest at the latest:
	// each wakes an idle process.
	sweepStep = 2048
	sweepTick = 10 * time.Millisecond
	sweepRest = time.Second
	// sweepMost bounds the places looked at in one step, and so the share of a core that
	// sweeping takes: about a quarter, at 0.7 µs for an entry that stays, and 0.9 for one
	// that goes. A walk takes longer than sweepRound above some 10 million entries for
	// each writer, if all of them expire, or 20 million, if few do.
	sweepMost = 4096
	// sweepBatch bounds those looked at in one turn of the writer, and so the time
	// that writes wait for the sweeper.
	sweepBatch = 256
	// sweepEmpty bounds the slots passed in one turn. Empty ones cost next to nothing,
	// but are not free.
	sweepEmpty = 4096
	// When live bytes are near the limit and some of them may have expired, each
	// write looks at sweepLooks entries, and at up to sweepBurst as long as that
	// pays: one in sweepYield found expired earns the next look.
	sweepLooks = 2
	sweepBurst = 16
	sweepYield = 8
)

// sweeper is the state of the walk.
type sweeper struct {
	slot, record int    // where it goes on
	oldest       int64  // written time of the oldest entry met since it began
	found        int64  // the same of the last full walk; 0 if it met none
	evicted      uint64 // counters.evicted when it began
	credit       int    // looks that the expired entries found lately have earned
}

// sweepOn takes a step of the sweeper's walk, in turns so short that no write waits
// long for them, and gives the time until the next. Clocks are compared on the way.
func (w *writer) sweepOn() (pause time.Duration) {
	slots := int64(proto.Slots / len(w.store.writers))
	each := int64(sweepRound) / slots
	var due int64
	w.exclusive(func() {
		w.hlc.sync(w.clock)
		now := w.clock.Now()
		due = min((now-w.swept)/each, slots)
		w.swept = now - (now-w.swept)%each
	})
	left, passed := sweepMost, int64(0)
	for ; passed < due && left > 0; left -= sweepBatch {
		w.exclusive(func() { passed += int64(w.sweepSome(sweepBatch, int(min(due-passed, sweepEmpty)))) })
	}
	// Slots that sweepMost leaves are no debt: the walk is that much later. The next slots
	// have about as many entries as these.
	pause = time.Duration(passed * each * sweepStep / max(int64(sweepMost-left), 1))
	if pause >= 4*sweepRest {
		// There are few entries: they can be met every few seconds for as little.
		for range sweepStep / sweepBatch {
			w.exclusive(func() { w.sweepSome(sweepBatch, sweepEmpty) })
		}
	}
	return min(max(pause, sweepTick), sweepRest)
}

// sweepUnderPressure is the share of sweeping that falls to one write.
func (w *writer) sweepUnderPressure() {
	looks := min(max(w.sweep.credit, sweepLooks), sweepBurst)
	before := w.counters.expired.Load()
	w.sweepSome(looks, sweepEmpty)
	earned := int(w.counters.expired.Load()-before) * sweepYield
	w.sweep.credit = min(max(w.sweep.credit-looks, 0)+earned, sweepYield*sweepBurst)
}

// sweepSome looks at n places of the sets, or passes as many slots, and returns how
// many it has passed. In the writer's turn.
func (w *writer) sweepSome(n, slots int) (passed int) {
	w.turn = w.clock.Now()
	for n > 0 && passed < slots {
		set := &w.slots[w.sweep.slot]
		if w.sweep.record < len(set.records) {
			w.sweepRecord(uint16(w.sweep.slot), set)
			n--
			continue
		}
		passed++
		w.sweep.record = 0
		if w.sweep.slot += len(w.store.writers); w.sweep.slot >= proto.Slots {
			w.sweep.slot = w.index
			w.sweep.found, w.sweep.oldest = w.sweep.oldest, 0
			w.sweep.evicted = w.counters.evicted.Load()
		}
	}
	return passed
}

// sweepRecord looks at the entry of one record, and moves on to the next, or
// stays where another record has taken the place of this one.
func (w *writer) sweepRecord(slot uint16, set *slotSet) {
	r, places := &set.records[w.sweep.record], len(set.records)
	if r.free() {
		w.sweep.record++
		return
	}
	h := r.hash(slot)
	var e head
	switch {
	case !w.readHead(slot, &h, &w.move, &e):
		w.lose(slot, &h)
	case e.expired(w.turn):
		w.expire(slot, &h, &e)
	default:
		if w.sweep.oldest == 0 || e.written < w.sweep.oldest {
			w.sweep.oldest = e.written
		}
		w.sweep.record++
	}
	if len(set.records) != places {
		// What is left has been put in another order: begin anew. It is half of what was
		// there, so this doubles the looks at most. (Where a write between two turns of one
		// slot makes its set grow, some may be missed, until the next walk.)
		w.sweep.record = 0
	}
}
