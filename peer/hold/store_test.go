package hold

import (
	"slices"
	"time"
)

// This file is the store of a simulated node: what engine/store does, in maps.

// stored is an entry in a simulated store.
type stored struct {
	value   string
	version Version
	expiry  time.Duration // 0: never
	written time.Duration // when it was, wherever that was
	turn    uint64        // its place in the ring of this store
}

// shelf is a slot of a simulated store.
type shelf struct {
	role     role
	term     uint32
	remember bool
	entries  map[string]stored
	records  map[string]Version
	floor    Version // the highest of which there was no room for a record
}

func newShelves(slots int) []shelf {
	out := make([]shelf, slots)
	for i := range out {
		out[i] = shelf{entries: map[string]stored{}, records: map[string]Version{}}
	}
	return out
}

// Hold is Driver's.
func (n *simNode) Hold(slot Slot, term uint32, importing bool) {
	s := &n.data[slot]
	s.role, s.term = roleHolding, term
	if importing {
		s.role = roleImporting
	}
}

// Release is Driver's.
func (n *simNode) Release(slot Slot) { n.data[slot].role = roleNone }

// Remember is Driver's.
func (n *simNode) Remember(slot Slot, on bool) {
	n.data[slot].remember = on
	if !on {
		clear(n.data[slot].records)
		n.data[slot].floor = Version{}
	}
}

// lookup gives an entry that has not expired.
func (n *simNode) lookup(slot Slot, key string) (stored, bool) {
	s := &n.data[slot]
	e, ok := s.entries[key]
	if ok && e.expiry != 0 && n.now() >= e.expiry {
		delete(s.entries, key)
		n.bury(slot, key, e.version)
		return stored{}, false
	}
	return e, ok
}

// makeRoom evicts the entries that were stored first, until e fits.
func (n *simNode) makeRoom(e stored) {
	for oldest := n.oldest(e.written); n.room > 0; {
		count, slot, first := 0, Slot(0), ""
		for i := range n.data {
			for key, e := range n.data[i].entries {
				if count++; first == "" || e.turn < n.data[slot].entries[first].turn {
					slot, first = Slot(i), key
				}
			}
		}
		if count < n.room {
			return
		}
		if oldest {
			n.sim.check.fail("%v evicts %q for %q, which is older than all that is there", n.id, n.data[slot].entries[first].value, e.value)
		}
		n.evict(slot, first, n.data[slot].entries[first].version)
		delete(n.data[slot].entries, first)
	}
}

// evict notes that a key does not fit.
func (n *simNode) evict(slot Slot, key string, v Version) {
	if n.sim.off != forgetEvicted {
		n.bury(slot, key, v)
	}
	n.sim.check.evicted(key, v)
}

// oldest reports whether all room is taken by entries that are younger than one.
func (n *simNode) oldest(written time.Duration) bool {
	count := 0
	for i := range n.data {
		for _, e := range n.data[i].entries {
			if count++; e.written <= written {
				return false
			}
		}
	}
	return n.room > 0 && count >= n.room
}

// put stores an entry.
func (n *simNode) put(slot Slot, key string, e stored) {
	s := &n.data[slot]
	delete(s.records, key)
	delete(s.entries, key)
	n.makeRoom(e)
	n.sim.serial++
	e.turn = n.sim.serial
	s.entries[key] = e
}

// bury records that a key is gone, if records are kept. Where there is no room, what is as
// old is refused, of whatever key.
func (n *simNode) bury(slot Slot, key string, v Version) {
	s := &n.data[slot]
	_, recorded := s.records[key]
	switch {
	case !s.remember || !s.records[key].Less(v):
	case recorded || n.records == 0 || n.recorded() < n.records:
		s.records[key] = v
	case n.sim.off != forgetOverflow:
		if n.sim.check.overflows++; s.floor.Less(v) {
			s.floor = v
		}
		n.sim.check.floored(slot, v.Term)
	}
}

// recorded is how many records there are.
func (n *simNode) recorded() (count int) {
	for i := range n.data {
		count += len(n.data[i].records)
	}
	return count
}

// Knows is Driver's.
func (n *simNode) Knows(slot Slot, key string) bool {
	_, ok := n.lookup(slot, key)
	_, recorded := n.data[slot].records[key]
	return ok || recorded
}

// Keys is Driver's.
func (n *simNode) Keys(slot Slot) []string {
	s := &n.data[slot]
	keys := sortedKeys(s.entries)
	slices.SortStableFunc(keys, func(a, b string) int {
		switch x, y := s.entries[a].version, s.entries[b].version; {
		case y.Less(x):
			return -1
		case x.Less(y):
			return 1
		}
		return 0
	})
	if n.sim.off == recordsStay {
		return keys
	}
	for _, key := range sortedKeys(s.records) {
		if _, ok := s.entries[key]; !ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// Items is Driver's. Here limit counts keys.
func (n *simNode) Items(slot Slot, keys []string, limit int) (items []Entry, took int) {
	for _, key := range keys[:min(len(keys), limit)] {
		if e, ok := n.lookup(slot, key); ok {
			left := Forever
			if e.expiry != 0 {
				left = e.expiry - n.now()
			}
			items = append(items, Entry{
				Key: []byte(key), Value: []byte(e.value),
				Meta: Meta{Version: e.version, Remaining: left, Age: n.now() - e.written},
			})
		} else if v, ok := n.data[slot].records[key]; ok {
			items = append(items, Entry{Key: []byte(key), Meta: Meta{Version: v}, Gone: true})
		}
		took++
	}
	return items, took
}

// Merge is Driver's. It counts in its own way: what is refused is older, unless it was
// evicted for that.
func (n *simNode) Merge(slot Slot, items []Entry) (got Merged) {
	for i := range items {
		if n.arriving != nil && len(n.arriving.items) == len(items) {
			n.sim.check.moved(n.arriving, &n.arriving.items[i], &items[i])
		}
		evictions := n.sim.check.evictions
		applied := n.merge(slot, &items[i])
		switch {
		case items[i].Gone:
		case applied:
			got.Applied++
		case n.sim.check.evictions > evictions:
			got.Aged++
		default:
			got.Older++
		}
	}
	return got
}

func (n *simNode) merge(slot Slot, it *Entry) bool {
	s, key, v := &n.data[slot], string(it.Key), it.Meta.Version
	n.Adopt(v.Clock)
	have, ok := n.lookup(slot, key) // first: if it has expired, that leaves a record
	if ok && !have.version.Less(v) && n.sim.off != lastWins {
		return false
	}
	r, recorded := s.records[key]
	if recorded && !r.Less(v) && n.sim.off != noRecords {
		return false
	}
	if !ok && !recorded && !s.floor.Less(v) {
		return false
	}
	if it.Gone {
		delete(s.entries, key)
		n.bury(slot, key, v)
		return true
	}
	e := stored{value: string(it.Value), version: v, written: n.now() - it.Meta.Age}
	if it.Meta.Remaining != Forever {
		e.expiry = n.now() + it.Meta.Remaining
	}
	delete(s.entries, key)
	if n.oldest(e.written) && n.sim.off != takeOld { // it would push out a younger one
		n.evict(slot, key, v)
		return false
	}
	n.put(slot, key, e)
	return true
}

// Remove is Driver's.
func (n *simNode) Remove(slot Slot, keys []string) (removed int) {
	for _, key := range keys {
		if _, ok := n.data[slot].entries[key]; ok {
			removed++
		}
		delete(n.data[slot].entries, key)
		delete(n.data[slot].records, key)
	}
	return removed
}

// Drop is Driver's.
func (n *simNode) Drop(slot Slot) int {
	dropped := len(n.data[slot].entries)
	clear(n.data[slot].entries)
	clear(n.data[slot].records)
	n.data[slot].floor = Version{}
	return dropped
}

// empty reports whether a slot has neither entries nor records.
func (n *simNode) empty(slot Slot) bool {
	return len(n.data[slot].entries)+len(n.data[slot].records) == 0
}

// Floor is Driver's.
func (n *simNode) Floor(slot Slot) Version { return n.data[slot].floor }

// Clock is Driver's.
func (n *simNode) Clock() uint64 { return n.clock }

// Adopt is Driver's.
func (n *simNode) Adopt(clock uint64) { n.clock = max(n.clock, clock) }

// Flush is Driver's.
func (n *simNode) Flush() {
	for i := range n.data {
		n.Drop(Slot(i))
	}
}

// version gives a write its version.
func (n *simNode) version(slot Slot) Version {
	wall := uint64((n.sim.now + n.skew + 1000*time.Hour).Microseconds())
	if n.clock = max(n.clock+1, wall<<12); n.sim.off == followWall {
		n.clock = wall << 12
	}
	return Version{Term: n.data[slot].term, Clock: n.clock}
}

// carryOut does what an operation says, in one step.
func (n *simNode) carryOut(op *clientOp) {
	s := &n.data[op.slot]
	have, ok := n.lookup(op.slot, op.key)
	op.result = resultOK
	switch op.action {
	case actGet:
		op.entry = have
		if !ok {
			op.result = resultMiss
		}
		return
	case actSetIf:
		if have.version != op.expect {
			op.entry, op.result = have, resultFailed
			return
		}
	case actDelete:
		v := n.version(op.slot)
		delete(s.entries, op.key)
		n.bury(op.slot, op.key, v)
		op.entry = stored{version: v}
		if !ok {
			op.result = resultMiss
		}
		return
	case actSet:
	}
	op.entry = stored{value: op.value, version: n.version(op.slot), written: n.now()}
	if op.ttl != 0 {
		op.entry.expiry = n.now() + op.ttl
	}
	n.put(op.slot, op.key, op.entry)
	n.sim.check.stored(op)
}
