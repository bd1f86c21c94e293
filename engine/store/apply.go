package store

import (
	"bytes"
	"time"

	"github.com/smache/smache/proto"
)

// decide carries out one operation that writes. In the writer's turn, by apply.
func (w *writer) decide(op *proto.Op) {
	w.turn = w.clock.Now()
	term := uint32(1)
	if w.store.roles != nil {
		if term = w.admit(op); term == 0 {
			return
		}
	}
	if w.mortal > 0 && w.live*100 > w.store.writerArena*(keepPercent-5) {
		w.sweepUnderPressure()
	}
	h := w.store.hash(op.Slot, op.Key)
	old, check := w.replaced(op, &h)
	var tag proto.ETag
	if old != nil {
		tag = old.etag
	}
	if op.IfMatch.Set && !op.IfMatch.Has(tag) || op.IfNoneMatch.Set && op.IfNoneMatch.Has(tag) {
		op.Status, op.ETag = proto.StatusPrecondition, tag
		return
	}
	switch op.Code {
	case proto.OpSet:
		w.set(op, &h, old, check, proto.Version{Term: term}, 0)
	case proto.OpMerge:
		w.merge(op, &h, old)
	case proto.OpTouch:
		w.touch(op, &h, old, term)
	case proto.OpDelete:
		if op.Status = proto.StatusMiss; old != nil {
			w.dropEntry(uint16(op.Slot), &h, old)
			op.Status = proto.StatusOK
		}
		if w.remembers(uint16(op.Slot)) {
			op.Version = proto.Version{Term: term, Clock: w.hlc.next(w.turn)}
			w.remember(uint16(op.Slot), op.Key, op.Version)
		}
	default:
		panic("store: BUG: unknown opcode")
	}
}

// lookup reads the entry of h for a write. It gives nil if there is none, having
// dropped one that has expired. The head lies in w.read, good for this turn.
func (w *writer) lookup(slot uint16, key []byte, h *hash) *head {
	r := w.slots[slot].find(h)
	if r == nil {
		return nil
	}
	check := r.about().check()
	body, ok := w.cache.HasGet(w.read[:0], h[:])
	w.read = body
	old := &w.old
	if !ok || !parseHead(body, w.store.epoch, old) || !bytes.Equal(old.key, key) {
		w.lose(slot, h)
		return nil
	}
	if old.expired(w.turn) {
		w.expire(slot, h, old)
		return nil
	}
	old.check = check
	return old
}

// replaced is lookup for an operation; it also gives the check of the operation's
// value. Most writes replace a value by another one, whatever it was: for these
// the record says all that has to be known, and the head is not read.
func (w *writer) replaced(op *proto.Op, h *hash) (old *head, check uint32) {
	r := w.slots[op.Slot].find(h)
	check = w.checkOf(op.Value) // while the record comes from memory
	if r == nil {
		return nil, check
	}
	if m := r.about(); op.Code == proto.OpSet && !op.IfMatch.Set && !op.IfNoneMatch.Set &&
		m&(metaExpires|metaPieces) == 0 && m.check() != check {
		w.old.size, w.old.length, w.old.expiry, w.old.pieces = m.size(), unread, 0, false
		return &w.old, check
	}
	return w.lookup(uint16(op.Slot), op.Key, h), check
}

// unread is the length of a value that was not looked at: no value is as long.
const unread = -1

// checkOf gives the check of a value: 0 if it is stored in pieces.
func (w *writer) checkOf(value []byte) uint32 {
	if len(value) > w.store.inlineMax {
		return 0
	}
	return w.store.checkOf(value)
}

// set stores op's value, whose check is given. version carries the term, and for
// a copy from elsewhere the clock; otherwise the clock is the next of this writer.
func (w *writer) set(op *proto.Op, h *hash, old *head, check uint32, version proto.Version, etag proto.ETag) {
	equal := op.Code == proto.OpSet && old != nil && w.equal(h, old, op.Value)
	if equal && w.renew(op, h, old, version.Term) {
		w.counters.equal.Add(1)
		return
	}
	if version.Clock == 0 {
		version.Clock = w.hlc.next(w.turn)
		etag = proto.ETag(version.Clock)
	}
	next := head{
		version: version, etag: etag, key: op.Key, length: len(op.Value),
		written: w.turn / 1e6 & writtenMask, expiry: w.expiry(op.TTL),
	}
	if op.Code == proto.OpMerge {
		next.written = max(w.turn-int64(op.Age), 0) / 1e6 & writtenMask
	}
	if equal {
		// The pieces have to be written again, but the value is the one it was.
		next.etag, next.written = old.etag, old.written
	}
	pieces := 0
	if len(op.Value) > w.store.inlineMax {
		pieces = (len(op.Value) + w.store.pieceSize - 1) / w.store.pieceSize
	}
	if old == nil || pieces > 0 {
		w.makeEntryRoom(h, pieces)
	}
	if pieces > 0 {
		next.pieces, next.pieceID = true, w.newPieceID()
		w.salts = w.putPieces(w.salts[:0], uint16(op.Slot), h, next.pieceID, op.Value)
		next.salts = w.salts
	} else {
		next.value, next.check = op.Value, check
	}
	w.putHead(uint16(op.Slot), h, &next, old, false)
	w.counters.written.Add(1)
	next.report(op, w.turn)
	op.Status = proto.StatusOK
}

// newPieceID gives an id for the pieces of one value: the bytes that this writer
// has ever written. It is unique for each key, so pieces of two values can never
// be taken for one another, and it tells how old the pieces are in the ring.
func (w *writer) newPieceID() uint64 { return w.pushed + 1 }

// expiry gives the moment at which a time to live that starts now ends.
func (w *writer) expiry(ttl time.Duration) int64 {
	if ttl == proto.Forever {
		return 0
	}
	return max(w.turn+int64(ttl), 1)
}

// equal reports whether the stored value is the given one, byte for byte.
func (w *writer) equal(h *hash, old *head, value []byte) bool {
	if old.length != len(value) {
		return false
	}
	if !old.pieces {
		return bytes.Equal(old.value, value)
	}
	for index, salt := range old.salts {
		key := pieceKey(h, old.pieceID, index, salt)
		body, ok := w.cache.HasGet(w.move[:0], key[:])
		w.move = body
		if !ok || !bytes.HasPrefix(value, body) {
			return false
		}
		value = value[len(body):]
	}
	return len(value) == 0
}

// renew gives an entry whose value stays as it is a new time to live, and a new
// place in the ring unless it is young there. Where nothing has to move, nothing
// is written. It returns false if the value has to be written again: if its
// pieces are old in the ring, or the entry was evicted meanwhile.
func (w *writer) renew(op *proto.Op, h *hash, old *head, term uint32) bool {
	op.Status = proto.StatusOK
	expiry := w.expiry(op.TTL)
	young := w.young(h, uint16(op.Slot), old)
	if expiry == 0 && old.expiry == 0 && young && old.version.Term == term {
		old.report(op, w.turn)
		return true
	}
	if old.pieces && !young && op.Code == proto.OpSet {
		return false // writing all of it again is what makes it young
	}
	next := *old
	next.expiry = expiry
	next.version = proto.Version{Term: term, Clock: w.hlc.next(w.turn)}
	if !w.putHead(uint16(op.Slot), h, &next, old, old.pieces) {
		return false
	}
	next.report(op, w.turn)
	return true
}

// young reports whether an entry lies in the younger half of its ring.
func (w *writer) young(h *hash, slot uint16, old *head) bool {
	if old.pieces && w.pushed-old.pieceID >= uint64(w.store.writerArena/2) {
		return false
	}
	b := &w.buckets[bucketOf(h[:])]
	r := w.slots[slot].find(h)
	return uint64(granuleOf(b.head)-r.position())%(1<<granuleBits)*granuleSize < b.capacity()/2
}

func (w *writer) touch(op *proto.Op, h *hash, old *head, term uint32) {
	if old == nil || !w.renew(op, h, old, term) {
		op.Status = proto.StatusMiss
	}
}
