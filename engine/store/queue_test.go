package store

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// BenchmarkQueue compares the ways in which many producers can write through one
// writer; docs/ARCHITECTURE.md has the table and what follows from it.
//
//	combiner   what the store does: who finds the ring unattended drains it
//	dedicated  one goroutine drains the ring, producers wait for it
//	mutex      producers take turns by a sync.Mutex, without a ring
//	plain      producers call fastcache straight: no sets, no versions, no order
//
// Each operation is timed; p99.9 and the longest are reported beside the mean.
func BenchmarkQueue(b *testing.B) {
	for _, kind := range []string{"combiner", "dedicated", "mutex", "plain"} {
		for _, producers := range []int{1, 2, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", kind, producers), func(b *testing.B) {
				s := newTestStore(b, Config{ArenaBytes: 4 * ArenaUnit, Writers: 1})
				submit, stop := submitter(s, kind)
				defer stop()
				benchmarkProducers(b, producers, submit)
			})
		}
	}
}

// submitter gives a way to carry out one OpSet, waiting for it.
func submitter(s *Store, kind string) (submit func(op *proto.Op, wait chan struct{}), stop func()) {
	w := s.writers[0]
	switch kind {
	case "combiner":
		return func(op *proto.Op, wait chan struct{}) {
			if !s.Submit(op) {
				<-wait
			}
		}, func() {}
	case "dedicated":
		r := newRing(4096)
		kick, quit, done := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				for op := r.pop(); op != nil; op = r.pop() {
					w.apply(op)
					op.Complete()
				}
				select {
				case <-kick:
				case <-quit:
					return
				}
			}
		}()
		return func(op *proto.Op, wait chan struct{}) {
			op.Begin()
			if !r.push(op) {
				panic("queue full")
			}
			select {
			case kick <- struct{}{}:
			default:
			}
			if !op.Await() {
				<-wait
			}
		}, func() { close(quit); <-done }
	case "mutex":
		var mu sync.Mutex
		return func(op *proto.Op, _ chan struct{}) {
			mu.Lock()
			w.apply(op)
			mu.Unlock()
		}, func() {}
	default:
		bodies := sync.Pool{New: func() any { return new([]byte) }}
		return func(op *proto.Op, _ chan struct{}) {
			h := s.hash(op.Slot, op.Key)
			body := bodies.Get().(*[]byte)
			*body = appendHead((*body)[:0], testEpoch, &head{key: op.Key, value: op.Value})
			w.cache.Set(h[:], *body)
			bodies.Put(body)
		}, func() {}
	}
}

func benchmarkProducers(b *testing.B, producers int, submit func(*proto.Op, chan struct{})) {
	const keysEach = 2000
	latencies := make([][]time.Duration, producers)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for p := range producers {
		n := b.N/producers + 1
		latencies[p] = make([]time.Duration, 0, n)
		wg.Go(func() {
			op, wait := waitingOp()
			value := []byte(`{"lat":52.520008,"lon":13.404954,"heading":000000000}`)
			var keys [keysEach][]byte
			for i := range keys {
				keys[i] = key(fmt.Sprint("p", p, "k", i))
			}
			<-start
			for i := range n {
				copy(value[len(value)-10:], fmt.Appendf(nil, "%09d", i))
				k := keys[i%keysEach]
				op.Code, op.Key, op.Slot, op.Value, op.TTL = proto.OpSet, k, proto.SlotOf(k), value, proto.Forever
				t := time.Now()
				submit(op, wait)
				latencies[p] = append(latencies[p], time.Since(t))
			}
		})
	}
	b.ResetTimer()
	close(start)
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*999/1000].Nanoseconds())/1e3, "p99.9-µs")
	b.ReportMetric(float64(all[len(all)-1].Nanoseconds())/1e3, "max-µs")
}
