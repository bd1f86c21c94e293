package store

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/smache/smache/proto"
)

// BenchmarkEntryOverhead measures what an entry costs beyond its key and value:
// (bytes written to the arena + growth of the live heap) / entries, less key and
// value, for a million entries whose value has 100 bytes. Run it with
// -benchtime 1x.
func BenchmarkEntryOverhead(b *testing.B) {
	b.Run("1M", func(b *testing.B) { benchmarkOverhead(b, 1_000_000, 8) })
	b.Run("10M", func(b *testing.B) { benchmarkOverhead(b, 10_000_000, 47) })
}

// benchmarkOverhead writes n entries to an arena of so many units.
func benchmarkOverhead(b *testing.B, n int, units int64) {
	const valueLen = 100
	for b.Loop() {
		s, err := New(Config{ArenaBytes: units * ArenaUnit, Writers: 1, MaxEntries: 2 * n})
		if err != nil {
			b.Fatal(err)
		}
		before := liveHeap()
		value := make([]byte, valueLen)
		keyBytes := 0
		op, wait := waitingOp()
		var k []byte
		for i := range n {
			copy(value, fmt.Sprintf("%0100d", i))
			name := fmt.Appendf(nil, "vehicle:%08d", i)
			k, _ = proto.AppendKey(k[:0], name)
			keyBytes += len(k)
			op.Code, op.Key, op.Slot, op.Value, op.TTL = proto.OpSet, k, proto.SlotOf(k), value, proto.Forever
			if !s.Submit(op) {
				<-wait
			}
		}
		st := s.Stats()
		if st.Entries != n {
			b.Fatalf("%d entries", st.Entries)
		}
		heap := liveHeap() - before
		w := s.writers[0]
		sets, logs := 0, 0
		for i := range w.slots {
			sets += cap(w.slots[i].records) * int(recordSize)
		}
		for i := range w.buckets {
			for _, log := range w.buckets[i].log {
				logs += cap(log)
			}
		}
		arena := float64(st.PushedBytes) - float64(n*valueLen) - float64(keyBytes)
		each := func(bytes float64, of string) { b.ReportMetric(bytes/float64(n), of+"B/entry") }
		each(arena+heap, "")
		each(arena, "arena-")
		each(float64(sets), "sets-")
		each(float64(logs), "logs-")
		each(heap-float64(sets)-float64(logs), "map-")
		_ = s.Close()
	}
}

// liveHeap gives the bytes of the heap that are in use after a collection.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
