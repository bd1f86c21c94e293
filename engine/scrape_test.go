package engine

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// mostScrape is the most that one answer of /metrics may allocate.
const mostScrape = 1 << 20

// scraped is a node that has entries, and has answered requests.
func scraped(t *testing.T) *Node {
	node, url := run(t, small("scraped"))
	for batch := range 20 {
		entries := make([]string, 500)
		for i := range entries {
			entries[i] = fmt.Sprintf(`{"key":"k%d-%d","data":{"n":%d}}`, batch, i, i)
		}
		if status, answer := ask(t, http.MethodPost, url+"/api/mset", `{"entries":[`+strings.Join(entries, ",")+`]}`); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
	return node
}

// TestScrapeIsCheap: what /metrics prints allocates little, into a buffer of the
// scraper's that begins empty. docs/BENCHMARKS.md has the time it takes.
func TestScrapeIsCheap(t *testing.T) {
	node := scraped(t)
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			node.AppendMetrics(nil)
		}
	})
	t.Logf("%d bytes of text: %s, %s", len(node.AppendMetrics(nil)), result, result.MemString())
	if got := result.AllocedBytesPerOp(); got > mostScrape || got == 0 {
		t.Errorf("%d bytes are allocated, and %d may be", got, mostScrape)
	}
}
