package engine

import (
	"math"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
)

// readMetrics holds the joined metrics against the Prometheus text format: each
// metric is described once, before its samples, which stand together; no sample
// comes twice; every value is a number. It gives the samples.
func readMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	types, samples, current := map[string]string{}, map[string]float64{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if types[name] != "" {
				t.Errorf("%s is described twice", name)
			}
			types[name], current = kind, name
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 {
			t.Errorf("the line %q is no sample", line)
			continue
		}
		v, err := strconv.ParseFloat(line[cut+1:], 64)
		if err != nil || math.IsNaN(v) {
			t.Errorf("the line %q has no value", line)
		}
		if _, twice := samples[line[:cut]]; twice {
			t.Errorf("%s comes twice", line[:cut])
		}
		samples[line[:cut]] = v
		name, _, _ := strings.Cut(line[:cut], "{")
		if types[current] == "histogram" || types[current] == "summary" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, suffix)
			}
		}
		if name != current {
			t.Errorf("%s stands under the description of %s", line[:cut], current)
		}
		if strings.HasSuffix(name, "_total") != (types[name] == "counter") {
			t.Errorf("%s is a %s", name, types[name])
		}
	}
	return samples
}

// TestMetricsOfCluster: a node of a cluster has the cluster's metrics besides, and a
// part of its memory for it.
func TestMetricsOfCluster(t *testing.T) {
	node, url := run(t, clustered("n"))
	poll(t, "the node is ready", node.Ready)
	_, text := ask(t, "GET", url+"/metrics", "")
	samples := readMetrics(t, text)
	for name, want := range map[string]float64{
		"smache_ready": 1,
		`smache_cluster_members{state="serving"}`:  1,
		"smache_gossip_members":                    0,
		`smache_memory_plan_bytes{part="cluster"}`: float64(node.Plan().Cluster),
	} {
		if got, ok := samples[name]; !ok || got != want || name != "smache_gossip_members" && got == 0 {
			t.Errorf("%s is %v (%t), want %v", name, got, ok, want)
		}
	}
	poll(t, "the node holds every slot", func() bool {
		_, text := ask(t, "GET", url+"/metrics", "")
		return readMetrics(t, text)["smache_slots_held"] == 65536
	})
	if status, answer := ask(t, "POST", url+"/api", `{"key":"k","data":{}}`); status != 200 || node.Len() != 1 {
		t.Errorf("POST answers %d %s, and there are %d entries", status, answer, node.Len())
	}
}

func TestMetricsText(t *testing.T) {
	node, url := run(t, small(`smache@"odd\name`))
	if status, _ := ask(t, "POST", url+"/api", `{"key":"k","data":{}}`); status != 200 {
		t.Fatal("the write failed")
	}
	_, text := ask(t, "GET", url+"/metrics", "")
	samples := readMetrics(t, text)
	plan := node.Plan()
	for name, want := range map[string]float64{
		"smache_ready":                              1,
		"smache_entries":                            1,
		`smache_memory_plan_bytes{part="total"}`:    128 << 20,
		`smache_memory_plan_bytes{part="go_limit"}`: float64(plan.GoLimit),
		`smache_memory_bytes{part="arena"}`:         float64(plan.Arena),
		`go_gc_pause_seconds_bucket{le="+Inf"}`:     samples["go_gc_pause_seconds_count"],
	} {
		if got, ok := samples[name]; !ok || got != want {
			t.Errorf("%s is %v (%t), want %v", name, got, ok, want)
		}
	}
	for _, name := range []string{
		`smache_memory_bytes{part="heap"}`, `smache_memory_bytes{part="stacks"}`, `smache_memory_bytes{part="go"}`,
		`smache_memory_bytes{part="index"}`, "go_goroutines", "go_gc_memory_limit_bytes", "process_start_time_seconds",
	} {
		if samples[name] <= 0 {
			t.Errorf("%s is %v", name, samples[name])
		}
	}
	build := ReadBuild("")
	want := `smache_build_info{version="` + build.Version + `",revision="` + build.Revision + `",go="` + build.Go + `"}`
	if samples[want] != 1 {
		t.Errorf("there is no %s", want)
	}
}

// TestResident: where the kernel tells, the touched arena is resident.
func TestResident(t *testing.T) {
	resident, ok := residentBytes()
	if !ok {
		t.Log("this system does not tell")
		return
	}
	if resident < 1<<20 {
		t.Errorf("%d bytes are resident", resident)
	}
}

func TestPauses(t *testing.T) {
	h := &metrics.Float64Histogram{
		Counts:  []uint64{1, 2, 3, 4, 5},
		Buckets: []float64{math.Inf(-1), 1e-6, 1e-5, 2e-3, 1, math.Inf(1)},
	}
	got := string(appendPauses(nil, h))
	for _, want := range []string{
		`go_gc_pause_seconds_bucket{le="1e-05"} 3` + "\n", `go_gc_pause_seconds_bucket{le="0.003"} 6` + "\n",
		`go_gc_pause_seconds_bucket{le="1"} 10` + "\n", `go_gc_pause_seconds_bucket{le="+Inf"} 15` + "\n",
		"go_gc_pause_seconds_count 15\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

func TestLabel(t *testing.T) {
	if got := string(appendLabel(nil, "a\"b\\c\nd")); got != `"a\"b\\c\nd"` {
		t.Errorf("the label is %s", got)
	}
}

// TestMetricsCount: what happens to a node shows in its metrics.
func TestMetricsCount(t *testing.T) {
	_, url := run(t, small("n"))
	for _, r := range [][3]string{
		{"POST", "/api", `{"key":"a","data":{"n":1}}`},
		{"POST", "/api", `{"key":"a","data":{"n":1}}`}, // equal
		{"POST", "/api", `{"key":"b","data":{"n":2}}`},
		{"POST", "/api", `{"key":"brief","data":{},"ttl":0.01}`},
		{"GET", "/api?key=a", ""},
		{"GET", "/api?key=b", ""},
		{"GET", "/api?key=none", ""},
		{"POST", "/api/mget", `{"keys":["a","none"]}`},
		{"POST", "/api", `{`},
	} {
		ask(t, r[0], url+r[1], r[2], "Content-Type", "application/json")
	}
	var samples map[string]float64
	poll(t, "the brief one expires, and the sweeper has met others", func() bool {
		_, text := ask(t, "GET", url+"/metrics", "")
		samples = readMetrics(t, text)
		return samples["smache_expirations_total"] == 1 && samples["smache_arena_age_seconds"] > 0
	})
	for name, want := range map[string]float64{
		`smache_http_requests_total{route="post",status="200"}`:     4,
		`smache_http_requests_total{route="post",status="400"}`:     1,
		`smache_http_requests_total{route="get",status="200"}`:      3,
		`smache_http_request_seconds_count{route="get"}`:            3,
		`smache_http_request_seconds_bucket{route="get",le="+Inf"}`: 3,
		`smache_http_request_seconds_count{route="mget"}`:           1,
		"smache_http_hits_total":                                    3,
		"smache_http_misses_total":                                  2,
		"smache_http_panics_total":                                  0,
		"smache_entries":                                            2,
		"smache_writes_total":                                       3,
		"smache_equal_writes_total":                                 1,
		"smache_evictions_total":                                    0,
		"smache_queue_refusals_total":                               0,
		"smache_queue_depth":                                        0,
		"smache_queue_limit":                                        4096,
	} {
		if got, ok := samples[name]; !ok || got != want {
			t.Errorf("%s is %v (%t), want %v", name, got, ok, want)
		}
	}
	for _, name := range []string{"smache_arena_age_seconds", "smache_arena_live_bytes", "smache_index_bytes", `smache_http_request_seconds_sum{route="get"}`} {
		if got := samples[name]; got <= 0 {
			t.Errorf("%s is %v", name, got)
		}
	}
}
