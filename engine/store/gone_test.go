package store

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// checkRecords holds the lists of the slots against the table, and both against
// the entries: no key has an entry and a record.
func checkRecords(t testing.TB, s *Store) {
	t.Helper()
	for _, w := range s.writers {
		w.exclusive(func() {
			n, bytes := 0, int64(0)
			for i := range w.memories {
				m := &w.memories[i]
				if s.writer(proto.Slot(i)) != w {
					continue
				}
				inSlot := uint32(0)
				for g, prev := m.first, (*gone)(nil); g != nil; g, prev = g.next, g {
					inSlot++
					bytes += goneCost(len(g.key))
					h := s.hash(proto.SlotOf([]byte(g.key)), []byte(g.key))
					if g.prev != prev || w.gone.items[g.key] != g || proto.SlotOf([]byte(g.key)) != proto.Slot(i) {
						t.Errorf("the record of %q is not in its place", g.key)
					}
					if w.slots[i].find(&h) != nil {
						t.Errorf("%q has an entry and a record", g.key)
					}
				}
				if inSlot != m.n || m.n > 0 && !m.on {
					t.Errorf("slot %d has %d records and says %d; on: %t", i, inSlot, m.n, m.on)
				}
				n += int(inSlot)
			}
			if n != len(w.gone.items) || bytes != w.gone.bytes || bytes > w.gone.limit {
				t.Errorf("%d records of %d bytes in the slots, %d of %d in the table, the limit is %d",
					n, bytes, len(w.gone.items), w.gone.bytes, w.gone.limit)
			}
		})
	}
}

// rememberAll makes every slot keep records.
func rememberAll(s *Store) {
	for slot := range proto.Slots {
		s.Remember(proto.Slot(slot), true)
	}
}

func merge(s *Store, name, value string, v proto.Version) proto.Status {
	return s.Merge(slotOf(name), &proto.Entry{
		Key: key(name), Value: []byte(value), Meta: proto.Meta{ETag: 7, Version: v, Remaining: proto.Forever},
	})
}

func mergeGone(s *Store, name string, v proto.Version) proto.Status {
	return s.Merge(slotOf(name), &proto.Entry{Key: key(name), Gone: true, Meta: proto.Meta{Version: v}})
}

func remove(s *Store, name string) *proto.Op {
	return do(s, &proto.Op{Code: proto.OpDelete, Key: key(name)})
}

func item(s *Store, name string) (e proto.Entry, found bool) {
	_, found = s.Item(slotOf(name), key(name), nil, &e)
	return e, found
}

// wantGone expects a record of this version, which keeps copies up to it out.
func wantGone(t *testing.T, s *Store, name string, v proto.Version) {
	t.Helper()
	e, found := item(s, name)
	if !found || !e.Gone || e.Meta != (proto.Meta{Version: v}) || string(e.Key) != string(key(name)) || len(e.Value) != 0 {
		t.Fatalf("%.20s: found %t: %+v, want a record of %v", name, found, e.Meta, v)
	}
	if !s.Knows(slotOf(name), key(name)) {
		t.Errorf("%.20s: not known", name)
	}
	for _, older := range []proto.Version{v, {Term: v.Term, Clock: v.Clock - 1}, {Term: v.Term - 1, Clock: v.Clock + 1}} {
		if st := merge(s, name, "old", older); st != proto.StatusStale {
			t.Errorf("%.20s: an old copy was merged: %v", name, st)
		}
	}
}

// Every way in which a key can go leaves a record, where the slot remembers.
func TestRecords(t *testing.T) {
	clock := newTestClock()
	s := newClusterStore(t, Config{Clock: clock, Writers: 1})
	w := s.writers[0]
	rememberAll(s)

	// Deleted, and deleted where there was nothing.
	first := set(s, "a", "v")
	deleted := remove(s, "a")
	if wantStatus(t, deleted, proto.StatusOK); !first.Version.Less(deleted.Version) {
		t.Error("a deletion needs a version above what it deletes")
	}
	wantGone(t, s, "a", deleted.Version)
	wantMiss(t, s, "a")
	again := remove(s, "a")
	if wantStatus(t, again, proto.StatusMiss); !deleted.Version.Less(again.Version) {
		t.Error("a deletion of nothing needs a version of its own")
	}
	wantGone(t, s, "a", again.Version)
	// What was refused has deleted nothing.
	if op := do(s, &proto.Op{Code: proto.OpDelete, Key: key("none"), IfMatch: proto.Match{Set: true, Any: true}}); op.Status != proto.StatusPrecondition || s.Knows(slotOf("none"), key("none")) {
		t.Error("a condition that does not hold has left a record")
	}

	// Expired, met by a write, the sweeper, a question, an item.
	version := map[string]proto.Version{}
	for _, name := range []string{"write", "sweep", "knows", "item"} {
		version[name] = setTTL(s, name, "v", time.Second).Version
	}
	clock.advance(time.Second)
	wantStatus(t, do(s, &proto.Op{Code: proto.OpTouch, Key: key("write"), TTL: time.Hour}), proto.StatusMiss)
	if !s.Knows(slotOf("knows"), key("knows")) {
		t.Error("what has expired is known to")
	}
	wantGone(t, s, "item", version["item"])
	w.exclusive(func() {
		for range 200 {
			w.sweepSome(1000, sweepEmpty)
		}
	})
	for name, v := range version {
		wantMiss(t, s, name)
		wantGone(t, s, name, v)
	}

	// Gone elsewhere.
	here := set(s, "b", "v")
	later := proto.Version{Term: here.Version.Term, Clock: here.Version.Clock + 1}
	for _, v := range []proto.Version{here.Version, {Term: 0, Clock: later.Clock}} {
		if st := mergeGone(s, "b", v); st != proto.StatusStale {
			t.Errorf("a record as old as the entry: %v", st)
		}
	}
	wantHit(t, s, "b", "v")
	if st := mergeGone(s, "b", later); st != proto.StatusOK {
		t.Errorf("a newer record: %v", st)
	}
	wantMiss(t, s, "b")
	wantGone(t, s, "b", later)
	if st := mergeGone(s, "b", later); st != proto.StatusStale {
		t.Errorf("the same record: %v", st)
	}

	// A newer copy, and a write, end a record.
	later.Clock++
	if st := merge(s, "b", "new", later); st != proto.StatusOK {
		t.Errorf("a newer copy: %v", st)
	}
	wantHit(t, s, "b", "new")
	remove(s, "b")
	set(s, "b", "newer")
	wantHit(t, s, "b", "newer")
	if e, found := item(s, "b"); !found || e.Gone {
		t.Error("a write leaves the record")
	}
	checkAccounts(t, s)

	// Without memory of it, nothing is known.
	n := s.Stats().Records
	if n == 0 || s.SlotLen(slotOf("a")) != 1 {
		t.Errorf("%d records, %d in the slot", n, s.SlotLen(slotOf("a")))
	}
	s.Remember(slotOf("a"), false)
	if _, found := item(s, "a"); found || s.Knows(slotOf("a"), key("a")) || s.Stats().Records != n-1 {
		t.Error("a forgotten record is there")
	}
	if op := remove(s, "a"); op.Version != (proto.Version{}) || s.SlotLen(slotOf("a")) != 0 {
		t.Error("a slot that does not remember has a record")
	}
	if st := merge(s, "a", "old", first.Version); st != proto.StatusOK {
		t.Errorf("merge: %v", st)
	}
	checkAccounts(t, s)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().Records; n != 0 {
		t.Errorf("%d records after a flush", n)
	}
	if op := remove(s, "c"); op.Version == (proto.Version{}) {
		t.Error("a flush makes slots forget to remember")
	}
	checkAccounts(t, s)
}

// What memory pressure pushes out leaves records too, of its own version; inline
// and in pieces, by the ring and by the limit of entries.
func TestRecordsOfEvicted(t *testing.T) {
	for _, size := range []int{400, 20_000} {
		for _, limit := range []int{0, 3000} {
			s := newClusterStore(t, Config{Writers: 1, MaxEntries: limit, RecordBytes: 64 << 20})
			rememberAll(s)
			versions := map[string]proto.Version{}
			n := ArenaUnit / size
			if limit != 0 {
				n = min(n, 2*limit)
			}
			for i := range n {
				name := fmt.Sprint("k", i)
				versions[name] = set(s, name, fmt.Sprint(i, strings.Repeat("v", size))).Version
			}
			if ev := s.Stats().Evicted; ev == 0 {
				t.Fatalf("%d bytes, limit %d: nothing was evicted", size, limit)
			}
			evicted := uint64(0)
			for name, v := range versions {
				e, found := item(s, name)
				if !found || e.Meta.Version != v || !s.Knows(slotOf(name), key(name)) {
					t.Fatalf("%s: found %t, %+v", name, found, e.Meta)
				}
				if e.Gone {
					evicted++
				}
			}
			if evicted != s.Stats().Evicted {
				t.Errorf("%d are gone, %d were evicted", evicted, s.Stats().Evicted)
			}
			checkAccounts(t, s)
		}
	}
}

// A record that finds no memory makes its slot refuse all that is as old.
func TestRecordsOverflow(t *testing.T) {
	const fit = 100
	s := newClusterStore(t, Config{Writers: 1, RecordBytes: fit * goneCost(len(key("k000")))})
	rememberAll(s)
	var last proto.Version
	for i := range fit {
		last = remove(s, fmt.Sprintf("k%03d", i)).Version
	}
	if st := s.Stats(); st.Records != fit || st.Overflows != 0 || st.RecordBytes != fit*goneCost(5) {
		t.Fatalf("%d records of %d bytes, %d overflows", st.Records, st.RecordBytes, st.Overflows)
	}
	names := sameSlot("over", 3)
	over := remove(s, names[0]).Version
	if st := s.Stats(); st.Records != fit || st.Overflows != 1 {
		t.Fatalf("%d records, %d overflows", st.Records, st.Overflows)
	}
	if floor := s.Floor(slotOf(names[0])); floor != over || s.Floor(slotOf("k000")) != (proto.Version{}) {
		t.Errorf("floor %v, want %v", floor, over)
	}
	// A record that is there can be renewed.
	if v := remove(s, "k000").Version; !last.Less(v) {
		t.Error("not renewed")
	} else {
		wantGone(t, s, "k000", v)
	}
	if s.Knows(slotOf(names[0]), key(names[0])) {
		t.Error("known without a record")
	}
	if st := merge(s, names[0], "old", last); st != proto.StatusStale {
		t.Errorf("the deleted key comes back: %v", st)
	}
	if st := merge(s, names[1], "old", over); st != proto.StatusStale {
		t.Errorf("another key of the slot, as old: %v", st)
	}
	if st := mergeGone(s, names[1], over); st != proto.StatusStale {
		t.Errorf("a record, as old: %v", st)
	}
	if n := s.Stats().MergeOverflow; n != 3 {
		t.Errorf("%d refused for want of records", n)
	}
	over.Clock++
	if st := merge(s, names[1], "new", over); st != proto.StatusOK {
		t.Errorf("a newer copy: %v", st)
	}
	if st := merge(s, "elsewhere", "old", last); st != proto.StatusOK {
		t.Errorf("a copy in another slot: %v", st)
	}
	s.Remember(slotOf(names[0]), false)
	if floor := s.Floor(slotOf(names[0])); floor != (proto.Version{}) {
		t.Errorf("floor %v after the slot has forgotten", floor)
	}
	if st := merge(s, names[2], "old", last); st != proto.StatusOK {
		t.Errorf("a copy, after the slot has forgotten: %v", st)
	}
	checkAccounts(t, s)
}

// sameSlot gives names of keys in the slot of the first.
func sameSlot(first string, n int) []string {
	names := []string{first}
	for i := 0; len(names) < n; i++ {
		if name := fmt.Sprint(first, i); slotOf(name) == slotOf(first) {
			names = append(names, name)
		}
	}
	return names
}

// goneCost covers what records take: just after the map has grown, too.
func TestRecordsCost(t *testing.T) {
	s := newClusterStore(t, Config{Writers: 1, RecordBytes: 1 << 40})
	rememberAll(s)
	for _, keyLen := range []int{10, 100} {
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		before := liveHeap()
		for i := range 120_000 {
			remove(s, fmt.Sprintf("%0*dx", keyLen-1, i))
		}
		took := liveHeap() - before
		if says := float64(s.Stats().RecordBytes); took > says || took < says/3 {
			t.Errorf("keys of %d bytes: %d records take %.0f bytes each, goneCost says %.0f",
				keyLen, s.Stats().Records, took/120_000, says/120_000)
		}
	}
	runtime.KeepAlive(s)
}
