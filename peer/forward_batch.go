package peer

import "github.com/smache/smache/proto"

// bundleBytes is how long the request of a bundle grows, about. An operation that
// is longer than half of it goes alone: gathering is for small ones.
const bundleBytes = 64 << 10

// Values of gets that come in one frame share buffers of roomBytes, unless they are
// longer than shareBytes: one allocation for many, of which the last to be dropped
// holds all.
const (
	roomBytes  = 32 << 10
	shareBytes = 1 << 10
)

// bundle is the operations of one batch, of one kind, that one peer holds: one
// multi frame. While it is in flight it belongs to its link.
type bundle struct {
	f      *forwarder
	link   *Link
	code   proto.Opcode
	ops    []*proto.Op // nil for those that are answered
	left   int         // not answered
	call   Call
	begun  int64
	writer proto.MultiWriter
	head   []byte // the trace, if there is one
	body   []byte
}

func (f *forwarder) makeBundle() any {
	b := &bundle{f: f}
	b.call.Done = func(*Call) { b.answered() }
	return b
}

// plan is what SubmitAll has sorted.
type plan struct {
	links []*Link     // to the holder of each; nil: this node, or nobody is known
	here  []*proto.Op // to be submitted one by one
	open  []*bundle   // not sent yet
}

// SubmitAll carries out many operations: those that one peer holds go there
// together. Done of each is called once it is complete, perhaps before SubmitAll
// returns, and on any goroutine. ops itself is the caller's again then.
func (f *forwarder) SubmitAll(ops []*proto.Op) {
	p := f.plans.Get().(*plan) // nothing else is put there
	for _, op := range ops {
		// By itself: each look is a cache miss, and so they overlap.
		link, _, _ := f.dir.holder(op.Slot)
		p.links = append(p.links, link)
	}
	for i, op := range ops {
		if link := p.links[i]; link == nil || f.store.Holds(op.Slot) || !f.gather(p, op, link) {
			p.here = append(p.here, op)
		}
	}
	for _, b := range p.open {
		b.send()
	}
	for _, op := range p.here {
		if f.Submit(op) {
			op.Done(op)
		}
	}
	clear(p.here)
	clear(p.open)
	clear(p.links)
	p.here, p.open, p.links = p.here[:0], p.open[:0], p.links[:0]
	f.plans.Put(p)
}

// Holds says that this node holds a slot and can serve it, as it seems.
func (f *forwarder) Holds(slot proto.Slot) bool { return f.store.Holds(slot) }

// Warm is the store's: of slots that this node does not hold it finds nothing.
func (f *forwarder) Warm(slots []proto.Slot, keys [][]byte) { f.store.Warm(slots, keys) }

// gather puts op into the bundle for link, unless it is too long. A bundle that is full
// is sent.
func (f *forwarder) gather(p *plan, op *proto.Op, link *Link) bool {
	if proto.CheckRequest(op) != nil {
		return false
	}
	n := proto.RequestLen(op) + proto.ItemOverhead
	if n > bundleBytes/2 {
		return false
	}
	var b *bundle
	for i := range p.open {
		if p.open[i].link != link || p.open[i].code != op.Code {
			continue
		}
		if b = p.open[i]; len(b.ops) == proto.MaxItems || len(b.body)+n > bundleBytes {
			b.send()
			b = f.newBundle(link, op.Code)
			p.open[i] = b
		}
		break
	}
	if b == nil {
		b = f.newBundle(link, op.Code)
		p.open = append(p.open, b)
	}
	op.Again = nil
	op.BeginAwaited()
	b.ops = append(b.ops, op)
	b.body = b.writer.Request(b.body, op.Slot, 0)
	b.body = proto.AppendRequest(b.body, op)
	return true
}

func (f *forwarder) newBundle(link *Link, code proto.Opcode) *bundle {
	b := f.bundles.Get().(*bundle) // nothing else is put there
	b.link, b.code, b.begun = link, code, f.now()
	b.body = b.writer.Begin(b.body[:0], 0)
	f.live.Add(1)
	return b
}

// send sends the bundle; from then on it is the link's. One operation alone goes as
// such.
func (b *bundle) send() {
	b.left = len(b.ops)
	if b.left == 1 {
		b.trip(0).send(b.link)
		b.release()
		return
	}
	b.body = b.writer.End(b.body)
	b.call.Timeout, b.call.Patience = b.f.within-callSlack, b.f.patience
	b.call.Gather = b.ops[0].Gather // that of all of them
	b.call.Header = proto.Header{
		Op: proto.FrameOpOf(b.code, true), Flags: proto.FlagForwarded, Epoch: b.f.dir.epoch(),
	}
	link, n := b.link, uint64(b.left)
	b.head = b.head[:0]
	if trace := b.ops[0].Trace; trace != nil && link.Has(proto.FeatureTrace) { // that of the whole batch
		b.head = proto.AppendTrace(b.head, trace)
		b.call.Header.Flags |= proto.FlagTraced
	}
	err := link.Send(&b.call, b.head, b.body)
	if err == nil {
		link.forward.sent.Add(n)
		return
	}
	for i := range b.ops {
		b.trip(i).notSent(err)
	}
	b.release()
}

// trip takes an operation that has no answer yet out of the bundle.
func (b *bundle) trip(i int) *trip {
	t := b.f.newTripAt(b.ops[i], b.begun)
	t.link = b.link
	b.ops[i] = nil
	b.left--
	return t
}

func (b *bundle) release() {
	f := b.f
	clear(b.ops)
	b.ops = b.ops[:0]
	b.body = keep(b.body, keepBuffer)
	b.link = nil
	b.call.Answer, b.call.Body, b.call.Err = proto.Header{}, nil, nil
	f.live.Add(-1)
	f.bundles.Put(b)
}

// answered takes a part of the answer. On the link's event loop.
func (b *bundle) answered() {
	c := &b.call
	err := c.Err
	if err == nil && c.Answer.Status == proto.StatusOK {
		if err = b.items(c.Body); err != nil {
			b.link.fail(err) // the call ends with the link if there was more to come
		}
	}
	if c.Err == nil && c.Answer.Flags&proto.FlagMore != 0 {
		return
	}
	if err == nil && b.left > 0 && c.Answer.Status == proto.StatusOK {
		err = proto.ErrBody // some were forgotten
		b.link.fail(err)
	}
	for i := range b.ops {
		if b.ops[i] == nil {
			continue
		}
		if err != nil {
			b.trip(i).lost(err)
			continue
		}
		if final(c.Answer.Status) {
			b.link.forward.answered(1, b.f.now()-b.begun)
		}
		b.item(i, &proto.Answer{Status: c.Answer.Status}, c.Answer.Term)
	}
	b.release()
}

// items takes the answers to some operations.
func (b *bundle) items(body []byte) error {
	items, err := proto.DecodeMultiAnswer(body)
	if err != nil {
		return err
	}
	now := b.f.now()
	var item proto.Item
	b.link.forward.answered(b.finals(items), now-b.begun)
	var a proto.Answer
	var room []byte // for the values of those that brought no buffer
	for items.Next(&item) {
		if item.Index >= len(b.ops) || b.ops[item.Index] == nil {
			return proto.ErrBody
		}
		if err := proto.DecodeAnswer(b.code, item.Status, item.Body, &a); err != nil {
			return err
		}
		if op := b.ops[item.Index]; op.Out == nil && len(a.Value) > 0 && len(a.Value) <= shareBytes {
			if len(a.Value) > cap(room) {
				room = make([]byte, 0, max(len(a.Value), min(len(body), roomBytes)))
			}
			op.Out = room[:0:len(a.Value)]
			room = room[len(a.Value):cap(room)]
		}
		b.item(item.Index, &a, item.Term)
	}
	return nil
}

// finals gives how many of items are the last word.
func (b *bundle) finals(items proto.Items) (n int) {
	for item := (proto.Item{}); items.Next(&item); {
		if final(item.Status) {
			n++
		}
	}
	return n
}

// item takes the answer to one operation: what is not the last word goes on alone.
func (b *bundle) item(i int, a *proto.Answer, term uint32) {
	if !final(a.Status) {
		b.trip(i).redirected(a, term)
		return
	}
	op := b.ops[i]
	b.ops[i] = nil
	b.left--
	take(op, a, b.link)
	op.Complete()
}
