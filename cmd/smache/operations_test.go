package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/smache/smache/engine"
)

// sizes are the rows of the manual's table, in MiB.
var sizes = []int64{192, 256, 384, 512, 768, 1 << 10, 1536, 2 << 10, 3 << 10, 4 << 10, 6 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10}

// holds gives what a node with so much memory holds: how many entries, and how many bytes
// of the arena they may take without one being evicted.
func holds(t *testing.T, memory int64, cluster bool) (entries, bytes int64) {
	t.Helper()
	plan, err := engine.PlanMemory(memory<<20, cluster, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return int64(plan.MaxEntries), plan.Arena / 10 * 7
}

// sizingTable is the table of docs/OPERATIONS.md.
func sizingTable(t *testing.T) string {
	t.Helper()
	size := func(mib int64) string {
		if mib%1024 == 0 {
			return fmt.Sprintf("%d GiB", mib/1024)
		}
		return fmt.Sprintf("%d MiB", mib)
	}
	var table strings.Builder
	table.WriteString("| `--memory` | alone: entries | their bytes | in a cluster: entries | their bytes |\n| --- | --- | --- | --- | --- |\n")
	for _, memory := range sizes {
		fmt.Fprintf(&table, "| %s |", size(memory))
		for _, cluster := range []bool{false, true} {
			entries, bytes := holds(t, memory, cluster)
			fmt.Fprintf(&table, " %.3f million | %d MiB |", float64(entries/1000)/1000, bytes>>20)
		}
		table.WriteByte('\n')
	}
	return table.String()
}

// TestSizing holds the manual's table against the code that divides the memory, and its
// examples against the table.
func TestSizing(t *testing.T) {
	if table := sizingTable(t); !strings.Contains(manualText(t), "\n\n"+table+"\n") {
		t.Errorf("docs/OPERATIONS.md has another table than\n%s", table)
	}
	for _, c := range []struct {
		entries, bytes int64
		cluster        bool
		want           int64
	}{{1e6, 120 + 25, false, 768}, {4_200_000, 220 + 36, true, 3 << 10}, {3_333_333, 1020 + 28, true, 16 << 10}} {
		least := int64(0)
		for _, memory := range sizes {
			if entries, bytes := holds(t, memory, c.cluster); least == 0 && entries >= c.entries && bytes >= c.entries*c.bytes {
				least = memory
			}
		}
		if least != c.want {
			t.Errorf("the example of %d entries of %d bytes: %d MiB, and the manual says %d", c.entries, c.bytes, least, c.want)
		}
	}
	// Between the rows above 4 GiB it is in proportion, as the manual says.
	for memory := int64(4 << 10); memory < 64<<10; memory += 100 {
		for _, cluster := range []bool{false, true} {
			entries, bytes := holds(t, memory, cluster)
			most, all := holds(t, 64<<10, cluster)
			share := float64(memory-550) / (64<<10 - 550)
			if float64(entries) < 0.9*share*float64(most) || float64(bytes) < 0.95*share*float64(all) {
				t.Errorf("%d MiB, in a cluster %t: %d entries, %d bytes; in proportion %.0f, %.0f", memory, cluster, entries, bytes, share*float64(most), share*float64(all))
			}
		}
	}
}

// TestSizingOfNode: a node keeps as many entries as the manual's table says, while all of
// them are written again and again, and they take the room that it says; half as many more
// it would not keep.
func TestSizingOfNode(t *testing.T) {
	for _, c := range []struct {
		what, ttl string
		changes   bool
		beside    int
	}{
		{"for ever", "null", true, 25},
		{"with a time to live", "3600", true, 33},
		{"that is renewed", "3600", false, 41},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			sizingOfNode(t, c.ttl, c.changes, c.beside)
		})
	}
}

func sizingOfNode(t *testing.T, ttl string, changes bool, beside int) {
	const memory, bytes = 192, 120
	most, room := holds(t, memory, false)
	entries := int(min(most, room/int64(bytes+beside)))
	p := serve(t, nil, "--memory", fmt.Sprintf("%dMiB", memory))
	// write writes some of the keys; data has 100 bytes.
	write := func(from, to, round int) {
		t.Helper()
		if !changes {
			round = 0
		}
		const workers, batch = 4, 1000
		each(t, workers, func(worker int) error {
			k, err := dial(p.address)
			if err != nil {
				return err
			}
			defer func() { _ = k.conn.Close() }()
			for at := from + worker*batch; at < to; at += workers * batch {
				var body strings.Builder
				for i := at; i < min(at+batch, to); i++ {
					fmt.Fprintf(&body, `,{"key":"vehicle-%012d","data":{"round":"%03d","rest":"%075d"},"ttl":%s}`, i, round, i, ttl)
				}
				status, answer, _, err := k.ask(http.MethodPost, "/api/mset", `{"entries":[`+body.String()[1:]+`]}`)
				if err != nil {
					return err
				}
				if status != http.StatusOK || strings.Contains(answer, `"error"`) {
					return fmt.Errorf("answered %d %.300s", status, answer)
				}
			}
			return nil
		})
	}
	figure := func(name string) int {
		t.Helper()
		_, text := p.get("/metrics")
		v, ok := parseMetrics(text).sum(name, "")
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		return int(v)
	}
	arena := figure("smache_arena_bytes")
	if limit := figure("smache_entries_limit"); int64(limit) < most || int64(arena) < room/7*10 {
		t.Errorf("a node of %d MiB has room for %d entries and an arena of %d bytes", memory, limit, arena)
	}
	for round := range 20 {
		if write(0, entries, round); figure("smache_arena_written_bytes_total") > 2*arena {
			break
		}
	}
	if evicted, held := figure("smache_evictions_total"), figure("smache_entries"); evicted != 0 || held != entries {
		t.Errorf("of %d entries that should fit in %d MiB, %d are there, and %d were evicted", entries, memory, held, evicted)
	}
	if changes && figure("smache_arena_written_bytes_total") < 2*arena {
		t.Error("the arena was not filled twice")
	}
	if each := figure("smache_arena_live_bytes") / entries; each < bytes+beside-4 || each > bytes+beside {
		t.Errorf("an entry takes %d bytes of the arena, and the manual says %d", each, bytes+beside)
	}
	write(entries, entries+entries/2, 0)
	if figure("smache_evictions_total") == 0 {
		t.Errorf("%d entries fit as well", entries+entries/2)
	}
}
