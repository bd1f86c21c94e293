package store

import (
	"encoding/binary"
	"math/bits"

	"github.com/smache/smache/proto"
)

// A pair of the arena is a head under the entry's hash, or a piece of a value
// under (hash, id of the pieces, index, salt). This file writes pairs and keeps
// the live ones out of the way of the ring; all of it runs in the writer's turn.

const pieceKeyLen = hashLen + 8 + 2 + 1

// pieceKey is the arena key of a piece. The salt picks its bucket.
func pieceKey(h *hash, id uint64, index int, salt byte) (k [pieceKeyLen]byte) {
	copy(k[:], h[:])
	binary.LittleEndian.PutUint64(k[hashLen:], id)
	binary.LittleEndian.PutUint16(k[hashLen+8:], uint16(index))
	k[pieceKeyLen-1] = salt
	return k
}

// putHead writes the head of an entry and points the slot's set at it. old is
// the head that it replaces, nil if there is none; its pieces go, unless
// keepPieces says that the new head names them too.
//
// Making room can evict the old entry. With keepPieces nothing is left to point
// at then: putHead writes nothing and returns false.
func (w *writer) putHead(slot uint16, h *hash, next, old *head, keepPieces bool) bool {
	w.encode = appendHead(w.encode[:0], w.store.epoch, next)
	next.size = len(w.encode)
	b := &w.buckets[bucketOf(h[:])]
	size := kvOverhead + hashLen + len(w.encode)
	w.makeRoom(b, size)
	set := &w.slots[slot]
	r := set.find(h)
	if r == nil && keepPieces {
		return false
	}
	pos := b.place(size)
	w.cache.Set(h[:], w.encode)
	w.indexed += int64(b.pushHead(h.home(), slot, pos, size))
	w.pushed += uint64(size)
	w.live += int64(size)
	if next.expiry != 0 {
		w.mortal++
	}
	if r == nil {
		w.indexed += int64(set.insert(h, granuleOf(pos), metaOf(next))) * recordSize
		w.entries++
		w.forget(slot, next.key)
		return true
	}
	r.move(granuleOf(pos))
	r.describe(metaOf(next))
	w.forgetHead(b, old.size, old.expiry != 0)
	if old.pieces && !keepPieces {
		w.dropPieces(h, old)
	}
	return true
}

// forgetHead takes a head of size bytes, in bucket b, out of the accounts.
func (w *writer) forgetHead(b *bucket, size int, expires bool) {
	pair := int64(kvOverhead + hashLen + size)
	b.live -= pair
	w.live -= pair
	if expires {
		w.mortal--
	}
}

// putPieces writes a value in pieces, under an id never used before, and returns
// their salts appended to dst. The pieces go into different buckets, none of
// them the head's, and each into the emptiest of a few: so a value cannot run
// over itself before its head says what it is, and buckets fill evenly.
func (w *writer) putPieces(dst []byte, slot uint16, h *hash, id uint64, value []byte) []byte {
	const choices = 4
	var used [fcBuckets / 64]uint64
	home := bucketOf(h[:])
	used[home/64] |= 1 << (home % 64)
	for index := 0; len(value) > 0; index++ {
		piece := value[:min(len(value), w.store.pieceSize)]
		value = value[len(piece):]
		best, bestSalt, found := -1, 0, 0
		for salt := 0; salt < 256 && (found < choices || best < 0); salt++ {
			key := pieceKey(h, id, index, byte(salt))
			n := bucketOf(key[:])
			if used[n/64]&(1<<(n%64)) != 0 {
				continue
			}
			if best < 0 || w.buckets[n].live < w.buckets[best].live {
				best, bestSalt = n, salt
			}
			found++
		}
		if best < 0 {
			// 256 salts all hit used buckets. About half of the buckets are used
			// at most, so the chance of that is near 2^-256.
			panic("store: BUG: no bucket for a piece")
		}
		used[best/64] |= 1 << (best % 64)
		key := pieceKey(h, id, index, byte(bestSalt))
		w.putPiece(&w.buckets[best], slot, h.home(), id, index, key[:], piece)
		w.pieces++
		dst = append(dst, byte(bestSalt))
	}
	return dst
}

func (w *writer) putPiece(b *bucket, slot uint16, home uint32, id uint64, index int, key, piece []byte) {
	size := kvOverhead + len(key) + len(piece)
	w.makeRoom(b, size)
	pos := b.place(size)
	w.cache.Set(key, piece)
	w.indexed += int64(b.pushPiece(home, slot, id, index, pos, size))
	w.pushed += uint64(size)
	w.live += int64(size)
}

// dropPieces deletes the pieces of a value.
func (w *writer) dropPieces(h *hash, old *head) {
	left := old.length
	for index, salt := range old.salts {
		key := pieceKey(h, old.pieceID, index, salt)
		n := min(left, w.store.pieceSize)
		left -= n
		size := int64(kvOverhead + pieceKeyLen + n)
		w.cache.Del(key[:])
		w.buckets[bucketOf(key[:])].live -= size
		w.live -= size
		w.pieces--
	}
}

// dropEntry removes an entry, whose head is old, from arena, set and accounts.
// Nothing of h may point into the slot's set: its records move.
func (w *writer) dropEntry(slot uint16, h *hash, old *head) {
	w.forgetHead(&w.buckets[bucketOf(h[:])], old.size, old.expiry != 0)
	w.cache.Del(h[:])
	if old.pieces {
		w.dropPieces(h, old)
	}
	w.dropRecord(slot, h)
}

func (w *writer) dropRecord(slot uint16, h *hash) {
	removed, grown := w.slots[slot].remove(h)
	w.indexed += int64(grown) * recordSize
	if removed {
		w.entries--
	}
}

// readHead reads the head of the entry that a record of slot stands for, into
// *buf, which it may grow, and parses it. It returns false if the arena does not
// have it: fastcache, or another key with this hash, has written over it.
func (w *writer) readHead(slot uint16, h *hash, buf *[]byte, e *head) bool {
	body, ok := w.cache.HasGet((*buf)[:0], h[:])
	*buf = body
	return ok && parseHead(body, w.store.epoch, e) && uint16(proto.SlotOf(e.key)) == slot
}

// makeRoom sees to it that a pair of size bytes can be written in b without
// running over a pair that anyone wants. What lies ahead is garbage, and is let
// go; or is live, and is written again at the head; or is live and there is no
// space for it, and is evicted and counted.
//
// Ahead of the head there are always reserve bytes free, so that a pair can be
// copied before it is run over: a reader never finds a live entry missing.
func (w *writer) makeRoom(b *bucket, size int) {
	w.workAhead(b, size)
	end := b.place(size) + uint64(size)
	need := end - b.head + w.store.reserve
	budget := int64(b.capacity())
	var r logRecord
	for b.free() < need {
		if !b.pop(&r) {
			return
		}
		keep := budget > 0 && w.live*100 < w.store.writerArena*keepPercent &&
			b.live+int64(need) < int64(b.capacity())*keepBucketPercent/100
		budget -= int64(w.retire(b, &r, keep))
		// Relocation has moved the head.
		end = b.place(size) + uint64(size)
		need = end - b.head + w.store.reserve
	}
}

// workAhead moves live pairs out of the way before they are in it. What was
// written together lies together: without this, the write that meets a long run
// of live pairs would have to move all of it, for milliseconds.
func (w *writer) workAhead(b *bucket, size int) {
	ahead := b.capacity() / workAheadShare
	want := w.store.reserve + 2*uint64(size) + ahead
	var r logRecord
	for budget := workAheadPace * size; budget > 0 && b.free() < want; {
		if w.live*100 >= w.store.writerArena*keepPercent ||
			b.live+int64(want+ahead) >= int64(b.capacity())*keepBucketPercent/100 || !b.pop(&r) {
			return
		}
		budget -= max(w.retire(b, &r, true), workAheadLook)
	}
}

const (
	// workAheadShare is the share of a bucket that is kept free of pairs, beyond
	// what the next write needs, while live entries are kept. A run of live pairs
	// is passed before it is used up: keepBucketPercent * workAheadShare <=
	// workAheadPace.
	workAheadShare = 32
	// workAheadPace bounds what one write moves ahead of time, in its own sizes.
	workAheadPace = 32
	// workAheadLook is what looking at a pair counts, in bytes moved.
	workAheadLook = 64
	// keepPercent is the share of the arena up to which live entries are kept
	// while garbage wears the ring.
	keepPercent = 70
	// keepBucketPercent is the share of one bucket. Entries are spread over the
	// buckets by chance, so some hold more than their share; above this, keeping
	// would cost more than twenty bytes moved for each one gained.
	keepBucketPercent = 95
)

// retire deals with the pair of a popped record, and returns how many bytes it
// has moved.
func (w *writer) retire(b *bucket, r *logRecord, keep bool) (moved int) {
	if r.piece {
		return w.retirePiece(b, r, keep)
	}
	set := &w.slots[r.slot]
	var rec *record
	var h hash
	set.each(r.home, func(c *record) bool {
		if c.position() == granuleOf(r.pos) {
			// Another entry of the slot may lie at the same place of another bucket.
			if h = c.hash(r.slot); &w.buckets[bucketOf(h[:])] == b {
				rec = c
			}
		}
		return rec != nil
	})
	if rec == nil {
		return 0 // replaced, deleted or moved since
	}
	var old head
	if !w.readHead(r.slot, &h, &w.move, &old) {
		w.lose(r.slot, &h)
		return 0
	}
	if old.expired(w.turn) {
		w.expire(r.slot, &h, &old)
		return 0
	}
	size := kvOverhead + hashLen + old.size
	pos := b.place(size)
	if !keep || b.free() < pos+uint64(size)-b.head {
		w.evict(r.slot, &h, &old)
		return 0
	}
	rec.move(granuleOf(pos))
	w.cache.Set(h[:], w.move)
	w.indexed += int64(b.pushHead(h.home(), r.slot, pos, size))
	b.live -= int64(size) // it was counted already
	w.pushed += uint64(size)
	w.counters.moved.Add(1)
	w.counters.movedBytes.Add(uint64(size))
	return size
}

func (w *writer) retirePiece(b *bucket, r *logRecord, keep bool) (moved int) {
	h, old, ok := w.ownerOf(r)
	if !ok {
		return 0
	}
	if old.expired(w.turn) {
		w.expire(r.slot, &h, &old)
		return 0
	}
	key := pieceKey(&h, old.pieceID, r.index, old.salts[r.index])
	body, found := w.cache.HasGet(w.move[:0], key[:])
	w.move = body
	size := kvOverhead + len(key) + len(body)
	pos := b.place(size)
	if !found || !keep || b.free() < pos+uint64(size)-b.head {
		w.evict(r.slot, &h, &old)
		return 0
	}
	w.cache.Set(key[:], body)
	w.indexed += int64(b.pushPiece(h.home(), r.slot, r.id, r.index, pos, size))
	b.live -= int64(size)
	w.pushed += uint64(size)
	w.counters.moved.Add(1)
	w.counters.movedBytes.Add(uint64(size))
	return size
}

// ownerOf finds the entry that the piece of a record is part of. The head lies
// in w.other.
func (w *writer) ownerOf(r *logRecord) (h hash, old head, ok bool) {
	w.slots[r.slot].each(r.home, func(c *record) bool {
		h = c.hash(r.slot)
		ok = w.readHead(r.slot, &h, &w.other, &old) && old.pieces &&
			old.pieceID&logIDMask == r.id && r.index < len(old.salts)
		return ok
	})
	return h, old, ok
}

// evict drops a live entry for want of memory.
func (w *writer) evict(slot uint16, h *hash, old *head) {
	w.counters.evicted.Add(1)
	w.remember(slot, old.key, old.version)
	w.dropEntry(slot, h, old)
}

// lose drops the record of an entry that the arena no longer gives, which only a
// collision of two 64-bit hashes can cause. The pieces of its value, if there are
// any, stay in the accounts: only the head knew them.
func (w *writer) lose(slot uint16, h *hash) {
	w.counters.lost.Add(1)
	w.forgetUnknown(slot)
	if r := w.slots[slot].find(h); r != nil {
		w.forgetHead(&w.buckets[bucketOf(h[:])], r.about().size(), r.about()&metaExpires != 0)
	}
	w.dropRecord(slot, h)
}

// makeEntryRoom evicts old entries while the index is at its limit: the oldest
// of the bucket that the new entry goes to, or of the next that has any.
func (w *writer) makeEntryRoom(h *hash, pieces int) {
	var r logRecord
	n := bucketOf(h[:])
	for misses := 0; w.entries+w.pieces+pieces+1 > w.store.writerEntries && misses < fcBuckets; {
		b := &w.buckets[n]
		if b.pop(&r) {
			w.retire(b, &r, false)
			continue
		}
		misses++
		n = (n + 1) % fcBuckets
	}
}

// pieceLayout gives the size of the pieces and the longest value kept inline,
// for buckets of the given capacity. A chunk takes a whole number of pieces, at
// most a quarter (of a chunk) each, and a bucket takes at least 32. Inline values
// are small beside the bucket, for they cannot choose theirs.
func pieceLayout(capacity int) (piece, inline int) {
	perChunk := 8
	for perChunk < 32 && fcChunk/perChunk > capacity/32 {
		perChunk *= 2
	}
	piece = (fcChunk-1)/perChunk - kvOverhead - pieceKeyLen
	inline = 1 << (bits.Len(uint(capacity/256)) - 1)
	return piece, min(max(inline, 512), 4096)
}
