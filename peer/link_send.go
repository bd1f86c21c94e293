package peer

import (
	"github.com/smache/smache/proto"
)

// Send sends a request, whose body is the given pieces, one after the other; they
// are copied. If it returns nil, call belongs to the link until it is done. Else
// nothing was sent, Done is not called, and the error is ErrNotConnected,
// ErrInFlight, ErrOutboxFull or ErrFrameTooLarge, as it is. It never blocks.
func (l *Link) Send(call *Call, body ...[]byte) error {
	k := l.conn.Load()
	if k == nil {
		l.stats.refused.Add(1)
		return ErrNotConnected
	}
	err := k.request(call, body)
	if err != nil {
		l.stats.refused.Add(1)
	}
	return err
}

// frameLen gives the length of a frame with this body.
func frameLen(body [][]byte) int {
	n := proto.HeaderLen
	for _, b := range body {
		n += len(b)
	}
	return n
}

// heavyOutbox is how much may gather while the loop handles what it has read: above
// it, it writes in between.
const heavyOutbox = 1 << 20

// append puts a frame into the outbox. k.mu is held, the length was checked.
func (k *conn) append(h *proto.Header, body [][]byte) {
	start := len(k.out)
	k.out = proto.BeginFrame(k.out, h)
	for _, b := range body {
		k.out = append(k.out, b...)
	}
	var err error
	if k.out, err = proto.EndFrame(k.out, start); err != nil {
		panic("BUG: peer: a frame's length was not checked")
	}
	k.frames++
	if len(k.out) > heavyOutbox {
		k.heavy.Store(true)
	}
}

// queued gives the bytes that wait to be sent. k.mu is held.
func (k *conn) queued() int { return len(k.out) + int(k.unsent.Load()) }

// request is Send's.
func (k *conn) request(call *Call, body [][]byte) error {
	if frameLen(body) > proto.MaxFrame {
		return ErrFrameTooLarge
	}
	now := call.Now
	if now == 0 {
		now = k.links.now()
	}
	call.sent, call.deadline = now, now+int64(call.Timeout)
	call.Err, call.Body, call.Answer = nil, nil, proto.Header{}
	hurry := int64(call.Timeout) < shortly // call may be back before the loop is roused
	mark := k.links.cfg.OutboxBytes
	if !call.Urgent {
		mark /= 2
	}
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return ErrNotConnected
	}
	if k.queued() >= mark {
		k.mu.Unlock()
		k.wake() // the kernel may have taken some meanwhile: the loop looks
		return ErrOutboxFull
	}
	id, ok := k.flight.take(call)
	if !ok {
		k.mu.Unlock()
		return ErrInFlight
	}
	call.Header.ID = id
	call.Header.Status = 0
	call.Header.Flags &^= proto.FlagAnswer | proto.FlagMore
	if call.deadline < k.sweepAt.Load() {
		k.sweepAt.Store(call.deadline)
	}
	k.append(&call.Header, body)
	waits := call.Gather && k.frames < gatherMost // call may be back from here on
	k.mu.Unlock()
	if hurry {
		k.links.rouse()
	}
	if waits {
		k.links.gather(k)
	} else {
		k.wake()
	}
	return nil
}

// Reply answers one request. It is a small value: copy it freely.
type Reply struct {
	conn *conn
	id   uint32
	op   proto.FrameOp
}

// Send answers the request; the pieces of the body are copied. The header's
// opcode, id and flag of answers are set here. With proto.FlagMore another part
// must follow. It may be called on any goroutine, and never blocks. It returns
// false if the link is gone, or the answer is longer than proto.MaxFrame and a
// plain proto.StatusTooLarge was sent in its place.
func (r Reply) Send(h proto.Header, body ...[]byte) bool {
	h.Op, h.ID, h.Flags = r.op, r.id, h.Flags&proto.FlagMore|proto.FlagAnswer
	whole := true
	if frameLen(body) > proto.MaxFrame {
		h.Status, h.Flags = proto.StatusTooLarge, proto.FlagAnswer
		body, whole = nil, false
	}
	k := r.conn
	k.mu.Lock()
	if k.closed || k.killed.Load() != nil {
		k.mu.Unlock()
		return false
	}
	if h.Flags&proto.FlagMore == 0 {
		k.serving.Add(-1)
	}
	k.append(&h, body)
	full := k.queued() > k.links.cfg.OutboxBytes
	k.mu.Unlock()
	if full {
		k.kill(proto.ErrLinkSlow)
		return false
	}
	k.wake()
	return whole
}

// Crowded says that so much waits to be sent to the peer that the answer should
// be a short one: a status that asks to come again, not a value.
func (r Reply) Crowded() bool {
	k := r.conn
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.queued() >= k.links.cfg.OutboxBytes/2
}

// wake makes the loop look at the connection soon, unless it is about to.
func (k *conn) wake() {
	if k.armed.Load() || k.armed.Swap(true) {
		return
	}
	k.poke()
}

// poke is gnet's Wake, which must not be called once the loops may be gone:
// OnClose waits for those who are in here.
func (k *conn) poke() {
	if !k.opened.Load() {
		return // OnOpen looks whether it was killed
	}
	k.poking.Add(1)
	if !k.gone.Load() {
		k.link0().stats.wakes.Add(1)
		_ = k.gnet.Wake(nil) // it fails only if the eventfd is gone
	}
	k.poking.Add(-1)
}

// kill makes the loop close the connection. Any goroutine; the first reason holds.
func (k *conn) kill(why error) {
	if k.killed.CompareAndSwap(nil, &why) {
		k.poke()
	}
}
