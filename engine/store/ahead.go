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
	var a ahead
	for i := range keys {
		h := s.hash(slots[i], keys[i])
		if a.add(s.writer(slots[i]), &h); a.n == aheadKeys {
			a.look()
		}
	}
	a.look()
}

// ahead is at most aheadKeys entries that are looked at together. It holds their buckets
// meanwhile, as readers do, but waits for none: what is being written to is left out.
type ahead struct {
	n       int
	buckets [aheadKeys]*fcBucket
	hashes  [aheadKeys]uint64 // fastcache's
	places  [aheadKeys]uint64
}

// add adds the entry of a hash. Whoever has added some calls look.
func (a *ahead) add(w *writer, h *hash) {
	sum := xxhash.Sum64(h[:])
	b := &(*[fcBuckets]fcBucket)(unsafe.Pointer(w.cache))[sum%fcBuckets]
	if b.mu.TryRLock() {
		a.buckets[a.n], a.hashes[a.n] = b, sum
		a.n++
	}
}

// look looks at what was added, and gives how many entries there may be.
func (a *ahead) look() (found int) {
	for i, b := range a.buckets[:a.n] {
		a.places[i] = b.m[a.hashes[i]]
	}
	for i, b := range a.buckets[:a.n] {
		if a.places[i] == 0 { // there is none
			continue
		}
		at := a.places[i] & fcOffset
		// A chunk that is written anew begins at length 0: until it has come that far, what it
		// held lies behind its length.
		chunk := b.chunks[at/fcChunk]
		chunk = chunk[:cap(chunk)]
		if at %= fcChunk; at+1 < uint64(len(chunk)) && chunk[at+1] == hashLen { // the lower byte of the length of its key
			found++
		}
	}
	for _, b := range a.buckets[:a.n] {
		b.mu.RUnlock()
	}
	a.n = 0
	return found
}
