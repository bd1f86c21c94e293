package proto

import (
	"encoding/binary"
	"time"
)

// The bodies of TAKE, OFFER, GRANT and CLAIM, which move the holding of slots:
// many slots in one frame, each with its term, answered slot by slot. The header's
// slot and term are 0. Slots stand in ascending order, each once.
//
// A slot with its term:
//
//	offset size
//	 0      2   slot
//	 2      2   reserved, 0
//	 4      4   term
const (
	slotTermLen   = 8
	takeLen       = 4
	claimLen      = 16
	slotAnswerLen = 12
	slotsLen      = 16
	indexLen      = 2
	nodeIDLen     = 9

	// MaxSlotBatch is the most slots in one frame.
	MaxSlotBatch = 4096
	// MaxSources is the most nodes that one slot's answer refers to.
	MaxSources = 64
)

// SlotTerm is a slot and a term of it.
type SlotTerm struct {
	Slot Slot
	Term uint32
}

// SlotTerms are slots with their terms as they lie in a frame.
type SlotTerms []byte

// Len is the number of slots.
func (s SlotTerms) Len() int { return len(s) / slotTermLen }

// At gives the slot of that index.
func (s SlotTerms) At(i int) SlotTerm {
	word := binary.LittleEndian.Uint64(s[i*slotTermLen:])
	return SlotTerm{Slot: Slot(word), Term: uint32(word >> 32)}
}

func appendSlotTerms(dst []byte, slots []SlotTerm) []byte {
	if len(slots) == 0 || len(slots) > MaxSlotBatch {
		panic("proto: BUG: no slots, or too many")
	}
	for i, s := range slots {
		if i > 0 && slots[i-1].Slot >= s.Slot {
			panic("proto: BUG: slots out of order")
		}
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Slot)|uint64(s.Term)<<32)
	}
	return dst
}

// decodeSlotTerms cuts count slots off the front of b.
func decodeSlotTerms(b []byte, count int) (slots SlotTerms, rest []byte, err error) {
	switch {
	case count == 0:
		return nil, nil, ErrBody
	case count > MaxSlotBatch:
		return nil, nil, ErrBodyLimit
	case len(b) < count*slotTermLen:
		return nil, nil, ErrBody
	}
	slots = SlotTerms(b[:count*slotTermLen])
	last := -1
	for i := range count {
		word := binary.LittleEndian.Uint64(slots[i*slotTermLen:])
		if uint16(word>>16) != 0 {
			return nil, nil, ErrFrameReserved
		}
		if int(uint16(word)) <= last {
			return nil, nil, ErrBody
		}
		last = int(uint16(word))
	}
	return slots, b[count*slotTermLen:], nil
}

// AppendTake appends the body of a take: the slots that the asker, a node, wants
// to hold, each with the term under which it believes it to be held, 0 if it does
// not know.
//
//	offset size
//	 0      2   number of slots, 1 to 4,096
//	 2      2   reserved, 0
//	 4      …   slots
//
// An offer has the same body: slots that the sender, their holder, thinks are for
// the receiver to take, each with its term. The OK to an offer has no body.
func AppendTake(dst []byte, slots []SlotTerm) []byte {
	return appendSlotTerms(binary.LittleEndian.AppendUint32(dst, uint32(len(slots))), slots)
}

// DecodeTake reads the body of a take or an offer. The errors are ErrBody, ErrBodyLimit and
// ErrFrameReserved.
func DecodeTake(b []byte) (SlotTerms, error) {
	if len(b) < takeLen {
		return nil, ErrBody
	}
	if b[2]|b[3] != 0 {
		return nil, ErrFrameReserved
	}
	slots, rest, err := decodeSlotTerms(b[takeLen:], int(binary.LittleEndian.Uint16(b)))
	if err == nil && len(rest) != 0 {
		return nil, ErrBody
	}
	return slots, err
}

// Fence says why the former holder of claimed slots serves them no more.
type Fence uint8

// The fences. Append only: they cross the wire.
const (
	// FenceNone: nothing is known of the former holder.
	FenceNone Fence = 0
	// FenceSilence: it has answered nobody for long enough. Each member says in
	// its answer how long ago it last answered a ping of that node.
	FenceSilence Fence = 1
	// FenceRefused: its peer port has refused a connection, so it is dead.
	FenceRefused Fence = 2
	// FenceReturned: it is back as a later incarnation, or says that it does not
	// hold them.
	FenceReturned Fence = 3
)

// Claim is the body of a claim, by which a node makes itself the holder of slots
// whose holder is lost. It counts when every member has acknowledged it.
//
//	offset size
//	 0      8   incarnation of the former holder; 0: not known
//	 8      1   fence
//	 9      1   length of the former holder's name; 0: not known
//	10      2   number of slots, 1 to 4,096
//	12      4   reserved, 0
//	16      …   slots, each with the term that is claimed, at least 1
//	 +      …   name of the former holder
type Claim struct {
	Holder      []byte
	Incarnation uint64
	Fence       Fence
	// Slots is what DecodeClaim has found.
	Slots SlotTerms
}

// AppendClaim appends the body of a claim of slots; c.Slots is not looked at.
func AppendClaim(dst []byte, c *Claim, slots []SlotTerm) []byte {
	mustName(c.Holder)
	dst = binary.LittleEndian.AppendUint64(dst, c.Incarnation)
	dst = append(dst, byte(c.Fence), byte(len(c.Holder)))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(slots)))
	dst = append(dst, 0, 0, 0, 0)
	return append(appendSlotTerms(dst, slots), c.Holder...)
}

// DecodeClaim reads the body of a claim. The errors are ErrBody, ErrBodyLimit and
// ErrFrameReserved.
func DecodeClaim(b []byte, c *Claim) error {
	if len(b) < claimLen {
		return ErrBody
	}
	if binary.LittleEndian.Uint32(b[12:]) != 0 {
		return ErrFrameReserved
	}
	slots, holder, err := decodeSlotTerms(b[claimLen:], int(binary.LittleEndian.Uint16(b[10:])))
	if err != nil {
		return err
	}
	*c = Claim{Holder: holder, Incarnation: binary.LittleEndian.Uint64(b), Fence: Fence(b[8]), Slots: slots}
	if len(holder) != int(b[9]) || c.Fence > FenceReturned {
		return ErrBody
	}
	for i := range slots.Len() {
		if slots.At(i).Term == 0 {
			return ErrBody
		}
	}
	return checkText(holder, '!')
}

// SlotAnswer is the answer for one slot of a take or a claim:
//
//	offset size
//	 0      2   slot
//	 2      1   status
//	 3      1   number of nodes that it refers to, at most 64
//	 4      4   term
//	 8      4   number of entries
//	12      …   indexes of the nodes, 2 each
//
// To a take:
//
//	ok     granted. term is the new one; entries is what there is to pull from
//	       the answerer. A grant without entries is acknowledged by a pull-ack
//	       of no entries, one with entries by the first pull
//	moved  another node holds it; term is that node's, and it is the one node
//	       referred to
//	busy   the answerer imports it and does not grant it on; term is the present
//	       one, the node, if there is one, the importer's source
//	epoch, not_holder, closed
//	       not granted
//
// To a claim:
//
//	ok     acknowledged, and the term remembered
//	stale  a term as high or higher has been remembered: term
//	busy   the answerer has answered the former holder too lately
//	epoch, closed
//	       not acknowledged
//
// Whatever the status, the answer to a claim refers to each node that, as far as
// the answerer knows, still holds entries of the slot that nobody has pulled,
// itself included; entries is how many it holds itself.
type SlotAnswer struct {
	Slot    Slot
	Status  Status
	Term    uint32
	Entries uint32
	// Nodes are indexes into the frame's nodes.
	Nodes Indexes
}

// Indexes are indexes of nodes as they lie in a frame.
type Indexes []byte

// Len is the number of indexes.
func (x Indexes) Len() int { return len(x) / indexLen }

// At gives the index of that place.
func (x Indexes) At(i int) int { return int(binary.LittleEndian.Uint16(x[i*indexLen:])) }

// Add appends an index.
func (x Indexes) Add(index int) Indexes { return binary.LittleEndian.AppendUint16(x, uint16(index)) }

// SlotAnswers is the body of an OK to a take or a claim, and of a grant, by which
// a holder says again what it has granted when nothing came of it. The answer to a
// take may come in several frames, each of which answers other slots. The OK to a
// grant has no body.
//
//	offset size
//	 0      8   the answerer's hybrid logical clock; the asker adopts it before it
//	            serves the slots
//	 8      4   claim: milliseconds since the answerer last answered a ping of the
//	            former holder; 2^32-1: longer, or never. take: 0
//	12      2   number of slots, 1 to 4,096
//	14      2   number of nodes, at most 4,096
//	16      …   slots
//	 +      …   nodes: each its incarnation (8), the length of its name (1), and
//	            its name
type SlotAnswers struct {
	Clock uint64
	// Silence is whole milliseconds.
	Silence time.Duration
	// Count is the number of slots that DecodeSlotAnswers has found.
	Count int
	// Nodes are what DecodeSlotAnswers has found.
	Nodes NodeIDs

	rest []byte
}

// NodeID names one run of one node.
type NodeID struct {
	Name        []byte
	Incarnation uint64
}

// NodeIDs are the names of nodes as they lie in a frame.
type NodeIDs struct {
	b     []byte
	count int
}

// Len is the number of nodes.
func (n NodeIDs) Len() int { return n.count }

// At gives the node of that index, below Len. It takes time with the index: who
// needs many walks through them once.
func (n NodeIDs) At(i int) NodeID {
	b := n.b
	for range i {
		b = b[nodeIDLen+int(b[8]):]
	}
	return NodeID{Name: b[nodeIDLen : nodeIDLen+int(b[8])], Incarnation: binary.LittleEndian.Uint64(b)}
}

// AppendSlotAnswers appends the body of an OK to a take or a claim, or of a grant;
// a.Count and
// a.Nodes are not looked at.
func AppendSlotAnswers(dst []byte, a *SlotAnswers, slots []SlotAnswer, nodes []NodeID) []byte {
	if len(slots) == 0 || len(slots) > MaxSlotBatch || len(nodes) > MaxMembers {
		panic("proto: BUG: no slots, or too many, or too many nodes")
	}
	dst = binary.LittleEndian.AppendUint64(dst, a.Clock)
	dst = appendMillis(dst, a.Silence)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(slots)))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(nodes)))
	for i := range slots {
		s := &slots[i]
		if s.Nodes.Len() > MaxSources || i > 0 && slots[i-1].Slot >= s.Slot {
			panic("proto: BUG: slots out of order, or too many sources")
		}
		dst = binary.LittleEndian.AppendUint64(dst,
			uint64(s.Slot)|uint64(s.Status)<<16|uint64(s.Nodes.Len())<<24|uint64(s.Term)<<32)
		dst = binary.LittleEndian.AppendUint32(dst, s.Entries)
		dst = append(dst, s.Nodes...)
	}
	for i := range nodes {
		mustName(nodes[i].Name)
		dst = binary.LittleEndian.AppendUint64(dst, nodes[i].Incarnation)
		dst = append(append(dst, byte(len(nodes[i].Name))), nodes[i].Name...)
	}
	return dst
}

// DecodeSlotAnswers reads the body of an OK to a take or a claim, or of a grant,
// all of it. The
// errors are ErrBody, ErrBodyLimit and ErrFrameStatus.
func DecodeSlotAnswers(b []byte, a *SlotAnswers) error {
	if len(b) < slotsLen {
		return ErrBody
	}
	*a = SlotAnswers{
		Clock: binary.LittleEndian.Uint64(b), Silence: millis(b[8:]),
		Count: int(binary.LittleEndian.Uint16(b[12:])),
	}
	nodes := int(binary.LittleEndian.Uint16(b[14:]))
	if a.Count == 0 {
		return ErrBody
	}
	if a.Count > MaxSlotBatch || nodes > MaxMembers {
		return ErrBodyLimit
	}
	rest := b[slotsLen:]
	last := -1
	for range a.Count {
		n, err := checkSlotAnswer(rest, last, nodes)
		if err != nil {
			return err
		}
		last = int(binary.LittleEndian.Uint16(rest))
		rest = rest[n:]
	}
	a.rest = b[slotsLen : len(b)-len(rest)]
	a.Nodes = NodeIDs{b: rest, count: nodes}
	for range nodes {
		if len(rest) < nodeIDLen || len(rest) < nodeIDLen+int(rest[8]) {
			return ErrBody
		}
		end := nodeIDLen + int(rest[8])
		if err := CheckName(rest[nodeIDLen:end]); err != nil {
			return err
		}
		rest = rest[end:]
	}
	return DecodeEmpty(rest)
}

// checkSlotAnswer judges the answer for a slot at the front of b, and gives its
// length.
func checkSlotAnswer(b []byte, last, nodes int) (int, error) {
	if len(b) < slotAnswerLen {
		return 0, ErrBody
	}
	if b[3] > MaxSources {
		return 0, ErrBodyLimit
	}
	n := slotAnswerLen + int(b[3])*indexLen
	if len(b) < n || int(binary.LittleEndian.Uint16(b)) <= last {
		return 0, ErrBody
	}
	if Status(b[2]) > statusLast {
		return 0, ErrFrameStatus
	}
	indexes := Indexes(b[slotAnswerLen:n])
	for i := range indexes.Len() {
		if indexes.At(i) >= nodes {
			return 0, ErrBody
		}
	}
	return n, nil
}

// Next gives the answer for the next slot, or false behind the last. Its slice
// points into the frame.
func (a *SlotAnswers) Next(s *SlotAnswer) bool {
	if len(a.rest) == 0 {
		return false
	}
	word := binary.LittleEndian.Uint64(a.rest)
	end := slotAnswerLen + int(uint8(word>>24))*indexLen
	*s = SlotAnswer{
		Slot: Slot(word), Status: Status(word >> 16), Term: uint32(word >> 32),
		Entries: binary.LittleEndian.Uint32(a.rest[8:]),
		Nodes:   Indexes(a.rest[slotAnswerLen:end:end]),
	}
	a.rest = a.rest[end:]
	return true
}
