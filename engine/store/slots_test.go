package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

func TestMergeTakesTheNewer(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Clock: clock})
	merge := func(value string, v proto.Version) *proto.Op {
		return do(s, &proto.Op{
			Code: proto.OpMerge, Key: key("a"), Value: []byte(value), TTL: time.Minute,
			Version: v, ETag: 77, Age: 3 * time.Second,
		})
	}
	local := set(s, "a", "local")
	wantStatus(t, merge("older", proto.Version{Term: local.Version.Term, Clock: local.Version.Clock - 1}), proto.StatusStale)
	wantStatus(t, merge("same", local.Version), proto.StatusStale)
	wantHit(t, s, "a", "local")
	ahead := proto.Version{Term: local.Version.Term, Clock: local.Version.Clock + 1<<40}
	wantStatus(t, merge("newer", ahead), proto.StatusOK)
	hit := wantHit(t, s, "a", "newer")
	if hit.ETag != 77 || hit.Version != ahead || hit.Age != 3*time.Second || hit.Remaining != time.Minute {
		t.Fatalf("the copy says %+v", hit)
	}
	if next := set(s, "a", "after"); !ahead.Less(next.Version) {
		t.Fatal("a write after a merge must be later than it")
	}
	wantStatus(t, merge("next term", proto.Version{Term: 9, Clock: 1}), proto.StatusOK)
	checkAccounts(t, s)
}

func TestFlush(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 4 * ArenaUnit, Writers: 2})
	big := strings.Repeat("x", 200_000)
	for i := range 500 {
		set(s, fmt.Sprint("k", i), "v")
	}
	last := set(s, "big", big)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		wantMiss(t, s, fmt.Sprint("k", i))
	}
	wantMiss(t, s, "big")
	if n := s.Len(); n != 0 {
		t.Fatalf("%d entries after a flush", n)
	}
	if next := set(s, "big", big); !last.Version.Less(next.Version) {
		t.Fatal("a flush must not set the clock back")
	}
	wantHit(t, s, "big", big)
	checkAccounts(t, s)
}

func TestSlots(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Clock: clock, ArenaBytes: 4 * ArenaUnit, Writers: 2, Cluster: true})
	s.ServeUntil(proto.Forever)
	for slot := range proto.Slots {
		s.Hold(proto.Slot(slot), 1, false)
	}
	// Keys of one slot, found by trying.
	slot := proto.SlotOf(key("first"))
	names := []string{"first"}
	for i := 0; len(names) < 20; i++ {
		if name := fmt.Sprint("k", i); proto.SlotOf(key(name)) == slot {
			names = append(names, name)
		}
	}
	want := map[string]string{}
	for i, name := range names {
		clock.advance(time.Millisecond)
		value := strings.Repeat(name, 1+i*1000)
		set(s, name, value)
		want[string(key(name))] = value
	}
	set(s, "other", "stays")

	var last proto.Version
	var buf []byte
	var e proto.Entry
	for _, k := range s.SlotKeys(slot) {
		var found bool
		if buf, found = s.Item(slot, []byte(k), buf[:0], &e); !found || string(e.Key) != k {
			t.Fatalf("%q is listed and not there", k)
		}
		if last != (proto.Version{}) && !e.Meta.Version.Less(last) {
			t.Errorf("%q is listed after an older one", e.Key)
		}
		last = e.Meta.Version
		if want[string(e.Key)] != string(e.Value) {
			t.Errorf("%q has %d bytes", e.Key, len(e.Value))
		}
		delete(want, string(e.Key))
	}
	if len(want) != 0 {
		t.Errorf("%d entries are not listed", len(want))
	}
	if n := s.SlotLen(slot); n != len(names) {
		t.Errorf("slot has %d entries, want %d", n, len(names))
	}
	s.Release(slot)
	wantStatus(t, set(s, names[1], "no"), proto.StatusNotHolder)
	if n := s.DropSlot(slot); n != len(names) {
		t.Errorf("dropped %d, want %d", n, len(names))
	}
	wantStatus(t, get(s, names[1]), proto.StatusNotHolder)
	wantHit(t, s, "other", "stays")
	s.Hold(slot, 7, false)
	for _, name := range names {
		wantMiss(t, s, name)
	}
	if op := set(s, names[1], "again"); op.Status != proto.StatusOK || op.Version.Term != 7 {
		t.Fatalf("status %d, term %d", op.Status, op.Version.Term)
	}
	setTTL(s, names[0], "gone", time.Second)
	clock.advance(time.Second)
	// The sweeper may have dropped it by now.
	if _, found := s.Item(slot, key(names[0]), nil, &e); found && (!e.Gone || len(e.Value) != 0) {
		t.Errorf("%q has expired", names[0])
	}
	checkAccounts(t, s)
}
