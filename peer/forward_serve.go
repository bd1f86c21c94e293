package peer

import (
	"time"

	"github.com/smache/smache/proto"
)

// busyWait is what our StatusBusy answers name as the pause.
const busyWait = 5 * time.Millisecond

// shortAnswer is the length up to which an answer is sent without a look at the
// outbox: as many as a peer may have in flight do not fill half of it.
const shortAnswer = 1 << 10

// served is an operation that came by a link, alone or as an item of a multi
// frame, until it is answered. In between it belongs to the goroutine that works on
// it, or to the store, the directory or a trip, as op does.
type served struct {
	f       *forwarder
	op      proto.Op
	reply   Reply
	request proto.Header
	group   *group // of an item
	index   int    // of an item
	next    *served
	tags    []proto.ETag
	kept    []byte // key and value, if they outlive the frame
	charged int64  // of forwarder.copied
	out     []byte // the answer, or its beginning
	away    bool   // op was handed on: what comes back now is the last word
	carry   bool   // op may be sent on to a third node
	trace   tracing
}

func (f *forwarder) makeServed() any {
	s := &served{f: f}
	s.op.Done = func(*proto.Op) { s.returned() }
	return s
}

func (f *forwarder) newServed(r *Request, reply Reply) *served {
	s := f.serves.Get().(*served) // nothing else is put there
	s.reply, s.request = reply, r.Header
	s.carry = r.Header.Flags&proto.FlagForwarded == 0
	f.serving.Add(1)
	return s
}

func (s *served) release() {
	f := s.f
	s.op.Reset()
	s.free()
	s.reply, s.group, s.next, s.away, s.trace.begun = Reply{}, nil, nil, false, 0
	s.out, s.kept = keep(s.out, keepForOne), keep(s.kept, keepForOne)
	if cap(s.tags) > keepForOne/8 {
		s.tags = nil
	}
	f.serving.Add(-1)
	f.serves.Put(s)
}

// free gives back what kept was charged.
func (s *served) free() {
	if s.charged > 0 {
		s.f.copied.Add(-s.charged)
		s.charged = 0
	}
}

// serve carries out the operation, or the operations, that a frame asks for: of the
// opcodes for which FrameOp.Opcode knows an operation. It runs on the event loop of
// the link that the frame came by. A frame that is malformed closes the link.
func (f *forwarder) serve(r Request, reply Reply) {
	code, multi, ok := r.Header.Op.Opcode()
	if !ok {
		panic("BUG: peer: the frame is no operation")
	}
	var trace tracing
	if r.Header.Flags&proto.FlagTraced != 0 {
		if err := trace.begin(f, &r); err != nil {
			reply.conn.kill(err)
			return
		}
	}
	if multi {
		f.serveMulti(code, &r, reply, &trace)
		return
	}
	r.From.forward.served.Add(1)
	s := f.newServed(&r, reply)
	if trace.begun != 0 {
		s.trace = trace
		s.op.Trace = &s.trace.Trace
	}
	if err := s.read(code, r.Header.Slot, r.Body); err != nil {
		s.release()
		reply.conn.kill(err)
		return
	}
	if code == proto.OpGet {
		s.out = proto.ReserveMeta(s.out[:0])
		s.op.Out = s.out
	} else if !s.keep() {
		s.op.Status = proto.StatusBusy
		s.answer()
		return
	}
	if f.store.Submit(&s.op) {
		s.returned()
	}
}

// read sets the operation up. It points into body.
func (s *served) read(code proto.Opcode, slot proto.Slot, body []byte) error {
	var q proto.Request
	if err := proto.DecodeRequest(code, body, &q); err != nil {
		return err
	}
	if err := proto.CheckSlot(slot, q.Key); err != nil {
		return err
	}
	s.tags = q.Into(&s.op, s.tags[:0])
	s.op.Code, s.op.Slot, s.op.Remaining = code, slot, 0
	return nil
}

// keep copies what the operation points to, so that it outlives the frame. False:
// there is no room.
func (s *served) keep() bool {
	op := &s.op
	n := int64(len(op.Key) + len(op.Value))
	if s.charged > 0 { // it was copied before
		return true
	}
	if s.f.copied.Add(n) > maxCopied {
		s.f.copied.Add(-n)
		s.f.overfull.Add(1)
		return false
	}
	s.charged = n
	s.kept = append(append(s.kept[:0], op.Key...), op.Value...)
	end := len(op.Key)
	op.Key, op.Value = s.kept[:end:end], s.kept[end:]
	return true
}

// returned goes on when the operation comes back: from the store, the directory or
// a trip.
func (s *served) returned() {
	if refusal(s.op.Status) && !s.away && s.handOn() {
		return
	}
	if s.group == nil {
		s.answer()
	} else {
		s.group.late(s)
	}
}

// handOn hands an operation that this node's store has refused to who can do more,
// if there is somebody. It comes back, to returned.
func (s *served) handOn() bool {
	status := s.op.Status
	if !s.carry {
		if status == proto.StatusNotHolder {
			return false
		}
		if _, importing, held := s.f.store.Serves(s.op.Slot); !held || !importing {
			return false
		}
	}
	if !s.keep() {
		s.op.Status = proto.StatusBusy
		return false
	}
	if s.op.Code == proto.OpGet {
		s.out = proto.ReserveMeta(s.out[:0])
		s.op.Out = s.out
	}
	s.away = true
	if s.carry {
		s.op.BeginAwaited()
		s.f.newTrip(&s.op).refused(status)
	} else {
		s.f.dir.importing(&s.op, s.f.within-wayCost)
	}
	return true
}

// answer sends the answer to a frame of its own, and lets go of s.
func (s *served) answer() {
	op := &s.op
	hit := op.Code == proto.OpGet && op.Status == proto.StatusOK
	if hit {
		s.out = op.Out
		if len(s.out) > shortAnswer && s.reply.Crowded() {
			hit, op.Status = false, proto.StatusBusy
		}
	}
	var term uint32
	if hit {
		s.putMeta(s.out)
		term, _, _ = s.f.store.Serves(op.Slot)
	} else {
		s.out, term = s.appendAnswer(s.out[:0])
	}
	h := s.request.Answer(op.Status, s.f.dir.epoch())
	h.Term = term
	s.reply.Send(h, s.out)
	if s.trace.begun != 0 {
		s.trace.end(s.f, s.reply.op, op.Status, 1)
	}
	s.release()
}

// appendAnswer appends the body of the answer, unless it is the value of a get, and
// settles the status.
func (s *served) appendAnswer(dst []byte) (_ []byte, term uint32) {
	op := &s.op
	a := proto.AnswerOf(op, nil)
	limitMeta(&a.Meta)
	term, _, _ = s.f.store.Serves(op.Slot)
	switch op.Status {
	case proto.StatusNotHolder:
		name, incarnation, at := s.f.dir.redirect(op.Slot)
		if name != "" {
			op.Status, term = proto.StatusMoved, at
			r := proto.Redirect{Holder: []byte(name), Incarnation: incarnation}
			return proto.AppendRedirect(dst, &r), term
		}
	case proto.StatusBusy:
		a.Redirect.Wait = busyWait
	}
	return proto.AppendAnswer(dst, op.Code, &a), term
}

// putMeta completes the answer to a get that was a hit: out begins with the room
// for it.
func (s *served) putMeta(out []byte) {
	a := proto.AnswerOf(&s.op, nil)
	limitMeta(&a.Meta)
	proto.PutMeta(out, &a.Meta)
}

// limitMeta keeps times within what a frame can say, whatever the store's clock
// made of them.
func limitMeta(m *proto.Meta) {
	m.Age = max(m.Age, 0)
	if m.Remaining != proto.Forever {
		m.Remaining = min(max(m.Remaining, 1), proto.MaxTTL)
	}
}
