package store

import (
	"encoding/binary"
	"hash/maphash"
)

// hash finds a key within one process: SipHash-2-4 of the canonical key, under
// the process's secret, so that nobody can choose keys that meet. It is as long
// as what fastcache finds a pair by, xxhash64 of the key given to it, which is
// one-to-one for keys of 8 bytes: more bits here would keep no more keys apart.
//
// Two keys with one hash are two keys nevertheless: whoever reads a head for a
// key compares the key, and whoever reads it for a record compares the slot
// (writer.readHead). The later of the two is stored, the other is lost.
type hash [hashLen]byte

// home is where a hash is looked for first, and what the log of a bucket keeps
// of it. 31 bits: the log has another use for the last one.
func (h *hash) home() uint32 { return binary.LittleEndian.Uint32(h[:]) &^ logPiece }

func (h *hash) isZero() bool { return *h == hash{} }

// record is one entry of a slot: its hash, where its head lies in the ring of its
// bucket (the low 32 bits of the position), and what a write has to know of an
// entry to replace it unread.
type record struct {
	hash hash
	pos  uint32
	meta meta
}

// meta is what a record says of its head:
//
//	bit  0   length of the head, as stored, 13 bits: at most 5,157
//	    13   the entry expires
//	    14   the value is in pieces
//	    15   check of the value, 17 bits; 0 if it is in pieces
//
// The check is the upper bits of a hash of the value. It only spares the look at a
// value that differs: values whose checks are equal are compared byte by byte.
type meta uint32

const (
	metaSizeBits        = 13
	metaExpires    meta = 1 << 13
	metaPieces     meta = 1 << 14
	metaCheckShift      = 15
)

func metaOf(h *head) meta {
	m := meta(h.size) | meta(h.check)<<metaCheckShift
	if h.expiry != 0 {
		m |= metaExpires
	}
	if h.pieces {
		m |= metaPieces
	}
	return m
}

// size is the length of the head.
func (m meta) size() int { return int(m & (1<<metaSizeBits - 1)) }

func (m meta) check() uint32 { return uint32(m >> metaCheckShift) }

// checkOf gives the check of a value. maphash takes half of xxhash's time for
// short values.
func (s *Store) checkOf(value []byte) uint32 {
	return uint32(maphash.Bytes(s.seed, value) >> (32 + metaCheckShift))
}

// slotSet is the set of the entries of one slot: what fastcache alone cannot
// list, count or drop. A hash table with open addressing, linear probing and
// backward-shift deletion; free places hold the zero hash. It grows by a
// quarter, for memory counts here: 65,536 of these carry every entry of a node.
// The zero value is an empty set. One writer uses it, in its turn. The struct is
// half a cache line: writes touch slots at random.
type slotSet struct {
	records []record
	n       uint32
}

// place scales a home to the table (Lemire, "fast alternative to the modulo
// reduction"), in another order for each length. In one and the same order, a
// table that shrinks while it is emptied from one end, as the sweeper and DropSlot
// do, would crowd what is left into one end of the next: each removal would then
// take as long as there are records.
func (s *slotSet) place(home uint32) int {
	n := uint64(len(s.records))
	return int(uint64(home*(uint32(n)*0x9e3779b1|1)) * n >> 32)
}

// find gives the record of h, or nil. The pointer is good until the next insert
// or remove.
func (s *slotSet) find(h *hash) *record {
	if s.n == 0 {
		return nil
	}
	for i := s.place(h.home()); ; {
		r := &s.records[i]
		if r.hash == *h {
			return r
		}
		if r.hash.isZero() {
			return nil
		}
		if i++; i == len(s.records) {
			i = 0
		}
	}
}

// each calls visit for the records with this home until it returns true.
func (s *slotSet) each(home uint32, visit func(*record) bool) {
	if s.n == 0 {
		return
	}
	for i := s.place(home); ; {
		r := &s.records[i]
		if r.hash.isZero() || r.hash.home() == home && visit(r) {
			return
		}
		if i++; i == len(s.records) {
			i = 0
		}
	}
}

// insert adds h, which must not be there, and gives its record. It returns by
// how many records the table has grown.
func (s *slotSet) insert(h *hash, pos uint32, m meta) (grown int) {
	if (int(s.n)+1)*8 > len(s.records)*7 {
		grown = s.resize(len(s.records) + len(s.records)/4 + 3)
	}
	s.put(record{*h, pos, m})
	s.n++
	return grown
}

func (s *slotSet) put(r record) {
	i := s.place(r.hash.home())
	for !s.records[i].hash.isZero() {
		if i++; i == len(s.records) {
			i = 0
		}
	}
	s.records[i] = r
}

// resize moves the set to a table of n records, and returns by how many records
// that is more than before.
func (s *slotSet) resize(n int) int {
	old := s.records
	s.records = make([]record, n)
	for _, r := range old {
		if !r.hash.isZero() {
			s.put(r)
		}
	}
	return len(s.records) - len(old)
}

// remove takes h out, reports whether it was there, and returns by how many
// records the table has grown: a negative number, if it was far too large.
func (s *slotSet) remove(h *hash) (removed bool, grown int) {
	if s.n == 0 {
		return false, 0
	}
	i, n := s.place(h.home()), len(s.records)
	for s.records[i].hash != *h {
		if s.records[i].hash.isZero() {
			return false, 0
		}
		if i++; i == n {
			i = 0
		}
	}
	// Close the gap: move back every record of the run that the gap would cut
	// off from its home.
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		r := &s.records[j]
		if r.hash.isZero() {
			break
		}
		home := s.place(r.hash.home())
		if i <= j && (home <= i || home > j) || i > j && home <= i && home > j {
			s.records[i] = *r
			i = j
		}
	}
	s.records[i] = record{}
	s.n--
	// Half is enough of a gap against growing and shrinking in turn, and little
	// enough to keep what comes and goes from holding twice what it needs.
	if live := int(s.n); n > 6 && live*2 < n {
		grown = s.resize(live + live/4 + 3)
	}
	return true, grown
}
