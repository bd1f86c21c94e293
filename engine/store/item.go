package store

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/smache/smache/proto"
)

// This file gives a slot away, key by key.

// SlotKeys lists the keys of a slot: of its live entries, the newest first, then
// of its records, and of entries that have expired. It goes in steps, so that no
// write waits for all of it: a key that comes or changes meanwhile may be missing
// or listed twice. Where only expiry and eviction are at work, as after Release,
// none is missing.
func (s *Store) SlotKeys(slot proto.Slot) []string {
	type item struct {
		key     string
		version proto.Version
	}
	w := s.writer(slot)
	var hashes []hash
	w.exclusive(func() {
		set := &w.slots[slot]
		hashes = make([]hash, 0, set.n)
		for i := range set.records {
			if r := &set.records[i]; !r.free() {
				hashes = append(hashes, r.hash(uint16(slot)))
			}
		}
	})
	items := make([]item, 0, len(hashes))
	var expired []string
	var body []byte
	now := s.clock.Now()
	var a ahead
	for i := range hashes {
		if i%aheadKeys == 0 {
			for j := range hashes[i:min(i+aheadKeys, len(hashes))] {
				a.add(w, &hashes[i+j])
			}
			a.look()
		}
		var e head
		if !w.readHead(uint16(slot), &hashes[i], &body, &e) {
			continue // gone meanwhile, and in the records if there are any
		}
		if e.expired(now) {
			expired = append(expired, string(e.key))
		} else {
			items = append(items, item{string(e.key), e.version})
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(b.version.Term, a.version.Term), cmp.Compare(b.version.Clock, a.version.Clock))
	})
	keys := make([]string, len(items), len(items)+len(expired))
	for i := range items {
		keys[i] = items[i].key
	}
	keys = append(keys, expired...)
	w.exclusive(func() {
		if w.memories != nil {
			for g := w.memories[slot].first; g != nil; g = g.next {
				keys = append(keys, g.key)
			}
		}
	})
	return keys
}

// Item sets e to what is here of a key: its entry, or that it went, if there is a
// record or the entry has expired. It reports whether there is either. The bytes
// that e points to are appended to buf, among others.
func (s *Store) Item(slot proto.Slot, key, buf []byte, e *proto.Entry) (out []byte, found bool) {
	w := s.writer(slot)
	out = buf
	w.exclusive(func() { out, found = w.item(slot, key, buf, e) })
	return out, found
}

func (w *writer) item(slot proto.Slot, key, buf []byte, e *proto.Entry) ([]byte, bool) {
	w.turn = w.clock.Now()
	h := w.store.hash(slot, key)
	start := len(buf)
	out, ok := w.cache.HasGet(buf, h[:])
	var old head
	if !ok || !parseHead(out[start:], w.store.epoch, &old) || !bytes.Equal(old.key, key) {
		g := w.record(uint16(slot), key)
		if g == nil {
			return out[:start], false
		}
		out = append(out[:start], g.key...)
		*e = proto.Entry{Key: out[start:], Gone: true, Meta: proto.Meta{Version: g.version}}
		return out, true
	}
	if old.expired(w.turn) {
		*e = proto.Entry{Key: old.key, Gone: true, Meta: proto.Meta{Version: old.version}}
		return out, true
	}
	*e = proto.Entry{Key: old.key, Value: old.value, Meta: proto.Meta{
		ETag: old.etag, Version: old.version, Remaining: old.remaining(w.turn), Age: old.age(w.turn),
	}}
	if old.pieces {
		op := proto.Op{Slot: slot, Key: key, Out: out}
		if !w.store.getPieces(w, &h, &old, &op) {
			w.store.dropBroken(w, &h, &op)
			return out[:start], false
		}
		end := len(out) // of the head, and so of the key
		out = op.Out
		e.Key, e.Value = out[end-len(key):end], out[end:]
	}
	return out, true
}

// RemoveKey drops the entry or the record of a key, and leaves no trace: it was
// handed on.
func (s *Store) RemoveKey(slot proto.Slot, key []byte) {
	w := s.writer(slot)
	w.exclusive(func() { w.removeKey(slot, key) })
}

// removeKey reports whether there was an entry.
func (w *writer) removeKey(slot proto.Slot, key []byte) bool {
	w.turn = w.clock.Now()
	h := w.store.hash(slot, key)
	old := w.lookup(uint16(slot), key, &h)
	if old != nil {
		w.dropEntry(uint16(slot), &h, old)
	}
	w.forget(uint16(slot), key)
	return old != nil
}
