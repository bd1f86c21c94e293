package store

import (
	"bytes"
	"slices"

	"github.com/smache/smache/proto"
)

// readTries is how often a read looks for the pieces of a value that writes keep
// replacing under its hands, before it asks the writer for a moment of quiet.
const readTries = 4

// get carries out an OpGet, straight from the arena: it appends to op.Out, takes
// no turn and allocates nothing but what Out needs to grow. Any goroutine.
func (s *Store) get(op *proto.Op) {
	if s.roles != nil {
		s.getHeld(op)
		return
	}
	h := s.hash(op.Slot, op.Key)
	w := s.writer(op.Slot)
	for range readTries {
		if _, ok := s.tryGet(w, &h, op); ok {
			return
		}
	}
	s.getInTurn(w, h, op)
}

// getInTurn reads in the writer's turn. It is a function of its own because what
// it hands over lies on the heap, and h of most reads must not.
func (s *Store) getInTurn(w *writer, h hash, op *proto.Op) {
	s.getSlow(w, op)
}

// getSlow reads in the writer's turn. It is a function of its own because the
// hash, which its closure takes along, is put on the heap here.
func (s *Store) getSlow(w *writer, op *proto.Op) {
	h := s.hash(op.Slot, op.Key)
	w.exclusive(func() {
		if _, ok := s.tryGet(w, &h, op); !ok {
			s.dropBroken(w, &h, op)
		}
	})
}

// tryGet is one attempt to read. It returns false when the head names pieces
// that are not there: they are being replaced, or the entry is broken. now is the
// time after all was read, or 0: nobody has looked since.
func (s *Store) tryGet(w *writer, h *hash, op *proto.Op) (now int64, ok bool) {
	start := len(op.Out)
	out, ok := w.cache.HasGet(op.Out, h[:])
	op.Status, op.Out = proto.StatusMiss, out[:start]
	var e head
	if !ok || !parseHead(out[start:], s.epoch, &e) || !bytes.Equal(e.key, op.Key) {
		return 0, true
	}
	now = s.clock.Now()
	if e.expired(now) {
		return now, true
	}
	if op.IfMatch.Set && !op.IfMatch.Has(e.etag) {
		op.Status, op.ETag = proto.StatusPrecondition, e.etag
		return now, true
	}
	e.report(op, now)
	if op.Limit > 0 && e.length > op.Limit {
		op.Status = proto.StatusTooLarge
		return now, true
	}
	if op.IfNoneMatch.Set && op.IfNoneMatch.Has(e.etag) {
		op.Status = proto.StatusNotModified
		return now, true
	}
	op.Status = proto.StatusOK
	if e.pieces {
		return 0, s.getPieces(w, h, &e, op)
	}
	copy(out[start:], e.value)
	op.Out = out[:start+len(e.value)]
	return now, true
}

// getPieces appends a value that is in pieces. The head lies behind op.Out.
func (s *Store) getPieces(w *writer, h *hash, e *head, op *proto.Op) bool {
	var copied [maxPieces]byte
	salts := copied[:copy(copied[:], e.salts)]
	start := len(op.Out)
	out := slices.Grow(op.Out, e.length)
	for index, salt := range salts {
		key := pieceKey(h, e.pieceID, index, salt)
		var ok bool
		if out, ok = w.cache.HasGet(out, key[:]); !ok {
			op.Status, op.Out = proto.StatusMiss, out[:start]
			return false
		}
	}
	if len(out)-start != e.length {
		op.Status, op.Out = proto.StatusMiss, out[:start]
		return false
	}
	op.Out = out
	return true
}

// dropBroken removes an entry whose pieces cannot be found even in the writer's
// turn. Only a collision of 64-bit hashes in fastcache can break one.
func (s *Store) dropBroken(w *writer, h *hash, op *proto.Op) {
	w.turn = s.clock.Now()
	if old := w.lookup(uint16(op.Slot), op.Key, h); old != nil {
		w.counters.lost.Add(1)
		w.remember(uint16(op.Slot), old.key, old.version)
		w.dropEntry(uint16(op.Slot), h, old)
	}
	op.Status = proto.StatusMiss
}
