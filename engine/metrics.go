package engine

import (
	"math"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
)

// AppendMetrics appends the metrics of the whole node as Prometheus text: its
// own, then those of the API, of the store and of the cluster. It may be called
// from any goroutine.
func (n *Node) AppendMetrics(dst []byte) []byte {
	dst = n.appendBuild(dst)
	dst = n.appendMemory(dst)
	dst = appendRuntime(dst)
	dst = n.api.AppendMetrics(dst)
	if n.access != nil {
		dst = n.access.AppendMetrics(dst)
	}
	if n.cfg.MoreMetrics != nil {
		dst = n.cfg.MoreMetrics(dst)
	}
	dst = n.store.AppendMetrics(dst)
	if n.members != nil {
		dst = n.members.AppendMetrics(dst)
	}
	return dst
}

func (n *Node) appendBuild(dst []byte) []byte {
	dst = appendHead(dst, "smache_build_info", "gauge", "What binary this is; always 1.")
	dst = append(dst, "smache_build_info{version="...)
	dst = appendLabel(dst, n.build.Version)
	dst = append(dst, ",revision="...)
	dst = appendLabel(dst, n.build.Revision)
	dst = append(dst, ",go="...)
	dst = appendLabel(dst, n.build.Go)
	dst = append(dst, "} 1\n"...)

	ready := 0.0
	if n.Ready() {
		ready = 1
	}
	dst = appendSingle(dst, "smache_ready", "gauge", "1 if the node serves, has joined its cluster if it has one, and is not about to leave.", ready)
	dst = appendSingle(dst, "process_start_time_seconds", "gauge", "When the node was built, in seconds since 1970.", float64(n.started.UnixMilli())/1000)
	if seconds, ok := processorSeconds(); ok {
		dst = appendSingle(dst, "process_cpu_seconds_total", "counter", "Processor time of the process, user and system.", seconds)
	}
	const reloads = "smache_reloads_total"
	dst = appendHead(dst, reloads, "counter", "Times that tokens or certificates were read again, by how it went; where it failed the old ones stay.")
	dst = append(strconv.AppendUint(append(dst, reloads+`{result="done"} `...), n.reloads[0].Load(), 10), '\n')
	return append(strconv.AppendUint(append(dst, reloads+`{result="failed"} `...), n.reloads[1].Load(), 10), '\n')
}

// appendMemory appends the plan that --memory was divided by, and what the
// process has in use, part by part.
func (n *Node) appendMemory(dst []byte) []byte {
	const plan = "smache_memory_plan_bytes"
	dst = appendHead(dst, plan, "gauge", "What --memory is divided into.")
	for _, part := range []struct {
		name  string
		bytes int64
	}{
		{"total", n.plan.Total}, {"arena", n.plan.Arena}, {"index", n.plan.Index},
		{"connections", n.plan.Connections}, {"large", n.plan.Large}, {"runtime", n.plan.Runtime},
		{"cluster", n.plan.Cluster}, {"go_limit", n.plan.GoLimit},
	} {
		dst = appendPart(dst, plan, part.name, float64(part.bytes))
	}

	const used = "smache_memory_bytes"
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	heap, stacks := number(samples[0]), number(samples[1])
	dst = appendHead(dst, used, "gauge", "Memory in use: arena, off the Go heap; heap, of which index is the store's; stacks; go, all of the Go runtime; resident, as the kernel counts the process.")
	dst = appendPart(dst, used, "arena", float64(n.plan.Arena))
	dst = appendPart(dst, used, "index", float64(n.store.Stats().IndexBytes))
	dst = appendPart(dst, used, "heap", heap)
	dst = appendPart(dst, used, "stacks", stacks)
	dst = appendPart(dst, used, "go", number(samples[2])-number(samples[3]))
	if resident, ok := residentBytes(); ok {
		dst = appendPart(dst, used, "resident", float64(resident))
	}
	return dst
}

// residentBytes reads what the kernel counts as resident. Only Linux has it.
func residentBytes() (int64, bool) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0, false
	}
	return pages * int64(os.Getpagesize()), true
}

// runtimeGauges are figures of the Go runtime that are passed on as they are.
var runtimeGauges = []struct{ metric, kind, source, help string }{
	{"go_goroutines", "gauge", "/sched/goroutines:goroutines", "Live goroutines."},
	{"go_threads_limit", "gauge", "/sched/gomaxprocs:threads", "GOMAXPROCS: threads that run Go code at once."},
	{"go_gc_cycles_total", "counter", "/gc/cycles/total:gc-cycles", "Collections of the Go heap."},
	{"go_gc_heap_live_bytes", "gauge", "/gc/heap/live:bytes", "What the last collection left of the Go heap."},
	{"go_gc_heap_goal_bytes", "gauge", "/gc/heap/goal:bytes", "The size of the Go heap at which the next collection ends."},
	{"go_gc_memory_limit_bytes", "gauge", "/gc/gomemlimit:bytes", "GOMEMLIMIT."},
	{"go_heap_allocated_bytes_total", "counter", "/gc/heap/allocs:bytes", "Bytes allocated on the Go heap."},
	{"go_heap_allocated_objects_total", "counter", "/gc/heap/allocs:objects", "Objects allocated on the Go heap."},
}

// pauseBounds are the bounds in seconds that the pauses are counted by; the
// runtime's own are too many to store.
var pauseBounds = []float64{1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1, 1}

func appendRuntime(dst []byte) []byte {
	samples := make([]metrics.Sample, len(runtimeGauges)+1)
	for i, g := range runtimeGauges {
		samples[i].Name = g.source
	}
	samples[len(runtimeGauges)].Name = "/sched/pauses/total/gc:seconds"
	metrics.Read(samples)
	for i, g := range runtimeGauges {
		dst = appendSingle(dst, g.metric, g.kind, g.help, number(samples[i]))
	}
	if s := samples[len(runtimeGauges)]; s.Value.Kind() == metrics.KindFloat64Histogram {
		dst = appendPauses(dst, s.Value.Float64Histogram())
	}
	return dst
}

// appendPauses appends the pauses for collections as a histogram. A bucket of
// the runtime counts as wholly at or below its upper end; the sum takes its
// middle.
func appendPauses(dst []byte, h *metrics.Float64Histogram) []byte {
	const name = "go_gc_pause_seconds"
	dst = appendHead(dst, name, "histogram", "Pauses of all goroutines for a collection.")
	counts := make([]uint64, len(pauseBounds)+1)
	total, sum := uint64(0), 0.0
	for i, c := range h.Counts {
		if c == 0 {
			continue
		}
		low, high := h.Buckets[i], h.Buckets[i+1]
		total += c
		switch {
		case math.IsInf(low, -1):
			sum += float64(c) * high
		case math.IsInf(high, 1):
			sum += float64(c) * low
		default:
			sum += float64(c) * (low + high) / 2
		}
		slot := len(pauseBounds)
		for j, bound := range pauseBounds {
			if high <= bound {
				slot = j
				break
			}
		}
		counts[slot] += c
	}
	running := uint64(0)
	for i, bound := range pauseBounds {
		running += counts[i]
		dst = append(dst, name+`_bucket{le="`...)
		dst = strconv.AppendFloat(dst, bound, 'g', -1, 64)
		dst = append(dst, `"} `...)
		dst = strconv.AppendUint(dst, running, 10)
		dst = append(dst, '\n')
	}
	dst = append(dst, name+`_bucket{le="+Inf"} `...)
	dst = strconv.AppendUint(dst, total, 10)
	dst = append(dst, "\n"+name+"_sum "...)
	dst = strconv.AppendFloat(dst, sum, 'g', -1, 64)
	dst = append(dst, "\n"+name+"_count "...)
	dst = strconv.AppendUint(dst, total, 10)
	return append(dst, '\n')
}

// number gives a sample as a float; 0 if this runtime does not have it.
func number(s metrics.Sample) float64 {
	switch s.Value.Kind() {
	case metrics.KindUint64:
		return float64(s.Value.Uint64())
	case metrics.KindFloat64:
		return s.Value.Float64()
	default:
		return 0
	}
}

func appendHead(dst []byte, name, kind, help string) []byte {
	dst = append(dst, "# HELP "...)
	dst = append(dst, name...)
	dst = append(dst, ' ')
	dst = append(dst, help...)
	dst = append(dst, "\n# TYPE "...)
	dst = append(dst, name...)
	dst = append(dst, ' ')
	dst = append(dst, kind...)
	return append(dst, '\n')
}

func appendSingle(dst []byte, name, kind, help string, v float64) []byte {
	dst = appendHead(dst, name, kind, help)
	dst = append(dst, name...)
	dst = append(dst, ' ')
	dst = strconv.AppendFloat(dst, v, 'g', -1, 64)
	return append(dst, '\n')
}

func appendPart(dst []byte, name, part string, v float64) []byte {
	dst = append(dst, name...)
	dst = append(dst, `{part="`...)
	dst = append(dst, part...)
	dst = append(dst, `"} `...)
	dst = strconv.AppendFloat(dst, v, 'g', -1, 64)
	return append(dst, '\n')
}

// appendLabel appends a label's value in quotes, with the escapes of the
// Prometheus text format.
func appendLabel(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
