package store

import (
	"encoding/binary"
	"hash/maphash"
)

// hash finds a key within one process, and is what fastcache finds its entry by:
//
//	offset size
//	0      2   the key's slot
//	2      6   lower 48 bits of SipHash-2-4 of the canonical key, under the process's
//	           secret, so that nobody can choose keys that meet
//
// It is as long as fastcache's own hash, xxhash64, which is one-to-one for keys of 8
// bytes: more bits here would keep no more keys apart. Two keys with one hash are in
// one slot; where a slot has a thousand entries, two of them meet with a chance of
// one in 500 million.
//
// Two keys with one hash are two keys nevertheless: whoever reads a head for a
// key compares the key, and whoever reads it for a record compares the slot
// (writer.readHead). The later of the two is stored, the other is lost.
type hash [hashLen]byte

// tail is the part of a hash that the set of its slot keeps.
type tail [hashLen - 2]byte

func (h *hash) tail() tail { return tail(h[2:]) }

// home is where the tail is looked for first. The upper homeLogBits bits of it are
// what the log of a bucket keeps; see slotSet.each.
func (t *tail) home() uint32 { return binary.LittleEndian.Uint32(t[:]) }

func (h *hash) home() uint32 { return binary.LittleEndian.Uint32(h[2:]) }

const homeLogBits = 15

// record is one entry of a slot: its hash less the slot, where its head lies in the
// ring of its bucket, and what a write has to know of an entry to replace it unread.
// There is one for each entry that a node holds, so it has no padding.
type record struct {
	tail tail // all zero: the place is free
	pos  [3]byte
	meta [3]byte
}

// granule is a position in a bucket's ring in units of granuleSize, modulo
// 1<<granuleBits. A pair is longer than one, so no two begin in the same. The ring of a
// bucket has fewer than there are: see maxWriterArena.
type granule uint32

const (
	granuleSize = 16
	granuleBits = 24
)

func granuleOf(pos uint64) granule { return granule(pos / granuleSize & (1<<granuleBits - 1)) }

func (r *record) free() bool { return r.tail == tail{} }

// hash gives the hash of a record in the set of slot.
func (r *record) hash(slot uint16) (h hash) {
	binary.LittleEndian.PutUint16(h[:], slot)
	copy(h[2:], r.tail[:])
	return h
}

func (r *record) position() granule {
	return granule(r.pos[0]) | granule(r.pos[1])<<8 | granule(r.pos[2])<<16
}

// move notes that the head lies elsewhere.
func (r *record) move(pos granule) { r.pos = [3]byte{byte(pos), byte(pos >> 8), byte(pos >> 16)} }

func (r *record) about() meta {
	return meta(r.meta[0]) | meta(r.meta[1])<<8 | meta(r.meta[2])<<16
}

func (r *record) describe(m meta) { r.meta = [3]byte{byte(m), byte(m >> 8), byte(m >> 16)} }

// meta is what a record says of its head, in 24 bits:
//
//	bit  0   length of the head, as stored, 13 bits: at most 5,157
//	    13   the entry expires
//	    14   the value is in pieces
//	    15   check of the value, 9 bits; 0 if it is in pieces
//
// The check is the upper bits of a hash of the value. It only spares the look at a
// value that differs, but for one in 512: values whose checks are equal are compared
// byte by byte.
type meta uint32

const (
	metaSizeBits        = 13
	metaExpires    meta = 1 << 13
	metaPieces     meta = 1 << 14
	metaCheckShift      = 15
	metaBits            = 24
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
	return uint32(maphash.Bytes(s.seed, value) >> (64 - metaBits + metaCheckShift))
}

// slotSet is the set of the entries of one slot: what fastcache alone cannot
// list, count or drop. A hash table with open addressing, linear probing and
// backward-shift deletion. It grows by a sixteenth, or to the next size that the
// allocator has, for memory counts here: 65,536 of these carry every entry of a node. The zero value is an empty set. One writer uses
// it, in its turn. The struct is half a cache line: writes touch slots at random.
type slotSet struct {
	records []record
	n       uint32
}

// place scales a home to the table (Lemire, "fast alternative to the modulo
// reduction"), in another order for each length. In one and the same order, a
// table that shrinks while it is emptied from one end, as the sweeper and DropSlot
// do, would crowd what is left into one end of the next: each removal would then
// take as long as there are records. Homes with the same upper homeLogBits bits
// stay neighbours. It takes three multiplications: of so few bits, fewer keep much of
// the order.
func (s *slotSet) place(home uint32) int {
	const low, mask = 32 - homeLogBits, 1<<homeLogBits - 1
	n := uint64(len(s.records))
	odd := uint32(n*0x9e3779b97f4a7c15>>32) | 1
	upper := home >> low * odd & mask
	upper = (upper ^ upper>>7) * 0x4c95 & mask
	upper = (upper ^ upper>>8) * odd
	return int(uint64(upper<<low|home&(1<<low-1)) * n >> 32)
}

// find gives the record of h, or nil. The pointer is good until the next insert
// or remove.
func (s *slotSet) find(h *hash) *record {
	if s.n == 0 {
		return nil
	}
	t := h.tail()
	for i := s.place(t.home()); ; {
		r := &s.records[i]
		if r.tail == t {
			return r
		}
		if r.free() {
			return nil
		}
		if i++; i == len(s.records) {
			i = 0
		}
	}
}

// each calls visit for the records whose homes have these upper homeLogBits bits,
// until it returns true.
func (s *slotSet) each(upper uint16, visit func(*record) bool) {
	if s.n == 0 {
		return
	}
	const low = 32 - homeLogBits
	home := uint32(upper) << low
	i := s.place(home)
	// In a table that is larger than there are such homes, they begin at several
	// places, and free ones may lie between.
	between := s.place(home|(1<<low-1)) - i
	for {
		r := &s.records[i]
		if r.free() {
			if between <= 0 {
				return
			}
		} else if r.tail.home()>>low == uint32(upper) && visit(r) {
			return
		}
		between--
		if i++; i == len(s.records) {
			i = 0
		}
	}
}

// insert adds h, which must not be there. It returns by how many records the table
// has grown.
func (s *slotSet) insert(h *hash, pos granule, m meta) (grown int) {
	if (int(s.n)+1)*8 > len(s.records)*7 {
		grown = s.resize(len(s.records) + len(s.records)/16 + 2)
	}
	r := record{tail: h.tail()}
	r.move(pos)
	r.describe(m)
	s.put(r)
	s.n++
	return grown
}

func (s *slotSet) put(r record) {
	i := s.place(r.tail.home())
	for !s.records[i].free() {
		if i++; i == len(s.records) {
			i = 0
		}
	}
	s.records[i] = r
}

// resize moves the set to a table of n records, or as many more as cost nothing in
// what the Go heap hands out, and returns by how many records that is more than
// before.
func (s *slotSet) resize(n int) int {
	old := s.records
	s.records = append([]record(nil), make([]record, n)...)
	s.records = s.records[:cap(s.records)]
	for _, r := range old {
		if !r.free() {
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
	t := h.tail()
	i, n := s.place(t.home()), len(s.records)
	for s.records[i].tail != t {
		if s.records[i].free() {
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
		if r.free() {
			break
		}
		home := s.place(r.tail.home())
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
