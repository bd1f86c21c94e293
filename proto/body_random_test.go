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

func (r random) slotTerms() (s []SlotTerm) {
	for slot := r.IntN(9); slot < Slots && len(s) < MaxSlotBatch; slot += 1 + r.IntN(1<<r.IntN(16)) {
		s = append(s, SlotTerm{Slot(slot), 1 + r.Uint32()>>1})
	}
	return s
}

func (r random) slots() (v slotsBody) {
	v.Answers = SlotAnswers{Clock: r.Uint64(), Silence: time.Duration(r.Uint32()) * time.Millisecond}
	for range 1 + r.IntN(5) {
		v.Nodes = append(v.Nodes, NodeID{r.name(), r.Uint64()})
	}
	for _, s := range r.slotTerms() {
		a := SlotAnswer{Slot: s.Slot, Status: Status(r.IntN(int(statusLast) + 1)), Term: s.Term, Entries: r.Uint32()}
		for range r.IntN(3) {
			a.Nodes = a.Nodes.Add(r.IntN(len(v.Nodes)))
		}
		v.Slots = append(v.Slots, a)
	}
	return v
}

func (r random) members() (all []Member) {
	for range r.IntN(40) {
		all = append(all, Member{r.Uint64(), r.Uint32(), MemberState(1 + r.IntN(5)), r.name(), r.text(60), r.text(60), r.text(60), r.text(20)})
	}
	slices.SortFunc(all, func(a, b Member) int { return bytes.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b Member) bool { return bytes.Equal(a.Name, b.Name) })
}

func (r random) batch() (v batchBody) {
	r.fill(v.Batch.Cursor[:])
	v.Batch.Left = r.Uint32()
	for range r.IntN(20) {
		e := Entry{Meta: r.meta(), Key: r.key()}
		if e.Gone = r.IntN(4) == 0; e.Gone {
			e.Meta.ETag, e.Meta.Remaining = 0, 0
		} else {
			e.Value = r.bytes(r.IntN(300))
		}
		v.Entries = append(v.Entries, e)
	}
	v.Batch.Count = uint32(len(v.Entries))
	return v
}

func (r random) fill(b []byte) { copy(b, r.bytes(len(b))) }

func (r random) pullAck() (a PullAck) {
	r.fill(a.Cursor[:])
	a.Checksum = r.Uint32()
	a.Applied, a.Older, a.TooOld, a.Dropped = r.Uint32()/4, r.Uint32()/4, r.Uint32()/4, r.Uint32()/4
	a.Count = a.Applied + a.Older + a.TooOld + a.Dropped
	return a
}

// body makes a body for a header that check agrees to.
func (r random) body(h *Header) any {
	answer := h.Flags&FlagAnswer != 0
	code, multi, ok := h.Op.Opcode()
	switch {
	case ok && !multi && answer, h.Op == FrameFetch && answer:
		return r.answer(max(code, OpGet), h.Status)
	case ok && !multi:
		return r.request(code)
	case (h.Op == FramePull || h.Op == FramePullAck) && (h.Status == StatusMoved || h.Status == StatusBusy):
		return r.redirect(h.Status)
	case h.Op == FramePing:
		return Ping{r.Uint64(), r.Uint64()}
	case answer && (h.Status != 0 || h.Op == FrameOffer || h.Op == FrameGrant || h.Op == FramePullAck):
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
	case FrameFlush:
		if answer {
			return FlushAnswer{r.Uint64(), r.Uint64()}
		}
		return r.Uint64()
	case FrameTake, FrameOffer:
		if answer {
			return r.slots()
		}
		return r.slotTerms()
	case FrameGrant:
		return r.slots()
	case FrameClaim:
		if answer {
			return r.slots()
		}
		return claimBody{Claim{Holder: r.text(MaxNameLen), Incarnation: r.Uint64(), Fence: Fence(r.IntN(4))}, r.slotTerms()}
	case FramePull:
		if answer {
			return r.batch()
		}
		p := Pull{MaxBytes: r.Uint32()}
		r.fill(p.Cursor[:])
		return p
	case FramePullAck:
		return r.pullAck()
	case FrameFetch:
		return r.key()
	}
	panic("no body")
}
