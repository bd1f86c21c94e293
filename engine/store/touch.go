package store

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// touch takes the arena's memory from the system and writes to all of it, so
// that memory that cannot be had is found missing now, and not by a write in an
// hour. fastcache takes chunks when pairs need them: each bucket is filled once
// around, by a key that falls into it, and Reset gives the chunks back to
// fastcache's own list of free ones, from which they come again.
func (s *Store) touch() error {
	keys := keysOfBuckets()
	filling := make([]byte, fcChunk-kvOverhead-8-1)
	workers := runtime.GOMAXPROCS(0)
	errs := make(chan error, workers)
	huge := beginHuge(s.writerArena * int64(len(s.writers)))
	var mu sync.Mutex // of huge
	var chunks atomic.Int64
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			// fastcache panics when the system refuses memory. It holds a lock
			// then, for good: the process is of no more use, but can say why.
			defer func() {
				if r := recover(); r != nil {
					errs <- fmt.Errorf("%w: %v", ErrMemory, r)
				}
			}()
			for _, w := range s.writers {
				for b := worker; b < fcBuckets; b += workers {
					for range w.buckets[b].capacity() / fcChunk {
						w.cache.Set(keys[b][:], filling)
						// The workers' calls that map more are within the first few.
						if chunks.Add(1)%(fcMapping/fcChunk) <= int64(workers) {
							mu.Lock()
							huge.advise()
							mu.Unlock()
						}
					}
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	for _, w := range s.writers {
		w.cache.Reset()
	}
	return nil
}

// keysOfBuckets finds a key for each bucket.
func keysOfBuckets() (keys [fcBuckets][8]byte) {
	var found [fcBuckets]bool
	var key [8]byte
	for n, left := uint64(0), fcBuckets; left > 0; n++ {
		binary.LittleEndian.PutUint64(key[:], n)
		if b := bucketOf(key[:]); !found[b] {
			found[b], keys[b] = true, key
			left--
		}
	}
	return keys
}
