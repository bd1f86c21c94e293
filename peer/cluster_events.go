package peer

import (
	"time"

	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// This file is the line of events before the machine: who leaves them, which go first,
// and how they are carried out.

// event is something for the machine: a frame, or something to do.
type event struct {
	do   func(now time.Duration)
	soon bool // do: a client waits for it

	header proto.Header
	body   []byte // its own
	from   *Link
	reply  Reply
}

// maxMail bounds the bytes of frames that wait for the machine. Each peer waits for
// answers to what it has sent, so that only many of them can reach it.
const maxMail = 12 << 20 // half of what engine's plan of the memory has for a cluster

// post leaves an event. It returns false if the keeper has stopped, or has too many.
func (k *keeper) post(e event) bool {
	k.mu.Lock()
	if k.stopped || len(e.body) > 0 && k.bytes+len(e.body) > maxMail && !e.beats() {
		k.mu.Unlock()
		return false
	}
	if e.urgent() {
		k.urgent = append(k.urgent, e)
		k.hurry.Store(true)
	} else {
		k.events = append(k.events, e)
	}
	k.bytes += len(e.body)
	roused := k.roused
	k.roused = true
	k.mu.Unlock()
	if !roused {
		select {
		case k.wake <- struct{}{}:
		default: // it has stopped
		}
	}
	return true
}

// beats reports whether an event is a ping or the answer to one, which travel alone.
// There is always room for them: a node must not seem dead for being busy.
func (e *event) beats() bool {
	return e.header.Op == proto.FrameSlots && isBeat(hold.Kind(proto.SlotsKind(e.body)))
}

// urgent reports whether an event goes before all others: pings, and what clients
// wait for.
func (e *event) urgent() bool {
	return e.soon || e.header.Op == proto.FrameSlots && isUrgent(hold.Kind(proto.SlotsKind(e.body)))
}

func isBeat(kind hold.Kind) bool { return kind == hold.MsgPing || kind == hold.MsgPong }

// isUrgent reports whether a message travels in frames apart from the others: until a
// grant arrives nobody serves its slot, an operation waits for a fetch, and what is asked
// about a peer is worth the less the later it is answered.
func isUrgent(kind hold.Kind) bool {
	return isBeat(kind) || kind == hold.MsgGrant || kind == hold.MsgFetch || kind == hold.MsgFetched ||
		kind == hold.MsgAsk || kind == hold.MsgHeard
}

// do has something done by the goroutine of the machine, some time.
func (k *keeper) do(f func(now time.Duration)) { k.post(event{do: f}) }

// wait has something done by that goroutine, and waits until it is. It returns
// false if the keeper has stopped.
func (k *keeper) wait(f func(now time.Duration)) bool {
	done := make(chan struct{})
	if !k.post(event{do: func(now time.Duration) {
		defer close(done)
		f(now)
	}}) {
		return false
	}
	select {
	case <-done:
		return true
	case <-k.stop:
		k.done.Wait()
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

// workFor is for how long the keeper takes entries in before others may have the
// processor. Those who serve requests run for far less at a time, and Linux has them
// wait for up to 4 ms for somebody who does not stop by himself: with --scheduling batch
// (the default) a thread that wakes interrupts nobody. docs/PERFORMANCE.md, "Short turns".
const workFor = 250 * time.Microsecond

// giveWay lets others have the processor, if the keeper has not for workFor. It is for
// the import of entries alone: what others wait for (pings, grants, claims) is not put
// off for it.
func (k *keeper) giveWay() {
	if k.store.Now()-k.yielded < workFor {
		return
	}
	yield()
	k.yielded = k.store.Now()
}

// handle carries the events out that wait. Time goes on meanwhile: a long line of
// them must not make the node look frozen to itself or to others.
func (k *keeper) handle() {
	k.mu.Lock()
	k.roused = false // before anything is taken: what is posted from here on rouses again
	k.events, k.next = k.next[:0], k.events
	for i := range k.next {
		k.bytes -= len(k.next[i].body)
	}
	k.mu.Unlock()
	k.handleUrgent()
	for i := range k.next {
		k.handleUrgent()
		now := k.store.Now()
		if k.tickIfDue(now) {
			k.settle()
		}
		k.handleOne(now, &k.next[i])
		k.sendUrgent()
	}
}

func (k *keeper) handleUrgent() {
	if !k.hurry.Load() {
		return
	}
	k.mu.Lock()
	events := k.urgent
	k.urgent = nil
	k.hurry.Store(false)
	for i := range events {
		k.bytes -= len(events[i].body)
	}
	k.mu.Unlock()
	for i := range events {
		k.handleOne(k.store.Now(), &events[i])
	}
	k.sendUrgent()
}

func (k *keeper) handleOne(now time.Duration, e *event) {
	switch {
	case e.do != nil:
		e.do(now)
	case e.header.Op == proto.FrameSlots:
		k.receiveSlots(now, e)
		e.reply.Send(e.header.Answer(proto.StatusOK, k.epochs.Load()))
	case e.header.Op == proto.FrameMembers:
		k.receiveMembers(now, e)
	}
	*e = event{}
}
