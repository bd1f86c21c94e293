package proto

import (
	"bytes"
	"encoding/binary"
)

// SlotMessages iterates over the messages of a slots frame.
type SlotMessages struct {
	// Count is the number of messages in the frame.
	Count int

	rest []byte
}

// DecodeSlots reads the body of a slots frame, all of it: each message, source,
// key and entry is judged, and belongs to its message's slot, before the first one
// is handed out. What terms and numbers mean is the state machine's to judge. The
// errors are ErrBody, ErrBodyKey, ErrBodySlot, ErrBodyLimit and ErrFrameReserved.
func DecodeSlots(b []byte, h *SlotsHead) (SlotMessages, error) {
	if len(b) < slotsHeadLen {
		return SlotMessages{}, ErrBody
	}
	*h = SlotsHead{
		Incarnation: binary.LittleEndian.Uint64(b),
		Terms:       binary.LittleEndian.Uint32(b[8:]), Flushes: binary.LittleEndian.Uint32(b[12:]),
		Weight: binary.LittleEndian.Uint32(b[16:]), State: MemberState(b[20]),
		To: binary.LittleEndian.Uint64(b[24:]),
	}
	list := SlotMessages{Count: int(binary.LittleEndian.Uint16(b[22:])), rest: b[slotsHeadLen:]}
	switch {
	case b[21] != 0:
		return SlotMessages{}, ErrFrameReserved
	case h.State < MemberJoining, h.State > MemberGone, list.Count == 0:
		return SlotMessages{}, ErrBody
	case list.Count > MaxSlotMessages:
		return SlotMessages{}, ErrBodyLimit
	}
	rest := list.rest
	var m SlotMessage
	for range list.Count {
		n, err := m.read(rest)
		if err != nil {
			return SlotMessages{}, err
		}
		if err := m.check(); err != nil {
			return SlotMessages{}, err
		}
		rest = rest[n:]
	}
	if len(rest) != 0 {
		return SlotMessages{}, ErrBody
	}
	return list, nil
}

// SlotsKind gives the kind of the first message of a slots frame's body, 0 if there is
// none. It may be asked before DecodeSlots.
func SlotsKind(b []byte) SlotKind {
	if len(b) <= slotsHeadLen {
		return 0
	}
	return SlotKind(b[slotsHeadLen])
}

// Next gives the next message, or false behind the last. All that it holds points
// into the frame.
func (l *SlotMessages) Next(m *SlotMessage) bool {
	if len(l.rest) == 0 {
		return false
	}
	n, err := m.read(l.rest)
	if err != nil {
		panic("proto: BUG: DecodeSlots has let a bad message pass")
	}
	l.rest = l.rest[n:]
	return true
}

// read reads the message at the front of b, and gives its length. It judges the
// form; check judges names, keys and entries.
func (m *SlotMessage) read(b []byte) (n int, err error) {
	if len(b) < slotMessageLen {
		return 0, ErrBody
	}
	word := binary.LittleEndian.Uint64(b)
	kind, flags := SlotKind(word), uint8(word>>8)
	form := kind.form()
	n = form.length
	switch {
	case n == 0, len(b) < n:
		return 0, ErrBody
	case flags&^form.flags != 0:
		return 0, ErrFrameReserved
	}
	*m = SlotMessage{
		Kind: kind, Done: flags&slotDone != 0, Empty: flags&slotEmpty != 0, Found: flags&slotFound != 0,
		Slot: Slot(word >> 16), Term: uint32(word >> 32),
	}
	body := b[slotMessageLen:]
	switch kind {
	case SlotPing, SlotPong:
		m.Time = binary.LittleEndian.Uint64(body)
		if word>>16 != 0 {
			return 0, ErrBody
		}
	case SlotGrant:
		m.Elder, m.Clock = binary.LittleEndian.Uint32(body), binary.LittleEndian.Uint64(body[8:])
		if binary.LittleEndian.Uint32(body[4:]) != 0 {
			return 0, ErrFrameReserved
		}
	case SlotMoved:
		m.Incarnation = binary.LittleEndian.Uint64(body)
		m.Node, n, err = cut(b, n, int(body[8]))
	case SlotClaimOK:
		m.Elder, m.Below = binary.LittleEndian.Uint32(body), binary.LittleEndian.Uint32(body[4:])
		m.Clock, m.Sources.Count = binary.LittleEndian.Uint64(body[8:]), int(binary.LittleEndian.Uint16(body[16:]))
		return m.readSources(b, n)
	case SlotPull:
		m.Time, m.Seq = binary.LittleEndian.Uint64(body), binary.LittleEndian.Uint32(body[8:])
	case SlotBatch:
		m.Time, m.Seq = binary.LittleEndian.Uint64(body), binary.LittleEndian.Uint32(body[8:])
		m.Entries.Count = int(binary.LittleEndian.Uint16(body[12:]))
		if body[14]|body[15] != 0 {
			return 0, ErrFrameReserved
		}
		return m.readEntries(b, n)
	case SlotFetch, SlotFetched:
		m.Time = binary.LittleEndian.Uint64(body)
		m.Key, n, err = cut(b, n, int(binary.LittleEndian.Uint16(body[8:])))
		if m.Found && err == nil {
			m.Entries.Count = 1
			return m.readEntries(b, n)
		}
	case SlotOffer:
		m.Elder = binary.LittleEndian.Uint32(body)
	case SlotAsk, SlotHeard:
		m.Time, m.Incarnation = binary.LittleEndian.Uint64(body), binary.LittleEndian.Uint64(body[8:])
		if kind == SlotHeard {
			m.Age = binary.LittleEndian.Uint64(body[16:])
		}
		if word>>16 != 0 {
			return 0, ErrBody
		}
		m.Node, n, err = cut(b, n, int(b[n-1]))
	}
	return n, err
}

// cut gives the n bytes of b from start on, and where they end.
func cut(b []byte, start, n int) (part []byte, end int, err error) {
	if end = start + n; end > len(b) {
		return nil, 0, ErrBody
	}
	return b[start:end:end], end, nil
}

// readSources finds the end of the sources that begin at b[start].
func (m *SlotMessage) readSources(b []byte, start int) (end int, err error) {
	if m.Sources.Count > MaxSources {
		return 0, ErrBodyLimit
	}
	end = start
	var s SlotSource
	for range m.Sources.Count {
		n := s.read(b[end:])
		if n == 0 {
			return 0, ErrBody
		}
		end += n
	}
	m.Sources.rest = b[start:end:end]
	return end, nil
}

// readEntries finds the end of the entries that begin at b[start].
func (m *SlotMessage) readEntries(b []byte, start int) (end int, err error) {
	end = start
	for range m.Entries.Count {
		n := entrySize(b[end:])
		if n == 0 {
			return 0, ErrBody
		}
		end += n
	}
	m.Entries.rest = b[start:end:end]
	return end, nil
}

// check judges the names, keys and entries of a message that read has taken.
func (m *SlotMessage) check() error {
	if err := checkText(m.Node, '!'); err != nil {
		return err
	}
	if m.Kind == SlotAsk || m.Kind == SlotHeard {
		if err := CheckName(m.Node); err != nil {
			return err
		}
	}
	sources := m.Sources
	for s := (SlotSource{}); sources.Next(&s); {
		if err := CheckName(s.Node); err != nil {
			return err
		}
	}
	if m.Kind == SlotFetch || m.Kind == SlotFetched {
		if err := checkKey(m.Key); err != nil {
			return err
		}
		if err := CheckSlot(m.Slot, m.Key); err != nil {
			return err
		}
	}
	var e Entry
	for rest := m.Entries.rest; len(rest) > 0; {
		n, err := decodeEntry(rest, &e)
		if err != nil {
			return err
		}
		if m.Kind == SlotFetched {
			if !bytes.Equal(e.Key, m.Key) {
				return ErrBody
			}
		} else if err := CheckSlot(m.Slot, e.Key); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
