package store

import (
	"github.com/smache/smache/proto"
)

// This file does much in few turns, for the moving of slots: each turn has to be
// waited for, and where many write that takes longer than what is done in it.

// bulkTurn is how much is done in one turn: writes wait for it.
const bulkTurn = 64

// SetRoles changes what this process is to slots, as Hold, Release and Remember
// do, and tells in each what came of it. Term 0 is a release.
func (s *Store) SetRoles(changes []proto.SlotRole) {
	for _, w := range s.writers {
		for i := 0; i < len(changes); {
			w.exclusive(func() {
				for left := bulkTurn; i < len(changes) && left > 0; i++ {
					if c := &changes[i]; s.writer(c.Slot) == w {
						w.setRole(c)
						left--
					}
				}
			})
		}
	}
}

func (w *writer) setRole(c *proto.SlotRole) {
	word := uint64(0)
	if c.Term > 0 {
		if word = uint64(c.Term) | roleHeld; c.Importing {
			word |= roleImporting
		}
	}
	m := &w.memories[c.Slot]
	if c.Forget {
		m.on, m.floor = false, proto.Version{}
		w.forgetSome(uint16(c.Slot), bulkTurn)
	}
	if c.Remember {
		m.on = true
	}
	role := &w.store.roles[c.Slot]
	role.Store(word | (role.Load()&^(roleChange-1) + roleChange))
	if bit := uint64(1) << (c.Slot % 64); word&(roleHeld|roleImporting) == roleHeld {
		w.store.holds[c.Slot/64].Or(bit)
	} else {
		w.store.holds[c.Slot/64].And(^bit)
	}
	c.Clock, c.Records = w.hlc.last, int(m.n)
	c.Len = int(w.slots[c.Slot].n) + c.Records
}

// Items gives what is here of keys of a slot, as Item does: of as many from the
// front as have about limit bytes, but at least of one. took is how many keys that
// are; of keys of which nothing is here there is no item. The items are appended
// to items, their bytes to buf.
func (s *Store) Items(slot proto.Slot, keys []string, limit int, buf []byte, items []proto.Entry) (_ []byte, _ []proto.Entry, took int) {
	w := s.writer(slot)
	used := 0
	for took < len(keys) && (took == 0 || used < limit) {
		w.exclusive(func() {
			for left := bulkTurn; took < len(keys) && left > 0 && (took == 0 || used < limit); left-- {
				var e proto.Entry
				out, found := w.item(slot, []byte(keys[took]), buf, &e)
				took++
				if found {
					buf, items = out, append(items, e)
					used += proto.EntryLen(len(e.Key), len(e.Value))
				}
			}
		})
	}
	return buf, items, took
}

// MergeAll merges entries and records of a slot, as Merge does, and appends a
// status for each. aged is how many of those that are stale are so for their age
// alone: older than all that memory suffices for.
func (s *Store) MergeAll(slot proto.Slot, entries []proto.Entry, statuses []proto.Status) (_ []proto.Status, aged int) {
	w := s.writer(slot)
	for done := 0; done < len(entries); {
		w.exclusive(func() {
			before := w.counters.mergeAge.Load()
			for left := bulkTurn; done < len(entries) && left > 0; left-- {
				statuses = append(statuses, w.mergeEntry(slot, &entries[done]))
				done++
			}
			aged += int(w.counters.mergeAge.Load() - before) // nobody else counts in this turn
		})
	}
	return statuses, aged
}

// RemoveKeys drops what is here of keys of a slot, as RemoveKey does, and returns
// how many entries that were.
func (s *Store) RemoveKeys(slot proto.Slot, keys []string) (n int) {
	w := s.writer(slot)
	for done := 0; done < len(keys); {
		w.exclusive(func() {
			for left := bulkTurn; done < len(keys) && left > 0; left-- {
				if w.removeKey(slot, []byte(keys[done])) {
					n++
				}
				done++
			}
		})
	}
	return n
}
