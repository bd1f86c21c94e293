package store

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/VictoriaMetrics/fastcache"

	"github.com/smache/smache/proto"
)

// What ahead takes for fastcache's buckets are its buckets.
func TestBucketIsFastcaches(t *testing.T) {
	buckets := reflect.TypeFor[fastcache.Cache]().Field(0)
	if buckets.Offset != 0 || buckets.Type.Len() != fcBuckets {
		t.Fatalf("fastcache begins with %s %v", buckets.Name, buckets.Type)
	}
	theirs, ours := buckets.Type.Elem(), reflect.TypeFor[fcBucket]()
	if theirs.Size() != ours.Size() {
		t.Fatalf("fastcache's bucket has %d bytes, ours %d", theirs.Size(), ours.Size())
	}
	for i := range ours.NumField() {
		b := ours.Field(i)
		if b.Name == "_" {
			continue
		}
		if a, ok := theirs.FieldByName(b.Name); !ok || a.Type != b.Type || a.Offset != b.Offset {
			t.Errorf("fastcache's bucket has %s %v at %d, ours %s %v at %d", a.Name, a.Type, a.Offset, b.Name, b.Type, b.Offset)
		}
	}
}

// keysOf gives n keys of which each nth is stored, with their slots.
func keysOf(n int) (slots []proto.Slot, keys [][]byte) {
	for i := range n {
		k := key(fmt.Sprint("key", i))
		slots, keys = append(slots, proto.SlotOf(k)), append(keys, k)
	}
	return slots, keys
}

// Looking ahead finds what there is, wherever it lies in the ring, and nothing else.
func TestAheadFinds(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 2 * ArenaUnit, Writers: 2})
	slots, keys := keysOf(aheadKeys)
	find := func(when string, want int) {
		t.Helper()
		var a ahead
		for i := range keys {
			h := s.hash(slots[i], keys[i])
			a.add(s.writer(slots[i]), &h)
		}
		if found := a.look(); found != want || a.n != 0 {
			t.Errorf("%s: %d found, want %d", when, found, want)
		}
	}
	find("empty", 0)
	for i := range aheadKeys {
		set(s, fmt.Sprint("key", i), strings.Repeat("v", i))
	}
	find("stored", aheadKeys)
	big := strings.Repeat("w", s.inlineMax)
	for i := range 3 * 2 * ArenaUnit / len(big) { // these keys are moved ahead of the ring
		set(s, "other", fmt.Sprint(i, big[20:]))
	}
	find("when the ring has turned", aheadKeys)
	// Another key of the first one's bucket: what is left of a chunk that is written anew
	// lies behind its length.
	first := s.hash(slots[0], keys[0])
	near := ""
	for i := 0; near == ""; i++ {
		name := fmt.Sprint("near", i)
		if h := s.hash(slotOf(name), key(name)); bucketOf(h[:]) == bucketOf(first[:]) && s.writer(slotOf(name)) == s.writer(slots[0]) {
			near = name
		}
	}
	for i := range 3 * fcChunk / len(big) {
		set(s, near, fmt.Sprint(i, big[20:]))
		find(fmt.Sprintf("after %d writes to the bucket of the first", i), aheadKeys)
	}
	for i := range aheadKeys / 2 {
		do(s, &proto.Op{Code: proto.OpDelete, Key: key(fmt.Sprint("key", i))})
	}
	find("half of them deleted", aheadKeys/2)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	find("flushed", 0)
}

// Looking ahead finds a chunk shorter than where a pair lies, while the ring writes to it anew.
func TestAheadInTheChunkOfTheHead(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: ArenaUnit, Writers: 1})
	slots, keys := keysOf(40_000)
	small, large := strings.Repeat("v", 1000), strings.Repeat("w", 200<<10)
	for i := range keys {
		set(s, fmt.Sprint("key", i), small)
	}
	for i := range shorter(400, 40) {
		set(s, fmt.Sprint("key", i), large)
		s.Warm(slots, keys)
	}
}

// Who looks ahead is in nobody's way.
func TestWarmBesideWrites(t *testing.T) {
	s := newTestStore(t, Config{})
	slots, keys := keysOf(2*aheadKeys + 1)
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for range shorter(2000, 200) {
				s.Warm(slots, keys)
			}
		})
	}
	for round := range shorter(400, 40) {
		for i := range keys {
			set(s, fmt.Sprint("key", i), fmt.Sprint("value", round))
		}
	}
	work.Wait()
	for i := range keys {
		if op := get(s, fmt.Sprint("key", i)); op.Status != proto.StatusOK {
			t.Errorf("key%d: %v", i, op.Status)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.Warm(slots, keys) }); n != 0 {
		t.Errorf("Warm allocates %v times", n)
	}
}

// BenchmarkBatch reads 100 keys at random of a million, which are looked at ahead
// or not.
func BenchmarkBatch(b *testing.B) {
	const all, batch = 1_000_000, 100
	s := newTestStore(b, Config{ArenaBytes: 8 * ArenaUnit})
	slots, keys := keysOf(all)
	for i := range all {
		set(s, fmt.Sprint("key", i), strings.Repeat("v", 60))
	}
	for _, warm := range []bool{false, true} {
		b.Run(map[bool]string{false: "one by one", true: "warmed"}[warm], func(b *testing.B) {
			op := &proto.Op{}
			out := make([]byte, 0, 4096)
			at := 0
			var some [batch][]byte
			var their [batch]proto.Slot
			for b.Loop() {
				for i := range some {
					at = (at + 618_033) % all
					some[i], their[i] = keys[at], slots[at]
				}
				if warm {
					s.Warm(their[:], some[:])
				}
				for i := range some {
					op.Code, op.Key, op.Slot, op.Out = proto.OpGet, some[i], their[i], out
					s.Submit(op)
				}
			}
		})
	}
}
