package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

func BenchmarkTenThousand(b *testing.B) {
	keys := make([][]byte, 10_000)
	for i := range keys {
		keys[i] = key(fmt.Sprint("key", i))
	}
	value := []byte(`{"lat":52.520008,"lon":13.404954,"heading":000000000}`)
	op, wait := waitingOp()
	out := make([]byte, 0, 4096)
	var writes, reads time.Duration
	for b.Loop() {
		b.StopTimer()
		s := newTestStore(b, Config{ArenaBytes: ArenaUnit})
		b.StartTimer()
		t := time.Now()
		for _, k := range keys {
			op.Code, op.Key, op.Slot, op.Value, op.TTL = proto.OpSet, k, proto.SlotOf(k), value, proto.Forever
			if !s.Submit(op) {
				<-wait
			}
		}
		u := time.Now()
		for _, k := range keys {
			op.Code, op.Key, op.Slot, op.Out = proto.OpGet, k, proto.SlotOf(k), out
			s.Submit(op)
		}
		writes += u.Sub(t)
		reads += time.Since(u)
		b.StopTimer()
		_ = s.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(writes.Microseconds())/float64(b.N)/1000, "write-ms")
	b.ReportMetric(float64(reads.Microseconds())/float64(b.N)/1000, "read-ms")
}
