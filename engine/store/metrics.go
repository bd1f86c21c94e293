package store

import (
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"
)

const recordSize = int64(unsafe.Sizeof(record{}))

// counters of one writer. They only grow.
type counters struct {
	written    atomic.Uint64 // writes that stored a value
	equal      atomic.Uint64 // writes of the value that was there
	refused    atomic.Uint64 // writes that found the queue full
	expired    atomic.Uint64 // entries dropped past their time to live
	evicted    atomic.Uint64 // live entries dropped for want of memory
	lost       atomic.Uint64 // entries that fastcache lost to a hash collision
	moved      atomic.Uint64 // pairs moved out of the way of the ring
	movedBytes atomic.Uint64
}

// Stats is the state of a store at one moment.
type Stats struct {
	Entries     int   // entries held, expired ones not yet dropped included
	Pieces      int   // pieces of values above the inline limit
	MaxEntries  int   // limit on the two together
	ArenaBytes  int64 // capacity of the arena
	LiveBytes   int64 // bytes of the arena that entries take
	IndexBytes  int64 // estimate of the Go heap that the index takes
	QueueDepth  int
	QueueLen    int
	Written     uint64
	Equal       uint64
	Refused     uint64
	Expired     uint64
	Evicted     uint64
	Lost        uint64
	Moved       uint64 // pairs that were written again to keep them
	MovedBytes  uint64
	PushedBytes uint64        // bytes ever written to the arena
	OldestAge   time.Duration // of the oldest entry, as of the last walk of the sweeper
}

// mapBytes is what a pair costs in fastcache's index, a Go map of two words: 17
// bytes a place, of which between 7/16 and 7/8 are in use.
const mapBytes = 28

// Stats gives the state of the store.
func (s *Store) Stats() Stats {
	st := Stats{ArenaBytes: s.writerArena * int64(len(s.writers)), MaxEntries: s.writerEntries * len(s.writers)}
	now := s.clock.Now()
	for _, w := range s.writers {
		w.exclusive(func() {
			st.Entries += w.entries
			st.Pieces += w.pieces
			st.LiveBytes += w.live
			st.IndexBytes += w.indexed + int64(w.entries+w.pieces)*mapBytes
			st.PushedBytes += w.pushed
			oldest := w.sweep.found
			if oldest == 0 {
				oldest = w.sweep.oldest
			}
			if oldest != 0 && w.entries > 0 {
				st.OldestAge = max(st.OldestAge, time.Duration(now/1e6-oldest)*time.Millisecond)
			}
		})
		st.QueueDepth += w.ring.depth()
		st.QueueLen += len(w.ring.cells)
		st.Written += w.counters.written.Load()
		st.Equal += w.counters.equal.Load()
		st.Refused += w.counters.refused.Load()
		st.Expired += w.counters.expired.Load()
		st.Evicted += w.counters.evicted.Load()
		st.Lost += w.counters.lost.Load()
		st.Moved += w.counters.moved.Load()
		st.MovedBytes += w.counters.movedBytes.Load()
	}
	st.IndexBytes += int64(len(s.slots)) * int64(unsafe.Sizeof(slotSet{}))
	return st
}

// Len gives the number of entries, expired ones that nobody has come by yet
// included.
func (s *Store) Len() int { return s.Stats().Entries }

// AppendMetrics appends the store's metrics as Prometheus text.
func (s *Store) AppendMetrics(dst []byte) []byte {
	st := s.Stats()
	gauge := func(name, help string, v float64) { dst = appendMetric(dst, name, "gauge", help, v) }
	count := func(name, help string, v uint64) { dst = appendMetric(dst, name, "counter", help, float64(v)) }
	gauge("smache_entries", "Entries held.", float64(st.Entries))
	gauge("smache_entry_pieces", "Pieces of values that are stored in pieces.", float64(st.Pieces))
	gauge("smache_entries_limit", "Entries and pieces that may be held at once.", float64(st.MaxEntries))
	gauge("smache_arena_bytes", "Capacity of the arena.", float64(st.ArenaBytes))
	gauge("smache_arena_live_bytes", "Bytes of the arena that entries take.", float64(st.LiveBytes))
	gauge("smache_index_bytes", "Estimate of the memory that the index takes.", float64(st.IndexBytes))
	gauge("smache_arena_age_seconds", "Age of the oldest live entry. Near the time to live in use, memory is too small.", st.OldestAge.Seconds())
	gauge("smache_queue_depth", "Writes waiting for the writer.", float64(st.QueueDepth))
	gauge("smache_queue_limit", "Writes that may wait for the writer.", float64(st.QueueLen))
	count("smache_queue_refusals_total", "Writes refused because the queue was full.", st.Refused)
	count("smache_writes_total", "Writes that stored a value.", st.Written)
	count("smache_equal_writes_total", "Writes of the value that was stored already.", st.Equal)
	count("smache_expirations_total", "Entries dropped past their time to live.", st.Expired)
	count("smache_evictions_total", "Live entries dropped for want of memory.", st.Evicted)
	count("smache_lost_entries_total", "Entries lost to a collision of hashes.", st.Lost)
	count("smache_arena_written_bytes_total", "Bytes written to the arena.", st.PushedBytes)
	count("smache_arena_moved_total", "Live pairs written again to keep them from being overwritten.", st.Moved)
	count("smache_arena_moved_bytes_total", "Bytes of live pairs written again.", st.MovedBytes)
	return dst
}

func appendMetric(dst []byte, name, kind, help string, v float64) []byte {
	dst = append(dst, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"+name+" "...)
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	return append(dst, '\n')
}
