//go:build !race

package engine

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"weak"

	"github.com/smache/smache/engine/store"
)

// Many nodes come and go, eight at a time, and leave nothing behind. One in eight gets slots,
// and the entries in them, and hands them back; the others get none, so that it does not take
// long. JOINS=1000 tries more.
func TestMeshJoinsLeakNothing(t *testing.T) {
	const keys, weight = 2000, 10
	joins := 80
	if n, err := strconv.Atoi(os.Getenv("JOINS")); err == nil {
		joins = n
	}
	m := startMesh(t, 2)
	m.fill(keys, "v")
	stay := slices.Clone(m.nodes)
	var moved int // entries that nodes have had which left
	var wait sync.WaitGroup
	var mu sync.Mutex
	var gone []weak.Pointer[store.Store]
	cycle := func(from, n int) {
		for side := range 8 {
			wait.Go(func() {
				for i := side; i < n; i += 8 {
					var share uint32
					if side == 0 {
						share = weight
					}
					node := m.start(fmt.Sprint("x", from+i), share, 0)
					await(t, "it serves", node.Ready)
					had := 0
					if share > 0 {
						await(t, "it gets entries", func() bool { had = node.store.Len(); return had > keys/100 })
					}
					m.leave(node)
					mu.Lock()
					moved += had
					gone = append(gone, weak.Make(node.store))
					mu.Unlock()
				}
			})
		}
		wait.Wait()
		m.settle()
		// When memberlist suspects a node it starts a timer, of 48 seconds at most, which it
		// does not stop when it is shut down: until then its own node is not forgotten.
		await(t, "what has gone is forgotten", func() bool {
			runtime.GC()
			gone = slices.DeleteFunc(gone, func(p weak.Pointer[store.Store]) bool { return p.Value() == nil })
			return len(gone) == 0
		})
	}
	cycle(0, 40)
	before := usageNow(t)
	cycle(40, joins-40)
	await(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before.goroutines+5 })
	after := usageNow(t)
	t.Logf("after 40 joins and leaves %+v, after %d %+v", before, joins, after)
	if after.heap > before.heap+16<<20 || after.files > before.files+5 || after.mappings > before.mappings+50 {
		t.Errorf("after 40 joins and leaves %+v, after %d %+v", before, joins, after)
	}
	if right, missing, wrong := m.count(keys, "v"); right != keys {
		t.Errorf("%d keys are right, %d missing, %d wrong", right, missing, wrong)
	}
	t.Logf("%d entries have come and gone", moved)
	if n := stay[0].store.Len() + stay[1].store.Len(); n != keys {
		t.Errorf("the nodes that stayed have %d entries, of %d", n, keys)
	}
	if n := strings.Count(string(m.nodes[0].AppendMetrics(nil)), "\n"); n > 5000 {
		t.Errorf("the metrics have %d lines", n)
	}
}

// usage is what this process has of what can leak.
type usage struct {
	goroutines      int
	heap            uint64 // bytes that are reachable
	files, mappings int    // 0 where there is no /proc
}

func usageNow(t *testing.T) (u usage) {
	t.Helper()
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	u.goroutines, u.heap = runtime.NumGoroutine(), s.HeapAlloc
	if runtime.GOOS == "linux" {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		u.files, u.mappings = len(files), strings.Count(string(maps), "\n")
	}
	return u
}
