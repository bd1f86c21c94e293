package store

import (
	"github.com/smache/smache/proto"
)

// slotBatch bounds how much of a slot is dealt with in one turn of the writer,
// and so the time that writes wait for it.
const slotBatch = 256

// SlotLen gives the number of entries and records of a slot, expired entries that
// nobody has come by yet included.
func (s *Store) SlotLen(slot proto.Slot) (n int) {
	w := s.writer(slot)
	w.exclusive(func() { n = w.slotLen(slot) })
	return n
}

func (w *writer) slotLen(slot proto.Slot) int {
	n := int(w.slots[slot].n)
	if w.memories != nil {
		n += int(w.memories[slot].n)
	}
	return n
}

// DropSlot removes all entries and records of a slot, and returns how many entries
// they were. It goes in steps: what is written to the slot meanwhile, is removed too.
func (s *Store) DropSlot(slot proto.Slot) (n int) {
	w := s.writer(slot)
	at, left := 0, 1
	for left > 0 {
		w.exclusive(func() {
			var dropped int
			dropped, at = w.dropSome(uint16(slot), at)
			n += dropped
			w.forgetSome(uint16(slot), slotBatch)
			if left = w.slotLen(slot); left == 0 && w.memories != nil {
				w.memories[slot].floor = proto.Version{}
			}
		})
	}
	return n
}

// dropSome removes entries of a slot, from a place of its table on. It returns
// how many they were, and where to go on. Each removal moves records about: so
// the walk goes round the table until none is left.
func (w *writer) dropSome(slot uint16, at int) (n, next int) {
	set := &w.slots[slot]
	for looks := 0; looks < slotBatch && set.n > 0; looks++ {
		if at >= len(set.records) {
			at = 0
		}
		if set.records[at].free() {
			at++
			continue
		}
		h := set.records[at].hash(slot)
		var e head
		if w.readHead(slot, &h, &w.move, &e) {
			w.dropEntry(slot, &h, &e)
		} else {
			w.lose(slot, &h)
		}
		n++
	}
	if set.n == 0 {
		w.indexed -= int64(len(set.records)) * recordSize
		set.records = nil
	}
	return n, at
}

// flush drops everything. In the writer's turn.
func (w *writer) flush() {
	w.cache.Reset()
	for i := range w.buckets {
		w.buckets[i].reset()
	}
	mine := func(i int) bool { return w.store.writer(proto.Slot(i)) == w }
	for i := range w.slots {
		if mine(i) {
			w.slots[i] = slotSet{}
		}
	}
	w.live, w.entries, w.pieces, w.mortal, w.indexed = 0, 0, 0, 0, 0
	w.sweep = sweeper{slot: w.index, evicted: w.counters.evicted.Load()}
	w.forgetAll()
}
