//go:build unix

package peer

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// forwarders gives a forwarder all of whose operations go to another, over a
// loopback connection, and are hits of 100 bytes there.
func forwarders(b *testing.B, keys *secure.Keys) *forwarder {
	there := newForwarder(&stillStore{value: make([]byte, 100), held: true}, &oneHolder{}, sinceNow())
	dir := &oneHolder{}
	here := newForwarder(&stillStore{}, dir, sinceNow())
	here.within = answerWithin * 100 // a busy machine is no failure
	b.Cleanup(func() { here.close(); there.close() })
	_, _, link := pair(b, func(c *Config) { c.Keys = keys }, func(c *Config) { c.Keys, c.Handler = keys, handlerFunc(there.serve) })
	dir.link = link
	return here
}

// BenchmarkForward reads through another node, with a number of reads under way:
// each answer begins the next. cpu-ns/op is that of both ends, for each read.
func BenchmarkForward(b *testing.B) {
	for mode, keys := range map[string]*secure.Keys{"sealed": testKeys(b), "plaintext": secure.Plaintext("test")} {
		for _, depth := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", mode, depth), func(b *testing.B) {
				f := forwarders(b, keys)
				tokens := make(chan *proto.Op, depth)
				for i := range depth {
					op := newOp(proto.OpGet, testKey(i), "")
					op.Out = make([]byte, 0, 256)
					op.Done = func(op *proto.Op) {
						if op.Status != proto.StatusOK || len(op.Out) != 100 {
							b.Error(op.Status)
						}
						tokens <- op
					}
					tokens <- op
				}
				before := cpu()
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					op := <-tokens
					op.Out = op.Out[:0]
					if f.Submit(op) {
						op.Done(op)
					}
				}
				for range depth {
					<-tokens
				}
				b.StopTimer()
				b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// BenchmarkForwardBatch reads 100 keys through another node, together and one by
// one. cpu-ns/op is that of both ends, for each batch.
func BenchmarkForwardBatch(b *testing.B) {
	const n = 100
	for _, together := range []bool{true, false} {
		b.Run(map[bool]string{true: "together", false: "singly"}[together], func(b *testing.B) {
			f := forwarders(b, testKeys(b))
			done := make(chan struct{}, 1)
			var left atomic.Int32
			ops := make([]*proto.Op, n)
			for i := range ops {
				ops[i] = newOp(proto.OpGet, testKey(i), "")
				ops[i].Done = func(op *proto.Op) {
					if op.Status != proto.StatusOK {
						b.Error(op.Status)
					}
					if left.Add(-1) == 0 {
						done <- struct{}{}
					}
				}
			}
			before := cpu()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				for _, op := range ops {
					op.Out = nil
				}
				left.Store(n)
				if together {
					f.SubmitAll(ops)
				} else {
					for _, op := range ops {
						if f.Submit(op) {
							op.Done(op)
						}
					}
				}
				<-done
			}
			b.StopTimer()
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
