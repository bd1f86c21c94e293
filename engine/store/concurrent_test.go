package store

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/smache/smache/proto"
)

// sharedKey is what is known of a key that one goroutine writes and all read. Its writes
// are numbered from 1; every third one, by its number, is a delete.
type sharedKey struct {
	name        string
	begun, done atomic.Uint64
}

func deletes(number uint64) bool { return number%3 == 0 }

// sharedValue is what write number of a key stores: long enough, at times, to be in
// pieces, and wrong if it is of two writes.
func sharedValue(k int, number uint64) []byte {
	size := 16 + int(number*7%300)
	if number%16 == 1 {
		size += int(number*977) % 120_000
	}
	value := make([]byte, size&^7)
	for i := 0; i < len(value); i += 8 {
		binary.LittleEndian.PutUint64(value[i:], number<<16|uint64(k))
	}
	return value
}

// TestConcurrentModel: writers of their own keys and readers of all keys, with the sweeper,
// while the ring turns. Each read gives a write that was the latest at some moment between
// its begin and its end, whole, and no reader sees a key go back.
func TestConcurrentModel(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 2 * ArenaUnit, Writers: 2})
	const writers, readers, each = 4, 4, 40
	keys := make([]sharedKey, writers*each)
	for i := range keys {
		keys[i].name = string(rune('a'+i%26)) + string(rune('0'+i/26))
	}
	var writing, reading sync.WaitGroup
	var stop atomic.Bool
	var reads atomic.Uint64
	for w := range writers {
		writing.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 21))
			for range shorter(40_000, 6_000) {
				k := w*each + rng.IntN(each)
				writeShared(t, s, k, &keys[k])
			}
		})
	}
	for r := range readers {
		reading.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 22))
			seen := make([]uint64, len(keys))
			for !stop.Load() && !t.Failed() {
				k := rng.IntN(len(keys))
				seen[k] = readShared(t, s, k, &keys[k], seen[k])
				reads.Add(1)
			}
		})
	}
	reading.Go(func() {
		for !stop.Load() {
			for _, w := range s.writers {
				w.exclusive(func() { w.sweepSome(8, sweepEmpty) })
			}
			runtime.Gosched()
		}
	})
	writing.Wait()
	stop.Store(true)
	reading.Wait()
	checkAccounts(t, s)
	st := s.Stats()
	if st.Evicted+st.Lost != 0 {
		t.Errorf("evicted %d, lost %d", st.Evicted, st.Lost)
	}
	t.Logf("%d reads; the ring has turned %.1f times", reads.Load(), float64(st.PushedBytes)/float64(st.ArenaBytes))
}

// writeShared does the next write of a key. Only its writer calls it.
func writeShared(t *testing.T, s *Store, k int, shared *sharedKey) {
	number := shared.begun.Add(1)
	op := &proto.Op{Code: proto.OpSet, Key: key(shared.name), TTL: proto.Forever}
	if deletes(number) {
		op.Code = proto.OpDelete
	} else {
		op.Value = sharedValue(k, number)
	}
	if do(s, op); op.Status != proto.StatusOK {
		t.Errorf("write %d of %s: status %d", number, shared.name, op.Status)
	}
	shared.done.Store(number)
}

// readShared reads a key and says which write it gave: of the numbers that it can have
// been, for a miss, the least.
func readShared(t *testing.T, s *Store, k int, shared *sharedKey, seen uint64) uint64 {
	least := max(shared.done.Load(), seen)
	op := get(s, shared.name)
	most := shared.begun.Load()
	if op.Status == proto.StatusMiss {
		for n := least; n <= most; n++ {
			if deletes(n) { // so is 0: never written
				return n
			}
		}
		t.Errorf("%s: a miss between write %d and %d", shared.name, least, most)
		return least
	}
	if op.Status != proto.StatusOK || len(op.Out) < 8 {
		t.Errorf("%s: status %d, %d bytes", shared.name, op.Status, len(op.Out))
		return least
	}
	number := binary.LittleEndian.Uint64(op.Out) >> 16
	if number < least || number > most {
		t.Errorf("%s: write %d between %d and %d", shared.name, number, least, most)
	}
	if string(op.Out) != string(sharedValue(k, number)) {
		t.Errorf("%s: not all of write %d", shared.name, number)
	}
	return number
}
