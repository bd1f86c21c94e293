package store

import (
	"sync/atomic"

	"github.com/smache/smache/proto"
)

// ring is a bounded queue of operations with many producers and one consumer at
// a time. It is Dmitry Vyukov's bounded MPMC queue, less the consumers' half:
// each cell's sequence number says whose turn it is.
//
//	sequence == position      the producer that claims the position owns the cell
//	sequence == position + 1  the consumer owns the cell
//
// A claim is one compare-and-swap; nobody waits for a lock.
type ring struct {
	cells []cell
	mask  uint64
	_     [64]byte
	head  atomic.Uint64 // the next position to claim
	_     [64]byte
	tail  atomic.Uint64 // the next position to take; only the consumer moves it
	_     [64]byte
}

type cell struct {
	sequence atomic.Uint64
	op       *proto.Op
}

// newRing makes a ring of at least n cells; the number is rounded up to a power
// of two.
func newRing(n int) *ring {
	size := 2
	for size < n {
		size *= 2
	}
	r := &ring{cells: make([]cell, size), mask: uint64(size - 1)}
	for i := range r.cells {
		r.cells[i].sequence.Store(uint64(i))
	}
	return r
}

// push adds op, or reports that the ring is full. Any goroutine.
func (r *ring) push(op *proto.Op) bool {
	for {
		pos := r.head.Load()
		c := &r.cells[pos&r.mask]
		switch ahead := int64(c.sequence.Load() - pos); {
		case ahead == 0:
			if r.head.CompareAndSwap(pos, pos+1) {
				c.op = op
				c.sequence.Store(pos + 1)
				return true
			}
		case ahead < 0:
			return false
		}
	}
}

// pop takes the oldest operation, or nil if there is none that is published. The
// consumer only.
func (r *ring) pop() *proto.Op {
	pos := r.tail.Load()
	c := &r.cells[pos&r.mask]
	if c.sequence.Load() != pos+1 {
		return nil
	}
	op := c.op
	c.op = nil
	c.sequence.Store(pos + r.mask + 1)
	r.tail.Store(pos + 1)
	return op
}

// ready reports whether there is a published operation. Any goroutine; while a
// consumer is at work the answer may be old.
func (r *ring) ready() bool {
	pos := r.tail.Load()
	return r.cells[pos&r.mask].sequence.Load() == pos+1
}

// depth gives the number of operations queued, about. Any goroutine.
func (r *ring) depth() int {
	tail := r.tail.Load() // first: the head is never behind an older tail
	return min(int(r.head.Load()-tail), len(r.cells))
}
