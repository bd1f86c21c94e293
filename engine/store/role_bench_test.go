package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// BenchmarkCluster measures what it costs to look at roles and lease: reads and
// writes of 60 bytes, of slots that are held for ever, in a store alone and in one
// of a cluster, in turn. It gives the medians, in ns, and of their ratios. Run it
// with -benchtime 1x.
func BenchmarkCluster(b *testing.B) {
	const keys, perRound, rounds = 1000, 1000, 4001
	for _, code := range []proto.Opcode{proto.OpGet, proto.OpSet} {
		b.Run(map[proto.Opcode]string{proto.OpGet: "get", proto.OpSet: "set"}[code], func(b *testing.B) {
			for b.Loop() {
				stores := [2]*Store{newTestStore(b, Config{Writers: 1}), newClusterStore(b, Config{Writers: 1})}
				all := make([][]byte, keys)
				values := [2][]byte{[]byte(strings.Repeat("v", 60)), []byte(strings.Repeat("w", 60))}
				for i := range all {
					all[i] = key(fmt.Sprint("key", i))
					for _, s := range stores {
						set(s, fmt.Sprint("key", i), string(values[0]))
					}
				}
				op, wait := waitingOp()
				out := make([]byte, 0, 4096)
				var took [2][]float64
				var ratios []float64
				for round := range rounds {
					for side := range stores {
						s := stores[(side+round)%2]
						start := time.Now()
						for i := range perRound {
							k := all[i*7919%keys]
							op.Code, op.Key, op.Slot, op.Out = code, k, proto.SlotOf(k), out
							op.Value, op.TTL = values[(round+1)%2], proto.Forever
							if !s.Submit(op) {
								<-wait
							}
							if op.Status != proto.StatusOK {
								b.Fatal(op.Status)
							}
						}
						which := (side + round) % 2
						took[which] = append(took[which], float64(time.Since(start).Nanoseconds())/perRound)
					}
					ratios = append(ratios, took[1][round]/took[0][round])
				}
				median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
				b.ReportMetric(median(ratios), "ratio")
				b.ReportMetric(median(took[0]), "alone-ns")
				b.ReportMetric(median(took[1]), "cluster-ns")
			}
		})
	}
}
