package store

import (
	"encoding/binary"
	"time"

	"github.com/smache/smache/proto"
)

// An entry's head, the value that the arena holds under the entry's hash
// (little-endian; fastcache puts 4 bytes of lengths and the 8-byte hash in
// front of it):
//
//	offset size
//	 0      1   flags: 1 expires, 2 has an ETag of its own, 4 value is in pieces,
//	            8 long key, 16 long term, 32 long clock, 64 written apart
//	 1      6   version: hybrid logical clock, lower 48 bits of its microseconds
//	            since Store.epoch + headFrom
//	 7      1   length of the canonical key, lower 8 bits
//	 8      1   version: term, lower 8 bits
//	 +      1   length of the canonical key, upper bits  if flag 8
//	 +      3   version: term, upper bits                if flag 16
//	 +      2   version: the clock's counter, 12 bits,
//	            and the upper 4 of its microseconds      if flag 32
//	 +      5   written: monotonic milliseconds, on this
//	            process's clock; see writtenBy           if flag 64
//	 +      8   expiry, monotonic nanoseconds            if flag 1
//	 +      8   ETag; without it the ETag is the clock   if flag 2
//	 +     12   pieces: id (8), length of the value (4), then one salt byte
//	            for each piece                           if flag 4
//	 +      …   canonical key
//	 +      …   value                                    unless flag 4
//
// The times are of this process: they never leave it (what moves to another node
// takes remaining time and age along instead).
const (
	flagExpires   byte = 1
	flagETag      byte = 2
	flagPieces    byte = 4
	flagLongKey   byte = 8
	flagLongTerm  byte = 16
	flagLongClock byte = 32
	flagWritten   byte = 64

	headLeast   = 9 // with nothing that has a flag
	headMost    = headLeast + 1 + 3 + 2 + 5 + 8 + 8
	headPieces  = 12
	maxPieces   = 264 // 1 MiB in pieces of 4 KiB less what each costs, and some
	writtenMask = 1<<40 - 1

	// headFrom, in microseconds of the monotonic clock, begins the nine years whose
	// clocks are short: four before the process did.
	headFrom      = int64((clockStart - 4*365*24*time.Hour) / time.Microsecond)
	headClockBits = 48

	// kvOverhead is what fastcache puts in front of key and value of a pair.
	kvOverhead = 4
	hashLen    = 8
)

// head is an entry's head, parsed. Its slices point into the bytes it was parsed
// from.
type head struct {
	version proto.Version
	etag    proto.ETag
	written int64 // monotonic milliseconds
	expiry  int64 // monotonic nanoseconds, 0: never
	key     []byte
	value   []byte // inline; nil if in pieces
	pieces  bool
	pieceID uint64
	length  int    // of the value
	salts   []byte // one for each piece
	size    int    // of the head, as stored
	check   uint32 // checkOf(value), if inline; parseHead does not know it
}

// writtenBy gives the time at which a value was written, by its ETag: the clock of
// the write that brought it. It is right for what this process has written while the
// wall clock was not set; elsewhere the head says when. epoch is Store.epoch.
func writtenBy(etag proto.ETag, epoch int64) int64 {
	return (int64(etag>>hlcCounterBits) - epoch) / 1000
}

// parseHead reads a head that appendHead has written, under the same epoch. It returns
// false for anything else, which only a broken arena could hold.
func parseHead(b []byte, epoch int64, h *head) bool {
	if len(b) < headLeast {
		return false
	}
	h.size = len(b)
	first := binary.LittleEndian.Uint64(b)
	flags := byte(first)
	micros := first >> 8 & (1<<headClockBits - 1)
	keyLen := int(b[7])
	h.version.Term = uint32(b[8])
	h.expiry, h.written = 0, -1
	h.pieces, h.salts = false, nil
	b = b[headLeast:]
	counter := uint64(0)
	if flags&(flagLongKey|flagLongTerm|flagLongClock|flagWritten) != 0 {
		var rare headRare
		if b = rare.parse(b, flags); b == nil {
			return false
		}
		keyLen |= int(rare.keyLen) << 8
		h.version.Term |= uint32(rare.term) << 8
		micros |= rare.clock >> hlcCounterBits << headClockBits
		counter = rare.clock & (1<<hlcCounterBits - 1)
		if flags&flagWritten != 0 {
			h.written = int64(rare.written)
		}
	}
	h.version.Clock = (micros+uint64(epoch+headFrom))<<hlcCounterBits | counter
	h.etag = proto.ETag(h.version.Clock)
	if flags&flagExpires != 0 {
		if len(b) < 8 {
			return false
		}
		h.expiry = int64(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	if flags&flagETag != 0 {
		if len(b) < 8 {
			return false
		}
		h.etag = proto.ETag(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	if h.written < 0 {
		h.written = writtenBy(h.etag, epoch)
	}
	if flags&flagPieces != 0 {
		if len(b) < headPieces+keyLen {
			return false
		}
		h.pieces = true
		h.pieceID = binary.LittleEndian.Uint64(b)
		h.length = int(binary.LittleEndian.Uint32(b[8:]))
		h.salts = b[headPieces : len(b)-keyLen]
		h.key, h.value = b[len(b)-keyLen:], nil
		return true
	}
	if len(b) < keyLen {
		return false
	}
	h.key, h.value = b[:keyLen], b[keyLen:]
	h.length = len(h.value)
	return true
}

// headRare is what few heads have.
type headRare struct {
	keyLen, term uint64 // their upper bits
	clock        uint64 // counter and upper bits
	written      uint64
}

// parse reads what flags say is there, and returns what follows, or nil.
func (r *headRare) parse(b []byte, flags byte) []byte {
	for _, f := range [...]struct {
		flag  byte
		bytes int
		to    *uint64
	}{{flagLongKey, 1, &r.keyLen}, {flagLongTerm, 3, &r.term}, {flagLongClock, 2, &r.clock}, {flagWritten, 5, &r.written}} {
		if flags&f.flag == 0 {
			continue
		}
		if len(b) < f.bytes {
			return nil
		}
		for i := range f.bytes {
			*f.to |= uint64(b[i]) << (8 * i)
		}
		b = b[f.bytes:]
	}
	return b
}

// appendHead appends the stored form of h: its value inline, or its pieces.
func appendHead(dst []byte, epoch int64, h *head) []byte {
	var flags byte
	if h.expiry != 0 {
		flags |= flagExpires
	}
	if uint64(h.etag) != h.version.Clock {
		flags |= flagETag
	}
	if h.pieces {
		flags |= flagPieces
	}
	if len(h.key) > 0xff {
		flags |= flagLongKey
	}
	if h.version.Term > 0xff {
		flags |= flagLongTerm
	}
	if h.written != writtenBy(h.etag, epoch) {
		flags |= flagWritten
	}
	// All of it in 52 bits, as the clock has them.
	micros := (h.version.Clock>>hlcCounterBits - uint64(epoch+headFrom)) & (1<<(64-hlcCounterBits) - 1)
	counter := h.version.Clock & (1<<hlcCounterBits - 1)
	if counter != 0 || micros>>headClockBits != 0 {
		flags |= flagLongClock
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(flags)|micros&(1<<headClockBits-1)<<8|uint64(len(h.key))<<56)
	dst = append(dst, byte(h.version.Term))
	if flags&flagLongKey != 0 {
		dst = append(dst, byte(len(h.key)>>8))
	}
	if t := h.version.Term; flags&flagLongTerm != 0 {
		dst = append(dst, byte(t>>8), byte(t>>16), byte(t>>24))
	}
	if flags&flagLongClock != 0 {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(counter|micros>>headClockBits<<hlcCounterBits))
	}
	if flags&flagWritten != 0 {
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(h.written)), byte(h.written>>32))
	}
	if flags&flagExpires != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(h.expiry))
	}
	if flags&flagETag != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(h.etag))
	}
	if h.pieces {
		dst = binary.LittleEndian.AppendUint64(dst, h.pieceID)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(h.length))
		dst = append(dst, h.salts...)
		return append(dst, h.key...)
	}
	dst = append(dst, h.key...)
	return append(dst, h.value...)
}

// expired reports whether the entry's time to live has passed at now: at the
// instant of expiry it has.
func (h *head) expired(now int64) bool { return h.expiry != 0 && now >= h.expiry }

// remaining gives the time left to live at now.
func (h *head) remaining(now int64) time.Duration {
	if h.expiry == 0 {
		return proto.Forever
	}
	return time.Duration(h.expiry - now)
}

// age gives the time since the value was written, to the millisecond.
func (h *head) age(now int64) time.Duration {
	return time.Duration(max(now/1e6-h.written, 0)) * time.Millisecond
}

// report copies what an operation says of the entry into op.
func (h *head) report(op *proto.Op, now int64) {
	op.ETag, op.Version = h.etag, h.version
	op.Remaining, op.Age = h.remaining(now), h.age(now)
}
