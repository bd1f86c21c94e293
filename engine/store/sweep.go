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
	// A step of it is due every sweepTick, or less often, up to sweepRest, while it would
	// be fewer entries than sweepStep: each step wakes an idle process.
	sweepTick = 100 * time.Millisecond
	sweepRest = time.Second
	sweepStep = 4096
	// sweepRound is how long one walk through all entries should take.
	sweepRound = 60 * time.Second
	// sweepMost bounds the entries looked at in one tick, and so the share of a
	// core that sweeping takes (about 3 % at 0.2 µs an entry).
	sweepMost = 16384
	// sweepBatch bounds those looked at in one turn of the writer, and so the time
	// that writes wait for the sweeper.
	sweepBatch = 256
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

// sweepPace gives the time between two steps while there are so many entries, and how
// many of them to look at in each.
func sweepPace(entries int) (pause time.Duration, share int) {
	pause = sweepRest
	if entries > 0 {
		pause = min(max(sweepRound*sweepStep/time.Duration(entries), sweepTick), sweepRest)
	}
	ticks := int(pause / sweepTick)
	return pause, min(entries/int(sweepRound/sweepTick)+sweepBatch, sweepMost) * ticks
}

// sweepUnderPressure is the share of sweeping that falls to one write.
func (w *writer) sweepUnderPressure() {
	looks := min(max(w.sweep.credit, sweepLooks), sweepBurst)
	before := w.counters.expired.Load()
	w.sweepSome(looks)
	earned := int(w.counters.expired.Load()-before) * sweepYield
	w.sweep.credit = min(max(w.sweep.credit-looks, 0)+earned, sweepYield*sweepBurst)
}

// sweepSome looks at n places of the sets. In the writer's turn.
func (w *writer) sweepSome(n int) {
	w.turn = w.clock.Now()
	step := len(w.store.writers)
	// Empty slots cost next to nothing, but are not free.
	for empty := 0; n > 0 && empty < 4096; {
		set := &w.slots[w.sweep.slot]
		if w.sweep.record < len(set.records) {
			w.sweepRecord(uint16(w.sweep.slot), &set.records[w.sweep.record])
			n--
			continue
		}
		empty++
		w.sweep.record = 0
		if w.sweep.slot += step; w.sweep.slot >= proto.Slots {
			w.sweep.slot = w.index
			w.sweep.found, w.sweep.oldest = w.sweep.oldest, 0
			w.sweep.evicted = w.counters.evicted.Load()
		}
	}
}

// sweepRecord looks at the entry of one record, and moves on to the next, or
// stays where another record has taken the place of this one.
func (w *writer) sweepRecord(slot uint16, r *record) {
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
}
