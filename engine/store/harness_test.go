package store

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// shorter gives full, or less if the race detector is on.
func shorter(full, less int) int {
	if raceEnabled {
		return less
	}
	return full
}

// testEpoch is the epoch of heads that no store has written.
const testEpoch = int64(1_700_000_000_000_000)

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

// newTestStore makes a store that ends with the test. A panic in it fails the
// test, unless cfg says what to do.
func newTestStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.Panicked == nil {
		cfg.Panicked = func(reason any) { t.Errorf("a panic: %v", reason) }
	}
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
	checkRecords(t, s)
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
					if r.free() {
						continue
					}
					h := r.hash(uint16(i))
					n++
					var e head
					body, ok := w.cache.HasGet(nil, h[:])
					if !ok || !parseHead(body, s.epoch, &e) {
						t.Errorf("entry of slot %d is not in the arena", i)
						continue
					}
					if e.check = 0; !e.pieces {
						e.check = s.checkOf(e.value)
					}
					if r.about() != metaOf(&e) {
						t.Errorf("record of slot %d says %#x, its head %#x", i, r.about(), metaOf(&e))
					}
					entries++
					if e.expiry != 0 {
						mortal++
					}
					size := int64(kvOverhead + hashLen + len(body))
					live += size
					bucketLive[bucketOf(h[:])] += size
					left := e.length
					for index, salt := range e.salts {
						k := pieceKey(&h, e.pieceID, index, salt)
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
