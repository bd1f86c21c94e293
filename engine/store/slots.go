package store

import (
	"cmp"
	"slices"
	"time"

	"github.com/smache/smache/proto"
)

// Entry is one entry as it leaves the store for another place: times are
// relative, for clocks differ. Its slices are good until the next entry.
type Entry struct {
	Key       []byte // canonical
	Value     []byte
	Version   proto.Version
	ETag      proto.ETag
	Remaining time.Duration // proto.Forever: does not expire
	Age       time.Duration
}

// Hold makes the store take writes for a slot, under a term above 0. A new store holds
// every slot under term 1. Writes that were queued before are carried out first,
// or refused, if the slot was not held.
func (s *Store) Hold(slot proto.Slot, term uint32) {
	w := s.writer(slot)
	w.exclusive(func() { w.slots[slot].term = term })
}

// Release makes the store refuse writes for a slot, with proto.StatusNotHolder.
// Every write answered before has been applied when it returns, and none is
// applied after. The entries stay, until DropSlot.
func (s *Store) Release(slot proto.Slot) {
	w := s.writer(slot)
	w.exclusive(func() { w.slots[slot].term = 0 })
}

// SlotLen gives the number of entries of a slot, expired ones that nobody has
// come by yet included.
func (s *Store) SlotLen(slot proto.Slot) (n int) {
	w := s.writer(slot)
	w.exclusive(func() { n = int(w.slots[slot].n) })
	return n
}

// DropSlot removes all entries of a slot, and returns how many they were.
func (s *Store) DropSlot(slot proto.Slot) (n int) {
	w := s.writer(slot)
	w.exclusive(func() { n = w.dropSlot(uint16(slot)) })
	return n
}

func (w *writer) dropSlot(slot uint16) (n int) {
	set := &w.slots[slot]
	n = int(set.n)
	// Each drop moves records about, so go round until none is left.
	for set.n > 0 {
		for i := 0; i < len(set.records); i++ {
			h := set.records[i].hash
			if h.isZero() {
				continue
			}
			var e head
			if w.readHead(slot, &h, &w.move, &e) {
				w.dropEntry(slot, &h, &e)
			} else {
				w.lose(slot, &h)
			}
		}
	}
	w.indexed -= int64(len(set.records)) * recordSize
	set.records = nil
	return n
}

// ListSlot visits the live entries of a slot, the youngest first, until visit
// returns false. Writes to the slot's writer wait meanwhile: visit must be quick
// and may not call the store.
func (s *Store) ListSlot(slot proto.Slot, visit func(*Entry) bool) {
	w := s.writer(slot)
	w.exclusive(func() { w.listSlot(slot, visit) })
}

func (w *writer) listSlot(slot proto.Slot, visit func(*Entry) bool) {
	type item struct {
		hash    hash
		version proto.Version
	}
	w.turn = w.clock.Now()
	set := &w.slots[slot]
	items := make([]item, 0, set.n)
	var e head
	for i := range set.records {
		h := set.records[i].hash
		if h.isZero() {
			continue
		}
		if w.readHead(uint16(slot), &h, &w.move, &e) && !e.expired(w.turn) {
			items = append(items, item{h, e.version})
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(b.version.Term, a.version.Term), cmp.Compare(b.version.Clock, a.version.Clock))
	})
	for i := range items {
		if !w.readHead(uint16(slot), &items[i].hash, &w.move, &e) {
			continue
		}
		entry := Entry{
			Key: e.key, Value: e.value, Version: e.version, ETag: e.etag,
			Remaining: e.remaining(w.turn), Age: e.age(w.turn),
		}
		if e.pieces {
			op := proto.Op{Out: w.other[:0]}
			if !w.store.getPieces(w, &items[i].hash, &e, &op) {
				continue
			}
			w.other, entry.Value = op.Out, op.Out
		}
		if !visit(&entry) {
			return
		}
	}
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
			w.slots[i].records, w.slots[i].n = nil, 0
		}
	}
	w.live, w.entries, w.pieces, w.mortal, w.indexed = 0, 0, 0, 0, 0
	w.sweep = sweeper{slot: w.index}
}
