package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// BenchmarkMove moves slots of a store with a million entries of 100 bytes to an empty
// one, as a node that joins two others has it: per slot, ns at the source and at the
// receiver for each entry. Run it with -benchtime 1x.
func BenchmarkMove(b *testing.B) {
	const all = 1_000_000
	for b.Loop() {
		from := newClusterStore(b, Config{ArenaBytes: 8 * ArenaUnit, Writers: 1})
		to := newClusterStore(b, Config{ArenaBytes: 8 * ArenaUnit, Writers: 1})
		value := strings.Repeat("v", 100)
		for i := range all {
			set(from, fmt.Sprint("key", i), value)
		}
		var list, items, remove, merge time.Duration
		entries := 0
		var buf []byte
		var out []proto.Entry
		var statuses []proto.Status
		const step = 16
		for slot := 0; slot < proto.Slots; slot += 3 * step {
			var keys [step][]string
			for i := range step {
				s := proto.Slot(min(slot+i*3, proto.Slots-1))
				begun := time.Now()
				keys[i] = from.SlotKeys(s)
				list += time.Since(begun)
				begun = time.Now()
				buf, out, _ = from.Items(s, keys[i], 128<<10, buf[:0], out[:0])
				items += time.Since(begun)
				begun = time.Now()
				statuses, _ = to.MergeAll(s, out, statuses[:0])
				merge += time.Since(begun)
				entries += len(out)
			}
			for i := range step {
				begun := time.Now()
				from.RemoveKeys(proto.Slot(min(slot+i*3, proto.Slots-1)), keys[i])
				remove += time.Since(begun)
			}
		}
		for name, took := range map[string]time.Duration{"list": list, "items": items, "remove": remove, "merge": merge} {
			b.ReportMetric(float64(took.Nanoseconds())/float64(entries), name+"-ns")
		}
	}
}
