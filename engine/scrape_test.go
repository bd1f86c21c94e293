package engine

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/smache/smache/proto"
)

// BenchmarkSample is what the figures of a second cost, once a second, and
// BenchmarkStats the answer of GET /stats?last=60 without HTTP, of a node that is alone.
// docs/BENCHMARKS.md has the figures.
func BenchmarkSample(b *testing.B) {
	node := scraped(b)
	before := node.totals()
	b.ReportAllocs()
	for b.Loop() {
		now := node.totals()
		s := now.since(&before)
		before = now
		if s[proto.FigureEntries] == 0 {
			b.Fatal("there are no entries")
		}
	}
}

func BenchmarkStats(b *testing.B) {
	node := scraped(b)
	for i := range 300 {
		s := proto.Sample{proto.FigureSpan: 1000, proto.FigureReads: uint64(i)}
		node.history.add(&s, node.started)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := node.Stats(60); !ok {
			b.Fatal("too many ask")
		}
	}
}

// mostScrape is the most that one answer of /metrics may allocate.
const mostScrape = 1 << 20

// scraped is a node that has entries, and has answered requests.
func scraped(t testing.TB) *Node {
	t.Helper()
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
