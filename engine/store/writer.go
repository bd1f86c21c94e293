package store

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/fastcache"

	"github.com/smache/smache/proto"
)

// writer owns a group of slots: their part of the arena, the sets of their
// entries, and the ring that their writes pass through. All that is not atomic
// is used only in the writer's turn: by the one goroutine that has set busy.
//
// There is no consumer goroutine. Who has pushed a write tries to take the turn,
// and carries out all that is queued, its own write included: a combiner
// (Hendler et al., "Flat Combining", 2010, without its publication list). Who
// does not get the turn need not wait for it: the one who has it looks at the
// ring once more after giving it back. The comparison with a dedicated consumer
// and with plain calls is in docs/ARCHITECTURE.md.
type writer struct {
	cache *fastcache.Cache
	ring  *ring
	_     [64]byte
	busy  atomic.Uint32
	_     [64]byte

	store   *Store
	index   int // among the store's writers
	clock   Clock
	hlc     hlc
	buckets []bucket
	slots   []slotSet // of all slots; it touches only its own
	sweep   sweeper

	turn    int64  // Clock.Now at the begin of the operation
	pushed  uint64 // bytes ever written to the arena
	live    int64  // bytes of all pairs that are part of an entry
	entries int
	pieces  int
	mortal  int   // entries that expire
	indexed int64 // bytes of the sets' tables and the buckets' logs

	// Scratch space: the head that a write has found, parsed from read; the one
	// it puts there, encoded into encode; move and other hold pairs while room is
	// made.
	old, next                        head
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
		w.drain(turnLimit)
		w.apply(op)
		w.busy.Store(0)
		if w.ring.ready() {
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
	for w.busy.Load() == 0 && w.busy.CompareAndSwap(0, 1) {
		done := w.drain(turnLimit)
		w.busy.Store(0)
		if done == turnLimit {
			// Others have kept this goroutine long enough.
			w.wake()
			return
		}
		// Who has pushed in between found the turn taken and left the work to
		// us. A claim that is not published yet is no work: its producer comes
		// here next.
		if !w.ring.ready() {
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
		op.Complete()
		done++
	}
	return done
}

// exclusive takes the turn, runs fn, and gives the turn back.
func (w *writer) exclusive(fn func()) {
	for try := 0; !w.busy.CompareAndSwap(0, 1); try++ {
		if try < 64 {
			runtime.Gosched()
		} else {
			time.Sleep(20 * time.Microsecond)
		}
	}
	fn()
	w.busy.Store(0)
	w.combine()
}

// wake makes the writer's own goroutine look at the ring.
func (w *writer) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// run is the writer's own goroutine: it sweeps, and takes over when a combiner
// has done its share.
func (w *writer) run() {
	defer close(w.stopped)
	tick := time.NewTicker(sweepTick)
	defer tick.Stop()
	for {
		select {
		case <-w.kick:
			w.combine()
		case <-tick.C:
			w.exclusive(func() {
				w.hlc.sync(w.clock)
				w.sweepSome(w.sweepShare())
			})
		case <-w.stop:
			return
		}
	}
}
