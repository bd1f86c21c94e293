package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// entryOf makes an entry that is newer than what clock gives now.
func entryOf(name, value string, version proto.Version) *proto.Entry {
	return &proto.Entry{Key: key(name), Value: []byte(value), Meta: proto.Meta{
		ETag: 77, Version: version, Remaining: time.Minute, Age: 3 * time.Second,
	}}
}

// A copy comes in whatever this process is to the slot, with all that it says of
// itself, and past the lease.
func TestMergeInAnyRole(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Clock: clock, Cluster: true, ArenaBytes: 4 * ArenaUnit, Writers: 2})
	slot := slotOf("k")
	version := proto.Version{Term: 3, Clock: uint64(clock.Wall()) << hlcCounterBits}
	for i, role := range []func(){func() {}, func() { s.Hold(slot, 4, true) }, func() { s.Hold(slot, 4, false) }, func() { s.Release(slot) }} {
		role()
		for _, size := range []int{10, 100_000} {
			version.Clock++
			value := fmt.Sprint(i, strings.Repeat("v", size))
			if st := s.Merge(slot, entryOf("k", value, version)); st != proto.StatusOK {
				t.Fatalf("role %d: %v", i, st)
			}
			if st := s.Merge(slot, entryOf("k", "again", version)); st != proto.StatusStale {
				t.Errorf("role %d: the same again: %v", i, st)
			}
			e, found := item(s, "k")
			want := proto.Meta{ETag: 77, Version: version, Remaining: time.Minute, Age: 3 * time.Second}
			if !found || e.Gone || string(e.Value) != value || e.Meta != want {
				t.Errorf("role %d: found %t, %d bytes, %+v", i, found, len(e.Value), e.Meta)
			}
			if c := s.Clock(slot); c < version.Clock {
				t.Errorf("role %d: the clock was not taken over", i)
			}
		}
	}
	if st := s.Merge(slot+1, entryOf("k", "v", version)); st != proto.StatusNotHolder {
		t.Errorf("a key of another slot: %v", st)
	}
	st := s.Stats()
	if st.Merged != 8 || st.MergeOlder != 8 {
		t.Errorf("%d merged, %d older", st.Merged, st.MergeOlder)
	}
	checkAccounts(t, s)
}

// What cannot be kept is refused and counted. What is older does not stay in its
// place, and does not come in later.
func TestMergeLimits(t *testing.T) {
	for _, remembers := range []bool{false, true} {
		clock := newTestClock()
		s := newClusterStore(t, Config{Clock: clock, Writers: 1})
		if remembers {
			rememberAll(s)
		}
		for i, c := range []struct {
			change func(*proto.Entry)
			want   proto.Status
			count  func(Stats) uint64
		}{
			{func(e *proto.Entry) { e.Value = make([]byte, s.maxValue+1) }, proto.StatusTooLarge, func(s Stats) uint64 { return s.MergeLimit }},
			{func(e *proto.Entry) { e.Meta.Remaining = proto.MaxTTL + 1 }, proto.StatusTooLarge, func(s Stats) uint64 { return s.MergeLimit }},
			{func(e *proto.Entry) { e.Meta.Remaining = 0 }, proto.StatusOK, func(s Stats) uint64 { return s.Expired }},
			{func(e *proto.Entry) { e.Meta.Remaining = -time.Hour }, proto.StatusOK, func(s Stats) uint64 { return s.Expired }},
		} {
			name := fmt.Sprint("k", i)
			old := set(s, name, "old").Version
			e := entryOf(name, "new", proto.Version{Term: 1, Clock: old.Clock + 10})
			c.change(e)
			before := c.count(s.Stats())
			if st := s.Merge(slotOf(name), e); st != c.want {
				t.Errorf("case %d: %v", i, st)
			}
			if n := c.count(s.Stats()); n != before+1 {
				t.Errorf("case %d: counted %d times", i, n-before)
			}
			wantMiss(t, s, name)
			if remembers {
				wantGone(t, s, name, e.Meta.Version)
			} else if s.Knows(slotOf(name), key(name)) {
				t.Errorf("case %d: known", i)
			}
		}
		// The longest there are.
		e := entryOf("most", strings.Repeat("v", s.maxValue), proto.Version{Term: 1, Clock: 1})
		e.Meta.Remaining = proto.MaxTTL
		if st := s.Merge(slotOf("most"), e); st != proto.StatusOK {
			t.Error(st)
		}
		checkAccounts(t, s)
	}
}

// A clock that nobody's can be: the copy comes in where the term orders it, the
// clock does not.
func TestMergeClockAhead(t *testing.T) {
	clock := newTestClock()
	s := newClusterStore(t, Config{Clock: clock, Writers: 1})
	slot := slotOf("k")
	s.Hold(slot, 5, true)
	for i, absurd := range []uint64{uint64(clock.Wall()+time.Hour.Microseconds()) << hlcCounterBits, 1<<64 - 1} {
		if st := s.Merge(slot, entryOf("k", "v", proto.Version{Term: 4, Clock: absurd - 1})); st != proto.StatusOK {
			t.Fatalf("%x: %v", absurd, st)
		}
		if st := s.Merge(slot, entryOf("k", "never", proto.Version{Term: 5, Clock: absurd})); st != proto.StatusStale {
			t.Fatalf("%x, of the slot's own term: %v", absurd, st)
		}
		if n := s.Stats().ClocksAhead; n != uint64(3*i+2) {
			t.Errorf("%d counted", n)
		}
		op := do(s, &proto.Op{Code: proto.OpSet, Key: key("k"), Value: []byte("w"), TTL: proto.Forever, Importing: true})
		if op.Status != proto.StatusOK || op.Version.Clock >= absurd-1 || op.Version.Term != 5 {
			t.Errorf("%x: a write gives %v, %v", absurd, op.Status, op.Version)
		}
		if st := s.Merge(slot, entryOf("k", "late", proto.Version{Term: 4, Clock: absurd})); st != proto.StatusStale {
			t.Errorf("%x: it comes back: %v", absurd, st)
		}
		s.DropSlot(slot)
	}
}

// While memory is short, what is older than all that is here is refused.
func TestMergeTooOld(t *testing.T) {
	clock := newTestClock()
	s := newClusterStore(t, Config{Clock: clock, Writers: 1, RecordBytes: 64 << 20})
	endTicks(s)
	w := s.writers[0]
	rememberAll(s)
	walk := func() {
		w.exclusive(func() {
			for range 400 {
				w.sweepSome(1000, sweepEmpty)
			}
		})
	}
	n := 0
	fill := func() { // until something is evicted, and memory is full
		for before := w.counters.evicted.Load(); w.counters.evicted.Load() == before || w.live*100 < s.writerArena*keepPercent; n++ {
			if n%1000 == 0 {
				clock.advance(time.Second)
			}
			set(s, fmt.Sprint("k", n), strings.Repeat("v", 400))
		}
	}
	fill()
	clock.advance(time.Hour)
	walk()
	age := s.Stats().OldestAge
	if age < time.Hour {
		t.Fatalf("the oldest is %v old", age)
	}
	version := proto.Version{Term: 1, Clock: uint64(clock.Wall()) << hlcCounterBits}
	try := func(name string, age time.Duration, want proto.Status) {
		t.Helper()
		e := entryOf(name, "v", version)
		e.Meta.Age = age
		if st := s.Merge(slotOf(name), e); st != want {
			t.Errorf("%v old: %v", e.Meta.Age, st)
		}
	}
	try("fits", age+time.Second, proto.StatusOK)
	fill()
	age = s.Stats().OldestAge
	try("young", age-time.Second, proto.StatusOK)
	try("old", age+time.Second, proto.StatusStale)
	wantGone(t, s, "old", version)
	if n := s.Stats().MergeAge; n != 1 {
		t.Errorf("%d refused for their age", n)
	}
	for i := n - 1; w.live*100 > s.writerArena*(keepPercent-5); i-- {
		remove(s, fmt.Sprint("k", i))
	}
	try("old2", age+time.Second, proto.StatusOK)
	checkAccounts(t, s)
}
