package proto

import (
	"encoding/binary"
	"time"
)

// What the bodies of frames have in common. Everywhere in body*.go:
//
//   - Append… writes a body behind dst and keeps none of its arguments. What it
//     is given must be within the limits: where a caller cannot know that, there
//     is a Check… to ask first. Anything else is a bug, and panics.
//   - Decode… allocates nothing. The slices that it returns point into its input
//     and are valid as long as that is. Its errors are *CloseError: ErrBody…,
//     ErrFrameStatus and ErrFrameReserved. It takes exactly the bytes that
//     Append… writes: what decodes is encoded to the same bytes again.
//   - Numbers are little-endian, times to live and ages are nanoseconds.

// The limits of bodies.
const (
	// MaxTags is the most ETags in each of the conditions of one operation.
	MaxTags = 2048
	// MaxNameLen is the longest name of a node, and the longest address.
	MaxNameLen = 255

	tagLen = 8
)

// CheckName judges the name of a node: 1 to MaxNameLen visible ASCII characters.
// The errors are ErrBody and ErrBodyLimit.
func CheckName[T string | []byte](name T) error {
	if len(name) == 0 {
		return ErrBody
	}
	return checkText(name, '!')
}

// checkText judges text in which lowest is the lowest character allowed.
func checkText[T string | []byte](text T, lowest byte) error {
	if len(text) > MaxNameLen {
		return ErrBodyLimit
	}
	for i := range len(text) {
		if text[i] < lowest || text[i] > '~' {
			return ErrBody
		}
	}
	return nil
}

// mustName is for names that our own code has checked long ago.
func mustName(name []byte) {
	if len(name) > MaxNameLen {
		panic("proto: BUG: a name is too long")
	}
}

// checkKey judges a canonical key by its length and its kind. That its text is
// canonical too is its sender's affair: no other key is harmed if it is not.
func checkKey(key []byte) error {
	if len(key) < 2 || len(key) > MaxCanonicalLen || key[0] != KindString && key[0] != KindInteger {
		return ErrBodyKey
	}
	return nil
}

// CheckSlot returns ErrBodySlot if slot is not the slot of the canonical key.
func CheckSlot(slot Slot, key []byte) error {
	if SlotOf(key) != slot {
		return ErrBodySlot
	}
	return nil
}

// validTTL says whether a time to live, or what remains of one, can be: above 0,
// and at most MaxTTL unless it is Forever.
func validTTL(ttl time.Duration) bool { return ttl > 0 && (ttl <= MaxTTL || ttl == Forever) }

// DecodeEmpty judges the body of an answer that has none.
func DecodeEmpty(b []byte) error {
	if len(b) != 0 {
		return ErrBody
	}
	return nil
}

// Meta is what is said of an entry beside its key and its value:
//
//	offset size
//	 0      8   ETag, not 0
//	 8      8   version: hybrid logical clock
//	16      4   version: term
//	20      4   reserved, 0
//	24      8   remaining time to live, ns; 2^63-1: forever
//	32      8   age, ns
type Meta struct {
	ETag      ETag
	Version   Version
	Remaining time.Duration
	Age       time.Duration
}

// MetaLen is the length of a Meta.
const MetaLen = 40

// AppendMeta appends m. Zero bytes in its place can be filled in by PutMeta.
func AppendMeta(dst []byte, m *Meta) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.ETag))
	dst = binary.LittleEndian.AppendUint64(dst, m.Version.Clock)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Version.Term))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Remaining))
	return binary.LittleEndian.AppendUint64(dst, uint64(m.Age))
}

// ReserveMeta appends the room for a Meta. Whoever answers a get can have the
// value appended behind it, straight from the store, and then call PutMeta.
func ReserveMeta(dst []byte) []byte {
	var room [MetaLen]byte
	return append(dst, room[:]...)
}

// PutMeta writes m over the first MetaLen bytes of b.
func PutMeta(b []byte, m *Meta) { AppendMeta(b[:0:MetaLen], m) }

func decodeMeta(b []byte, m *Meta) error {
	if len(b) < MetaLen {
		return ErrBody
	}
	if reserved := readMeta(b, m); reserved != 0 {
		return ErrFrameReserved
	}
	if !m.valid() {
		return ErrBody
	}
	return nil
}

// valid says whether m can be an entry's.
func (m *Meta) valid() bool { return m.ETag != 0 && m.Age >= 0 && validTTL(m.Remaining) }

// readMeta reads the Meta at the front of b, and gives its reserved bits.
func readMeta(b []byte, m *Meta) (reserved uint32) {
	term := binary.LittleEndian.Uint64(b[16:])
	*m = Meta{
		ETag:      ETag(binary.LittleEndian.Uint64(b)),
		Version:   Version{Term: uint32(term), Clock: binary.LittleEndian.Uint64(b[8:])},
		Remaining: time.Duration(binary.LittleEndian.Uint64(b[24:])),
		Age:       time.Duration(binary.LittleEndian.Uint64(b[32:])),
	}
	return uint32(term >> 32)
}

// Redirect is the body of the answers StatusMoved and StatusBusy. The term of the
// slot is in the header, or in the item of a multi answer.
//
//	offset size
//	 0      8   incarnation of the holder; 0: not known
//	 8      4   milliseconds after which asking again makes sense
//	12      …   name of the holder; of StatusBusy it may be empty
type Redirect struct {
	// Holder is the name of the node that holds the slot, as far as the answerer
	// knows; of StatusBusy, the node that will.
	Holder      []byte
	Incarnation uint64
	// Wait is whole milliseconds, at most 2^32-1.
	Wait time.Duration
}

const redirectLen = 12

// AppendRedirect appends the body of a StatusMoved or StatusBusy.
func AppendRedirect(dst []byte, r *Redirect) []byte {
	mustName(r.Holder)
	dst = binary.LittleEndian.AppendUint64(dst, r.Incarnation)
	dst = appendMillis(dst, r.Wait)
	return append(dst, r.Holder...)
}

// DecodeRedirect reads the body of an answer of that status, StatusMoved or
// StatusBusy.
func DecodeRedirect(status Status, b []byte, r *Redirect) error {
	if len(b) < redirectLen {
		return ErrBody
	}
	*r = Redirect{Holder: b[redirectLen:], Incarnation: binary.LittleEndian.Uint64(b), Wait: millis(b[8:])}
	if len(r.Holder) == 0 && status == StatusBusy {
		return nil
	}
	return CheckName(r.Holder)
}

// millis reads a time in milliseconds.
func millis(b []byte) time.Duration {
	return time.Duration(binary.LittleEndian.Uint32(b)) * time.Millisecond
}

// appendMillis appends a time in milliseconds, the fraction dropped.
func appendMillis(dst []byte, d time.Duration) []byte {
	return binary.LittleEndian.AppendUint32(dst, uint32(min(max(d/time.Millisecond, 0), 1<<32-1)))
}
