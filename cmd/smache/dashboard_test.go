package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
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

// TestDashboardMetrics: every metric that the alerts and the dashboard name is one that
// a node of a cluster prints, with the labels that they ask for.
func TestDashboardMetrics(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	f.begin(0, 1)
	f.settle()
	if status, body := f.nodes[0].get("/api?key=a"); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	_, text := f.nodes[0].get("/metrics")
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
	for _, label := range []string{`code="queue_full"`, `code="overloaded"`, `code="unreachable"`, `code="busy"`, `code="internal"`, `part="resident"`, `part="total"`, `state="serving"`, `smache_reloads_total{result="failed"}`} {
		if !strings.Contains(text, label) {
			t.Errorf("no metric has %s", label)
		}
	}
}

// TestAlertsAreDocumented: docs/OPERATIONS.md says of every alert what to do, and of no
// other.
func TestAlertsAreDocumented(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join(repository(t), "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	var alerts, documented []string
	for _, found := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(prometheusFile(t, "alerts.yaml"), -1) {
		alerts = append(alerts, found[1])
	}
	for _, found := range regexp.MustCompile("(?m)^\\| `(Smache\\w+)` \\|").FindAllStringSubmatch(string(manual), -1) {
		documented = append(documented, found[1])
	}
	if len(alerts) < 10 || !slices.Equal(alerts, documented) {
		t.Errorf("alerts   %q\nmanual   %q", alerts, documented)
	}
}

// TestExpressions has Prometheus's own tool parse every expression. Where it is not
// installed, the alerts are not parsed; CI installs it.
func TestExpressions(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("promtool is not installed")
	}
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
	for _, file := range []string{filepath.Join(repository(t), "scripts", "prometheus", "alerts.yaml"), board} {
		if output, err := exec.Command(tool, "check", "rules", file).CombinedOutput(); err != nil {
			t.Errorf("promtool check rules %s: %v\n%s", file, err, output)
		}
	}
}
