package peer

import (
	"errors"
	"time"

	"github.com/smache/smache/proto"
)

// trip is one operation on its way to the holder of its slot and back. It belongs
// to one goroutine at a time: who works on it, the link that its call is in flight
// on, the store or the directory that has its copy, or the list of those parked.
type trip struct {
	f    *forwarder
	op   *proto.Op // ours until complete
	call Call
	// copy is op, for the store and the directory: op itself may have been
	// submitted already, and is completed once.
	copy            proto.Op
	begun, deadline int64
	link            *Link        // whom it was sent to last
	to              *Link        // whom to ask next; nil: the directory knows
	named           *Link        // by the last of too many MOVED, see elsewhere
	term            uint32       // the highest that a MOVED has named
	moves           int          // MOVED so far
	handed          bool         // copy is with the directory
	gather          bool         // its submitter will call Gathered
	kept            bool         // it is op's Carrier
	copied          bool         // copy was used
	seen            int64        // the time, for whoever has just looked; 0: look
	verdict         proto.Status // at the deadline
	head            []byte       // the request, up to the value
	next            *trip        // in the list of those parked
}

func (f *forwarder) makeTrip() any {
	t := &trip{f: f}
	t.call.Done = func(*Call) { t.answered() }
	t.copy.Done = func(*proto.Op) { t.returned() }
	return t
}

// newTrip takes over op, which must be complete within f.within.
func (f *forwarder) newTrip(op *proto.Op) *trip { return f.newTripAt(op, f.now()) }

// newTripAt is newTrip for an operation that has been on its way since begun.
func (f *forwarder) newTripAt(op *proto.Op, begun int64) *trip {
	t := f.trips.Get().(*trip) // nothing else is put there
	t.begin(op, begun)
	return t
}

// begin takes over op.
func (t *trip) begin(op *proto.Op, begun int64) {
	t.op, t.begun, t.deadline, t.verdict = op, begun, begun+int64(t.f.within), proto.StatusBusy
	t.f.live.Add(1)
}

// complete gives op back to its owner, and t to the pool.
func (t *trip) complete() {
	op, f := t.op, t.f
	t.op, t.link, t.to, t.named, t.next = nil, nil, nil, nil, nil
	t.term, t.moves, t.handed, t.gather = 0, 0, false, false
	t.call.Answer, t.call.Body, t.call.Err = proto.Header{}, nil, nil
	t.head = keep(t.head, keepForOne)
	if t.copied {
		t.copied = false
		t.copy.Reset()
	}
	if !t.kept {
		f.trips.Put(t)
	}
	f.live.Add(-1)
	op.Complete()
}

// finish completes op without an answer.
func (t *trip) finish(status proto.Status) {
	t.op.Status, t.op.Node = status, ""
	t.complete()
}

// left gives how much time there is until the deadline, less slack. The deadline
// moves as long as an operation may be patient.
func (t *trip) left(slack time.Duration) time.Duration {
	now := t.seen
	if t.seen = 0; now == 0 {
		now = t.f.now()
	}
	left := t.deadline - int64(slack) - now
	if left <= 0 && now-t.begun < int64(t.f.patience) && t.verdict == proto.StatusBusy && t.f.dir.calm() {
		t.deadline = now + int64(patientBeat+callSlack)
		left = t.deadline - int64(slack) - now
	}
	return time.Duration(left)
}

// refused goes on after this node's store has refused the operation.
func (t *trip) refused(status proto.Status) {
	if status == proto.StatusNotHolder {
		t.elsewhere()
		return
	}
	if _, importing, held := t.f.store.Serves(t.op.Slot); held && importing {
		left := t.left(0)
		if left <= 0 {
			t.finish(t.verdict)
			return
		}
		t.renew()
		t.handed, t.gather = true, false
		t.f.dir.importing(&t.copy, left)
		return
	}
	t.pause(retryAfter)
}

// again tries once more, from the beginning.
func (t *trip) again() {
	t.f.retries.Add(1)
	if _, _, held := t.f.store.Serves(t.op.Slot); !held {
		t.elsewhere()
		return
	}
	t.renew()
	if t.f.store.Submit(&t.copy) {
		t.returned()
	}
}

// renew makes copy ask for what op asks for, once more.
func (t *trip) renew() {
	t.copied = true
	t.copy.CopyRequest(t.op)
	t.copy.Importing = false
}

// returned goes on when the store, or the directory, has returned copy.
func (t *trip) returned() {
	handed := t.handed
	t.handed = false
	switch {
	case !refusal(t.copy.Status):
		t.op.CopyResult(&t.copy)
		t.complete()
	case handed && t.copy.Status == proto.StatusBusy:
		t.pause(retryAfter)
	default:
		t.refused(t.copy.Status)
	}
}

// elsewhere sends the operation to who holds its slot. The directory may not take note
// of a MOVED, which names no term, or one that it knows of: where it names again whom
// this operation has just asked, who was named by that one is asked.
func (t *trip) elsewhere() {
	link, named := t.to, t.named
	t.to, t.named = nil, nil
	if link == nil {
		var self, ok bool
		if link, self, ok = t.f.dir.holder(t.op.Slot); self || !ok || link == nil {
			t.pause(retryAfter)
			return
		}
		if link == t.link && named != nil {
			link = named
		}
	}
	t.send(link)
}

// send asks the peer. If the request was not sent, nothing was done.
func (t *trip) send(link *Link) {
	t.call.Now = 0
	if t.f.linked {
		t.call.Now = t.seen
	}
	left := t.left(callSlack)
	if left <= 0 {
		t.finish(t.verdict)
		return
	}
	op := t.op
	if err := proto.CheckRequest(op); err != nil {
		t.finish(proto.StatusTooLarge)
		return
	}
	flags := proto.FlagForwarded
	t.head = t.head[:0]
	if op.Trace != nil && link.Has(proto.FeatureTrace) {
		t.head = proto.AppendTrace(t.head, op.Trace)
		flags |= proto.FlagTraced
	}
	t.head = proto.AppendRequestHead(t.head, op)
	t.link = link
	t.call.Timeout, t.call.Patience = left, t.f.patience
	t.call.Gather, t.gather = t.gather, false
	t.call.Header = proto.Header{
		Op: proto.FrameOpOf(op.Code, false), Flags: flags, Epoch: t.f.dir.epoch(), Slot: op.Slot,
	}
	var err error
	if op.Code == proto.OpSet || op.Code == proto.OpMerge {
		err = link.Send(&t.call, t.head, op.Value)
	} else {
		err = link.Send(&t.call, t.head)
	}
	if err == nil { // t is the link's now, or has come back already
		link.forward.sent.Add(1)
		return
	}
	t.notSent(err)
}

// notSent goes on after a Send that has failed.
func (t *trip) notSent(err error) {
	if status := StatusOf(err); status == proto.StatusQueueFull {
		t.verdict = status
	} else if status == proto.StatusTooLarge {
		t.finish(status)
		return
	}
	t.pause(retryAfter)
}

// answered goes on when the call is done. On the link's event loop.
func (t *trip) answered() {
	c := &t.call
	if c.Err != nil {
		t.lost(c.Err)
		return
	}
	var a proto.Answer
	if err := proto.DecodeAnswer(t.op.Code, c.Answer.Status, c.Body, &a); err != nil {
		t.link.fail(err)
		t.lost(err)
		return
	}
	if !final(a.Status) {
		t.redirected(&a, c.Answer.Term)
		return
	}
	now := c.answered
	if !t.f.linked {
		now = t.f.now()
	}
	t.link.forward.answered(1, now-t.begun)
	take(t.op, &a, t.link)
	t.complete()
}

// take gives op the answer of a peer. On the link's event loop, as it reads.
func take(op *proto.Op, a *proto.Answer, from *Link) {
	if op.Limit > 0 && len(a.Value) > op.Limit {
		a.Status, a.Value = proto.StatusTooLarge, nil
	}
	a.Into(op)
	op.Node, op.Together = from.Name(), true
}

// leftInOrder reports whether a link has ended because its peer has left, which the
// peer alone can say. What such a node has not answered it has not carried out: it
// ends its links when it has held nothing for a while.
func leftInOrder(why error) bool {
	var remote *remoteError
	return errors.As(why, &remote) && remote.Reason == proto.CloseDone
}

// lost goes on when there is no answer, for whatever reason. A write may have been
// applied, unless the peer has left in good order; a read is repeated, if there is
// time.
func (t *trip) lost(why error) {
	if errors.Is(why, ErrLinkLost) && (t.op.Code == proto.OpGet || leftInOrder(why)) {
		t.pause(retryAfter)
		return
	}
	t.link.forward.unreachable.Add(1)
	t.finish(proto.StatusUnreachable)
}

// redirected goes on after an answer that says to ask elsewhere or later: nothing
// was done.
func (t *trip) redirected(a *proto.Answer, term uint32) {
	from := t.link
	if a.Status == proto.StatusNotHolder {
		t.f.dir.moved(t.op.Slot, from, nil, 0, 0)
	}
	if a.Status != proto.StatusMoved || len(a.Redirect.Holder) == 0 {
		from.forward.busy.Add(1)
		t.pause(max(a.Redirect.Wait, retryAfter))
		return
	}
	from.forward.moved.Add(1)
	if term != 0 && term < t.term {
		t.to = from // it was named under a higher term, and does not know yet
		t.pause(retryAfter)
		return
	}
	t.term = max(t.term, term)
	t.moves++
	t.f.dir.moved(t.op.Slot, from, a.Redirect.Holder, a.Redirect.Incarnation, term)
	if to := t.f.dir.linkTo(a.Redirect.Holder); to != nil && to != from {
		if t.moves <= maxMoves {
			t.send(to)
			return
		}
		t.named = to
	}
	t.pause(retryAfter)
}

// pause parks the operation for about d. If there is no time left for another try,
// or no room, it is complete: nothing was done.
func (t *trip) pause(d time.Duration) {
	t.gather = false
	if t.left(callSlack+d) <= 0 {
		t.finish(t.verdict)
		return
	}
	now := t.f.now()
	if status := t.f.parked.add(t, now, now+int64(d)); status != proto.StatusOK {
		if status == proto.StatusBusy {
			t.f.crowded.Add(1)
		}
		t.finish(status)
	}
}

// fail closes the link to a peer that has answered what it must not.
func (p *Link) fail(why error) {
	if k := p.conn.Load(); k != nil {
		k.kill(why)
	}
}
