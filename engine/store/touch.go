package store

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	// portion is how much is touched at a time, and aligned to: a huge page.
	portion = 2 << 20
	// touchAhead is how much of a cluster's arena is touched before it serves: the
	// first chunk of each bucket, which entries that move there fill first.
	touchAhead = ArenaUnit
	// touchLead is how much more of it is kept touched than was written: entries come
	// to all buckets about evenly, so that all want their next chunk at about the same
	// time, some of them sooner.
	touchLead = ArenaUnit * 3 / 2
	// touchRest is for how long what touches the rest rests after each portion, in
	// times of what that took, while it has less than that lead: so it takes a sixth
	// of a processor. restAtEase is the same for when it has it, and touchWithin for
	// how long it takes to rest so, at most, in all.
	touchRest   = 5
	restAtEase  = 60
	touchWithin = 2 * time.Minute
	// pageLeast is the smallest page of any system.
	pageLeast = 4 << 10
)

// fastcache's own list of chunks, which it fills by 64 MiB when it is empty, and from
// which its buckets take what pairs need. There is no other way to have it take all
// memory from the system but to write to all of it.
//
//go:linkname getChunk github.com/VictoriaMetrics/fastcache.getChunk
func getChunk() []byte

//go:linkname putChunk github.com/VictoriaMetrics/fastcache.putChunk
func putChunk(chunk []byte)

// touching is what is left to do of touch, while entries are written already.
type touching struct {
	portions [][]byte
	next     atomic.Int64  // of portions
	left     atomic.Int64  // bytes
	most     time.Duration // of a rest at ease
	stop     chan struct{}
	done     sync.WaitGroup
}

// touch takes the arena's memory from the system and touches all of it, so that memory
// that cannot be had is found missing now, and not by a write in an hour.
//
// Where a node of a cluster starts, others may serve on the same processors, to which
// clearing memory comes at the expense of requests (docs/BENCHMARKS.md, "A million keys
// on the move"): a huge page takes 0.2 ms, and ten times that where a hypervisor has to
// find the memory first, and nobody else has the processor meanwhile. So there it is taken
// as a whole, but touched little by little, ahead of those who write, where the system can
// do that for memory that is in use. What the system has promised and cannot keep then
// shows within minutes of the start.
func (s *Store) touch(cluster bool) (err error) {
	defer func() {
		// fastcache panics when the system refuses memory. It holds a lock then, for
		// good: the process is of no more use, but can say why.
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrMemory, r)
		}
	}()
	chunks := make([][]byte, 0, s.writerArena/fcChunk*int64(len(s.writers)))
	for range cap(chunks) {
		chunks = append(chunks, getChunk())
	}
	address := func(chunk []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(chunk))) }
	slices.SortFunc(chunks, func(a, b []byte) int { return int(address(a)) - int(address(b)) })
	t := &s.touching
	t.stop = make(chan struct{})
	for from, i := 0, 1; i <= len(chunks); i++ {
		last := address(chunks[i-1])
		if i < len(chunks) && address(chunks[i]) == last+fcChunk {
			continue
		}
		// They lie together.
		span := unsafe.Slice(unsafe.SliceData(chunks[from]), (i-from)*fcChunk)
		if err := renew(span); err != nil {
			return fmt.Errorf("%w: %w", ErrMemory, err)
		}
		for at := address(span); len(span) > 0; {
			n := min(int(portion-at%portion), len(span))
			t.portions = append(t.portions, span[:n:n])
			span, at = span[n:], at+uintptr(n)
		}
		from = i
	}
	t.left.Store(int64(len(chunks)) * fcChunk)
	if !cluster || populate(t.portions[0]) != nil {
		t.now(runtime.GOMAXPROCS(0))
	}
	for len(chunks)*fcChunk-int(t.left.Load()) < touchAhead {
		_ = populate(t.take())
	}
	for _, chunk := range slices.Backward(chunks) { // what was touched first is taken first
		putChunk(chunk)
	}
	workers := max(1, runtime.GOMAXPROCS(0)/4)
	t.most = touchWithin * time.Duration(workers) / time.Duration(len(t.portions))
	for range workers {
		t.done.Go(s.touchSlowly)
	}
	return nil
}

// take gives the next portion, which counts as touched; nil: none is left.
func (t *touching) take() []byte {
	i := t.next.Add(1) - 1
	if i >= int64(len(t.portions)) {
		return nil
	}
	t.left.Add(-int64(len(t.portions[i])))
	return t.portions[i]
}

// now touches everything by writing to it, as fast as so many processors can: nobody
// else may write there yet.
func (t *touching) now(processors int) {
	var work sync.WaitGroup
	for range processors {
		work.Go(func() {
			for b := t.take(); b != nil; b = t.take() {
				for at := 0; at < len(b); at += pageLeast {
					b[at] = 0
				}
			}
		})
	}
	work.Wait()
}

// touchSlowly touches what is left, while others write to it or do not.
func (s *Store) touchSlowly() {
	t := &s.touching
	rest := time.NewTimer(0)
	defer rest.Stop()
	for b := t.take(); b != nil; b = t.take() {
		begun := time.Now()
		if populate(b) != nil {
			continue // who writes there takes it, or ends as who finds no memory does
		}
		rest.Reset(t.restAfter(time.Since(begun), s.touchedAhead()))
		select {
		case <-rest.C:
		case <-t.stop:
			return
		}
	}
}

// restAfter gives for how long what touches rests after a portion that took so long, when
// so much more is touched than was written.
func (t *touching) restAfter(took time.Duration, ahead int64) time.Duration {
	if ahead < touchLead {
		return touchRest * took
	}
	return max(touchRest*took, min(restAtEase*took, t.most))
}

// touchedAhead gives how much more of the arena has been touched than was written.
func (s *Store) touchedAhead() int64 {
	touched := s.writerArena*int64(len(s.writers)) - s.touching.left.Load()
	for _, w := range s.writers {
		w.exclusive(func() { touched -= int64(w.pushed) })
	}
	return touched
}

// end has the touching ended.
func (t *touching) end() {
	close(t.stop)
	t.done.Wait()
}
