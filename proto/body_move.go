package proto

import (
	"encoding/binary"
	"hash/crc32"
)

// Cursor says how far the pulling of a slot has come. It is the source's: the
// asker gives back what it was given, and zero at the beginning.
type Cursor [16]byte

const (
	pullLen       = 24
	pullAnswerLen = 32
	pullAckLen    = 40
	entryLen      = MetaLen + 8
	entryGone     = 1
)

// Pull is the body of a pull, by which the holder of a slot asks a node that held
// it before for a batch of entries. Slot and the asker's term are in the header.
//
//	offset size
//	 0     16   cursor
//	16      4   the most bytes that the entries may have; the first one is sent
//	            even if it is longer
//	20      4   reserved, 0
type Pull struct {
	Cursor   Cursor
	MaxBytes uint32
}

// AppendPull appends the body of a pull.
func AppendPull(dst []byte, p *Pull) []byte {
	dst = append(dst, p.Cursor[:]...)
	return binary.LittleEndian.AppendUint64(dst, uint64(p.MaxBytes))
}

// DecodePull reads the body of a pull. The errors are ErrBody and
// ErrFrameReserved.
func DecodePull(b []byte, p *Pull) error {
	if len(b) != pullLen {
		return ErrBody
	}
	*p = Pull{Cursor: Cursor(b[:16]), MaxBytes: binary.LittleEndian.Uint32(b[16:])}
	if binary.LittleEndian.Uint32(b[20:]) != 0 {
		return ErrFrameReserved
	}
	return nil
}

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

// AppendEntry appends an entry to a pull's answer.
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

// Batch is the body of an OK to a pull. Slot and term are in the header.
//
//	offset size
//	 0     16   cursor, for the next pull and for the acknowledgement
//	16      4   number of entries; 0: there was nothing left
//	20      4   CRC-32C (Castagnoli) of all bytes from offset 32 on
//	24      4   number of entries that are left behind these; 0: these are the last
//	28      4   reserved, 0
//	32      …   entries, newest first
type Batch struct {
	Cursor   Cursor
	Count    uint32
	Checksum uint32
	Left     uint32

	rest []byte
}

// BeginBatch appends the room in front of a batch's entries, which the caller
// appends next. EndBatch makes the body whole.
func BeginBatch(dst []byte) []byte {
	var room [pullAnswerLen]byte
	return append(dst, room[:]...)
}

// EndBatch completes the body that begins at dst[start] and goes to dst's end: it
// sets m.Checksum and writes all of m but the entries.
func EndBatch(dst []byte, start int, m *Batch) {
	b := dst[start:]
	m.Checksum = crc32.Checksum(b[pullAnswerLen:], castagnoli)
	copy(b, m.Cursor[:])
	binary.LittleEndian.PutUint32(b[16:], m.Count)
	binary.LittleEndian.PutUint32(b[20:], m.Checksum)
	binary.LittleEndian.PutUint32(b[24:], m.Left)
}

// DecodeBatch reads the body of an OK to a pull, all of it. The errors are
// ErrBody, ErrBodyKey, ErrBodyLimit, ErrBodyChecksum and ErrFrameReserved.
func DecodeBatch(b []byte, m *Batch) error {
	if len(b) < pullAnswerLen {
		return ErrBody
	}
	*m = Batch{
		Cursor: Cursor(b[:16]), Count: binary.LittleEndian.Uint32(b[16:]),
		Checksum: binary.LittleEndian.Uint32(b[20:]), Left: binary.LittleEndian.Uint32(b[24:]),
		rest: b[pullAnswerLen:],
	}
	if binary.LittleEndian.Uint32(b[28:]) != 0 {
		return ErrFrameReserved
	}
	if crc32.Checksum(m.rest, castagnoli) != m.Checksum {
		return ErrBodyChecksum
	}
	var e Entry
	rest := m.rest
	for range m.Count {
		n, err := decodeEntry(rest, &e)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return DecodeEmpty(rest)
}

// Next gives the next entry, or false behind the last. Its slices point into the
// frame.
func (m *Batch) Next(e *Entry) bool {
	if len(m.rest) == 0 {
		return false
	}
	n, err := decodeEntry(m.rest, e)
	if err != nil {
		panic("proto: BUG: DecodeBatch has let a bad entry pass")
	}
	m.rest = m.rest[n:]
	return true
}

// decodeEntry reads the entry at the front of b, and gives its length.
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

// PullAck is the body of a pull-ack: the asker has dealt with every entry of a
// batch, and the source lets go of them. Slot and term are in the header. An OK
// has no body; any other status means that the source has let go of nothing.
//
//	offset size
//	 0     16   cursor of the batch
//	16      4   number of entries of the batch: the sum of the next four
//	20      4   checksum of the batch
//	24      4   applied
//	28      4   refused: the asker has something as new or newer, or knows the key
//	            as deleted
//	32      4   refused: older than the oldest that the asker's arena holds
//	36      4   dropped for any other reason
type PullAck struct {
	Cursor                          Cursor
	Count, Checksum                 uint32
	Applied, Older, TooOld, Dropped uint32
}

// adds says whether the counts add up.
func (a *PullAck) adds() bool {
	return uint64(a.Count) == uint64(a.Applied)+uint64(a.Older)+uint64(a.TooOld)+uint64(a.Dropped)
}

// AppendPullAck appends the body of a pull-ack, whose counts add up.
func AppendPullAck(dst []byte, a *PullAck) []byte {
	if !a.adds() {
		panic("proto: BUG: the counts of a batch do not add up")
	}
	dst = append(dst, a.Cursor[:]...)
	for _, n := range [...]uint32{a.Count, a.Checksum, a.Applied, a.Older, a.TooOld, a.Dropped} {
		dst = binary.LittleEndian.AppendUint32(dst, n)
	}
	return dst
}

// DecodePullAck reads the body of a pull-ack. The error is ErrBody.
func DecodePullAck(b []byte, a *PullAck) error {
	if len(b) != pullAckLen {
		return ErrBody
	}
	*a = PullAck{Cursor: Cursor(b[:16])}
	for i, n := range [...]*uint32{&a.Count, &a.Checksum, &a.Applied, &a.Older, &a.TooOld, &a.Dropped} {
		*n = binary.LittleEndian.Uint32(b[16+4*i:])
	}
	if !a.adds() {
		return ErrBody
	}
	return nil
}

// AppendFetch appends the body of a fetch, by which the holder of a slot reads
// one key through to a node that held the slot before: the canonical key, and
// nothing else. Slot and the asker's term are in the header. The answer is that
// to a get (DecodeAnswer with OpGet): OK with the entry, miss, or dead, which
// says that the answerer has nothing of that slot and term for the asker, and
// never will: another incarnation had it, or all has been acknowledged. Pull and
// pull-ack are answered dead for the same reason.
func AppendFetch(dst, key []byte) []byte { return append(dst, key...) }

// DecodeFetch reads the body of a fetch. The error is ErrBodyKey.
func DecodeFetch(b []byte) (key []byte, err error) { return b, checkKey(b) }
