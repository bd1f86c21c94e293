package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smache/smache/bench"
)

// compare.awk reads what smache bench --csv writes, round by round, and makes a table
// of medians and a plot.
func TestCompareTable(t *testing.T) {
	dir := t.TempDir()
	var load bytes.Buffer
	for round := range 3 {
		for i, label := range []string{"floor, GET", "redis, GET", "smache, GET"} {
			cpu := float64(10*(i+1) + round)
			r := bench.Result{
				Label: label, Scenario: "get", About: "1 key, values of 58 bytes", RequestsPerSecond: 1000 * cpu,
				Latency: bench.LatencySummary{P50: 1, P99: 2 + cpu, P999: 3 + cpu}, Server: &bench.ServerSummary{PerRequest: cpu},
				CPU: bench.CPUSummary{Bottleneck: i == 0 && round == 1},
			}
			if err := r.WriteCSV(&load); err != nil {
				t.Fatal(err)
			}
		}
	}
	files := map[string]string{
		"load.csv": load.String(), "memory.csv": "redis,1000,990,99000\n", "start.csv": "nginx,15000\nfloor,5000\nnginx,19000\nnginx,17000\n",
	}
	svg := filepath.Join(dir, "compare.svg")
	args := []string{"-v", "clients=900", "-v", "svg=" + svg, "-v", "labels=floor, GET|smache, GET", "-f", "scripts/compare.awk"}
	for _, name := range []string{"load.csv", "memory.csv", "start.csv"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	code, stdout, stderr := execute(t, repository(t), "", nil, "awk", args...)
	for _, line := range []string{
		// In the order of labels, and behind them what they do not name.
		"| floor, GET | 11.0 (10.0 .. 12.0) | 1.00 | 11000 * | 1.0 | 13.0 | 14.0 |\n" +
			"| smache, GET | 31.0 (30.0 .. 32.0) | 2.82 | 31000 | 1.0 | 33.0 | 34.0 |\n" +
			"| redis, GET | 21.0 (20.0 .. 22.0) | 1.91 | 21000 | 1.0 | 23.0 | 24.0 |",
		"| redis | 1000 | 990 | 0 | 100 |",
		"| start | ms (lowest .. highest) |\n| --- | --- |\n| floor | 5 (5 .. 5) |\n| nginx | 17 (15 .. 19) |", // the fastest first
	} {
		if !strings.Contains(stdout, line+"\n") {
			t.Errorf("exit %d, %s: no line %q in\n%s", code, stderr, line, stdout)
		}
	}
	text, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(bytes.NewReader(text))
	bars := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if want := 1 + 3*3; bars != want { // the ground, and three for each row
		t.Errorf("%d rectangles in place of %d:\n%s", bars, want, text)
	}
}
