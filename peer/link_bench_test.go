//go:build unix

package peer

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLink asks over loopback, both ends in this process, with a number of
// requests in flight: each answer sends the next request. cpu-ns/op is that of
// both ends; writes/op counts the system calls that sent something, of both.
func BenchmarkLink(b *testing.B) {
	keys := map[string]*secure.Keys{"sealed": testKeys(b), "plaintext": secure.Plaintext("test")}
	for _, mode := range []string{"sealed", "plaintext"} {
		for _, depth := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d", mode, depth), func(b *testing.B) {
				change := func(c *Config) { c.Keys = keys[mode] }
				x, y, link := pair(b, change, change)
				body := make([]byte, 100-proto.HeaderLen)
				tokens := make(chan *Call, depth)
				for range depth {
					tokens <- &Call{Header: proto.Header{Op: proto.FrameGet}, Timeout: time.Minute, Done: func(c *Call) {
						if c.Err != nil {
							b.Error(c.Err)
						}
						tokens <- c
					}}
				}
				writes := func() float64 {
					return metric(x.Links, "smache_peer_writes_total", `"b"`) + metric(y.Links, "smache_peer_writes_total", `"a"`)
				}
				w, before := writes(), cpu()
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					call := <-tokens
					if err := link.Send(call, body); err != nil {
						b.Fatal(err)
					}
				}
				for range depth {
					<-tokens
				}
				b.StopTimer()
				b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
				b.ReportMetric((writes()-w)/float64(b.N), "writes/op")
			})
		}
	}
}

// BenchmarkWaiting is the same with a goroutine for each request, which sends it
// and waits, as handlers of an HTTP server do.
func BenchmarkWaiting(b *testing.B) {
	for _, clients := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			x, _, link := pair(b, nil, nil)
			wakes := func() float64 { return metric(x.Links, "smache_peer_wakeups_total", `"b"`) }
			w, before := wakes(), cpu()
			b.ReportAllocs()
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					done := make(chan struct{}, 1)
					call := &Call{Header: proto.Header{Op: proto.FrameGet}, Timeout: time.Minute, Done: func(*Call) { done <- struct{}{} }}
					body := make([]byte, 100-proto.HeaderLen)
					for next.Add(1) <= int64(b.N) {
						if err := link.Send(call, body); err != nil {
							b.Error(err)
							return
						}
						<-done
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric((wakes()-w)/float64(b.N), "wakes/op")
		})
	}
}
