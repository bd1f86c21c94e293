package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// prometheusFile reads a file of scripts/prometheus.
func prometheusFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "scripts", "prometheus", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dashboardExpressions are those of all panels, with Grafana's variables replaced.
func dashboardExpressions(t *testing.T) (expressions []string) {
	t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(prometheusFile(t, "dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$job", "smache", "$instance", ".*", "$__rate_interval", "1m")
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			expressions = append(expressions, fill.Replace(target.Expr))
		}
	}
	if len(expressions) < 20 {
		t.Fatalf("the dashboard has %d expressions", len(expressions))
	}
	return expressions
}

// metricName finds what can only be the name of one of this program's metrics.
var metricName = regexp.MustCompile(`\b(?:smache|process|go)_[a-z0-9_]+`)

// secureMetrics gives what a node prints that speaks TLS.
func secureMetrics(t *testing.T) string {
	t.Helper()
	pair := newKeyPair(t, t.TempDir(), "node", time.Now().Add(time.Hour))
	p := start(t, nil, "serve", "--listen", "127.0.0.1:0", "--memory", "160MiB", "--tls-cert", pair.cert, "--tls-key", pair.key)
	address, _ := p.await("serving")["address"].(string)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Get("https://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDashboardMetrics: every metric that the alerts and the dashboard name is one that
// a node of a cluster prints, with the labels that they ask for.
func TestDashboardMetrics(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, unhurried...)
	f.begin(0, 1)
	f.settle()
	if status, body := f.nodes[0].get("/api?key=a"); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	_, text := f.nodes[0].get("/metrics")
	text += secureMetrics(t)
	var names []string
	for line := range strings.Lines(text) {
		if name := metricName.FindString(line); name != "" && !strings.HasPrefix(line, "#") {
			names = append(names, name)
		}
	}
	sources := append(dashboardExpressions(t), prometheusFile(t, "alerts.yaml"))
	asked := 0
	for _, source := range sources {
		for _, name := range metricName.FindAllString(source, -1) {
			asked++
			if !slices.Contains(names, name) {
				t.Errorf("there is no metric %s, and asked is\n%s", name, source)
			}
		}
	}
	if asked < 50 {
		t.Errorf("only %d metrics were looked up", asked)
	}
	// What the alerts are tested with is what a node prints, label by label.
	for _, found := range regexp.MustCompile(`series: '(\w+)\{job="smache", instance="\w"(?:, )?(.*)\}'`).FindAllStringSubmatch(prometheusFile(t, "alerts_test.yaml"), -1) {
		series := found[1]
		if found[2] != "" {
			series += "{" + found[2] + "}"
		}
		if series != "up" && !strings.Contains(text, "\n"+series+" ") {
			t.Errorf("there is no series %s", series)
		}
	}
	for _, label := range []string{`part="resident"`, `part="total"`} {
		if !strings.Contains(text, label) {
			t.Errorf("no metric has %s", label)
		}
	}
}

// TestDashboardExpressions has Prometheus's own tool parse every expression.
func TestDashboardExpressions(t *testing.T) {
	tool := promtool(t)
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, expression := range dashboardExpressions(t) {
		quoted, err := json.Marshal(expression)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&rules, "  - record: dashboard:%d\n    expr: %s\n", i, quoted)
	}
	board := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(board, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(tool, "check", "rules", board).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, output)
	}
}
