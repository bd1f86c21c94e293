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

// A panic in an operation: it is answered, the writer's entries are gone, and all
// goes on, for operations that wait as well.
func TestPanicInAnOperation(t *testing.T) {
	var told atomic.Int32
	clock := &countedClock{testClock: newTestClock()}
	s := newClusterStore(t, Config{
		ArenaBytes: 4 * ArenaUnit, Writers: 2, Clock: clock, Panicked: func(any) { told.Add(1) },
	})
	endTicks(s)
	mine, other := "a", "b"
	for i := 0; s.writer(slotOf(mine)) == s.writer(slotOf(other)); i++ {
		other = fmt.Sprint("b", i)
	}
	w := s.writer(slotOf(mine))
	rememberAll(s)
	bugs := map[string]func() *proto.Op{
		"no such opcode": func() *proto.Op { return &proto.Op{Code: 99} },
		"after it was stored": func() *proto.Op {
			clock.set(2, func() { panic("a test's") })
			return &proto.Op{Code: proto.OpSet, Value: []byte("v"), TTL: proto.Forever}
		},
	}
	for name, bug := range bugs {
		for _, queued := range []bool{false, true} {
			before := told.Load()
			old := set(s, mine, strings.Repeat("v", 50_000))
			set(s, other, "stays")
			op := bug()
			op.Key, op.Slot = key(mine), slotOf(mine)
			var next *proto.Op
			if queued {
				var wg sync.WaitGroup
				release := takeTurn(w)
				wg.Go(func() { do(s, op) })
				for w.ring.depth() == 0 {
					runtime.Gosched()
				}
				next = &proto.Op{Code: proto.OpSet, Key: key(mine), Value: []byte("next"), TTL: proto.Forever}
				wg.Go(func() { do(s, next) })
				for w.ring.depth() == 1 {
					runtime.Gosched()
				}
				release()
				wg.Wait()
				wantStatus(t, next, proto.StatusOK)
				wantHit(t, s, mine, "next")
				remove(s, mine)
			} else {
				do(s, op)
				wantMiss(t, s, mine)
			}
			if wantStatus(t, op, proto.StatusInternal); told.Load() != before+1 {
				t.Errorf("%s: told %d times", name, told.Load()-before)
			}
			if proto.FailureOf(op.Status) != proto.FailInternal {
				t.Error("not a failure of the server's")
			}
			wantHit(t, s, other, "stays")
			// What has gone without a trace does not come back either.
			if st := merge(s, mine, "old", old.Version); st != proto.StatusStale {
				t.Errorf("%s: an old copy comes in: %v", name, st)
			}
			checkAccounts(t, s)
			s.Remember(slotOf(mine), false)
			s.Remember(slotOf(mine), true)
		}
	}
	if n := s.Stats().Panics; n != uint64(told.Load()) || n != 4 {
		t.Errorf("%d panics counted", n)
	}
}

// A panic in what is no operation, and in whoever waits for one.
func TestPanicInATask(t *testing.T) {
	s := newTestStore(t, Config{Writers: 1, Panicked: func(any) {}})
	w := s.writers[0]
	set(s, "k", "v")
	w.exclusive(func() { panic("a test's") })
	wantMiss(t, s, "k")
	set(s, "k", "v")
	release := takeTurn(w)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.exclusive(func() { panic("a test's") })
	}()
	for w.tasks.Load() == nil {
		runtime.Gosched()
	}
	op := &proto.Op{
		Code: proto.OpSet, Key: key("k"), Slot: slotOf("k"), Value: []byte("w"), TTL: proto.Forever,
		Done: func(*proto.Op) { panic("a test's") },
	}
	if s.Submit(op) {
		t.Fatal("complete")
	}
	release()
	<-done
	wantHit(t, s, "k", "w")
	if n := s.Stats().Panics; n != 3 {
		t.Errorf("%d panics counted", n)
	}
	checkAccounts(t, s)
}
