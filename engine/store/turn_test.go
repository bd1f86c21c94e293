package store

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/smache/smache/proto"
)

// takeTurn holds the turn of w until the function it returns is called.
func takeTurn(w *writer) (release func()) {
	for !w.busy.CompareAndSwap(0, 1) {
		runtime.Gosched()
	}
	return func() {
		w.busy.Store(0)
		w.combine()
	}
}

// submitMany submits n writes while somebody has the turn, and returns the count
// of those that are complete.
func submitMany(t *testing.T, s *Store, n int) *atomic.Int32 {
	t.Helper()
	done := &atomic.Int32{}
	for i := range n {
		op := &proto.Op{Code: proto.OpSet, Key: key(fmt.Sprint("k", i)), Value: []byte("v"), TTL: proto.Forever}
		op.Slot = proto.SlotOf(op.Key)
		op.Done = func(*proto.Op) { done.Add(1) }
		if s.Submit(op) {
			t.Fatalf("write %d was complete, with status %d", i, op.Status)
		}
	}
	return done
}

// What was queued is carried out by Close, however much it is, and then dropped.
func TestCloseCarriesOutTheQueue(t *testing.T) {
	const n = 4 * turnLimit
	s := newTestStore(t, Config{Writers: 1})
	release := takeTurn(s.writers[0])
	done := submitMany(t, s, n)
	closed := make(chan struct{})
	go func() {
		_ = s.Close()
		close(closed)
	}()
	for s.writers[0].tasks.Load() == nil {
		runtime.Gosched()
	}
	release()
	<-closed
	if got := done.Load(); got != n {
		t.Fatalf("%d of %d writes are complete after Close", got, n)
	}
	if got := s.Len(); got != 0 {
		t.Fatalf("%d entries after Close", got)
	}
	// Nobody hands the turn on to a goroutine that has ended.
	release = takeTurn(s.writers[0])
	done = submitMany(t, s, n)
	release()
	if got := done.Load(); got != n {
		t.Fatalf("%d of %d writes are complete", got, n)
	}
}

// Whoever needs the turn for itself gets it before what is queued, however much
// that is.
func TestExclusiveIsNotStarved(t *testing.T) {
	s := newTestStore(t, Config{Writers: 1})
	endTicks(s) // the sweeper's is not to be taken for one of them
	w := s.writers[0]
	release := takeTurn(w)
	done := submitMany(t, s, 4*turnLimit)
	var first [3]int32
	var wg sync.WaitGroup
	for i := range first {
		wg.Go(func() { w.exclusive(func() { first[i] = done.Load() + 1 }) })
	}
	waiting := func() (n int) {
		for t := w.tasks.Load(); t != nil; t = t.next {
			n++
		}
		return n
	}
	for waiting() < len(first) {
		runtime.Gosched()
	}
	release()
	wg.Wait()
	for i := range first {
		if first[i] == 0 || first[i] > 1 {
			t.Errorf("%d writes were carried out before it was the turn of %d", first[i]-1, i)
		}
	}
}

// One write that meets a long run of live pairs does not move all of them. Buckets
// that chance has filled far above the others are left out: they have no room to
// work ahead in.
func TestOneWriteMovesLittle(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 2 * ArenaUnit, Writers: 1})
	w := s.writers[0]
	for i := 0; w.live*100 < 66*s.writerArena; i++ {
		set(s, fmt.Sprint("quiet", i), strings.Repeat("q", 400))
	}
	worst := uint64(0)
	for i := 0; w.pushed < 2*uint64(s.writerArena); i++ {
		name := fmt.Sprint("hot", i%1000)
		h := s.hash(slotOf(name), key(name))
		b := &w.buckets[bucketOf(h[:])]
		crowded := uint64(b.live)*100 > b.capacity()*80
		before := w.counters.movedBytes.Load()
		set(s, name, fmt.Sprint(i, strings.Repeat("h", 100)))
		if !crowded {
			worst = max(worst, w.counters.movedBytes.Load()-before)
		}
	}
	if limit := w.buckets[0].capacity() / 8; worst > limit {
		t.Errorf("one write has moved %d bytes, the limit is %d", worst, limit)
	}
	if st := s.Stats(); st.Evicted != 0 || st.Moved == 0 {
		t.Errorf("evicted %d, moved %d", st.Evicted, st.Moved)
	}
	checkAccounts(t, s)
}

// No piece lies in the bucket of its head: the head's way in could push it out
// before anything says whose it is.
func TestPiecesKeepClearOfTheHead(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: ArenaUnit, Writers: 1})
	value := strings.Repeat("v", s.maxValue)
	for i := range 20 {
		name := fmt.Sprint("k", i)
		set(s, name, value)
		h := s.hash(slotOf(name), key(name))
		body, _ := s.writers[0].cache.HasGet(nil, h[:])
		var e head
		if !parseHead(body, s.epoch, &e) || !e.pieces {
			t.Fatal("no head of a value in pieces")
		}
		for index, salt := range e.salts {
			k := pieceKey(&h, e.pieceID, index, salt)
			if bucketOf(k[:]) == bucketOf(h[:]) {
				t.Fatalf("%s: piece %d lies in the head's bucket", name, index)
			}
		}
	}
}

func TestRingDepthIsInBounds(t *testing.T) {
	r := newRing(8)
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			r.push(&proto.Op{})
		}
	})
	wg.Go(func() {
		for !stop.Load() {
			r.pop()
		}
	})
	for range 100_000 {
		if d := r.depth(); d < 0 || d > 8 {
			t.Errorf("depth %d", d)
			break
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestQueueFull(t *testing.T) {
	s := newTestStore(t, Config{QueueLen: 8, Writers: 1})
	w := s.writers[0]
	hold, held := make(chan struct{}), make(chan struct{})
	go w.exclusive(func() { close(held); <-hold })
	<-held
	var wg sync.WaitGroup
	ops := make([]proto.Op, 9)
	for i := range ops {
		op := &ops[i]
		*op = proto.Op{Code: proto.OpSet, Key: key(fmt.Sprint("k", i)), Value: []byte("v"), TTL: proto.Forever}
		op.Slot = proto.SlotOf(op.Key)
		op.Done = func(*proto.Op) { wg.Done() }
		wg.Add(1)
		if complete := s.Submit(op); complete != (i == 8) {
			t.Fatalf("operation %d: complete %v", i, complete)
		}
	}
	wantStatus(t, &ops[8], proto.StatusQueueFull)
	wg.Done()
	close(hold)
	wg.Wait()
	for i := range 8 {
		wantStatus(t, &ops[i], proto.StatusOK)
		wantHit(t, s, fmt.Sprint("k", i), "v")
	}
	wantMiss(t, s, "k8")
	if n := s.Stats().Refused; n != 1 {
		t.Fatalf("%d refused", n)
	}
}
