package proto

import "fmt"

// The bodies of all frames as plain values, for tests that go round in circles.

type multiItem struct {
	Index  int
	Slot   Slot
	Status Status
	Term   uint32
	Body   any
}

type multiBody struct {
	Budget uint32
	Items  []multiItem
}

type claimBody struct {
	Claim Claim
	Slots []SlotTerm
}

type slotsBody struct {
	Answers SlotAnswers
	Slots   []SlotAnswer
	Nodes   []NodeID
}

type batchBody struct {
	Batch   Batch
	Entries []Entry
}

// nothing is the body of an answer that has none.
type nothing struct{}

// decodeBody decodes any body into one of the types above or of the package.
func decodeBody(h *Header, b []byte) (any, error) {
	answer := h.Flags&FlagAnswer != 0
	if code, multi, ok := h.Op.Opcode(); ok {
		switch {
		case !multi:
			return decodeSingle(code, answer, h.Status, b)
		case answer && h.Status != StatusOK:
			return nothing{}, DecodeEmpty(b)
		}
		return decodeMultiBody(code, answer, b)
	}
	switch h.Op {
	case FrameHello:
		if answer && h.Status != StatusOK {
			return nothing{}, DecodeEmpty(b)
		}
		var v Hello
		err := DecodeHello(b, &v)
		return v, err
	case FramePing:
		var v Ping
		err := DecodePing(b, &v)
		return v, err
	case FrameGoodbye:
		var v Goodbye
		err := DecodeGoodbye(b, &v)
		return v, err
	case FrameFetch:
		if answer {
			return decodeSingle(OpGet, true, h.Status, b)
		}
		key, err := DecodeFetch(b)
		return key, err
	case FramePull, FramePullAck:
		if answer && (h.Status == StatusMoved || h.Status == StatusBusy) {
			var v Redirect
			err := DecodeRedirect(h.Status, b, &v)
			return v, err
		}
	}
	if answer && h.Status != StatusOK {
		return nothing{}, DecodeEmpty(b)
	}
	return decodeCluster(h, answer, b)
}

func decodeSingle(code Opcode, answer bool, status Status, b []byte) (any, error) {
	if answer {
		var v Answer
		err := DecodeAnswer(code, status, b, &v)
		return v, err
	}
	var v Request
	err := DecodeRequest(code, b, &v)
	return v, err
}

func decodeMultiBody(code Opcode, answer bool, b []byte) (any, error) {
	decode := DecodeMultiRequest
	if answer {
		decode = DecodeMultiAnswer
	}
	items, err := decode(b)
	if err != nil {
		return nil, err
	}
	v := multiBody{Budget: items.Budget}
	var item Item
	for items.Next(&item) {
		body, err := decodeSingle(code, answer, item.Status, item.Body)
		if err != nil {
			return nil, err
		}
		v.Items = append(v.Items, multiItem{item.Index, item.Slot, item.Status, item.Term, body})
	}
	if len(v.Items) != items.Count {
		return nil, fmt.Errorf("%d items, %d announced", len(v.Items), items.Count)
	}
	return v, nil
}

func decodeCluster(h *Header, answer bool, b []byte) (any, error) {
	switch h.Op {
	case FrameMembers:
		list, err := DecodeMembers(b)
		var all []Member
		for m := (Member{}); err == nil && list.Next(&m); {
			all = append(all, m)
		}
		if err == nil && len(all) != list.Count {
			err = fmt.Errorf("%d members, %d announced", len(all), list.Count)
		}
		return all, err
	case FrameFlush:
		if answer {
			var v FlushAnswer
			err := DecodeFlushAnswer(b, &v)
			return v, err
		}
		return DecodeFlush(b)
	case FrameTake, FrameOffer:
		switch {
		case !answer:
			slots, err := DecodeTake(b)
			return slotTerms(slots), err
		case h.Op == FrameOffer:
			return nothing{}, DecodeEmpty(b)
		}
		return decodeSlots(b)
	case FrameGrant:
		if answer {
			return nothing{}, DecodeEmpty(b)
		}
		return decodeSlots(b)
	case FrameClaim:
		if answer {
			return decodeSlots(b)
		}
		var v claimBody
		err := DecodeClaim(b, &v.Claim)
		v.Slots, v.Claim.Slots = slotTerms(v.Claim.Slots), nil
		return v, err
	case FramePull:
		if !answer {
			var v Pull
			err := DecodePull(b, &v)
			return v, err
		}
		var v batchBody
		err := DecodeBatch(b, &v.Batch)
		for e := (Entry{}); err == nil && v.Batch.Next(&e); {
			v.Entries = append(v.Entries, e)
		}
		v.Batch.rest = nil
		if err == nil && len(v.Entries) != int(v.Batch.Count) {
			err = fmt.Errorf("%d entries, %d announced", len(v.Entries), v.Batch.Count)
		}
		return v, err
	case FramePullAck:
		if answer {
			return nothing{}, DecodeEmpty(b)
		}
		var v PullAck
		err := DecodePullAck(b, &v)
		return v, err
	}
	return nil, fmt.Errorf("opcode %d has no decoder", h.Op)
}

func slotTerms(s SlotTerms) (all []SlotTerm) {
	for i := range s.Len() {
		all = append(all, s.At(i))
	}
	return all
}

func decodeSlots(b []byte) (any, error) {
	var v slotsBody
	if err := DecodeSlotAnswers(b, &v.Answers); err != nil {
		return v, err
	}
	for s := (SlotAnswer{}); v.Answers.Next(&s); {
		v.Slots = append(v.Slots, s)
	}
	for i := range v.Answers.Nodes.Len() {
		v.Nodes = append(v.Nodes, v.Answers.Nodes.At(i))
	}
	if len(v.Slots) != v.Answers.Count {
		return v, fmt.Errorf("%d slots, %d announced", len(v.Slots), v.Answers.Count)
	}
	v.Answers = SlotAnswers{Clock: v.Answers.Clock, Silence: v.Answers.Silence}
	return v, nil
}

// encodeBody appends the body that decodeBody has made v of.
func encodeBody(dst []byte, h *Header, v any) []byte {
	code, _, _ := h.Op.Opcode()
	switch v := v.(type) {
	case nothing:
		return dst
	case Request, Answer:
		if h.Op == FrameFetch {
			code = OpGet
		}
		return encodeSingle(dst, code, v)
	case multiBody:
		var w MultiWriter
		dst = w.Begin(dst, v.Budget)
		for _, item := range v.Items {
			if h.Flags&FlagAnswer != 0 {
				dst = w.Answer(dst, item.Index, item.Status, item.Term)
			} else {
				dst = w.Request(dst, item.Slot, item.Term)
			}
			dst = encodeSingle(dst, code, item.Body)
		}
		return w.End(dst)
	case Hello:
		return AppendHello(dst, &v)
	case Ping:
		return AppendPing(dst, &v)
	case Goodbye:
		return AppendGoodbye(dst, &v)
	case []byte:
		return AppendFetch(dst, v)
	case Redirect:
		return AppendRedirect(dst, &v)
	case []Member:
		return AppendMembers(dst, v)
	case uint64:
		return AppendFlush(dst, v)
	case FlushAnswer:
		return AppendFlushAnswer(dst, &v)
	case []SlotTerm:
		return AppendTake(dst, v)
	case claimBody:
		return AppendClaim(dst, &v.Claim, v.Slots)
	case slotsBody:
		return AppendSlotAnswers(dst, &v.Answers, v.Slots, v.Nodes)
	case Pull:
		return AppendPull(dst, &v)
	case batchBody:
		start := len(dst)
		dst = BeginBatch(dst)
		for i := range v.Entries {
			dst = AppendEntry(dst, &v.Entries[i])
		}
		batch := v.Batch
		EndBatch(dst, start, &batch)
		return dst
	case PullAck:
		return AppendPullAck(dst, &v)
	}
	panic(fmt.Sprintf("no encoder of %T", v))
}

// encodeSingle goes by way of an Op, as links do.
func encodeSingle(dst []byte, code Opcode, v any) []byte {
	switch v := v.(type) {
	case Request:
		op := Op{Code: code}
		v.Into(&op, nil)
		start := len(dst)
		dst = AppendRequest(dst, &op)
		if len(dst)-start != RequestLen(&op) {
			panic(fmt.Sprintf("RequestLen says %d, there are %d", RequestLen(&op), len(dst)-start))
		}
		if err := CheckRequest(&op); err != nil {
			panic(fmt.Sprintf("CheckRequest does not agree to what has been decoded: %v", err))
		}
		return dst
	case Answer:
		var op Op
		v.Into(&op)
		again := AnswerOf(&op, op.Out)
		again.Redirect = v.Redirect
		return AppendAnswer(dst, code, &again)
	}
	panic(fmt.Sprintf("no encoder of %T", v))
}

// alike compares values, for which nil and an empty slice are the same.
func alike(a, b any) bool { return fmt.Sprintf("%T%+v", a, a) == fmt.Sprintf("%T%+v", b, b) }
