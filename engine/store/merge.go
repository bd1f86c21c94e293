package store

import (
	"time"

	"github.com/smache/smache/proto"
)

// Merge takes in what another node knows of a key: an entry, or a record that it
// went. It works whether the slot is held or not. e.Meta.Remaining is what is left
// now. The statuses:
//
//	StatusOK        taken in; an entry whose time is up, as a record
//	StatusStale     there is an entry or a record as new or newer, the record may
//	                have been lost for want of memory, or the entry is older than
//	                all that memory suffices for: counted each
//	StatusTooLarge  its value or its time to live is above the limit
//	StatusNotHolder the key is not one of the slot
//	StatusInternal  a bug
//
// An entry that is newer than what is here, but cannot be kept, leaves a record,
// as if it had been evicted at once: what is older must not be given instead.
func (s *Store) Merge(slot proto.Slot, e *proto.Entry) proto.Status {
	w := s.writer(slot)
	status := proto.StatusInternal
	w.exclusive(func() { status = w.mergeEntry(slot, e) })
	return status
}

func (w *writer) mergeEntry(slot proto.Slot, e *proto.Entry) proto.Status {
	if proto.SlotOf(e.Key) != slot {
		return proto.StatusNotHolder
	}
	w.turn = w.clock.Now()
	op := &w.scratch
	e.Into(op)
	op.Slot = slot
	h := w.store.hash(slot, e.Key)
	old := w.lookup(uint16(slot), e.Key, &h)
	if e.Gone {
		w.mergeGone(op, &h, old)
	} else {
		w.merge(op, &h, old)
	}
	status := op.Status
	w.scratch.Reset() // nothing of the caller's is kept
	return status
}

// merge stores a copy from elsewhere, if it is newer than what is here.
func (w *writer) merge(op *proto.Op, h *hash, old *head) {
	if !w.isNews(op, h, old) {
		return
	}
	switch {
	case len(op.Value) > w.store.maxValue, op.TTL > proto.MaxTTL && op.TTL != proto.Forever:
		w.counters.mergeLimit.Add(1)
		w.vanish(op, h, old)
		op.Status = proto.StatusTooLarge
	case op.TTL <= 0:
		w.counters.expired.Add(1)
		w.vanish(op, h, old)
	case w.tooOld(op.Age):
		w.counters.mergeAge.Add(1)
		w.vanish(op, h, old)
		op.Status = proto.StatusStale
	default:
		w.counters.merged.Add(1)
		w.set(op, h, old, w.checkOf(op.Value), op.Version, op.ETag)
	}
}

// mergeGone takes in that a key went, if that is news.
func (w *writer) mergeGone(op *proto.Op, h *hash, old *head) {
	if w.isNews(op, h, old) {
		w.vanish(op, h, old)
	}
}

// vanish drops the entry that is there, and records that the key went.
func (w *writer) vanish(op *proto.Op, h *hash, old *head) {
	slot := uint16(op.Slot)
	if old != nil {
		w.dropEntry(slot, h, old)
	}
	w.remember(slot, op.Key, op.Version)
	op.Status = proto.StatusOK
}

// isNews reports whether a copy is above what is known of its key, and sets
// op.Status if not. It takes over the copy's clock.
//
// A clock that is too far ahead is not taken over. The copy comes in all the same
// if later writes are above it by their term, as they are wherever a slot changes
// hands; otherwise it would stand above them, and is refused.
func (w *writer) isNews(op *proto.Op, h *hash, old *head) bool {
	op.Status = proto.StatusStale
	if !w.adopt(op.Version.Clock) {
		if term, _, held := w.store.Serves(op.Slot); held && op.Version.Term >= term {
			return false
		}
	}
	if old != nil {
		if !old.version.Less(op.Version) {
			w.counters.mergeOlder.Add(1)
			old.report(op, w.turn)
			return false
		}
	} else if g := w.record(uint16(op.Slot), op.Key); g != nil {
		if !g.version.Less(op.Version) {
			w.counters.mergeOlder.Add(1)
			return false
		}
	} else if w.memories != nil && !w.memories[op.Slot].floor.Less(op.Version) {
		w.counters.mergeFloor.Add(1)
		return false
	}
	return true
}

// tooOld reports whether an entry of this age would be evicted before any other,
// while entries are being evicted: it would only push out a younger one. Where
// memory is full, and nothing has been evicted since the sweeper's walk began, all
// may still fit.
func (w *writer) tooOld(age time.Duration) bool {
	full := w.live*100 >= w.store.writerArena*(keepPercent-1) || w.entries+w.pieces >= w.store.writerEntries
	if !full || w.counters.evicted.Load() == w.sweep.evicted {
		return false
	}
	oldest := w.sweep.found
	if oldest == 0 {
		oldest = w.sweep.oldest
	}
	return oldest != 0 && (w.turn-int64(age))/1e6 < oldest
}
