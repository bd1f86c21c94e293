package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// A thousand keys rewritten until the ring has turned ten times, or three under the
// race detector, a hundred thousand quiet ones beside them, all together just under
// 70 % of the arena: every quiet key is still there.
func TestHotUpdaterKeepsQuietKeys(t *testing.T) {
	const quiet, hot = 100_000, 1_000
	turns := uint64(shorter(10, 3))
	s := newTestStore(t, Config{ArenaBytes: ArenaUnit, Writers: 1})
	value := func(name string, size int) string {
		return name + strings.Repeat("q", size-len(name))
	}
	for i := range quiet {
		name := fmt.Sprint("quiet", i)
		wantStatus(t, set(s, name, value(name, 170)), proto.StatusOK)
	}
	for i := 0; s.Stats().PushedBytes < turns*ArenaUnit; i++ {
		if i == 0 || i == hot {
			share := float64(s.Stats().LiveBytes) / ArenaUnit
			if i == hot && (share < 0.6 || share > 0.70) {
				t.Fatalf("live share %.3f, the test wants just under 0.7", share)
			}
		}
		for j := range hot {
			wantStatus(t, set(s, fmt.Sprint("hot", j), fmt.Sprint(i, strings.Repeat("h", 480))), proto.StatusOK)
		}
	}
	st := s.Stats()
	if share := float64(st.LiveBytes) / ArenaUnit; share < 0.6 || share > 0.70 {
		t.Fatalf("live share %.3f, the test wants just under 0.7", share)
	}
	if st.Evicted != 0 || st.Lost != 0 || st.Entries != quiet+hot {
		t.Fatalf("evicted %d, lost %d, entries %d", st.Evicted, st.Lost, st.Entries)
	}
	for i := range quiet {
		name := fmt.Sprint("quiet", i)
		wantHit(t, s, name, value(name, 170))
	}
	checkAccounts(t, s)
	t.Logf("moved %.2f bytes for each byte written", float64(st.MovedBytes)/float64(st.PushedBytes-st.MovedBytes))
}

// One key alone, rewritten for ever, wears one bucket: its neighbours stay.
func TestOneHotKeyKeepsItsBucket(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 2 * ArenaUnit, Writers: 1})
	var names []string
	for i := range 50_000 {
		name := fmt.Sprint("quiet", i)
		names = append(names, name)
		set(s, name, strings.Repeat(name, 20))
	}
	big := strings.Repeat("big", 100_000)
	set(s, "big", big)
	for i := range 60_000 {
		set(s, "hot", fmt.Sprint(i, strings.Repeat("h", 100)))
	}
	for _, name := range names {
		wantHit(t, s, name, strings.Repeat(name, 20))
	}
	wantHit(t, s, "big", big)
	if st := s.Stats(); st.Evicted != 0 {
		t.Fatalf("evicted %d", st.Evicted)
	}
	checkAccounts(t, s)
}

// Values in pieces, at 60 % of the arena, survive garbage as inline ones do.
func TestWearKeepsLargeValues(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 2 * ArenaUnit, Writers: 1})
	rng := rand.New(rand.NewPCG(5, 5))
	sizes := map[string]int{}
	for i := 0; s.Stats().LiveBytes < 2*ArenaUnit*60/100; i++ {
		name := fmt.Sprint("large", i)
		sizes[name] = 500 + rng.IntN(s.maxValue/4)
		set(s, name, strings.Repeat("L", sizes[name]))
	}
	turns := uint64(shorter(10, 3))
	for i := 0; s.Stats().PushedBytes < turns*2*ArenaUnit; i++ {
		set(s, fmt.Sprint("hot", i%20), fmt.Sprint(i, strings.Repeat("h", rng.IntN(100_000))))
	}
	for name, size := range sizes {
		wantHit(t, s, name, strings.Repeat("L", size))
	}
	if st := s.Stats(); st.Evicted != 0 {
		t.Fatalf("evicted %d of %d", st.Evicted, st.Entries)
	}
	checkAccounts(t, s)
}

// More live entries than fit: the oldest go, the newest stay, none is silent.
func TestFullArenaEvictsTheOldest(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: ArenaUnit, Writers: 1, MaxEntries: 1 << 20})
	const n = 150_000
	for i := range n {
		wantStatus(t, set(s, fmt.Sprint("k", i), strings.Repeat("v", 250)), proto.StatusOK)
	}
	st := s.Stats()
	if st.Evicted == 0 || uint64(st.Entries)+st.Evicted != n {
		t.Fatalf("%d entries and %d evicted of %d", st.Entries, st.Evicted, n)
	}
	for i := n - st.Entries/2; i < n; i++ {
		wantHit(t, s, fmt.Sprint("k", i), strings.Repeat("v", 250))
	}
	there := 0
	for i := range n {
		if get(s, fmt.Sprint("k", i)).Status == proto.StatusOK {
			there++
		}
	}
	if there != st.Entries {
		t.Fatalf("%d entries can be read, %d are counted", there, st.Entries)
	}
	checkAccounts(t, s)
}

func TestEntryLimitEvicts(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: ArenaUnit, Writers: 1, MaxEntries: 2000})
	for i := range 10_000 {
		wantStatus(t, set(s, fmt.Sprint("k", i), "v"), proto.StatusOK)
		wantHit(t, s, fmt.Sprint("k", i), "v")
		if i%100 == 0 {
			set(s, "big", strings.Repeat("b", 100_000+i))
			wantHit(t, s, "big", strings.Repeat("b", 100_000+i))
		}
	}
	st := s.Stats()
	if n := st.Entries + st.Pieces; n > 2000 || n < 1900 {
		t.Fatalf("%d entries and pieces, the limit is 2000", n)
	}
	checkAccounts(t, s)
}

// Expired entries are garbage: they neither count as live nor push live ones out.
func TestExpiredEntriesMakeRoom(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{ArenaBytes: ArenaUnit, Writers: 1, Clock: clock})
	for i := range 20_000 {
		set(s, fmt.Sprint("keep", i), strings.Repeat("k", 200))
	}
	short := shorter(360_000, 240_000) // more than once around the ring
	for i := range short {
		if i%40_000 == 0 {
			clock.advance(10 * time.Second)
		}
		setTTL(s, fmt.Sprint("short", i), strings.Repeat("s", 150), 10*time.Second)
	}
	for i := range 20_000 {
		wantHit(t, s, fmt.Sprint("keep", i), strings.Repeat("k", 200))
	}
	if st := s.Stats(); st.Evicted != 0 || int(st.Expired) < short-110_000 {
		t.Fatalf("evicted %d, expired %d", st.Evicted, st.Expired)
	}
	checkAccounts(t, s)
}

// An equal write of an entry that is old in the ring makes it young again: so
// what is posted again and again stays, even where live entries overflow.
func TestEqualWriteKeepsYoung(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: ArenaUnit, Writers: 1, MaxEntries: 1 << 20})
	large := strings.Repeat("large", 20_000)
	steadyTag, largeTag := set(s, "steady", "value").ETag, set(s, "large", large).ETag
	for i := range 150_000 {
		set(s, fmt.Sprint("flood", i), strings.Repeat("f", 300))
		if i%10_000 == 0 {
			set(s, "steady", "value")
			set(s, "large", large)
		}
	}
	if wantHit(t, s, "steady", "value").ETag != steadyTag || wantHit(t, s, "large", large).ETag != largeTag {
		t.Error("an equal write has changed the ETag")
	}
	if st := s.Stats(); st.Evicted == 0 || st.Equal == 0 {
		t.Fatalf("the test wants evictions and equal writes: %+v", st)
	}
	checkAccounts(t, s)
}

// While the ring wraps under many clients, with equal writes and values of 1 MiB,
// every read after an answered write gives it.
func TestReadAfterWriteWhileWrapping(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 2 * ArenaUnit, Writers: 1})
	if s.maxValue != 1<<20 {
		t.Fatalf("values of %d bytes, the test wants 1 MiB", s.maxValue)
	}
	var letters [26][]byte
	for i := range letters {
		letters[i] = bytes.Repeat([]byte{byte('a' + i)}, s.maxValue)
	}
	// A reader of everybody's keys: each value is one byte repeated, so a torn or
	// mixed one shows.
	var done atomic.Bool
	var reader, clients sync.WaitGroup
	reader.Go(func() {
		rng := rand.New(rand.NewPCG(6, 6))
		var out []byte
		for !done.Load() {
			op := do(s, &proto.Op{Code: proto.OpGet, Key: key(fmt.Sprint("w", rng.IntN(4), "k", rng.IntN(8))), Out: out[:0]})
			if out = op.Out; len(out) > 0 && bytes.Count(out, out[:1]) != len(out) {
				t.Errorf("a torn value: %d bytes", len(out))
				return
			}
		}
	})
	for n := range 4 {
		clients.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(n)))
			last := map[string][]byte{}
			var out []byte
			for i := range 1200 {
				name := fmt.Sprint("w", n, "k", rng.IntN(8))
				value := last[name]
				if value == nil || rng.IntN(4) > 0 {
					size := 1 + rng.IntN(300)
					switch rng.IntN(20) {
					case 0:
						size = s.maxValue
					case 1, 2, 3:
						size = 1 + rng.IntN(s.maxValue/8)
					}
					value = letters[i%26][:size]
				}
				if op := do(s, &proto.Op{Code: proto.OpSet, Key: key(name), Value: value, TTL: proto.Forever}); op.Status != proto.StatusOK {
					t.Errorf("status %d", op.Status)
					return
				}
				last[name] = value
				op := do(s, &proto.Op{Code: proto.OpGet, Key: key(name), Out: out[:0]})
				if out = op.Out; !bytes.Equal(out, value) {
					t.Errorf("write %d of %s: %d bytes written, %d read", i, name, len(value), len(out))
					return
				}
			}
		})
	}
	clients.Wait()
	done.Store(true)
	reader.Wait()
	st := s.Stats()
	if st.PushedBytes < 3*uint64(st.ArenaBytes) || st.Evicted > 0 {
		t.Fatalf("turned %d times, evicted %d", st.PushedBytes/uint64(st.ArenaBytes), st.Evicted)
	}
	checkAccounts(t, s)
}

// Two keys of one slot whose hashes begin alike may lie at the same place of two buckets:
// what becomes of one must not be taken for the other.
func TestPlacesAlike(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: ArenaUnit, Writers: 1})
	type mark struct {
		slot proto.Slot
		home uint32
	}
	hashOf := func(name string) (proto.Slot, hash) {
		key := key(name)
		slot := proto.SlotOf(key)
		return slot, s.hash(slot, key)
	}
	var a, b string
	var inA, inB int // their buckets
	found := map[mark]string{}
	for i := 0; a == ""; i++ {
		name := fmt.Sprint("key", i)
		slot, h := hashOf(name)
		m := mark{slot, h.home() >> (32 - homeLogBits)}
		if other, ok := found[m]; ok {
			_, o := hashOf(other)
			if inA, inB = bucketOf(o[:]), bucketOf(h[:]); inA != inB {
				a, b = other, name
			}
		}
		found[m] = name
	}
	wantStatus(t, set(s, a, "first"), proto.StatusOK)
	wantStatus(t, set(s, b, "first"), proto.StatusOK)
	wantStatus(t, set(s, a, "second"), proto.StatusOK)
	for _, bucket := range []int{inA, inB} { // both turn, one after the other
		hot := ""
		for i := 0; hot == ""; i++ {
			name := fmt.Sprint("hot", i)
			if _, h := hashOf(name); bucketOf(h[:]) == bucket {
				hot = name
			}
		}
		for i := range 3 * fcChunk / 400 {
			wantStatus(t, set(s, hot, fmt.Sprint(i, strings.Repeat("h", 400))), proto.StatusOK)
		}
	}
	wantHit(t, s, a, "second")
	wantHit(t, s, b, "first")
	if st := s.Stats(); st.Evicted != 0 || st.Lost != 0 || st.Entries != 4 {
		t.Errorf("evicted %d, lost %d, entries %d", st.Evicted, st.Lost, st.Entries)
	}
	checkAccounts(t, s)
}
