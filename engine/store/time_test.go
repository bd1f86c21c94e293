package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

func TestExpiryAtTheInstant(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Clock: clock})
	op := setTTL(s, "a", "1", time.Second)
	if op.Remaining != time.Second {
		t.Fatalf("remaining %v", op.Remaining)
	}
	clock.advance(time.Second - 1)
	if op := wantHit(t, s, "a", "1"); op.Remaining != 1 {
		t.Fatalf("remaining %v, want one nanosecond", op.Remaining)
	}
	clock.advance(1)
	wantMiss(t, s, "a")
	wantStatus(t, do(s, &proto.Op{Code: proto.OpTouch, Key: key("a"), TTL: time.Hour}), proto.StatusMiss)
	setTTL(s, "a", "1", time.Second)
	clock.advance(time.Second)
	wantStatus(t, do(s, &proto.Op{Code: proto.OpDelete, Key: key("a")}), proto.StatusMiss)
	checkAccounts(t, s)
}

func TestTouchAndAge(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Clock: clock})
	for _, value := range []string{"1", strings.Repeat("1", 10_000)} {
		first := setTTL(s, "a", value, time.Second)
		clock.advance(900 * time.Millisecond)
		op := do(s, &proto.Op{Code: proto.OpTouch, Key: key("a"), TTL: time.Minute})
		wantStatus(t, op, proto.StatusOK)
		if op.ETag != first.ETag || !first.Version.Less(op.Version) {
			t.Fatal("touch keeps the ETag and takes a later version")
		}
		clock.advance(time.Second)
		hit := wantHit(t, s, "a", value)
		if hit.Remaining != 59*time.Second || hit.Age != 1900*time.Millisecond || hit.ETag != first.ETag {
			t.Fatalf("remaining %v, age %v", hit.Remaining, hit.Age)
		}
		do(s, &proto.Op{Code: proto.OpTouch, Key: key("a"), TTL: proto.Forever})
		clock.advance(1000 * time.Hour)
		if hit := wantHit(t, s, "a", value); hit.Remaining != proto.Forever {
			t.Fatalf("remaining %v", hit.Remaining)
		}
		checkAccounts(t, s)
	}
}

func TestEqualWrite(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Clock: clock})
	for _, value := range []string{"value", strings.Repeat("v", 50_000)} {
		first := set(s, "a", value)
		pushed := s.Stats().PushedBytes
		again := set(s, "a", value)
		if again.ETag != first.ETag || again.Version != first.Version {
			t.Fatal("an equal write keeps the ETag")
		}
		if now := s.Stats().PushedBytes; now != pushed {
			t.Fatalf("an equal write has written %d bytes", now-pushed)
		}
		clock.advance(time.Second)
		ttl := setTTL(s, "a", value, time.Second)
		if ttl.ETag != first.ETag || ttl.Remaining != time.Second {
			t.Fatal("an equal write renews the time to live and keeps the ETag")
		}
		clock.advance(time.Second / 2)
		if renewed := setTTL(s, "a", value, time.Second); renewed.ETag != first.ETag {
			t.Fatal("ETag changed")
		}
		clock.advance(time.Second - 1)
		if hit := wantHit(t, s, "a", value); hit.ETag != first.ETag || hit.Remaining != 1 {
			t.Fatalf("remaining %v", hit.Remaining)
		}
		clock.advance(1)
		wantMiss(t, s, "a")
		if reborn := set(s, "a", value); reborn.ETag == first.ETag {
			t.Fatal("an entry that had gone is a new one")
		}
		set(s, "a", value+"!")
		checkAccounts(t, s)
	}
}

func TestClockJumps(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Clock: clock})
	last := setTTL(s, "a", "0", time.Hour)
	for i, jump := range []time.Duration{-48 * time.Hour, 400 * 24 * time.Hour, -800 * 24 * time.Hour, 0} {
		clock.wall.Add(jump.Microseconds())
		for _, w := range s.writers {
			w.exclusive(func() { w.hlc.sync(clock) })
		}
		if hit := wantHit(t, s, "a", string(last.Value)); hit.Remaining != time.Hour {
			t.Fatalf("a jump of %v leaves %v to live", jump, hit.Remaining)
		}
		next := setTTL(s, "a", fmt.Sprint(i+1), time.Hour)
		if !last.Version.Less(next.Version) {
			t.Fatalf("versions go back when the clock jumps by %v", jump)
		}
		last = next
	}
}

func TestSweeperDropsExpired(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Clock: clock})
	for i := range 2000 {
		setTTL(s, fmt.Sprint("k", i), strings.Repeat("x", i*3), time.Duration(1+i%2)*time.Second)
	}
	w := s.writers[0]
	sweep := func() {
		w.exclusive(func() {
			for range 200 {
				w.sweepSome(1000, sweepEmpty)
			}
		})
	}
	sweep()
	if st := s.Stats(); st.Entries != 2000 || st.Expired != 0 {
		t.Fatalf("%d entries, %d expired", st.Entries, st.Expired)
	}
	clock.advance(time.Second)
	sweep()
	if st := s.Stats(); st.Entries != 1000 || st.Expired != 1000 || st.OldestAge != time.Second {
		t.Fatalf("%d entries, %d expired, oldest %v", st.Entries, st.Expired, st.OldestAge)
	}
	checkAccounts(t, s)
	clock.advance(time.Second)
	sweep()
	if st := s.Stats(); st.Entries != 0 || st.Pieces != 0 || st.LiveBytes != 0 || st.Evicted != 0 {
		t.Fatalf("left: %+v", st)
	}
}

// What was written here takes the shortest head, and its age is right, whether or not
// the wall clock has been set since.
func TestWrittenFollowsFromTheClock(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Writers: 1, Clock: clock})
	endTicks(s) // which would compare the clocks while the test has moved but one
	w := s.writers[0]
	size := func() (n int) {
		h := s.hash(slotOf("k"), key("k"))
		body, _ := w.cache.HasGet(nil, h[:])
		return len(body) - len(key("k")) - 1
	}
	write := func(value string, wall time.Duration) {
		clock.wall.Add(wall.Microseconds())
		w.exclusive(func() { w.hlc.sync(clock) })
		clock.advance(time.Second)
		wantStatus(t, set(s, "k", value), proto.StatusOK)
		clock.advance(1234 * time.Millisecond)
		if op := wantHit(t, s, "k", value); op.Age != 1234*time.Millisecond {
			t.Errorf("value %s: age %v", value, op.Age)
		}
	}
	write("1", 0)
	if n := size(); n != headLeast {
		t.Errorf("a head of %d bytes, want %d", n, headLeast)
	}
	write("2", 500*time.Microsecond) // what lies between two looks at the clocks
	if n := size(); n != headLeast {
		t.Errorf("a head of %d bytes, want %d", n, headLeast)
	}
	write("3", time.Hour)
	if n := size(); n != headLeast+5 {
		t.Errorf("a head of %d bytes after the clock was set, want %d", n, headLeast+5)
	}
	write("4", -2*time.Hour) // the hybrid clock stays ahead, and counts on
	write("5", 20*365*24*time.Hour)
	if n := size(); n != headLeast+5+2 {
		t.Errorf("a head of %d bytes with a clock of another age, want %d", n, headLeast+5+2)
	}
}
