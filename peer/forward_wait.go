package peer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/smache/smache/proto"
)

const (
	// beatEvery is how often it is looked whether a parked operation is due.
	beatEvery = 5 * time.Millisecond
	// beats is the length of the wheel. What is due later is tried earlier.
	beats = 64
)

// waiting is the operations that wait for another try: a wheel of lists, one for
// each beat. While there are none, nothing ticks.
type waiting struct {
	mu     sync.Mutex
	lists  [beats]*trip
	beat   int64 // whose list was handed out last
	n      int
	closed bool

	count atomic.Int64 // n, for metrics
	total atomic.Uint64

	wake chan struct{} // there is something again
	stop chan struct{}
	work sync.WaitGroup
}

// add parks t until due. It returns StatusBusy if there are too many, StatusClosed
// if it is too late for that; t is not parked then.
func (w *waiting) add(t *trip, now, due int64) proto.Status {
	w.mu.Lock()
	switch {
	case w.closed:
		w.mu.Unlock()
		return proto.StatusClosed
	case w.n >= maxParked:
		w.mu.Unlock()
		return proto.StatusBusy
	case w.n == 0:
		w.beat = now / int64(beatEvery)
	}
	beat := min(max(due/int64(beatEvery)+1, w.beat+1), w.beat+beats-1)
	list := &w.lists[beat%beats]
	t.next, *list = *list, t
	w.n++
	first := w.n == 1
	w.count.Store(int64(w.n))
	w.mu.Unlock()
	w.total.Add(1)
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return proto.StatusOK
}

// due takes out what is due at now, as a list.
func (w *waiting) due(now int64) (list *trip) {
	w.mu.Lock()
	defer w.mu.Unlock()
	to := now / int64(beatEvery)
	for beat := max(w.beat+1, to-beats+1); beat <= to; beat++ {
		list = w.take(beat%beats, list)
	}
	w.beat = max(w.beat, to)
	return list
}

// take puts the list of that index in front of list. w.mu is held.
func (w *waiting) take(i int64, list *trip) *trip {
	for t := w.lists[i]; t != nil; {
		next := t.next
		t.next, list = list, t
		t = next
		w.n--
	}
	w.lists[i] = nil
	w.count.Store(int64(w.n))
	return list
}

// all takes out everything.
func (w *waiting) all() (list *trip) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.lists {
		list = w.take(int64(i), list)
	}
	return list
}

// wait is the forwarder's goroutine. It sleeps while nothing is parked.
func (f *forwarder) wait() {
	defer f.parked.work.Done()
	tick := time.NewTicker(beatEvery)
	tick.Stop()
	for {
		select {
		case <-f.parked.wake:
		case <-f.parked.stop:
			return
		}
		tick.Reset(beatEvery)
		for f.parked.count.Load() > 0 {
			select {
			case <-tick.C:
				f.beat()
			case <-f.parked.stop:
				tick.Stop()
				return
			}
		}
		tick.Stop()
	}
}

// beat tries again what is due.
func (f *forwarder) beat() {
	for t := f.parked.due(f.now()); t != nil; {
		next := t.next
		t.next = nil
		t.again()
		t = next
	}
}
