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
//	            8 long key, 16 long term
//	 1      5   written: monotonic milliseconds, on this process's clock
//	 6      8   version: hybrid logical clock
//	14      1   length of the canonical key, 2 bytes if flag 8
//	 +      1   version: term, 4 bytes if flag 16
//	 +      8   expiry, monotonic nanoseconds         if flag 1
//	 +      8   ETag; without it the ETag is the clock  if flag 2
//	 +     12   pieces: id (8), length of the value (4), then one salt byte
//	            for each piece                         if flag 4
//	 +      …   canonical key
//	 +      …   value                                  unless flag 4
//
// The times are of this process: they never leave it (what moves to another node
// takes remaining time and age along instead).
const (
	flagExpires  byte = 1
	flagETag     byte = 2
	flagPieces   byte = 4
	flagLongKey  byte = 8
	flagLongTerm byte = 16

	headLeast   = 16 // with a short key, a short term and nothing else
	headMost    = headLeast + 1 + 3 + 8 + 8
	headPieces  = 12
	maxPieces   = 264 // 1 MiB in pieces of 4 KiB less what each costs, and some
	writtenMask = 1<<40 - 1

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

// parseHead reads a head that appendHead has written. It returns false for
// anything else, which only a broken arena could hold.
func parseHead(b []byte, h *head) bool {
	if len(b) < headLeast {
		return false
	}
	flags := b[0]
	h.size = len(b)
	h.written = int64(binary.LittleEndian.Uint64(b) >> 8 & writtenMask)
	h.version.Clock = binary.LittleEndian.Uint64(b[6:])
	h.expiry, h.etag = 0, proto.ETag(h.version.Clock)
	h.pieces, h.salts = false, nil
	keyLen := int(b[14])
	h.version.Term = uint32(b[15])
	if flags&(flagLongKey|flagLongTerm) != 0 {
		if b = parseLong(b, flags, &keyLen, &h.version.Term); b == nil {
			return false
		}
	} else {
		b = b[headLeast:]
	}
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

// parseLong reads the length of the key and the term where one of them is long, and
// returns what follows, or nil.
func parseLong(b []byte, flags byte, keyLen *int, term *uint32) []byte {
	b = b[14:]
	if flags&flagLongKey == 0 {
		*keyLen, b = int(b[0]), b[1:]
	} else {
		*keyLen, b = int(binary.LittleEndian.Uint16(b)), b[2:]
	}
	switch {
	case flags&flagLongTerm == 0 && len(b) >= 1:
		*term = uint32(b[0])
		return b[1:]
	case flags&flagLongTerm != 0 && len(b) >= 4:
		*term = binary.LittleEndian.Uint32(b)
		return b[4:]
	}
	return nil
}

// appendHead appends the stored form of h: its value inline, or its pieces.
func appendHead(dst []byte, h *head) []byte {
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
	dst = binary.LittleEndian.AppendUint64(dst, uint64(flags)|uint64(h.written)<<8|h.version.Clock<<48)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.version.Clock>>16))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.version.Clock>>48))
	if flags&(flagLongKey|flagLongTerm) == 0 {
		dst = append(dst, byte(len(h.key)), byte(h.version.Term))
	} else {
		dst = appendLong(dst, flags, len(h.key), h.version.Term)
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

// appendLong writes the length of the key and the term where one of them is long.
func appendLong(dst []byte, flags byte, keyLen int, term uint32) []byte {
	if flags&flagLongKey == 0 {
		dst = append(dst, byte(keyLen))
	} else {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(keyLen))
	}
	if flags&flagLongTerm == 0 {
		return append(dst, byte(term))
	}
	return binary.LittleEndian.AppendUint32(dst, term)
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
