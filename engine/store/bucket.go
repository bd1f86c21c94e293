package store

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// What fastcache does with a pair, as far as this package counts on it (read in
// its source, version 1.13.3; TestBucketMirrorsFastcache holds it): the pair
// goes into bucket xxhash64(key) mod 512, a ring of 64 KiB chunks. A pair never
// spans two chunks: one that would reach a chunk's last byte starts in the next
// one. What a new pair runs over is lost.
const (
	fcBuckets = 512
	fcChunk   = 64 << 10

	// ArenaUnit is the granularity of an arena: one chunk in each bucket.
	ArenaUnit = fcBuckets * fcChunk
	// maxWriterArena is the most that one writer can have: 128 GiB.
	maxWriterArena = fcBuckets * granuleSize << granuleBits
)

func bucketOf(key []byte) int { return int(xxhash.Sum64(key) % fcBuckets) }

// bucket follows one of fastcache's buckets from outside: where its next pair
// goes, and, in a log, what lies in it in the order of writing. So the writer
// knows, before it writes, which entries that would run over, and can move them
// out of the way, or count them. One writer uses it, in its turn.
//
// Positions count all bytes ever passed in the ring, the waste at the ends of
// chunks included. A pair at position p is readable as long as p + capacity >= head.
//
// The struct is one cache line: writes touch buckets at random.
type bucket struct {
	// head is the position behind the last pair.
	head uint64
	// live is the bytes of the pairs that are part of an entry.
	live int64
	// oldest is the position of the oldest record, the head if there is none.
	oldest uint64
	// tail is the position of the chunk that the oldest record is in, and
	// tailOff the offset of that record in the chunk's log.
	tail    uint64
	tailOff int
	// log holds, for each chunk of the ring, the records of the pairs in it; one
	// more than there are chunks, as the oldest records may be in the chunk that
	// the head has entered again.
	log [][]byte
}

// A record of a bucket's log: for a head, 6 bytes (little-endian):
//
//	offset size
//	0      2   the upper 15 bits of the home of the entry's hash; the top bit marks
//	           a piece
//	2      2   the entry's slot
//	4      2   offset of the pair in its chunk
//
// and for a piece 8 more: the low 48 bits of the id of the pieces, and the index
// of the piece.
const (
	logPiece     uint16 = 1 << homeLogBits
	logHeadSize         = 6
	logPieceSize        = 14
	logIDMask    uint64 = 1<<48 - 1
)

// logRecord is a parsed record.
type logRecord struct {
	home  uint16
	slot  uint16
	pos   uint64
	piece bool
	id    uint64 // of the pieces, low 48 bits
	index int
}

func newBuckets(chunks int) []bucket {
	b := make([]bucket, fcBuckets)
	for i := range b {
		b[i].log = make([][]byte, chunks+1)
	}
	return b
}

func (b *bucket) capacity() uint64 { return uint64(len(b.log)-1) * fcChunk }

// place gives the position that fastcache will put a pair of size bytes at.
func (b *bucket) place(size int) uint64 {
	if b.head%fcChunk+uint64(size) >= fcChunk {
		return (b.head/fcChunk + 1) * fcChunk
	}
	return b.head
}

// free gives the bytes ahead of the head in which no logged pair lies.
func (b *bucket) free() uint64 { return b.oldest + b.capacity() - b.head }

// settle finds the oldest record after one was taken off.
func (b *bucket) settle() {
	for {
		log := b.log[b.chunk(b.tail)]
		if b.tailOff < len(log) {
			b.oldest = b.tail + uint64(binary.LittleEndian.Uint16(log[b.tailOff+4:]))
			return
		}
		if b.head-b.tail < fcChunk {
			b.oldest = b.head
			return
		}
		// The chunk is done with. Its log keeps its memory for the next round.
		b.log[b.chunk(b.tail)] = log[:0]
		b.tail += fcChunk
		b.tailOff = 0
	}
}

func (b *bucket) chunk(pos uint64) int { return int(pos / fcChunk % uint64(len(b.log))) }

// pop takes the oldest record off the log.
func (b *bucket) pop(r *logRecord) bool {
	if b.oldest == b.head {
		return false
	}
	pos := b.oldest
	rec := b.log[b.chunk(b.tail)][b.tailOff:]
	*r = logRecord{home: binary.LittleEndian.Uint16(rec), slot: binary.LittleEndian.Uint16(rec[2:]), pos: pos}
	r.piece = r.home&logPiece != 0
	b.tailOff += logHeadSize
	if r.piece {
		r.home &^= logPiece
		more := binary.LittleEndian.Uint64(rec[logHeadSize:])
		r.id, r.index = more&logIDMask, int(more>>48)
		b.tailOff += logPieceSize - logHeadSize
	}
	b.settle()
	return true
}

// pushHead logs the pair of a head that was written at pos with size bytes, and
// returns by how many bytes the log has grown.
func (b *bucket) pushHead(home uint32, slot uint16, pos uint64, size int) (grown int) {
	log, before := b.logAt(pos)
	*log = appendLog(*log, uint16(home>>(32-homeLogBits)), slot, pos)
	b.pushed(pos, size)
	return cap(*log) - before
}

// pushPiece logs the pair of a piece, likewise.
func (b *bucket) pushPiece(home uint32, slot uint16, id uint64, index int, pos uint64, size int) (grown int) {
	log, before := b.logAt(pos)
	*log = appendLog(*log, uint16(home>>(32-homeLogBits))|logPiece, slot, pos)
	*log = binary.LittleEndian.AppendUint64(*log, id&logIDMask|uint64(index)<<48)
	b.pushed(pos, size)
	return cap(*log) - before
}

func appendLog(log []byte, home, slot uint16, pos uint64) []byte {
	return binary.LittleEndian.AppendUint16(
		binary.LittleEndian.AppendUint32(log, uint32(home)|uint32(slot)<<16), uint16(pos%fcChunk))
}

// logAt gives the log of the chunk at pos, and the capacity that it had so far. A new
// one is made as long as the one before it was, and little more: most chunks hold as
// many pairs as the last.
func (b *bucket) logAt(pos uint64) (log *[]byte, before int) {
	log = &b.log[b.chunk(pos)]
	if before = cap(*log); before == 0 && pos >= fcChunk {
		last := len(b.log[b.chunk(pos-fcChunk)])
		*log = make([]byte, 0, last+last/32)
	}
	return log, before
}

// pushed notes that a pair was written.
func (b *bucket) pushed(pos uint64, size int) {
	empty := b.oldest == b.head
	b.head = pos + uint64(size)
	b.live += int64(size)
	if empty {
		b.settle()
	}
}

// reset forgets everything, as fastcache's Reset does.
func (b *bucket) reset() {
	clear(b.log)
	*b = bucket{log: b.log}
}
