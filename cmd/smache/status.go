package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/smache/smache/engine"
	"github.com/smache/smache/proto"
)

// clusterBody is the answer of /cluster, as far as it is shown.
type clusterBody struct {
	Node    string `json:"node"`
	Epoch   string `json:"epoch"`
	Members []struct {
		Name    string `json:"name"`
		State   string `json:"state"`
		Slots   int    `json:"slots"`
		HTTP    string `json:"http"`
		Peer    string `json:"peer"`
		Version string `json:"version"`
	} `json:"members"`
	Moving int `json:"moving"`
}

// runStatus shows the cluster and the figures of the node that was asked.
func runStatus(inv invocation) int {
	cfg := newClientConfig()
	var asJSON, quiet, watching boolValue
	var wait durationValue
	settings := append(cfg.settings(),
		setting{name: "json", value: &asJSON, about: "Print JSON: {\"ready\", \"cluster\", \"metrics\"}", flag: true},
		setting{name: "quiet", value: &quiet, about: "Print nothing; the exit code says whether the node is ready. For health checks", flag: true},
		setting{name: "wait", unit: "DURATION", value: &wait, about: "Wait, but no longer than that, until the node is ready, no other is joining or leaving, and no slot of the cluster is moving; the exit code says whether that is so", flag: true},
		setting{name: "watch", value: &watching, about: "Write a line for each member again and again, for logs: every 10 seconds, or as often as the argument says", flag: true})
	rest, code, ok := parseCommand(inv, "status", settings, 0, 1)
	if !ok {
		return code
	}
	every := durationValue(watchEvery)
	switch {
	case len(rest) == 1 && !bool(watching):
		return usageError(inv, "status", fmt.Errorf("unexpected argument %q", rest[0]))
	case len(rest) == 1:
		if err := every.Set(rest[0]); err != nil || every == 0 {
			return usageError(inv, "status", fmt.Errorf("--watch %s: must be a time above zero, such as 5s", rest[0]))
		}
	}
	c, err := newClient(cfg)
	if err != nil {
		return usageError(inv, "status", err)
	}
	if watching {
		return watch(inv, c, time.Duration(every))
	}
	s := askStatus(inv.ctx, c, bool(quiet) && wait == 0)
	for deadline := time.Now().Add(time.Duration(wait)); wait > 0 && !s.settled() && time.Now().Before(deadline); {
		<-time.After(waitEvery)
		s = askStatus(inv.ctx, c, false)
	}
	if s.failed {
		return fail(inv, "status", s.last, s.err)
	}
	if !s.ready || wait > 0 && !s.settled() {
		code = exitNo
	}
	switch {
	case bool(quiet):
	case bool(asJSON):
		if failed := printJSON(inv, map[string]any{"ready": s.ready, "cluster": s.raw, "metrics": s.figures}); failed != exitOK {
			return failed
		}
	default:
		printStatus(inv, s.cluster, s.ready, s.figures)
	}
	return code
}

// waitEvery is the pause between two questions of status --wait.
const waitEvery = 200 * time.Millisecond

// A nodeStatus is what a node says of itself. If failed, last and err are the answer
// that was none.
type nodeStatus struct {
	ready   bool
	raw     json.RawMessage // the answer of /cluster
	cluster clusterBody
	figures metricSet

	failed bool
	last   answer
	err    error
}

// settled says that the node is ready, that it knows of none which is about to join or
// to leave, and that no slot is on its way.
func (s *nodeStatus) settled() bool {
	for _, m := range s.cluster.Members {
		if m.State != "serving" {
			return false
		}
	}
	return !s.failed && s.ready && s.cluster.Moving == 0
}

// askStatus asks a node; brief, only whether it is ready.
func askStatus(ctx context.Context, c *client, brief bool) (s nodeStatus) {
	ask := func(path string, good ...int) []byte {
		if s.failed {
			return nil
		}
		s.last, s.err = c.do(ctx, http.MethodGet, path, nil, nil)
		s.failed = s.err != nil || !slices.Contains(good, s.last.status)
		return s.last.body
	}
	ask("/readyz", http.StatusOK, http.StatusServiceUnavailable)
	if s.ready = s.last.status == http.StatusOK; brief {
		return s
	}
	if s.raw = ask("/cluster", http.StatusOK); !s.failed {
		s.failed = json.Unmarshal(s.raw, &s.cluster) != nil
	}
	s.figures = parseMetrics(string(ask("/metrics", http.StatusOK)))
	return s
}

func printStatus(inv invocation, cluster clusterBody, ready bool, figures metricSet) {
	printMembers(inv.stdout, cluster)
	rows := [][]string{{"node", cluster.Node}, {"ready", map[bool]string{true: "yes", false: "no"}[ready]}}
	for _, f := range statusFigures {
		if v, ok := figures.sum(f.metric, f.label); ok {
			rows = append(rows, []string{f.name, f.show(v)})
		}
	}
	if begin, ok := figures.sum("process_start_time_seconds", ""); ok {
		up := time.Since(time.UnixMilli(int64(begin * 1000))).Round(time.Second)
		rows = append(rows, []string{"up", formatDuration(max(up, 0))})
	}
	table(inv.stdout, rows)
}

// printMembers prints one line for each member, in the order of the answer, which
// is that of their names, and what is under way.
func printMembers(w io.Writer, cluster clusterBody) {
	rows := [][]string{{"MEMBER", "STATE", "SLOTS", "SHARE", "HTTP", "PEER", "VERSION"}}
	for _, m := range cluster.Members {
		rows = append(rows, []string{
			m.Name, m.State, strconv.Itoa(m.Slots), showShare(m.Slots), dashed(m.HTTP), dashed(m.Peer), dashed(m.Version),
		})
	}
	table(w, rows)
	moving := strconv.Itoa(cluster.Moving) + " slots moving"
	if cluster.Moving == 1 {
		moving = "1 slot moving"
	}
	fmt.Fprintf(w, "\nepoch %s, %s\n\n", cluster.Epoch, moving)
}

// showShare is a number of slots in parts of a hundred.
func showShare(slots int) string {
	return strconv.FormatFloat(float64(slots)*100/proto.Slots, 'f', 1, 64) + "%"
}

// dashed keeps a column from being empty.
func dashed(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// statusFigures are the metrics that the table shows, and how.
var statusFigures = []struct {
	name, metric, label string
	show                func(float64) string
}{
	{"entries", "smache_entries", "", showCount},
	{"hits", "smache_http_hits_total", "", showCount},
	{"misses", "smache_http_misses_total", "", showCount},
	{"evictions", "smache_evictions_total", "", showCount},
	{"expirations", "smache_expirations_total", "", showCount},
	{"arena age", "smache_arena_age_seconds", "", showSeconds},
	{"memory, total", "smache_memory_plan_bytes", `part="total"`, showBytes},
	{"memory, arena", "smache_memory_bytes", `part="arena"`, showBytes},
	{"memory, heap", "smache_memory_bytes", `part="heap"`, showBytes},
	{"memory, resident", "smache_memory_bytes", `part="resident"`, showBytes},
	{"connections", "smache_http_connections", "", showCount},
	{"requests", "smache_http_requests_total", "", showCount},
	{"writes refused", "smache_queue_refusals_total", "", showCount},
}

func showCount(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

func showBytes(v float64) string { return engine.FormatBytes(int64(v)) }

func showSeconds(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(time.Millisecond).String()
}

// A metricSet maps each sample of a Prometheus text, name with labels, to its
// value.
type metricSet map[string]float64

// parseMetrics reads the samples of a Prometheus text; what it cannot read it
// leaves out.
func parseMetrics(text string) metricSet {
	set := metricSet{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 {
			continue
		}
		if v, err := strconv.ParseFloat(line[cut+1:], 64); err == nil && v-v == 0 {
			set[line[:cut]] = v
		}
	}
	return set
}

// sum adds up the samples of a metric whose labels contain a text, and says
// whether there is any.
func (m metricSet) sum(metric, label string) (total float64, found bool) {
	for name, v := range m {
		bare, labels, _ := strings.Cut(name, "{")
		if bare == metric && strings.Contains(labels, label) {
			total += v
			found = true
		}
	}
	return total, found
}
