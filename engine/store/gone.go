package store

import (
	"unsafe"

	"github.com/smache/smache/proto"
)

// This file keeps records of keys that went, for the slots that remember
// (Remember): which key, and under which version. As long as there is one, no
// older copy of the key comes in from elsewhere.
//
// A key has an entry or a record, never both. The records of all slots of a
// writer are found in one map; those of one slot are a list.

// gone is one record.
type gone struct {
	version    proto.Version
	key        string // canonical
	prev, next *gone  // of the same slot
}

// goneTable holds the records of one writer. It is used in the writer's turn.
type goneTable struct {
	items        map[string]*gone // by key
	bytes, limit int64            // by goneCost
}

// memory is what a slot remembers. One writer uses it, in its turn. The struct is
// half a cache line.
type memory struct {
	first *gone
	n     uint32
	on    bool
	// floor is the highest version of a key that there was no memory to record:
	// any copy up to it may be of such a key, and is refused. The zero value
	// refuses nothing.
	floor proto.Version
}

// goneCost is what a record takes: itself, its place in the map, which is at most
// half empty, and the key, in the allocator's sizes.
func goneCost(keyLen int) int64 {
	const fixed = int64(unsafe.Sizeof(gone{})) + 56 + 16
	return fixed + int64(keyLen)*5/4
}

// Remember makes a slot keep a record of every key that is deleted, expires or is
// evicted from now on, until it is called with false, which drops the records.
//
// Where Config.RecordBytes are used up, there is no record, but the slot refuses
// from then on all copies from elsewhere that are as old as the key that went, or
// older: the safe side.
func (s *Store) Remember(slot proto.Slot, on bool) {
	w, m := s.writer(slot), &s.memories[slot]
	for left := 1; left > 0; {
		w.exclusive(func() {
			if m.on = on; on {
				left = 0
				return
			}
			m.floor = proto.Version{}
			w.forgetSome(uint16(slot), slotBatch)
			left = int(m.n)
		})
	}
}

// Floor gives the version up to which a slot refuses copies for want of records:
// zero if it has all of them. Floors do not move with the slot: whoever hands it
// on must say, by other means, that what is as old has been overtaken.
func (s *Store) Floor(slot proto.Slot) (floor proto.Version) {
	w, m := s.writer(slot), &s.memories[slot]
	w.exclusive(func() { floor = m.floor })
	return floor
}

// Knows reports whether there is a live entry of key, or a record: nobody else
// needs to be asked about it.
func (s *Store) Knows(slot proto.Slot, key []byte) (known bool) {
	w := s.writer(slot)
	w.exclusive(func() {
		w.turn = w.clock.Now()
		h := s.hash(slot, key)
		known = w.lookup(uint16(slot), key, &h) != nil || w.record(uint16(slot), key) != nil
	})
	return known
}

// remembers reports whether a slot keeps records.
func (w *writer) remembers(slot uint16) bool { return w.memories != nil && w.memories[slot].on }

// remember records that a key went, in a slot that remembers. The key's bytes are
// copied.
func (w *writer) remember(slot uint16, key []byte, version proto.Version) {
	if !w.remembers(slot) {
		return
	}
	if g := w.gone.items[string(key)]; g != nil {
		if g.version.Less(version) {
			g.version = version
		}
		return
	}
	m := &w.memories[slot]
	cost := goneCost(len(key))
	if w.gone.bytes+cost > w.gone.limit {
		w.counters.overflows.Add(1)
		m.raise(version)
		return
	}
	g := &gone{version: version, key: string(key), next: m.first}
	if g.next != nil {
		g.next.prev = g
	}
	m.first = g
	m.n++
	if w.gone.items == nil {
		w.gone.items = map[string]*gone{}
	}
	w.gone.items[g.key] = g
	w.gone.bytes += cost
}

func (m *memory) raise(version proto.Version) {
	if m.floor.Less(version) {
		m.floor = version
	}
}

// record gives the record of a key, or nil.
func (w *writer) record(slot uint16, key []byte) *gone {
	if w.memories == nil || w.memories[slot].n == 0 {
		return nil
	}
	return w.gone.items[string(key)]
}

// forget drops the record of a key, if there is one.
func (w *writer) forget(slot uint16, key []byte) {
	if g := w.record(slot, key); g != nil {
		w.forgetOne(slot, g)
	}
}

func (w *writer) forgetOne(slot uint16, g *gone) {
	m := &w.memories[slot]
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		m.first = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	}
	m.n--
	w.gone.bytes -= goneCost(len(g.key))
	delete(w.gone.items, g.key)
	if len(w.gone.items) == 0 {
		w.gone.items = nil // a map never gives its memory back
	}
}

// forgetSome drops at most limit records of a slot, and returns how many.
func (w *writer) forgetSome(slot uint16, limit int) (n int) {
	if w.memories == nil {
		return 0
	}
	for m := &w.memories[slot]; m.first != nil && n < limit; n++ {
		w.forgetOne(slot, m.first)
	}
	return n
}

// forgetAll drops all records of the writer. Which slots remember stays as it is.
func (w *writer) forgetAll() {
	w.gone.items, w.gone.bytes = nil, 0
	for i := range w.memories {
		if w.store.writer(proto.Slot(i)) == w {
			w.memories[i] = memory{on: w.memories[i].on}
		}
	}
}

// forgetUnknown is for a key that went without a trace: the slot refuses all that
// is not newer than this moment.
func (w *writer) forgetUnknown(slot uint16) {
	if !w.remembers(slot) {
		return
	}
	term := uint32(w.store.roles[slot].Load())
	if term == 0 {
		term = 1<<32 - 1
	}
	w.counters.overflows.Add(1)
	w.memories[slot].raise(proto.Version{Term: term, Clock: w.hlc.last})
}

// expire drops an entry past its time to live.
func (w *writer) expire(slot uint16, h *hash, old *head) {
	w.counters.expired.Add(1)
	w.remember(slot, old.key, old.version)
	w.dropEntry(slot, h, old)
}
