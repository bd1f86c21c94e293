package store

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// newClusterStore makes a store that holds all slots under term 1, for ever.
func newClusterStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	cfg.Cluster = true
	s := newTestStore(t, cfg)
	s.ServeUntil(proto.Forever)
	for slot := range proto.Slots {
		s.Hold(proto.Slot(slot), 1, false)
	}
	return s
}

func slotOf(name string) proto.Slot { return proto.SlotOf(key(name)) }

// What is answered from a slot, by what this process is to it.
func TestRoles(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Clock: clock, Cluster: true})
	slot := slotOf("k")
	ops := []proto.Op{
		{Code: proto.OpGet}, {Code: proto.OpGet, Importing: true},
		{Code: proto.OpSet, Value: []byte("v"), TTL: proto.Forever},
		{Code: proto.OpSet, Value: []byte("v"), TTL: proto.Forever, Importing: true},
	}
	// The statuses of a get, and of a set, without and with Importing.
	expect := func(when string, want ...proto.Status) {
		t.Helper()
		for i := range ops {
			op := &proto.Op{}
			op.CopyRequest(&ops[i])
			op.Importing, op.Key, op.Out = ops[i].Importing, key("k"), []byte("before")
			if do(s, op); op.Status != want[i] {
				t.Errorf("%s: operation %d: %v, want %v", when, i, op.Status, want[i])
			}
			if op.Status != proto.StatusOK && (string(op.Out) != "before" || op.ETag != 0 || op.Version != proto.Version{}) {
				t.Errorf("%s: operation %d: an answer that is none: %q, %v", when, i, op.Out, op.Version)
			}
		}
	}
	serves := func(term uint32, importing, held bool) {
		t.Helper()
		if a, b, c := s.Serves(slot); a != term || b != importing || c != held {
			t.Errorf("Serves gives %d, %t, %t", a, b, c)
		}
		if s.Holds(slot) != (held && !importing) || s.Holds(slot^1) {
			t.Errorf("Holds gives %t, and %t for another slot", s.Holds(slot), s.Holds(slot^1))
		}
	}
	ok, miss, not, busy := proto.StatusOK, proto.StatusMiss, proto.StatusNotHolder, proto.StatusBusy
	expect("at the beginning", not, not, not, not)
	serves(0, false, false)
	s.Hold(slot, 5, true)
	expect("without a lease", busy, busy, busy, busy)
	s.ServeUntil(s.Now() + time.Second)
	expect("importing", busy, miss, busy, ok)
	serves(5, true, true)
	s.Hold(slot, 5, false)
	serves(5, false, true)
	expect("holding", ok, ok, ok, ok)
	clock.advance(time.Second - 1)
	expect("at the end of the lease", ok, ok, ok, ok)
	clock.advance(1)
	expect("past the lease", busy, busy, busy, busy)
	s.ServeUntil(proto.Forever)
	expect("for ever", ok, ok, ok, ok)
	s.Release(slot)
	expect("released", not, not, not, not)
	serves(0, false, false)
	s.Hold(slot, 6, false)
	if op := get(s, "k"); op.Version.Term != 5 {
		t.Errorf("term %d: an entry keeps its version", op.Version.Term)
	}
	if op := set(s, "k", "v"); op.Version.Term != 6 {
		t.Errorf("term %d: an equal write under another term needs a version of it", op.Version.Term)
	}
	checkAccounts(t, s)
}

// Without Config.Cluster every slot is held.
func TestServesAlone(t *testing.T) {
	s := newTestStore(t, Config{})
	if term, importing, held := s.Serves(7); term != 1 || importing || !held || !s.Holds(7) {
		t.Error(term, importing, held)
	}
}

// countedClock counts how often it is looked at, and does something at one look,
// before it answers.
type countedClock struct {
	*testClock
	looks, at atomic.Int64
	do        func()
}

func (c *countedClock) Now() int64 {
	if c.looks.Add(1) == c.at.Load() {
		c.do()
	}
	return c.testClock.Now()
}

// set makes the clock do something at the look with this number from now on.
func (c *countedClock) set(at int64, do func()) {
	c.do = do
	c.looks.Store(0)
	c.at.Store(at)
}

// endTicks ends the writers' own goroutines, which look at the clock too.
func endTicks(s *Store) {
	for _, w := range s.writers {
		close(w.stop)
		<-w.stopped
		w.stop = make(chan struct{}) // for Close
	}
}

// Whoever stands still in the middle of an operation does not answer for it once
// the lease has passed, wherever that was.
func TestLeaseEndsInBetween(t *testing.T) {
	clock := &countedClock{testClock: newTestClock()}
	s := newClusterStore(t, Config{Clock: clock})
	endTicks(s)
	big := strings.Repeat("b", 100_000)
	set(s, "small", "v")
	set(s, "big", big)
	run := func(op *proto.Op, leapAt int64) proto.Status {
		s.ServeUntil(s.Now() + time.Minute)
		clock.set(leapAt, func() { clock.advance(time.Hour) })
		defer s.ServeUntil(proto.Forever)
		defer clock.at.Store(0)
		return do(s, op).Status
	}
	for _, name := range []string{"small", "big", "none"} {
		op := &proto.Op{Code: proto.OpGet, Key: key(name)}
		if run(op, 1); op.Status != proto.StatusBusy || len(op.Out) != 0 {
			t.Errorf("a read of %q: %v, %d bytes", name, op.Status, len(op.Out))
		}
	}
	// A value in pieces takes longer to read than its head.
	op := &proto.Op{Code: proto.OpGet, Key: key("big")}
	if run(op, 2); op.Status != proto.StatusBusy || len(op.Out) != 0 {
		t.Errorf("a read of pieces: %v, %d bytes", op.Status, len(op.Out))
	}
	op = &proto.Op{Code: proto.OpSet, Key: key("new"), Value: []byte("v"), TTL: proto.Forever}
	if run(op, 1); op.Status != proto.StatusBusy {
		t.Errorf("a write past the lease: %v", op.Status)
	}
	wantMiss(t, s, "new")
	if run(op, 2); op.Status != proto.StatusUnreachable {
		t.Errorf("a write that the lease ran out under: %v", op.Status)
	}
	wantHit(t, s, "new", "v")
}

// A slot that changes hands while a read is under way: the read begins again. So
// it gives what is there after, and nothing if the slot is not held any more.
func TestReleaseWhileReading(t *testing.T) {
	clock := &countedClock{testClock: newTestClock()}
	s := newClusterStore(t, Config{Clock: clock})
	endTicks(s)
	slot := slotOf("k")
	term := uint32(1)
	newer := func(value string) {
		s.Release(slot)
		term++
		if st := merge(s, "k", value, proto.Version{Term: term, Clock: 1}); st != proto.StatusOK {
			t.Errorf("merge: %v", st)
		}
		s.Hold(slot, term+1, false)
	}
	for _, value := range []string{"v", strings.Repeat("v", 100_000)} {
		newer("old" + value)
		clock.set(1, func() { newer("new" + value) })
		wantHit(t, s, "k", "new"+value)
		clock.set(1, func() { s.Release(slot) })
		op := get(s, "k")
		if wantStatus(t, op, proto.StatusNotHolder); len(op.Out) != 0 || op.ETag != 0 || op.Remaining != 0 {
			t.Errorf("an answer that is none: %d bytes, %v", len(op.Out), op.ETag)
		}
		s.Hold(slot, term+2, false)
		term += 2
		clock.set(1, func() { s.Hold(slot, term, true) })
		wantStatus(t, get(s, "k"), proto.StatusBusy)
		// The same term once more is another holding of the slot.
		s.Hold(slot, term, false)
		clock.set(1, func() {
			s.Release(slot)
			s.RemoveKey(slot, key("k"))
			s.Hold(slot, term, false)
		})
		wantMiss(t, s, "k")
	}
}

// The handing over of a slot, time and again, under readers and writers: what
// either node does under its term counts up. A read that is answered gives what
// was there at some moment since it began, never less: so no read gives what the
// node had before it let go, once the other has gone on. And no write that was
// answered is lost.
func TestReleaseIsAWall(t *testing.T) {
	stores := [2]*Store{newTestStore(t, Config{Cluster: true}), newTestStore(t, Config{Cluster: true})}
	k, slot := key("k"), slotOf("k")
	for _, s := range stores {
		s.ServeUntil(proto.Forever)
	}
	const rounds = 1000
	var answered atomic.Int64 // the highest count whose write was answered
	var stop atomic.Bool
	var wg sync.WaitGroup
	var reads, writes atomic.Int64
	for _, s := range stores {
		wg.Go(func() { // reader
			out := make([]byte, 0, 64)
			for ; !stop.Load(); runtime.Gosched() {
				floor := answered.Load()
				op := do(s, &proto.Op{Code: proto.OpGet, Key: k, Out: out})
				if op.Status != proto.StatusOK {
					continue
				}
				var n int64
				if _, err := fmt.Sscan(string(op.Out), &n); err != nil || n < floor {
					t.Errorf("read %q after %d was answered (%v)", op.Out, floor, err)
					return
				}
				reads.Add(1)
			}
		})
		wg.Go(func() { // writer: counts up by compare and set
			for ; !stop.Load(); runtime.Gosched() {
				now := do(s, &proto.Op{Code: proto.OpGet, Key: k})
				if now.Status != proto.StatusOK {
					continue
				}
				var n int64
				if _, err := fmt.Sscan(string(now.Out), &n); err != nil {
					t.Error(err)
					return
				}
				op := do(s, &proto.Op{
					Code: proto.OpSet, Key: k, Value: fmt.Append(nil, n+1), TTL: proto.Forever,
					IfMatch: proto.Match{Set: true, Tags: []proto.ETag{now.ETag}},
				})
				if op.Status == proto.StatusOK {
					answered.Store(n + 1) // only one of the writers wins n + 1
					writes.Add(1)
				}
			}
		})
	}
	var buf []byte
	var e proto.Entry
	stores[0].Hold(slot, 1, false)
	set(stores[0], "k", "0")
	for round := range rounds {
		from, to := stores[round%2], stores[1-round%2]
		before := reads.Load() + writes.Load()
		for reads.Load()+writes.Load() == before && !t.Failed() {
			runtime.Gosched()
		}
		from.Release(slot)
		to.Adopt(from.Clock(slot))
		var found bool
		if buf, found = from.Item(slot, k, buf[:0], &e); !found {
			t.Fatal("the entry is gone")
		}
		if st := to.Merge(slot, &e); st != proto.StatusOK {
			t.Fatalf("round %d: merge: %v", round, st)
		}
		if n := from.DropSlot(slot); n != 1 {
			t.Fatalf("dropped %d", n)
		}
		to.Hold(slot, uint32(round+2), false)
	}
	stop.Store(true)
	wg.Wait()
	last := stores[rounds%2]
	wantHit(t, last, "k", fmt.Sprint(answered.Load()))
}

// A lease that comes and goes: nothing is answered while it is out. The other
// node's writes are played by a word that is set as soon as it cannot be answered
// any more.
func TestLeaseIsAWall(t *testing.T) {
	clock := newTestClock()
	s := newClusterStore(t, Config{Clock: clock})
	set(s, "k", "0")
	var ended atomic.Int64 // leases that are over for good
	var stop atomic.Bool
	var wg sync.WaitGroup
	var answers atomic.Int64
	lease := func(n int64) time.Duration { return clockStart + time.Duration(n)*time.Second }
	for _, code := range []proto.Opcode{proto.OpGet, proto.OpSet} {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				over := ended.Load()
				op := do(s, &proto.Op{Code: code, Key: key("k"), Value: fmt.Append(nil, i), TTL: proto.Forever})
				switch op.Status {
				case proto.StatusBusy, proto.StatusUnreachable:
				case proto.StatusOK:
					// It began when lease number over had ended, so the clock was at or
					// past its end, and a later one must have been given since.
					if s.lease.Load() <= int64(lease(over)) {
						t.Errorf("answered %v past the lease", code)
						return
					}
					answers.Add(1)
				default:
					t.Errorf("status %v", op.Status)
				}
			}
		})
	}
	for n := int64(1); n < 500; n++ {
		s.ServeUntil(lease(n))
		before := answers.Load()
		for answers.Load() == before && !t.Failed() {
			runtime.Gosched()
		}
		clock.now.Store(int64(lease(n)))
		ended.Store(n)
	}
	stop.Store(true)
	wg.Wait()
}

// Clocks of other nodes are taken over, unless nobody's clock can be so wrong.
func TestAdopt(t *testing.T) {
	clock := newTestClock()
	s := newClusterStore(t, Config{ArenaBytes: 4 * ArenaUnit, Writers: 2, Clock: clock})
	now := uint64(clock.Wall()) << hlcCounterBits
	minute := uint64(time.Minute.Microseconds()) << hlcCounterBits
	s.Adopt(now + 9*minute)
	for _, name := range []string{"a", "b", "c", "d"} {
		if op := set(s, name, "v"); op.Version.Clock <= now+9*minute {
			t.Errorf("%s: the clock was not adopted", name)
		}
		if c := s.Clock(slotOf(name)); c <= now+9*minute || c > now+10*minute {
			t.Errorf("%s: the clock is %x", name, c)
		}
	}
	for _, absurd := range []uint64{now + 11*minute, 1<<64 - 1} {
		s.Adopt(absurd)
		if op := set(s, "a", fmt.Sprint(absurd)); op.Version.Clock >= now+10*minute {
			t.Errorf("%x was adopted", absurd)
		}
	}
	if n := s.Stats().ClocksAhead; n != 4 {
		t.Errorf("%d clocks counted", n)
	}
	clock.advance(time.Hour)
	s.Adopt(now + 20*minute)
	if n := s.Stats().ClocksAhead; n != 4 {
		t.Errorf("%d clocks counted", n)
	}
}
