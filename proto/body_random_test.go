package proto

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"time"
)

// random makes bodies of all kinds.
type random struct{ *rand.Rand }

func (r random) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (r random) text(most int) []byte {
	b := r.bytes(r.IntN(most + 1))
	for i := range b {
		b[i] = '!' + b[i]%94
	}
	return b
}

func (r random) name() []byte { return append(r.text(MaxNameLen-1), 'n') }

func (r random) key() []byte {
	return append([]byte{KindString, 'k'}, r.bytes(r.IntN(MaxCanonicalLen-1))...)
}

func (r random) ttl() time.Duration {
	if r.IntN(3) == 0 {
		return Forever
	}
	return 1 + time.Duration(r.Int64N(int64(MaxTTL)))
}

func (r random) condition() (c Condition) {
	switch r.IntN(4) {
	case 0:
		c = Condition{Set: true, Any: true}
	case 1:
		c = Condition{Set: true, Tags: r.bytes(tagLen * r.IntN(9))}
	case 2:
		c = Condition{Set: true, Tags: r.bytes(tagLen * MaxTags)}
	}
	return c
}

func (r random) meta() Meta {
	return Meta{1 + ETag(r.Uint64()>>1), Version{r.Uint32(), r.Uint64()}, r.ttl(), time.Duration(r.Int64())}
}

func (r random) redirect(status Status) Redirect {
	to := Redirect{Holder: r.name(), Incarnation: r.Uint64(), Wait: time.Duration(r.Uint32()) * time.Millisecond}
	if status == StatusBusy && r.IntN(2) == 0 {
		to.Holder = nil
	}
	return to
}

func (r random) request(code Opcode) Request {
	q := Request{Key: r.key()}
	if code != OpMerge {
		q.IfMatch, q.IfNoneMatch = r.condition(), r.condition()
	}
	switch code {
	case OpGet:
		q.Limit = r.Uint32()
	case OpSet, OpTouch:
		q.TTL = r.ttl()
	case OpMerge:
		m := r.meta()
		q.ETag, q.Version, q.TTL, q.Age = m.ETag, m.Version, m.Remaining, m.Age
	}
	if code == OpSet || code == OpMerge {
		q.Value = r.bytes(r.IntN(300))
	}
	return q
}

func (r random) answer(code Opcode, status Status) Answer {
	a := Answer{Status: status}
	switch answerForm(code, status) {
	case formValue:
		a.Meta, a.Value = r.meta(), r.bytes(r.IntN(300))
	case formMeta:
		a.Meta = r.meta()
	case formETag:
		a.Meta.ETag = ETag(r.Uint64N(2) * r.Uint64())
	case formRedirect:
		a.Redirect = r.redirect(status)
	}
	return a
}

func (r random) members() (all []Member) {
	for range r.IntN(40) {
		all = append(all, Member{r.Uint64(), r.Uint32(), MemberState(1 + r.IntN(5)), r.name(), r.text(60), r.text(60), r.text(60), r.text(20)})
	}
	slices.SortFunc(all, func(a, b Member) int { return bytes.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b Member) bool { return bytes.Equal(a.Name, b.Name) })
}

// message makes a message of any kind: its fields are those of the kind.
func (r random) message() (m slotMessage) {
	kinds := SlotKinds()
	key := r.key()
	m.Kind, m.Slot, m.Term = kinds[r.IntN(len(kinds))], SlotOf(key), r.Uint32()
	flag := r.IntN(2) == 0
	switch m.Kind {
	case SlotPing, SlotPong:
		m.Slot, m.Term, m.Time = 0, 0, r.Uint64()
		m.Done = flag && m.Kind == SlotPing
	case SlotTake, SlotStale:
		m.Done = flag
	case SlotGrant:
		m.Done, m.Empty, m.Elder, m.Clock = r.IntN(2) == 0, flag, r.Uint32(), r.Uint64()
	case SlotMoved:
		m.Incarnation, m.Node = r.Uint64(), r.text(MaxNameLen)
	case SlotClaimOK:
		m.Elder, m.Below, m.Clock = r.Uint32(), r.Uint32(), r.Uint64()
		for range r.IntN(5) {
			m.Sources = append(m.Sources, SlotSource{r.name(), r.Uint64(), r.Uint32(), r.Uint32(), r.Uint32()})
		}
	case SlotPull:
		m.Time, m.Seq = r.Uint64(), r.Uint32()
	case SlotBatch:
		m.Done, m.Time, m.Seq = flag, r.Uint64(), r.Uint32()
		for range r.IntN(20) {
			m.Entries = append(m.Entries, r.entry(key))
		}
	case SlotFetch:
		m.Time, m.Key = r.Uint64(), key
	case SlotFetched:
		m.Time = r.Uint64()
		if m.Key, m.Found = key, flag; flag {
			m.Entries = []Entry{r.entry(key)}
		}
	case SlotAsk, SlotHeard:
		m.Slot, m.Term, m.Time, m.Incarnation, m.Node = 0, 0, r.Uint64(), r.Uint64(), r.name()
		if m.Kind == SlotHeard {
			m.Age = r.Uint64()
		}
	case SlotOffer:
		m.Done, m.Elder = flag, r.Uint32()
	}
	return m
}

func (r random) entry(key []byte) Entry {
	e := Entry{Meta: r.meta(), Key: key, Gone: r.IntN(4) == 0}
	if e.Gone {
		e.Meta.ETag, e.Meta.Remaining = 0, 0
	} else {
		e.Value = r.bytes(r.IntN(300))
	}
	return e
}

func (r random) slots() (v slotsBody) {
	v.Head = SlotsHead{r.Uint64(), r.Uint32(), r.Uint32(), r.Uint32(), MemberState(1 + r.IntN(5)), r.Uint64()}
	for range 1 + r.IntN(20) {
		v.Messages = append(v.Messages, r.message())
	}
	return v
}

// body makes a body for a header that check agrees to.
func (r random) body(h *Header) any {
	answer := h.Flags&FlagAnswer != 0
	code, multi, ok := h.Op.Opcode()
	switch {
	case ok && !multi && answer:
		return r.answer(code, h.Status)
	case ok && !multi:
		return r.request(code)
	case answer && (h.Status != 0 || h.Op == FrameSlots):
		return nothing{}
	case multi:
		v := multiBody{}
		if !answer {
			v.Budget = r.Uint32()
		}
		for i := range 1 + r.IntN(5) {
			item := multiItem{Index: i, Slot: Slot(r.Uint32()), Term: r.Uint32(), Body: r.request(code)}
			if answer {
				status := Status(r.IntN(int(statusLast) + 1))
				item = multiItem{Index: r.IntN(MaxItems), Status: status, Term: r.Uint32(), Body: r.answer(code, status)}
			}
			v.Items = append(v.Items, item)
		}
		return v
	}
	switch h.Op {
	case FrameHello:
		low := uint8(1 + r.IntN(255))
		return Hello{low, low + uint8(r.IntN(256-int(low))), Role(1 + r.IntN(2)), 1 + r.Uint32()>>1, r.Uint64(), r.Uint64(), r.Uint64(), r.name(), r.bytes(r.IntN(100))}
	case FrameGoodbye:
		return Goodbye{CloseReason(1 + r.IntN(255)), r.text(MaxGoodbyeText)}
	case FrameMembers:
		return r.members()
	case FramePing:
		return Ping{r.Uint64(), r.Uint64()}
	case FrameFlush:
		if answer {
			return flushAnswer(r.Uint32() | 1)
		}
		return flushBody(1 + r.Uint32()>>1)
	case FrameStats:
		if !answer {
			return statsAsk(1 + r.IntN(1<<16-1))
		}
		figures := 1 + r.IntN(maxFigures)
		return Stats{r.Uint64(), time.Duration(r.Uint32()) * time.Millisecond, figures, r.bytes(figureLen * figures * r.IntN(MaxSamples+1))}
	case FrameSlots:
		return r.slots()
	}
	panic("no body")
}
