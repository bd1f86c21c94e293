package proto

import "encoding/binary"

// SlotsWriter writes the body of a slots frame in place: Begin, then Append for
// each message, then End. Behind a SlotClaimOK come its sources, behind a SlotBatch
// its entries, and behind a SlotFetched with Found its one entry. Each method
// takes and returns the buffer. The zero value is ready, and it is ready again
// after End.
//
// The frame must not grow beyond MaxBody: ask Len, and begin another. A message
// without sources and entries has at most MaxSlotMessage bytes.
type SlotsWriter struct {
	start   int // of the body
	message int // of the last message, 0 for none
	count   int // of messages
	parts   int // sources or entries of the last message
}

const (
	// MaxSlotMessage is the length of the longest message, not counting sources
	// and entries: a fetch with the longest key.
	MaxSlotMessage = slotMessageLen + 8 + 2 + MaxCanonicalLen
	// MaxSlotSource is the length of the longest source.
	MaxSlotSource = slotSourceLen + MaxNameLen

	slotsTermsAt  = 8  // in the head
	slotsCountAt  = 22 // in the head
	sourceCountAt = 24 // in a claim_ok
	entryCountAt  = 20 // in a batch
)

// Begin appends the head.
func (w *SlotsWriter) Begin(dst []byte, h *SlotsHead) []byte {
	if h.State < MemberJoining || h.State > MemberGone {
		panic("proto: BUG: no such state of a member")
	}
	*w = SlotsWriter{start: len(dst)}
	dst = binary.LittleEndian.AppendUint64(dst, h.Incarnation)
	dst = binary.LittleEndian.AppendUint32(dst, h.Terms)
	dst = binary.LittleEndian.AppendUint32(dst, h.Flushes)
	dst = binary.LittleEndian.AppendUint32(dst, h.Weight)
	dst = append(dst, byte(h.State), 0, 0, 0)
	return binary.LittleEndian.AppendUint64(dst, h.To)
}

// SetTerms raises the terms in the head: that its sender heard of more of them
// while it wrote the frame makes nothing in it wrong.
func (w *SlotsWriter) SetTerms(dst []byte, terms uint32) {
	binary.LittleEndian.PutUint32(dst[w.start+slotsTermsAt:], terms)
}

// Append appends a message, all but sources and entries: m.Sources and m.Entries
// are not looked at. At most MaxSlotMessages.
func (w *SlotsWriter) Append(dst []byte, m *SlotMessage) []byte {
	form, flags := m.Kind.form(), m.flags()
	switch {
	case w.count == MaxSlotMessages:
		panic("proto: BUG: more than MaxSlotMessages messages")
	case form.length == 0, flags&^form.flags != 0:
		panic("proto: BUG: no such message, or a flag that it cannot have")
	}
	w.settle(dst)
	w.message, w.parts = len(dst), 0
	w.count++
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Kind)|uint64(flags)<<8|uint64(m.Slot)<<16|uint64(m.Term)<<32)
	switch m.Kind {
	case SlotPing, SlotPong:
		if m.Slot != 0 || m.Term != 0 {
			panic("proto: BUG: a ping of a slot")
		}
		dst = binary.LittleEndian.AppendUint64(dst, m.Time)
	case SlotGrant:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Elder))
		dst = binary.LittleEndian.AppendUint64(dst, m.Clock)
	case SlotMoved:
		mustName(m.Node)
		dst = binary.LittleEndian.AppendUint64(dst, m.Incarnation)
		dst = append(append(dst, byte(len(m.Node))), m.Node...)
	case SlotClaimOK:
		dst = binary.LittleEndian.AppendUint32(dst, m.Elder)
		dst = binary.LittleEndian.AppendUint32(dst, m.Below)
		dst = binary.LittleEndian.AppendUint64(dst, m.Clock)
		dst = append(dst, 0, 0)
	case SlotPull:
		dst = binary.LittleEndian.AppendUint64(dst, m.Time)
		dst = binary.LittleEndian.AppendUint32(dst, m.Seq)
	case SlotBatch:
		dst = binary.LittleEndian.AppendUint64(dst, m.Time)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Seq))
	case SlotFetch, SlotFetched:
		if checkKey(m.Key) != nil {
			panic("proto: BUG: a bad key")
		}
		dst = binary.LittleEndian.AppendUint64(dst, m.Time)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.Key)))
		dst = append(dst, m.Key...)
	case SlotOffer:
		dst = binary.LittleEndian.AppendUint32(dst, m.Elder)
	case SlotAsk, SlotHeard:
		if m.Slot != 0 || m.Term != 0 || len(m.Node) == 0 {
			panic("proto: BUG: a question about nobody, or of a slot")
		}
		mustName(m.Node)
		dst = binary.LittleEndian.AppendUint64(dst, m.Time)
		dst = binary.LittleEndian.AppendUint64(dst, m.Incarnation)
		if m.Kind == SlotHeard {
			dst = binary.LittleEndian.AppendUint64(dst, m.Age)
		}
		dst = append(append(dst, byte(len(m.Node))), m.Node...)
	}
	return dst
}

func (m *SlotMessage) flags() (flags uint8) {
	if m.Done {
		flags = slotDone
	}
	if m.Empty {
		flags |= slotEmpty
	}
	if m.Found {
		flags |= slotFound
	}
	return flags
}

// Source appends a source to the last message, a SlotClaimOK: at most MaxSources.
func (w *SlotsWriter) Source(dst []byte, s *SlotSource) []byte {
	if w.kind(dst) != SlotClaimOK || w.parts == MaxSources || len(s.Node) == 0 {
		panic("proto: BUG: a source where there is none, or too many, or one without a name")
	}
	mustName(s.Node)
	w.parts++
	binary.LittleEndian.PutUint16(dst[w.message+sourceCountAt:], uint16(w.parts))
	dst = binary.LittleEndian.AppendUint64(dst, s.Incarnation)
	dst = binary.LittleEndian.AppendUint32(dst, s.Since)
	dst = binary.LittleEndian.AppendUint32(dst, s.Elder)
	dst = binary.LittleEndian.AppendUint32(dst, s.Below)
	return append(append(dst, byte(len(s.Node))), s.Node...)
}

// Entry appends an entry of the last message's slot: to a SlotBatch, at most
// 65,535, or the one to a SlotFetched with Found, whose key it has. It adds
// EntryLen to the frame.
func (w *SlotsWriter) Entry(dst []byte, e *Entry) []byte {
	w.parts++
	switch kind := w.kind(dst); {
	case kind == SlotBatch && w.parts <= maxBatch:
		binary.LittleEndian.PutUint16(dst[w.message+entryCountAt:], uint16(w.parts))
	case kind == SlotFetched && w.parts == 1 && dst[w.message+1] == slotFound:
	default:
		panic("proto: BUG: an entry where there is none, or too many")
	}
	return AppendEntry(dst, e)
}

// Undo cuts the last message off again, with its sources and entries; only once
// after each Append. It is for a message that makes the frame too long.
func (w *SlotsWriter) Undo(dst []byte) []byte {
	dst = dst[:w.message]
	w.message = 0
	w.count--
	return dst
}

// Count is the number of messages so far; a body without messages must not be
// sent.
func (w *SlotsWriter) Count() int { return w.count }

// Len is the length of the body so far.
func (w *SlotsWriter) Len(dst []byte) int { return len(dst) - w.start }

// End completes the body.
func (w *SlotsWriter) End(dst []byte) []byte {
	w.settle(dst)
	binary.LittleEndian.PutUint16(dst[w.start+slotsCountAt:], uint16(w.count))
	return dst
}

// kind gives the kind of the last message, 0 if there is none.
func (w *SlotsWriter) kind(dst []byte) SlotKind {
	if w.message == 0 {
		return 0
	}
	return SlotKind(dst[w.message])
}

// settle looks back at the last message, to which nothing is added any more.
func (w *SlotsWriter) settle(dst []byte) {
	if w.kind(dst) == SlotFetched && dst[w.message+1] == slotFound && w.parts != 1 {
		panic("proto: BUG: an entry was found, and is not there")
	}
}
