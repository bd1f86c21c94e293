package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// testClock is a clock that tests move.
type testClock struct{ now, wall atomic.Int64 }

func newTestClock() *testClock {
	c := &testClock{}
	c.now.Store(int64(clockStart))
	c.wall.Store(1_800_000_000_000_000)
	return c
}

func (c *testClock) Now() int64  { return c.now.Load() }
func (c *testClock) Wall() int64 { return c.wall.Load() }
func (c *testClock) advance(d time.Duration) {
	c.now.Add(int64(d))
	c.wall.Add(d.Microseconds())
}

func newTestStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// do submits an operation and waits until it is complete.
func do(s *Store, op *proto.Op) *proto.Op {
	done := dones.Get().(chan struct{})
	op.Done = func(*proto.Op) { done <- struct{}{} }
	op.Slot = proto.SlotOf(op.Key)
	if !s.Submit(op) {
		<-done
	}
	dones.Put(done)
	return op
}

var dones = sync.Pool{New: func() any { return make(chan struct{}, 1) }}

func key(name string) []byte {
	k, err := proto.AppendKey(nil, []byte(name))
	if err != nil {
		panic(err)
	}
	return k
}

func set(s *Store, name, value string) *proto.Op {
	return do(s, &proto.Op{Code: proto.OpSet, Key: key(name), Value: []byte(value), TTL: proto.Forever})
}

func setTTL(s *Store, name, value string, ttl time.Duration) *proto.Op {
	return do(s, &proto.Op{Code: proto.OpSet, Key: key(name), Value: []byte(value), TTL: ttl})
}

func get(s *Store, name string) *proto.Op {
	return do(s, &proto.Op{Code: proto.OpGet, Key: key(name)})
}

func wantHit(t testing.TB, s *Store, name, value string) *proto.Op {
	t.Helper()
	op := get(s, name)
	if op.Status != proto.StatusOK || string(op.Out) != value {
		t.Fatalf("get %.40q: status %d, %d bytes, want %d bytes", name, op.Status, len(op.Out), len(value))
	}
	return op
}

func wantMiss(t testing.TB, s *Store, name string) {
	t.Helper()
	if op := get(s, name); op.Status != proto.StatusMiss || len(op.Out) != 0 {
		t.Fatalf("get %.40q: status %d, %d bytes, want a miss", name, op.Status, len(op.Out))
	}
}

func wantStatus(t testing.TB, op *proto.Op, status proto.Status) {
	t.Helper()
	if op.Status != status {
		t.Fatalf("status %d, want %d", op.Status, status)
	}
}

// checkAccounts holds the sums that the writers keep against a count of what is
// there.
func checkAccounts(t testing.TB, s *Store) {
	t.Helper()
	for _, w := range s.writers {
		w.exclusive(func() {
			var live, indexed int64
			var entries, pieces, mortal int
			bucketLive := make([]int64, fcBuckets)
			for i := range w.slots {
				if s.writer(proto.Slot(i)) != w {
					continue
				}
				set := &w.slots[i]
				n := 0
				indexed += int64(len(set.records)) * recordSize
				for _, r := range set.records {
					if r.hash.isZero() {
						continue
					}
					n++
					var e head
					body, ok := w.cache.HasGet(nil, r.hash[:])
					if !ok || !parseHead(body, &e) {
						t.Errorf("entry of slot %d is not in the arena", i)
						continue
					}
					entries++
					if e.expiry != 0 {
						mortal++
					}
					size := int64(kvOverhead + hashLen + len(body))
					live += size
					bucketLive[bucketOf(r.hash[:])] += size
					left := e.length
					for index, salt := range e.salts {
						k := pieceKey(&r.hash, e.pieceID, index, salt)
						piece, ok := w.cache.HasGet(nil, k[:])
						if !ok || len(piece) != min(left, s.pieceSize) {
							t.Errorf("piece %d of an entry is not in the arena", index)
						}
						left -= len(piece)
						pieces++
						size := int64(kvOverhead + len(k) + len(piece))
						live += size
						bucketLive[bucketOf(k[:])] += size
					}
				}
				if n != int(set.n) {
					t.Errorf("slot %d has %d records and counts %d", i, n, set.n)
				}
			}
			if entries != w.entries || pieces != w.pieces || mortal != w.mortal || live != w.live {
				t.Errorf("counted %d entries, %d pieces, %d mortal, %d bytes; the writer says %d, %d, %d, %d",
					entries, pieces, mortal, live, w.entries, w.pieces, w.mortal, w.live)
			}
			for i := range w.buckets {
				if w.buckets[i].live != bucketLive[i] {
					t.Errorf("bucket %d: %d bytes live, says %d", i, bucketLive[i], w.buckets[i].live)
				}
				for _, log := range w.buckets[i].log {
					indexed += int64(cap(log))
				}
			}
			if indexed != w.indexed {
				t.Errorf("index takes %d bytes, the writer says %d", indexed, w.indexed)
			}
		})
	}
}

func TestSetGetDelete(t *testing.T) {
	s := newTestStore(t, Config{Node: "smache@here"})
	wantMiss(t, s, "a")
	first := set(s, "a", `{"x":1}`)
	wantStatus(t, first, proto.StatusOK)
	if first.ETag == 0 || first.Node != "smache@here" || first.Remaining != proto.Forever {
		t.Fatalf("etag %d, node %q, remaining %d", first.ETag, first.Node, first.Remaining)
	}
	hit := wantHit(t, s, "a", `{"x":1}`)
	if hit.ETag != first.ETag || hit.Remaining != proto.Forever || hit.Node != "smache@here" || hit.Version != first.Version {
		t.Fatalf("the hit says %+v", hit)
	}
	second := set(s, "a", `{"x":2}`)
	if second.ETag == first.ETag || !first.Version.Less(second.Version) {
		t.Fatal("a new value needs a new ETag and a later version")
	}
	wantHit(t, s, "a", `{"x":2}`)
	wantStatus(t, do(s, &proto.Op{Code: proto.OpDelete, Key: key("a")}), proto.StatusOK)
	wantMiss(t, s, "a")
	wantStatus(t, do(s, &proto.Op{Code: proto.OpDelete, Key: key("a")}), proto.StatusMiss)
	checkAccounts(t, s)
}

func TestGetAppends(t *testing.T) {
	s := newTestStore(t, Config{})
	big := strings.Repeat("b", 100_000)
	set(s, "small", "s")
	set(s, "big", big)
	for name, value := range map[string]string{"small": "s", "big": big, "none": ""} {
		op := do(s, &proto.Op{Code: proto.OpGet, Key: key(name), Out: []byte("before:")})
		if string(op.Out) != "before:"+value {
			t.Errorf("%s: got %.20q…, %d bytes", name, op.Out, len(op.Out))
		}
	}
}

func TestGetLimit(t *testing.T) {
	s := newTestStore(t, Config{})
	for _, n := range []int{100, 50_000} {
		set(s, "k", strings.Repeat("v", n))
		for limit, want := range map[int]proto.Status{0: proto.StatusOK, n: proto.StatusOK, n - 1: proto.StatusTooLarge} {
			op := do(s, &proto.Op{Code: proto.OpGet, Key: key("k"), Limit: limit})
			wantStatus(t, op, want)
			if want != proto.StatusOK && len(op.Out) != 0 {
				t.Errorf("%d bytes beyond the limit", len(op.Out))
			}
		}
	}
}

func TestStringAndIntegerKeysDoNotCollide(t *testing.T) {
	s := newTestStore(t, Config{})
	set(s, "aa", "string")
	set(s, "24929", "integer")
	wantHit(t, s, "aa", "string")
	wantHit(t, s, "24929", "integer")
	wantHit(t, s, "+0024929", "integer")
}

// Values at, below and above each boundary: inline, one piece, many, the limit.
func TestValueSizes(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 4 * ArenaUnit, Writers: 2})
	p, in := s.pieceSize, s.inlineMax
	sizes := []int{
		0, 1, in - 1, in, in + 1, p - 1, p, p + 1, 2*p - 1, 2 * p, 2*p + 1, 65535, 65536, 65537,
		s.maxValue - 1, s.maxValue,
	}
	random := bytes.Repeat([]byte("0123456789abcde"), s.maxValue/15+1)
	for _, from := range sizes {
		for _, to := range sizes {
			a, b := string(random[:from]), string(random[1:1+to])
			wantStatus(t, set(s, "k", a), proto.StatusOK)
			wantHit(t, s, "k", a)
			wantStatus(t, set(s, "k", b), proto.StatusOK)
			wantHit(t, s, "k", b)
		}
	}
	checkAccounts(t, s)
	before := get(s, "k")
	wantStatus(t, set(s, "k", string(random[:s.maxValue+1])), proto.StatusTooLarge)
	wantHit(t, s, "k", string(before.Out))
	wantStatus(t, do(s, &proto.Op{Code: proto.OpDelete, Key: key("k")}), proto.StatusOK)
	wantMiss(t, s, "k")
	if st := s.Stats(); st.Entries != 0 || st.Pieces != 0 || st.LiveBytes != 0 {
		t.Fatalf("something is left: %+v", st)
	}
}

func TestLongestKey(t *testing.T) {
	s := newTestStore(t, Config{})
	name := strings.Repeat("k", proto.MaxKeyLen)
	for _, n := range []int{1, s.inlineMax, s.maxValue} {
		value := strings.Repeat("v", n)
		set(s, name, value)
		wantHit(t, s, name, value)
	}
	checkAccounts(t, s)
}

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

func TestConditions(t *testing.T) {
	s := newTestStore(t, Config{})
	with := func(code proto.Opcode, value string, match, none proto.Match) *proto.Op {
		return do(s, &proto.Op{Code: code, Key: key("a"), Value: []byte(value), TTL: proto.Forever, IfMatch: match, IfNoneMatch: none})
	}
	star := proto.Match{Set: true, Any: true}
	tags := func(t ...proto.ETag) proto.Match { return proto.Match{Set: true, Tags: t} }
	no := proto.Match{}

	wantStatus(t, with(proto.OpSet, "1", star, no), proto.StatusPrecondition)
	wantStatus(t, with(proto.OpDelete, "", star, no), proto.StatusPrecondition)
	wantMiss(t, s, "a")
	created := with(proto.OpSet, "1", no, star)
	wantStatus(t, created, proto.StatusOK)
	failed := with(proto.OpSet, "2", no, star)
	wantStatus(t, failed, proto.StatusPrecondition)
	if failed.ETag != created.ETag {
		t.Fatal("a failed precondition names the entry that is there")
	}
	wantHit(t, s, "a", "1")
	wantStatus(t, with(proto.OpSet, "2", tags(created.ETag+1), no), proto.StatusPrecondition)
	second := with(proto.OpSet, "2", tags(7, created.ETag), no)
	wantStatus(t, second, proto.StatusOK)
	wantStatus(t, with(proto.OpSet, "3", no, tags(second.ETag)), proto.StatusPrecondition)
	wantStatus(t, with(proto.OpSet, "3", no, tags(created.ETag)), proto.StatusOK)
	third := get(s, "a")
	wantStatus(t, with(proto.OpGet, "", no, tags(third.ETag)), proto.StatusNotModified)
	wantStatus(t, with(proto.OpGet, "", no, star), proto.StatusNotModified)
	wantStatus(t, with(proto.OpGet, "", no, tags(created.ETag)), proto.StatusOK)
	wantStatus(t, with(proto.OpGet, "", tags(created.ETag), no), proto.StatusPrecondition)
	wantStatus(t, with(proto.OpTouch, "", tags(created.ETag), no), proto.StatusPrecondition)
	wantStatus(t, with(proto.OpDelete, "", tags(created.ETag), no), proto.StatusPrecondition)
	wantStatus(t, with(proto.OpDelete, "", tags(third.ETag), no), proto.StatusOK)
	wantMiss(t, s, "a")
}

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
	setTTL(s, names[0], "gone", time.Second)
	delete(want, string(key(names[0])))
	clock.advance(time.Second)
	set(s, "other", "stays")

	var last proto.Version
	var buf []byte
	var e proto.Entry
	for _, k := range s.SlotKeys(slot) {
		var found bool
		if buf, found = s.Item(slot, []byte(k), buf[:0], &e); !found || string(e.Key) != k {
			t.Fatalf("%q is listed and not there", k)
		}
		if k == string(key(names[0])) {
			if !e.Gone || len(e.Value) != 0 {
				t.Errorf("%q has expired", k)
			}
			continue
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
	checkAccounts(t, s)
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
				w.sweepSome(1000)
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

// The longest value is 1 MiB wherever a 64th of the arena is as much.
func TestMaxValue(t *testing.T) {
	for units, want := range map[int64]int{1: ArenaUnit / 64, 2: 1 << 20, 3: 1 << 20, 4: 1 << 20, 8: 1 << 20} {
		s := newTestStore(t, Config{ArenaBytes: units * ArenaUnit, Writers: 1})
		if s.MaxValue() != want {
			t.Errorf("%d units: %d bytes, want %d", units, s.MaxValue(), want)
		}
		value := strings.Repeat("v", want)
		set(s, "k", value)
		wantHit(t, s, "k", value)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want error
	}{
		{Config{ArenaBytes: 1}, ErrArena},
		{Config{ArenaBytes: -ArenaUnit}, ErrArena},
		{Config{ArenaBytes: ArenaUnit, Writers: 2}, ErrArena},
		{Config{ArenaBytes: 3 * ArenaUnit, Writers: 3}, ErrArena},
		{Config{ArenaBytes: ArenaUnit, MaxValue: ArenaUnit/64 + 1}, ErrMaxValue},
		{Config{ArenaBytes: 64 * ArenaUnit, MaxValue: 3 << 20}, ErrMaxValue},
	} {
		if _, err := New(c.cfg); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.cfg, err, c.want)
		}
	}
}
