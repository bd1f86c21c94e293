package store

import (
	"sync"
	"unsafe"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/cespare/xxhash/v2"

	"github.com/smache/smache/proto"
)

// fcBucket is fastcache's bucket (version 1.13.3; TestBucketIsFastcaches holds it), of
// which this package needs what says where pairs lie: that is not to be had through its
// interface.
type fcBucket struct {
	mu     sync.RWMutex
	_      [3]uint64 // counts
	chunks [][]byte
	m      map[uint64]uint64
	_      [4]uint64 // gen, idx and counts
}

// Of another size than fastcache's it does not compile.
var _ = [1]struct{}{}[unsafe.Sizeof(fastcache.Cache{})-unsafe.Sizeof(fastcache.BigStats{})-fcBuckets*unsafe.Sizeof(fcBucket{})]

// fcOffset is the part of a value of fcBucket.m that says where in the ring a pair lies.
const fcOffset = 1<<40 - 1

// aheadKeys is how many keys are looked up together: what they bring in is in the first
// cache still when the last was looked up.
const aheadKeys = 64

// Warm says that operations on these slots will follow, and reads of these keys, which
// are of the slots in the same places; keys may be nil. It changes nothing: what the
// operations will look at is looked at here, for all of them together, so that the
// cache misses of one overlap those of the next. In between two reads there are locked
// instructions, and they would not. Any goroutine.
func (s *Store) Warm(slots []proto.Slot, keys [][]byte) {
	if s.roles != nil {
		for _, slot := range slots {
			s.roles[slot].Load()
		}
	}
	for len(keys) > 0 {
		n := min(len(keys), aheadKeys)
		s.lookAhead(slots[:n], keys[:n])
		slots, keys = slots[n:], keys[n:]
	}
}

// lookAhead looks at the pairs of at most aheadKeys keys, and gives how many it has
// found. It holds their buckets meanwhile, as readers do, but waits for none: what is
// being written to is left out.
func (s *Store) lookAhead(slots []proto.Slot, keys [][]byte) (found int) {
	var buckets [aheadKeys]*fcBucket
	var hashes [aheadKeys]uint64
	n := 0
	for i, slot := range slots {
		h := s.hash(slot, keys[i])
		sum := xxhash.Sum64(h[:])
		b := &(*[fcBuckets]fcBucket)(unsafe.Pointer(s.writer(slot).cache))[sum%fcBuckets]
		if b.mu.TryRLock() {
			buckets[n], hashes[n] = b, sum
			n++
		}
	}
	var places [aheadKeys]uint64
	for i, b := range buckets[:n] {
		places[i] = b.m[hashes[i]]
	}
	for i, b := range buckets[:n] {
		if places[i] == 0 { // there is none
			continue
		}
		at := places[i] & fcOffset
		chunk := b.chunks[at/fcChunk]
		at %= fcChunk
		// The lower byte of the length of its key.
		if chunk[at+1] == hashLen {
			found++
		}
	}
	for _, b := range buckets[:n] {
		b.mu.RUnlock()
	}
	return found
}
