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

	merged     atomic.Uint64 // entries from elsewhere that were stored
	mergeOlder atomic.Uint64 // refused: something as new or newer was there
	mergeFloor atomic.Uint64 // refused: may be of a key whose record found no memory
	mergeAge   atomic.Uint64 // refused: older than all that memory suffices for
	mergeLimit atomic.Uint64 // refused: value or time to live above the limit
	clocks     atomic.Uint64 // clocks from elsewhere too far ahead to believe
	overflows  atomic.Uint64 // records that found no memory
	panics     atomic.Uint64 // bugs that a turn was saved from
}

// Stats is the state of a store at one moment.
type Stats struct {
	Entries     int     // entries held, expired ones not yet dropped included
	Pieces      int     // pieces of values above the inline limit
	MaxEntries  int     // limit on the two together
	ArenaBytes  int64   // capacity of the arena
	Untouched   int64   // bytes of it that are yet to be taken from the system
	LiveBytes   int64   // bytes of the arena that entries take
	IndexBytes  int64   // estimate of the Go heap that the index takes
	Fill        float64 // of the fullest writer, arena or index: at 1 it evicts
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
	PushedBytes uint64 // bytes ever written to the arena

	Records       int   // keys that went, and are remembered
	RecordBytes   int64 // estimate of what the records take; IndexBytes has them too
	Merged        uint64
	MergeOlder    uint64
	MergeOverflow uint64
	MergeAge      uint64
	MergeLimit    uint64
	ClocksAhead   uint64
	Overflows     uint64
	Panics        uint64

	OldestAge time.Duration // of the oldest entry, as of the last walk of the sweeper
}

// mapBytes is what a pair costs in fastcache's index, a Go map of two words: 17
// bytes a place, of which between 7/16 and 7/8 are in use.
const mapBytes = 28

// Stats gives the state of the store.
func (s *Store) Stats() Stats {
	st := Stats{ArenaBytes: s.writerArena * int64(len(s.writers)), MaxEntries: s.writerEntries * len(s.writers), Untouched: s.touching.left.Load()}
	now := s.clock.Now()
	for _, w := range s.writers {
		w.exclusive(func() {
			st.Entries += w.entries
			st.Pieces += w.pieces
			st.LiveBytes += w.live
			st.Fill = max(st.Fill, float64(w.live)*100/float64(s.writerArena*keepPercent), float64(w.entries+w.pieces)/float64(s.writerEntries))
			st.Records += len(w.gone.items)
			st.RecordBytes += w.gone.bytes
			st.IndexBytes += w.gone.bytes + w.indexed + int64(w.entries+w.pieces)*mapBytes
			st.PushedBytes += w.pushed
			oldest := w.sweep.found
			if oldest == 0 {
				oldest = w.sweep.oldest
			}
			if oldest != 0 && w.entries > 0 {
				st.OldestAge = max(st.OldestAge, time.Duration(now/1e6-oldest)*time.Millisecond)
			}
			// In the turn too: what it counts agrees with what it holds.
			st.Written += w.counters.written.Load()
			st.Equal += w.counters.equal.Load()
			st.Refused += w.counters.refused.Load()
			st.Expired += w.counters.expired.Load()
			st.Evicted += w.counters.evicted.Load()
			st.Lost += w.counters.lost.Load()
			st.Moved += w.counters.moved.Load()
			st.MovedBytes += w.counters.movedBytes.Load()
			st.Merged += w.counters.merged.Load()
			st.MergeOlder += w.counters.mergeOlder.Load()
			st.MergeOverflow += w.counters.mergeFloor.Load()
			st.MergeAge += w.counters.mergeAge.Load()
			st.MergeLimit += w.counters.mergeLimit.Load()
			st.ClocksAhead += w.counters.clocks.Load()
			st.Overflows += w.counters.overflows.Load()
			st.Panics += w.counters.panics.Load()
		})
		st.QueueDepth += w.ring.depth()
		st.QueueLen += len(w.ring.cells)
	}
	st.IndexBytes += int64(len(s.slots))*int64(unsafe.Sizeof(slotSet{})) +
		int64(len(s.roles)+len(s.holds))*8 + int64(len(s.memories))*int64(unsafe.Sizeof(memory{}))
	return st
}

// TooOld counts the entries from elsewhere that Merge has refused because they are older
// than all that memory suffices for. Any goroutine; no writer's turn is waited for.
func (s *Store) TooOld() (n uint64) {
	for _, w := range s.writers {
		n += w.counters.mergeAge.Load()
	}
	return n
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
	gauge("smache_arena_untouched_bytes", "Bytes of the arena that are yet to be taken from the system: in a cluster above 0 for some minutes after the start.", float64(st.Untouched))
	gauge("smache_arena_live_bytes", "Bytes of the arena that entries take.", float64(st.LiveBytes))
	gauge("smache_fill_ratio", "How full the node is, of entries or of their bytes: at 1 it evicts what is oldest. The figure to add and remove nodes by.", st.Fill)
	gauge("smache_index_bytes", "Estimate of the memory that the index takes.", float64(st.IndexBytes))
	gauge("smache_arena_age_seconds", "Age of the oldest live entry. Near the time to live in use, memory is too small.", st.OldestAge.Seconds())
	gauge("smache_queue_depth", "Writes waiting for the writer.", float64(st.QueueDepth))
	gauge("smache_queue_limit", "Writes that may wait for the writer.", float64(st.QueueLen))
	count("smache_queue_refusals_total", "How often a write found the queue full: a batch tries again, and counts each time.", st.Refused)
	count("smache_writes_total", "Writes that stored a value.", st.Written)
	count("smache_equal_writes_total", "Writes of the value that was stored already.", st.Equal)
	count("smache_expirations_total", "Entries dropped past their time to live.", st.Expired)
	count("smache_evictions_total", "Live entries dropped for want of memory.", st.Evicted)
	count("smache_lost_entries_total", "Entries lost to a collision of hashes.", st.Lost)
	count("smache_arena_written_bytes_total", "Bytes written to the arena.", st.PushedBytes)
	count("smache_arena_moved_total", "Live pairs written again to keep them from being overwritten.", st.Moved)
	count("smache_arena_moved_bytes_total", "Bytes of live pairs written again.", st.MovedBytes)
	count("smache_store_panics_total", "Operations that met a bug; the writer's entries were dropped.", st.Panics)
	if s.roles == nil {
		return dst
	}
	gauge("smache_records", "Records of keys that went.", float64(st.Records))
	gauge("smache_record_bytes", "Estimate of the memory that the records take.", float64(st.RecordBytes))
	count("smache_record_overflows_total", "Records that found no memory: older copies in their slots are refused.", st.Overflows)
	count("smache_merged_entries_total", "Entries from other nodes that were stored.", st.Merged)
	count("smache_merge_older_total", "Copies from other nodes refused: something as new or newer was there.", st.MergeOlder)
	count("smache_merge_overflow_total", "Copies from other nodes refused: they may be of a key whose record found no memory.", st.MergeOverflow)
	count("smache_merge_age_total", "Entries from other nodes refused: older than all that memory suffices for.", st.MergeAge)
	count("smache_merge_limit_total", "Entries from other nodes refused: value or time to live above the limit.", st.MergeLimit)
	count("smache_clocks_ahead_total", "Clocks of other nodes not taken over: too far ahead.", st.ClocksAhead)
	return dst
}

func appendMetric(dst []byte, name, kind, help string, v float64) []byte {
	dst = append(dst, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"+name+" "...)
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	return append(dst, '\n')
}
