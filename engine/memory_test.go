package engine

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/smache/smache/engine/store"
)

func TestPlanMemory(t *testing.T) {
	for _, total := range []int64{112 << 20, 128 << 20, 256 << 20, 1 << 30, 8 << 30, 512 << 30} {
		p, err := PlanMemory(total, false, 0, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if p.Arena%store.ArenaUnit != 0 || p.Arena < store.ArenaUnit {
			t.Errorf("%s: arena of %s", FormatBytes(total), FormatBytes(p.Arena))
		}
		if sum := p.Arena + p.Index + p.Connections + p.Large + p.Runtime; sum != total {
			t.Errorf("%s: the parts add up to %d", FormatBytes(total), sum)
		}
		if p.Arena+p.GoLimit > total || p.GoLimit < p.Index+p.Connections+p.Large {
			t.Errorf("%s: the Go runtime gets %s", FormatBytes(total), FormatBytes(p.GoLimit))
		}
		if p.MaxEntries < 10_000 || p.MaxConnections < leastConnections || p.Runtime < programBytes {
			t.Errorf("%s: %+v", FormatBytes(total), p)
		}
	}
	// The default is enough for the documented benchmark's 900 clients.
	p, _ := PlanMemory(256<<20, false, 0, 0, 0, 0)
	if p.MaxConnections < 1000 || p.Arena < 96<<20 || p.MaxEntries < 300_000 {
		t.Errorf("256 MiB are %+v", p)
	}
	// The ten million entries of docs/BENCHMARKS.md.
	if p, err := PlanMemory(2497<<20, false, 0, 1100, 0, 0); err != nil || p.MaxEntries < 10_000_000 || p.Arena != 1376<<20 {
		t.Errorf("2497 MiB are %+v, %v", p, err)
	}
	// What the cluster takes is nobody else's.
	c, err := PlanMemory(256<<20, true, 0, 0, 0, 0)
	if sum := c.Arena + c.Index + c.Connections + c.Large + c.Cluster + c.Runtime; err != nil || c.Cluster != clusterBytes+c.Records || c.Records < 1<<20 || sum != c.Total || c.Runtime < programBytes {
		t.Errorf("256 MiB in a cluster are %+v, %v", c, err)
	}
	// An outbox above the default is, too.
	cfg := Config{Memory: 1 << 30, Cluster: &ClusterConfig{}}
	usual, _, _, err := cfg.plan(0)
	if err != nil {
		t.Fatal(err)
	}
	for outbox, extra := range map[int]int64{0: 0, LeastOutbox: 0, DefaultOutbox: 0, DefaultOutbox + 64<<20: 64 << 20} {
		cfg.Cluster.Outbox = outbox
		p, _, _, err := cfg.plan(0)
		if sum := p.Arena + p.Index + p.Connections + p.Large + p.Cluster + p.Runtime; err != nil || p.Cluster != usual.Cluster+extra || sum != p.Total || p.Total != 1<<30 {
			t.Errorf("1 GiB with an outbox of %d are %+v, %v", outbox, p, err)
		}
	}
	if c.Arena < 64<<20 || c.GoLimit < c.Index+c.Connections+c.Large+c.Cluster {
		t.Errorf("256 MiB in a cluster are %+v", c)
	}
}

// TestPlanMemoryGrows: with more memory a node keeps no fewer entries of the usual size. An
// arena that is rounded to too many units once left 168 MiB room for a tenth of what 160
// had.
func TestPlanMemoryGrows(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		least := int64(0)
		for total := int64(144); total < 4<<10; total++ {
			p, err := PlanMemory(total<<20, cluster, 0, 0, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			stay := min(int64(p.MaxEntries), p.Arena*7/10/typicalBytes)
			if stay < least {
				t.Errorf("%d MiB, in a cluster %t: %d entries stay, and with less %d", total, cluster, stay, least)
			}
			least = max(least, stay)
		}
	}
}

func TestPlanMemoryRefuses(t *testing.T) {
	for _, c := range []struct {
		total       int64
		connections int
		large       int64
		available   int64
		names       []string
	}{
		{1 << 20, 0, 0, 0, []string{"--memory"}},
		{80 << 20, 0, 0, 0, []string{"--memory"}},
		{256 << 20, 10_000, 0, 0, []string{"--memory", "--max-connections"}},
		{256 << 20, 0, 200 << 20, 0, []string{"--large-budget"}},
		{2 << 30, 0, 0, 1 << 30, []string{"--memory", "2GiB", "1GiB"}},
	} {
		_, err := PlanMemory(c.total, false, 0, c.connections, c.large, c.available)
		if !errors.Is(err, ErrMemory) {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		for _, name := range c.names {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%q does not say %s", err, name)
			}
		}
	}
	// What the message says is enough is enough.
	if _, err := PlanMemory(80<<20, false, 0, 300, 8<<20, 0); err == nil {
		if _, err := PlanMemory(60<<20, false, 0, 300, 8<<20, 0); err == nil {
			t.Error("60 MiB should not do")
		}
	}
}

func TestAvailableMemory(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	base := fstest.MapFS{"proc/meminfo": file("MemTotal: 9 kB\nMemAvailable:   1000 kB\n")}
	with := func(more fstest.MapFS) fstest.MapFS {
		for k, v := range base {
			more[k] = v
		}
		return more
	}
	for name, c := range map[string]struct {
		root   fstest.MapFS
		bytes  int64
		source string
	}{
		"machine": {base, 1000 << 10, "the machine"},
		"v2": {with(fstest.MapFS{
			"proc/self/cgroup":                 file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max":     file("max\n"),
			"sys/fs/cgroup/a/b/memory.current": file("5\n"),
			"sys/fs/cgroup/a/memory.max":       file("500000\n"),
			"sys/fs/cgroup/a/memory.current":   file("400000\n"),
			"sys/fs/cgroup/a/memory.stat":      file("anon 1\ninactive_file 50000\n"),
		}), 150000, "the control group /a"},
		"v2 in a container": {with(fstest.MapFS{
			"proc/self/cgroup":             file("0::/not/visible\n"),
			"sys/fs/cgroup/memory.max":     file("100\n"),
			"sys/fs/cgroup/memory.current": file("300\n"),
		}), 0, "the control group /"},
		"v1": {with(fstest.MapFS{
			"proc/self/cgroup": file("9:cpu:/\n4:memory:/x\n0::/\n"),
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("900\n"),
			"sys/fs/cgroup/memory/x/memory.usage_in_bytes": file("200\n"),
			"sys/fs/cgroup/memory/x/memory.stat":           file("total_inactive_file 33\n"),
		}), 733, "the control group /x"},
		"wide group": {with(fstest.MapFS{
			"proc/self/cgroup":             file("0::/\n"),
			"sys/fs/cgroup/memory.max":     file("90000000000\n"),
			"sys/fs/cgroup/memory.current": file("1\n"),
		}), 1000 << 10, "the machine"},
	} {
		bytes, source, err := availableMemory(c.root)
		if err != nil || bytes != c.bytes || source != c.source {
			t.Errorf("%s: %d, %q, %v; want %d, %q", name, bytes, source, err, c.bytes, c.source)
		}
	}
	if _, _, err := availableMemory(fstest.MapFS{}); err == nil {
		t.Error("no /proc/meminfo is no error")
	}
	if n, source, err := AvailableMemory(); err != nil || n <= 0 {
		t.Errorf("this machine: %d, %q, %v", n, source, err)
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1 << 10: "1KiB", 1536: "1.5KiB", 256 << 20: "256MiB", 1 << 40: "1TiB"} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
