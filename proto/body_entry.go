package proto

import "encoding/binary"

const (
	entryLen  = MetaLen + 8
	entryGone = 1
)

// Entry is an entry on its way to another node, or the record that a key is gone:
//
//	offset size
//	 0     40   Meta; of a record, ETag and remaining time are 0
//	40      4   length of the value; of a record 0
//	44      2   length of the key
//	46      1   kind: 0 an entry, 1 a record
//	47      1   reserved, 0
//	48      …   key, canonical, then value
type Entry struct {
	// Meta is the entry's; of a record, Version and Age alone.
	Meta  Meta
	Key   []byte
	Value []byte
	// Gone says that this is no entry but a record: what the source had of this
	// key up to Version was deleted, has expired or was evicted.
	Gone bool
}

// Into sets op up to merge an entry, which is no record: all but Slot and Done. op
// points to the frame's bytes afterwards.
func (e *Entry) Into(op *Op) {
	op.Code, op.Key, op.Value = OpMerge, e.Key, e.Value
	op.TTL, op.ETag, op.Version, op.Age = e.Meta.Remaining, e.Meta.ETag, e.Meta.Version, e.Meta.Age
}

// EntryLen is the length of an entry with a key and a value of these lengths.
func EntryLen(key, value int) int { return entryLen + key + value }

// AppendEntry appends an entry; to a message of a slots frame, SlotsWriter.Entry
// does.
func AppendEntry(dst []byte, e *Entry) []byte {
	if len(e.Value) > MaxValueLen || checkKey(e.Key) != nil {
		panic("proto: BUG: an entry has a value that is too long, or a bad key")
	}
	dst = AppendMeta(dst, &e.Meta)
	var gone uint64
	if e.Gone {
		gone = entryGone
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(e.Value))|uint64(len(e.Key))<<32|gone<<48)
	return append(append(dst, e.Key...), e.Value...)
}

// Entries iterates over entries as they lie in a frame.
type Entries struct {
	// Count is the number of entries.
	Count int

	rest []byte
}

// Next gives the next entry, or false behind the last. Its slices point into the
// frame.
func (l *Entries) Next(e *Entry) bool {
	if len(l.rest) == 0 {
		return false
	}
	n, err := decodeEntry(l.rest, e)
	if err != nil {
		panic("proto: BUG: a bad entry was let pass")
	}
	l.rest = l.rest[n:]
	return true
}

// entrySize gives the length of the entry at the front of b, 0 if b is shorter.
func entrySize(b []byte) int {
	if len(b) < entryLen {
		return 0
	}
	word := binary.LittleEndian.Uint64(b[MetaLen:])
	n := entryLen + uint64(uint32(word)) + uint64(uint16(word>>32))
	if n > uint64(len(b)) {
		return 0
	}
	return int(n)
}

// decodeEntry reads the entry at the front of b, and gives its length. The errors
// are ErrBody, ErrBodyKey, ErrBodyLimit and ErrFrameReserved.
func decodeEntry(b []byte, e *Entry) (int, error) {
	if len(b) < entryLen {
		return 0, ErrBody
	}
	word := binary.LittleEndian.Uint64(b[MetaLen:])
	valueLen, keyLen, kind := uint32(word), int(uint16(word>>32)), word>>48
	if reserved := readMeta(b, &e.Meta); reserved != 0 || kind > entryGone {
		return 0, ErrFrameReserved
	}
	e.Gone = kind == entryGone
	switch m := &e.Meta; {
	case e.Gone && (m.ETag != 0 || m.Remaining != 0 || m.Age < 0 || valueLen != 0), !e.Gone && !m.valid():
		return 0, ErrBody
	}
	if valueLen > MaxValueLen {
		return 0, ErrBodyLimit
	}
	middle := entryLen + keyLen
	end := middle + int(valueLen)
	if end > len(b) {
		return 0, ErrBody
	}
	e.Key, e.Value = b[entryLen:middle:middle], b[middle:end:end]
	return end, checkKey(e.Key)
}
