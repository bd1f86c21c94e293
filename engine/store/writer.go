package store

import (
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/fastcache"

	"github.com/smache/smache/proto"
)

// writer owns a group of slots: their part of the arena, the sets of their
// entries, and the ring that their writes pass through. All that is not atomic
// is used only in the writer's turn: by the one goroutine that has set busy.
//
// There is no consumer goroutine. Who finds the writer idle takes the turn, and
// carries out what is queued and its own write: a combiner (Hendler et al., "Flat
// Combining", 2010, without its publication list). Who does not get the turn
// leaves the write in the ring: the one who has the turn looks there once more
// after giving it back. The comparison with a dedicated consumer
// and with plain calls is in docs/ARCHITECTURE.md.
type writer struct {
	cache *fastcache.Cache
	ring  *ring
	_     [64]byte
	busy  atomic.Uint32
	tasks atomic.Pointer[task] // what waits for the turn, the youngest first
	_     [64]byte

	store   *Store
	index   int // among the store's writers
	clock   Clock
	hlc     hlc
	buckets []bucket
	slots   []slotSet // of all slots; it touches only its own
	sweep   sweeper
	swept   int64 // up to when slots that are due have been swept

	memories []memory // of all slots, like slots; nil without Config.Cluster
	gone     goneTable
	scratch  proto.Op // for Merge

	turn    int64  // Clock.Now at the begin of the operation
	pushed  uint64 // bytes ever written to the arena
	live    int64  // bytes of all pairs that are part of an entry
	entries int
	pieces  int
	mortal  int   // entries that expire
	indexed int64 // bytes of the sets' tables and the buckets' logs

	// Scratch space: the head that a write has found, parsed from read; encode
	// holds the one that it puts there; move and other hold pairs while room is
	// made.
	old                              head
	read, encode, move, other, salts []byte

	counters counters
	kick     chan struct{}
	stop     chan struct{}
	stopped  chan struct{}
}

// turnLimit bounds the operations that one goroutine carries out for others
// before it hands the turn on.
const turnLimit = 512

// submit carries op out at once if the writer is idle, after what is queued;
// otherwise it queues op for whoever is at work. It reports whether op is
// complete.
func (w *writer) submit(op *proto.Op) bool {
	if w.busy.Load() == 0 && w.busy.CompareAndSwap(0, 1) {
		w.runTasks()
		w.drain(turnLimit)
		w.apply(op)
		w.busy.Store(0)
		if w.ring.ready() || w.tasks.Load() != nil {
			w.combine()
		}
		return true
	}
	op.Begin()
	if !w.ring.push(op) {
		w.counters.refused.Add(1)
		op.Status = proto.StatusQueueFull
		return true
	}
	w.combine()
	return op.Await()
}

// combine carries out what is queued, unless somebody is at it.
func (w *writer) combine() {
	left := turnLimit
	for w.busy.Load() == 0 && w.busy.CompareAndSwap(0, 1) {
		w.runTasks()
		left -= w.drain(left)
		w.busy.Store(0)
		if left == 0 && !w.wake() {
			left = turnLimit // the writer's goroutine has ended
		}
		// Who has pushed in between found the turn taken and left the work to
		// us. A claim that is not published yet is no work: its producer comes
		// here next. Once others have kept this goroutine long enough, the
		// operations are left to the writer's goroutine, but not the tasks: it
		// may be waiting for one itself.
		if (left == 0 || !w.ring.ready()) && w.tasks.Load() == nil {
			return
		}
	}
}

// drain carries out at most limit operations. In the writer's turn.
func (w *writer) drain(limit int) (done int) {
	for done < limit {
		op := w.ring.pop()
		if op == nil {
			break
		}
		w.apply(op)
		w.finish(op)
		done++
	}
	return done
}

// task is a function that waits for the writer's turn.
type task struct {
	fn   func()
	done chan struct{} // closed when fn has run
	next *task
}

// exclusive runs fn in the writer's turn, and returns when it has run. Like an
// operation, fn is carried out by whoever has the turn, perhaps on another
// goroutine: so it waits for at most turnLimit operations.
func (w *writer) exclusive(fn func()) {
	if w.busy.CompareAndSwap(0, 1) {
		w.guard(fn)
		w.busy.Store(0)
		w.combine()
		return
	}
	t := &task{fn: fn, done: make(chan struct{})}
	for {
		t.next = w.tasks.Load()
		if w.tasks.CompareAndSwap(t.next, t) {
			break
		}
	}
	w.combine()
	<-t.done
}

// runTasks runs what waits for the turn. In the writer's turn.
func (w *writer) runTasks() {
	if w.tasks.Load() == nil {
		return
	}
	for t := w.tasks.Swap(nil); t != nil; t = t.next {
		w.guard(t.fn)
		close(t.done)
	}
}

// wake makes the writer's own goroutine look at the ring. It returns false if
// that goroutine has been told to end.
func (w *writer) wake() bool {
	select {
	case <-w.stop:
		return false
	default:
	}
	select {
	case w.kick <- struct{}{}:
	default:
	}
	return true
}

// run is the writer's own goroutine: it sweeps, and takes over when a combiner
// has done its share.
func (w *writer) run() {
	defer close(w.stopped)
	step := time.NewTimer(sweepTick)
	defer step.Stop()
	for {
		select {
		case <-w.kick:
			w.combine()
		case <-step.C:
			step.Reset(w.sweepOn())
		case <-w.stop:
			return
		}
	}
}
