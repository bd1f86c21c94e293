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

type slotMessage struct {
	SlotMessage // without Sources and Entries
	Sources     []SlotSource
	Entries     []Entry
}

type slotsBody struct {
	Head     SlotsHead
	Messages []slotMessage
}

type flushBody uint32

type flushAnswer uint32

type statsAsk int

// tracedBody is the body of a request with FlagTraced.
type tracedBody struct {
	Trace Trace
	Body  any
}

// nothing is the body of an answer that has none.
type nothing struct{}

// decodeBody decodes any body into one of the types above or of the package.
func decodeBody(h *Header, b []byte) (any, error) {
	answer := h.Flags&FlagAnswer != 0
	if h.Flags&FlagTraced != 0 {
		var v tracedBody
		b, err := DecodeTrace(b, &v.Trace)
		if err != nil {
			return nil, err
		}
		plain := *h
		plain.Flags &^= FlagTraced
		v.Body, err = decodeBody(&plain, b)
		return v, err
	}
	if code, multi, ok := h.Op.Opcode(); ok {
		switch {
		case !multi:
			return decodeSingle(code, answer, h.Status, b)
		case answer && h.Status != StatusOK:
			return nothing{}, DecodeEmpty(b)
		}
		return decodeMultiBody(code, answer, b)
	}
	if answer && h.Status != StatusOK {
		return nothing{}, DecodeEmpty(b)
	}
	switch h.Op {
	case FrameHello:
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
			number, err := DecodeFlushAnswer(b)
			return flushAnswer(number), err
		}
		number, err := DecodeFlush(b)
		return flushBody(number), err
	case FrameStats:
		if answer {
			var v Stats
			err := DecodeStats(b, &v)
			return v, err
		}
		last, err := DecodeStatsAsk(b)
		return statsAsk(last), err
	case FrameSlots:
		if answer {
			return nothing{}, DecodeEmpty(b)
		}
		return decodeSlots(b)
	}
	return nil, fmt.Errorf("opcode %d has no decoder", h.Op)
}

func decodeSlots(b []byte) (any, error) {
	var v slotsBody
	list, err := DecodeSlots(b, &v.Head)
	if err != nil {
		return nil, err
	}
	for m := (SlotMessage{}); list.Next(&m); {
		one := slotMessage{SlotMessage: m}
		for s := (SlotSource{}); m.Sources.Next(&s); {
			one.Sources = append(one.Sources, s)
		}
		for e := (Entry{}); m.Entries.Next(&e); {
			one.Entries = append(one.Entries, e)
		}
		if len(one.Sources) != m.Sources.Count || len(one.Entries) != m.Entries.Count {
			return nil, fmt.Errorf("%d sources, %d entries, announced were %d and %d",
				len(one.Sources), len(one.Entries), m.Sources.Count, m.Entries.Count)
		}
		one.SlotMessage.Sources, one.SlotMessage.Entries = SlotSources{}, Entries{}
		v.Messages = append(v.Messages, one)
	}
	if len(v.Messages) != list.Count {
		return nil, fmt.Errorf("%d messages, %d announced", len(v.Messages), list.Count)
	}
	return v, nil
}

// encodeBody appends the body that decodeBody has made v of.
func encodeBody(dst []byte, h *Header, v any) []byte {
	code, _, _ := h.Op.Opcode()
	switch v := v.(type) {
	case nothing:
		return dst
	case tracedBody:
		return encodeBody(AppendTrace(dst, &v.Trace), h, v.Body)
	case Request, Answer:
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
	case []Member:
		return AppendMembers(dst, v)
	case flushBody:
		return AppendFlush(dst, uint32(v))
	case flushAnswer:
		return AppendFlushAnswer(dst, uint32(v))
	case statsAsk:
		return AppendStatsAsk(dst, int(v))
	case Stats:
		return AppendStats(dst, &v)
	case slotsBody:
		return encodeSlots(dst, &v)
	}
	panic(fmt.Sprintf("no encoder of %T", v))
}

func encodeSlots(dst []byte, v *slotsBody) []byte {
	var w SlotsWriter
	start := len(dst)
	dst = w.Begin(dst, &v.Head)
	for i := range v.Messages {
		m := &v.Messages[i]
		before := w.Len(dst)
		dst = w.Append(dst, &m.SlotMessage)
		if n := w.Len(dst) - before; n > MaxSlotMessage {
			panic(fmt.Sprintf("a message of %d bytes, the longest has %d", n, MaxSlotMessage))
		}
		for j := range m.Sources {
			dst = w.Source(dst, &m.Sources[j])
		}
		for j := range m.Entries {
			dst = w.Entry(dst, &m.Entries[j])
		}
	}
	if w.Count() != len(v.Messages) || w.Len(dst) != len(dst)-start {
		panic(fmt.Sprintf("%d messages in %d bytes", w.Count(), w.Len(dst)))
	}
	return w.End(dst)
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
