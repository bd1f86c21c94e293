package peer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/smache/smache/proto"
)

// slotStore is what the forwarder needs of this node's store.
type slotStore interface {
	// Submit carries op out, as httpapi.Cache has it. Of a slot that this node
	// does not hold it says StatusNotHolder; StatusBusy where the slot is being
	// imported and op is not made ready, or where this node may not serve just now:
	// nothing was done. An OpGet is always complete when it returns.
	Submit(op *proto.Op) bool
	// Serves says whether this node holds a slot, under which term, and whether it
	// still imports it. Lock-free: it is asked for each operation.
	Serves(slot proto.Slot) (term uint32, importing, held bool)
	// Holds says whether this node holds a slot and does not import it, as of a moment
	// ago. It is cheaper than Serves.
	Holds(slot proto.Slot) bool
	// Warm says that operations on these slots will follow, and reads of these keys of
	// theirs; keys may be nil. It changes nothing.
	Warm(slots []proto.Slot, keys [][]byte)
}

// directory knows who holds what. None of its methods may block: they are called
// on event loops.
type directory interface {
	// holder gives the link to the node that holds a slot, as far as is known. ok
	// is false if nobody is known to; self says that it is this node. Lock-free and
	// without allocations: it is asked for each operation.
	holder(slot proto.Slot) (link *Link, self bool, ok bool)
	// redirect is what a MOVED for the slot says: the holder's name, its
	// incarnation and the term, 0 for what is not known. The name is empty if the
	// holder is not known, or is this node. name is good for ever.
	redirect(slot proto.Slot) (name string, incarnation uint64, term uint32)
	// moved takes note that a peer does not hold a slot, and who does as far as it
	// knows, now or later. name is good until it returns.
	moved(slot proto.Slot, from *Link, name []byte, incarnation uint64, term uint32)
	// linkTo gives the link to the node of that name; nil if there is none, or it is
	// this node.
	linkTo(name []byte) *Link
	// importing takes over an operation of a slot that this node imports: it makes
	// the key ready, submits op to the store with Importing set, and sees that
	// op.Done is called exactly once, on any goroutine, before within has passed:
	// by the store, or after store.Submit(op) was true by calling op.Done(op)
	// itself. With StatusBusy or StatusNotHolder nothing was done.
	importing(op *proto.Op, within time.Duration)
	// calm reports whether all members are heard from, and none was lost of late.
	calm() bool
	// epoch is that of the member list as this node sees it.
	epoch() uint64
}

// The times of forwarding.
const (
	// DefaultWait is ClusterConfig.Wait where it says nothing: P5 allows 250 ms.
	DefaultWait = 250 * time.Millisecond
	// waitSlack is by how much earlier an operation is answered than Wait says.
	waitSlack = 10 * time.Millisecond
	// answerWithin is what that leaves by default, from the moment at which this node's
	// store has refused the operation.
	answerWithin = DefaultWait - waitSlack
	// patience is how long an operation may take at least while all members are heard
	// from, and none was lost of late: then it waits for a slot that changes hands
	// or a node that is slow, and P4 allows no refusal.
	patience = 2 * time.Second
	// patientBeat is how long it waits until that is looked at again.
	patientBeat = 100 * time.Millisecond
	// callSlack is how late a Call's deadline may act.
	callSlack = 2 * tickEvery
	// wayCost is what an operation that another node waits for has less: for the way
	// here, and back.
	wayCost = 60 * time.Millisecond
	// retryAfter is the pause before another try, when nobody names one; the
	// rounding to beats adds up to one of them.
	retryAfter = 5 * time.Millisecond
	// maxMoves is how many MOVED of one operation are followed at once. From then on
	// there is a pause before each: nodes that point at each other will agree soon.
	maxMoves = 4
)

// The bounds of forwarding.
const (
	// maxParked is the most operations that wait for another try: beyond it they
	// are answered StatusBusy at once.
	maxParked = 8192
	// maxCopied bounds the bytes of requests from links that are kept beyond the
	// callback that brought them: beyond it such requests are answered StatusBusy.
	maxCopied = 16 << 20
	// keepForOne is the largest buffer that is kept with the pooled state of one
	// operation; that of many may keep keepBuffer.
	keepForOne = 32 << 10
)

// forwarder carries operations to the holders of their slots and back, and carries
// out those that others send. See the section "Forwarding" of the package comment.
type forwarder struct {
	store slotStore
	dir   directory
	now   func() int64
	again func(*proto.Op) // f.takeOver, bound once
	// traced, if set, is told of each traced request that came by a link, once it is
	// answered. It is called on any goroutine, and must not block.
	traced func(*Traced)
	// linked says that now is the clock of the links.
	linked bool
	// within and patience are answerWithin and patience, or more, see waitFor.
	within, patience time.Duration

	trips, serves, groups, bundles, plans sync.Pool

	parked waiting
	copied atomic.Int64 // bytes, see maxCopied

	live     atomic.Int64 // operations on their way to others, or waiting
	serving  atomic.Int64 // operations of others, being carried out here
	retries  atomic.Uint64
	crowded  atomic.Uint64 // refused: maxParked
	overfull atomic.Uint64 // refused: maxCopied
}

// newForwarder makes a forwarder, whose goroutine close ends.
func newForwarder(store slotStore, dir directory, now func() int64) *forwarder {
	f := newQuietForwarder(store, dir, now)
	f.parked.work.Add(1)
	go f.wait()
	return f
}

// newQuietForwarder makes one whose parked operations wait until somebody calls
// beat, by this clock, in nanoseconds, which never shows 0.
func newQuietForwarder(store slotStore, dir directory, now func() int64) *forwarder {
	f := &forwarder{store: store, dir: dir, now: now, within: answerWithin, patience: patience}
	f.again = f.takeOver
	f.parked.wake = make(chan struct{}, 1)
	f.parked.stop = make(chan struct{})
	f.trips.New = f.makeTrip
	f.serves.New = f.makeServed
	f.groups.New = func() any { return &group{f: f} }
	f.bundles.New = f.makeBundle
	f.plans.New = func() any { return &plan{} }
	return f
}

// waitFor sets how long an operation waits for a node that does not answer. Before
// the first operation.
func (f *forwarder) waitFor(wait time.Duration) {
	f.within = wait - waitSlack
	f.patience = max(patience, f.within)
}

// close answers the operations that wait with StatusClosed, and ends the
// goroutine. Those on their way to peers end with their links, so these must be
// closed first. What comes after it is answered at once.
func (f *forwarder) close() {
	f.parked.mu.Lock()
	first := !f.parked.closed
	f.parked.closed = true
	f.parked.mu.Unlock()
	if first {
		close(f.parked.stop)
	}
	f.parked.work.Wait()
	for t := f.parked.all(); t != nil; {
		next := t.next
		t.finish(proto.StatusClosed)
		t = next
	}
}

// Submit carries op out here or at the holder of its slot, as httpapi.Cache has
// it. Any goroutine.
func (f *forwarder) Submit(op *proto.Op) bool {
	op.Again = f.again
	if !f.store.Submit(op) {
		return false
	}
	if op.Again == nil { // it was taken over, and is complete all the same
		return true
	}
	op.Again = nil
	if !refusal(op.Status) {
		return true
	}
	op.Begin()
	if !op.Gather {
		f.newTrip(op).refused(op.Status)
		return op.Await()
	}
	t, ok := op.Carrier.(*trip) // who submits from a loop does so again and again
	if !ok || t.f != f {
		t = f.makeTrip().(*trip)
		t.kept, op.Carrier = true, t
	}
	now := f.now()
	t.begin(op, now)
	t.gather, t.seen = true, now
	t.refused(op.Status)
	return op.Await()
}

// takeOver is the Again of operations: a writer of the store has refused op.
func (f *forwarder) takeOver(op *proto.Op) {
	f.newTrip(op).refused(op.Status)
}

// refusal says that this node's store did nothing, because of the slot.
func refusal(s proto.Status) bool { return s == proto.StatusNotHolder || s == proto.StatusBusy }

// final says that a peer's answer is the last word: it does not say to ask
// elsewhere or later.
func final(s proto.Status) bool {
	switch s {
	case proto.StatusMoved, proto.StatusBusy, proto.StatusNotHolder, proto.StatusEpoch, proto.StatusClosed:
		return false
	}
	return true
}

// keep gives the buffer to keep with a pooled object: b, empty, unless it is long.
func keep(b []byte, longest int) []byte {
	if cap(b) > longest {
		return nil
	}
	return b[:0]
}
