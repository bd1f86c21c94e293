package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// BenchmarkReadWhileWrapping measures what the ring's turning costs reads: one
// goroutine writes and one reads, each at a fixed rate, in an arena that stays
// half empty and in one that is full and turns. A read's latency counts from when
// it was due. Run it with -benchtime 1x.
func BenchmarkReadWhileWrapping(b *testing.B) {
	const keys, rate, length = 100_000, 40_000, 4 * time.Second
	for _, wraps := range []bool{false, true} {
		b.Run(map[bool]string{false: "half-empty", true: "wrapping"}[wraps], func(b *testing.B) {
			for b.Loop() {
				s := newTestStore(b, Config{ArenaBytes: 2 * ArenaUnit, Writers: 1})
				value := make([]byte, 100)
				all := make([][]byte, keys)
				for i := range all {
					all[i] = key(fmt.Sprint("key", i))
				}
				write := func(n int) {
					copy(value, fmt.Sprintf("%0100d", n))
					do(s, &proto.Op{Code: proto.OpSet, Key: all[n%keys], Value: value, TTL: proto.Forever})
				}
				for n := range keys {
					write(n)
				}
				for n := keys; wraps && s.Stats().PushedBytes < 4*ArenaUnit; n++ {
					write(n)
				}
				stop, stopped := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(stopped)
					start := time.Now()
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						for time.Since(start) < time.Duration(n)*time.Second/rate {
						}
						if wraps {
							write(n * 7919)
						} else { // the same work, but nothing new
							do(s, &proto.Op{Code: proto.OpSet, Key: all[n*7919%keys], Value: value, TTL: proto.Forever,
								IfMatch: proto.Match{Set: true, Tags: []proto.ETag{1}}})
						}
					}
				}()
				latencies := make([]time.Duration, 0, rate*int(length/time.Second))
				op, out := &proto.Op{}, make([]byte, 0, 4096)
				start := time.Now()
				for n := 0; n < cap(latencies); n++ {
					due := time.Duration(n) * time.Second / rate
					for time.Since(start) < due {
					}
					k := all[n*104729%keys]
					op.Code, op.Key, op.Slot, op.Out = proto.OpGet, k, proto.SlotOf(k), out
					if s.Submit(op); op.Status != proto.StatusOK {
						b.Fatalf("status %d", op.Status)
					}
					latencies = append(latencies, time.Since(start)-due)
				}
				close(stop)
				<-stopped
				slices.Sort(latencies)
				b.ReportMetric(float64(latencies[len(latencies)/2].Nanoseconds())/1e3, "p50-µs")
				b.ReportMetric(float64(latencies[len(latencies)*999/1000].Nanoseconds())/1e3, "p99.9-µs")
				b.ReportMetric(float64(latencies[len(latencies)-1].Nanoseconds())/1e3, "max-µs")
				_ = s.Close()
			}
		})
	}
}
