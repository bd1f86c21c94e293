package store

import "github.com/smache/smache/proto"

// A panic is a bug of this package. It must not take the writer's turn with it:
// all later writes would wait for ever. So it is caught where the turn is, and
// counted. What the operation has left half done cannot be known: so the writer
// drops all its entries, as a process that dies does, and goes on.

// apply carries out one operation that writes. In the writer's turn.
func (w *writer) apply(op *proto.Op) {
	defer w.caughtIn(op)
	w.decide(op)
	if w.store.roles != nil {
		w.confirm(op)
	}
}

// caughtIn ends a panic of apply.
func (w *writer) caughtIn(op *proto.Op) {
	if reason := recover(); reason != nil {
		op.Status = proto.StatusInternal
		w.startOver(reason)
	}
}

// finish completes an operation. A panic of whoever waited for it leaves the
// entries as they are.
func (w *writer) finish(op *proto.Op) {
	defer func() {
		if reason := recover(); reason != nil {
			w.countPanic(reason)
		}
	}()
	op.Complete()
}

// guard runs what is no operation. In the writer's turn.
func (w *writer) guard(fn func()) {
	defer func() {
		if reason := recover(); reason != nil {
			w.startOver(reason)
		}
	}()
	fn()
}

// startOver drops all entries of the writer after a panic. The slots that keep
// records refuse all that is not newer than this moment.
func (w *writer) startOver(reason any) {
	w.countPanic(reason)
	w.flush()
	for i := range w.memories {
		if w.store.writer(proto.Slot(i)) == w {
			w.forgetUnknown(uint16(i))
		}
	}
}

func (w *writer) countPanic(reason any) {
	w.counters.panics.Add(1)
	if w.store.panicked != nil {
		w.store.panicked(reason)
	}
}
