package store

import (
	"time"

	"github.com/smache/smache/proto"
)

// This file is what a store is to the slots of a cluster: which it holds, and
// until when it may say anything of them. All of it is for Config.Cluster only.
//
// Each slot has a word:
//
//	bits
//	 0–31  the term under which this process holds the slot
//	32     held
//	33     being imported
//	34–63  grows with each change
//
// It is written in the turn of the slot's writer, where all writes look at it.
// Reads take no turn: they look at the word before and after they have read the
// arena, and answer only if it is the same, a seqlock whose writers are Hold and
// Release. So an answer is of a moment at which the slot was held.
const (
	roleHeld      uint64 = 1 << 32
	roleImporting uint64 = 1 << 33
	roleChange    uint64 = 1 << 34
)

// Now gives the store's monotonic time: what ServeUntil takes.
func (s *Store) Now() time.Duration { return time.Duration(s.clock.Now()) }

// ServeUntil sets the lease: from the moment t of Now on, no operation is
// answered out of a slot. Before the first call, none is. proto.Forever ends the
// waiting for it.
func (s *Store) ServeUntil(t time.Duration) { s.lease.Store(int64(t)) }

// Hold makes this process the holder of a slot under a term above 0. While
// importing, only operations with proto.Op.Importing are carried out. Writes that
// were queued before are carried out first, or refused, if the slot was not held.
func (s *Store) Hold(slot proto.Slot, term uint32, importing bool) {
	if term == 0 {
		panic("store: BUG: a slot cannot be held under term 0")
	}
	s.SetRoles([]proto.SlotRole{{Slot: slot, Term: term, Importing: importing}})
}

// Release ends the holding of a slot. Every write answered before has been
// applied when it returns, no write is applied after, and no read that goes on
// gives what it found. The entries stay, until DropSlot.
func (s *Store) Release(slot proto.Slot) { s.SetRoles([]proto.SlotRole{{Slot: slot}}) }

// Serves says whether this process holds a slot, under which term, and whether it
// is still being imported. It is one atomic load, and may be called without
// Config.Cluster too.
func (s *Store) Serves(slot proto.Slot) (term uint32, importing, held bool) {
	if s.roles == nil {
		return 1, false, true
	}
	word := s.roles[slot].Load()
	return uint32(word), word&roleImporting != 0, word&roleHeld != 0
}

// Holds says whether this process holds a slot and does not import it, as of a moment
// ago: for who asks of the slots of many keys, of which each look at Serves would be a
// cache miss. All that it knows is 8 KiB. It is one atomic load.
func (s *Store) Holds(slot proto.Slot) bool {
	return s.holds == nil || s.holds[slot/64].Load()>>(slot%64)&1 != 0
}

// Clock gives the hybrid logical clock of a slot's writer: no version that it has
// given is above it.
func (s *Store) Clock(slot proto.Slot) (clock uint64) {
	w := s.writer(slot)
	w.exclusive(func() { clock = w.hlc.last })
	return clock
}

// Adopt takes over another node's clock: all later writes get versions with
// higher ones. One that is further ahead of the wall clock than clocks can be
// wrong is counted and left alone. What depends on it does so only within a term,
// and a term has one holder.
func (s *Store) Adopt(clock uint64) {
	for _, w := range s.writers {
		w.exclusive(func() {
			w.turn = w.clock.Now()
			w.adopt(clock)
		})
	}
}

// adopt is Adopt for one writer. It reports whether the clock was taken over.
func (w *writer) adopt(clock uint64) bool {
	if clock > w.hlc.bound(w.turn) {
		w.counters.clocks.Add(1)
		return false
	}
	w.hlc.see(clock)
	return true
}

// refusal says why an operation may not be carried out on a slot with this word;
// StatusOK: it may.
func refusal(word uint64, op *proto.Op) proto.Status {
	switch {
	case word&roleHeld == 0:
		return proto.StatusNotHolder
	case word&roleImporting != 0 && !op.Importing:
		return proto.StatusBusy
	}
	return proto.StatusOK
}

// admit gives the term for a write, or 0, having set op.Status. In the writer's
// turn.
func (w *writer) admit(op *proto.Op) (term uint32) {
	word := w.store.roles[op.Slot].Load()
	if op.Status = refusal(word, op); op.Status != proto.StatusOK {
		return 0
	}
	if w.turn >= w.store.lease.Load() {
		op.Status = proto.StatusBusy
		return 0
	}
	return uint32(word)
}

// confirm looks at the lease once more when a write has been decided: whoever
// stood still in between must not answer for it.
func (w *writer) confirm(op *proto.Op) {
	switch op.Status {
	case proto.StatusNotHolder, proto.StatusBusy:
	default:
		if w.clock.Now() >= w.store.lease.Load() {
			op.Status = proto.StatusUnreachable
		}
	}
}

// getHeld is get for slots that change hands.
func (s *Store) getHeld(op *proto.Op) {
	role := &s.roles[op.Slot]
	if op.Status = refusal(role.Load(), op); op.Status != proto.StatusOK {
		op.ETag, op.Version, op.Remaining, op.Age = 0, proto.Version{}, 0, 0
		return
	}
	h := s.hash(op.Slot, op.Key)
	w := s.writer(op.Slot)
	start := len(op.Out)
	for tries := 0; ; tries++ {
		word := role.Load()
		if op.Status = refusal(word, op); op.Status != proto.StatusOK {
			break
		}
		now, ok := s.tryGet(w, &h, op)
		if !ok && tries >= readTries {
			s.getSlow(w, op)
			now, ok = 0, true
		}
		if now == 0 {
			now = s.clock.Now()
		}
		if now >= s.lease.Load() || tries > 2*readTries {
			op.Status = proto.StatusBusy
			break
		}
		if ok && role.Load() == word {
			return
		}
		op.Out = op.Out[:start]
	}
	op.Out, op.ETag, op.Version, op.Remaining, op.Age = op.Out[:start], 0, proto.Version{}, 0, 0
}
