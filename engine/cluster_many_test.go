//go:build many && !race

package engine

// These do not pass yet on two cores, see "What is open" in docs/CLUSTER.md:
//
//	go test -tags many -run TestMany ./engine

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/smache/smache/proto"
)

func TestManyNodes(t *testing.T) {
	m := startMesh(t, 32)
	m.fill(3200, "v1")
	if right, missing, wrong := m.count(3200, "v1"); right != 3200 {
		t.Errorf("%d keys are right, %d missing, %d wrong", right, missing, wrong)
	}
	for _, o := range m.nodes[0].View().Members {
		if o.Slots < proto.Slots/32/2 || o.Slots > proto.Slots/32*2 {
			t.Errorf("%s has %d slots", o.Name, o.Slots)
		}
	}
}

// A thousand nodes come and go. They get no slots, so that it does not take long;
// everything else is as ever.
func TestManyJoinsLeakNothing(t *testing.T) {
	m := startMesh(t, 2)
	cycle := func(n int) {
		var wait sync.WaitGroup
		for i := range 10 {
			wait.Go(func() {
				node := m.start(fmt.Sprint("x", n, "-", i), 0, 0)
				await(t, "it serves", node.Ready)
				m.leave(node)
			})
		}
		wait.Wait()
	}
	cycle(0)
	m.settle()
	goroutines, heap := runtime.NumGoroutine(), liveHeap()
	for n := range 100 {
		cycle(n + 1)
	}
	m.settle()
	await(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	if grown := int64(liveHeap()) - int64(heap); grown > 24<<20 {
		t.Errorf("after 1000 joins and leaves the heap has grown by %d bytes", grown)
	}
	if n := strings.Count(string(m.nodes[0].AppendMetrics(nil)), "\n"); n > 5000 {
		t.Errorf("the metrics have %d lines", n)
	}
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
