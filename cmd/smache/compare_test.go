package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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

// comparePort finds the port below as many free ones as compare.sh takes.
func comparePort(t *testing.T) string {
	t.Helper()
search:
	for range 1000 {
		port := 4100 + rand.IntN(5800)
		for i := range 7 {
			p := port + 1 + i
			if _, given := portsGiven.LoadOrStore(p, true); given || slices.Contains(badPorts, p) || !portFree(p) {
				continue search
			}
		}
		return strconv.Itoa(port)
	}
	t.Fatal("there are no free ports")
	return ""
}

// compare runs compare.sh with few requests.
func compare(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	args = append([]string{"scripts/compare.sh", "--rounds", "1", "--requests", "100", "--clients", "5"}, args...)
	return execute(t, repository(t), "", append(env, "SMACHE="+binary), "bash", args...)
}

// TestCompareScript: rows of load, memory and start, in small, each with those servers
// alone that are asked for.
func TestCompareScript(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"cc", "redis-server", "memcached", "nginx", "curl"} {
		server(t, name)
	}
	out := t.TempDir()
	env := []string{"PORT=" + comparePort(t)}
	for _, test := range []struct {
		args    []string
		started []string // of load, and of memory
		lines   []string // expressions, of the table
	}{
		{
			[]string{"load", "--only", "^(floor|nginx|redis|memcached|smache), GET|nodes, POST"}, []string{"floor", "nginx", "memcached", "redis", "smache", "two nodes"},
			[]string{"floor, GET", "nginx, GET", "redis, GET", "memcached, GET", "smache, GET", "smache, two nodes, POST"},
		},
		{
			[]string{"load", "--only", "^(fasthttp|redis), (POST|SET)", "--append"}, []string{"redis", "fasthttp"},
			[]string{"floor, GET", "redis, SET", "fasthttp, POST"},
		},
		{
			[]string{"memory", "--entries", "1000", "--only", "smache|redis|memcached"}, []string{"smache", "redis", "memcached"},
			[]string{`smache \| 1000 \| 1000`, `redis \| 1000 \| 1000`, `memcached \| 1000 \| 1000`},
		},
		{
			[]string{"start"}, nil,
			[]string{"floor", "gnet", "nginx", "nethttp", "fasthttp", "memcached", "redis", "smache"},
		},
	} {
		code, stdout, stderr := compare(t, env, append(test.args, "--out", out)...)
		if code != exitOK {
			t.Fatalf("%v: exit %d\n%s%s", test.args, code, stdout, stderr)
		}
		var started []string
		for _, m := range regexp.MustCompile(`(?m)^compare\.sh: (?:starting|writing 1000 entries to) (.*)$`).FindAllStringSubmatch(stderr, -1) {
			started = append(started, m[1])
		}
		if slices.Sort(started); !slices.Equal(started, slices.Sorted(slices.Values(test.started))) {
			t.Errorf("%v starts %q: %s", test.args, started, stderr)
		}
		for _, line := range test.lines {
			if !regexp.MustCompile(`(?m)^\| ` + line + ` \|`).MatchString(stdout) {
				t.Errorf("%v: no row %q in\n%s%s", test.args, line, stdout, stderr)
			}
		}
		if table, err := os.ReadFile(filepath.Join(out, "table.md")); err != nil || string(table) != stdout {
			t.Errorf("%v: %v, table.md is\n%s", test.args, err, table)
		}
	}
}

// TestCompareScriptFails: a server that ends is named, with the last that it said; and so
// are packages that are missing, of what is asked for.
func TestCompareScriptFails(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	program := func(dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!"+bash+"\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out := t.TempDir()
	broken := t.TempDir() // what go builds there ends at once
	program(broken, "go", `while [[ $1 != -o ]]; do shift; done
printf '#!/bin/sh\necho it has no legs >&2\nexit 3\n' >"$2"
chmod +x "$2"
`)
	path := "PATH=" + broken + ":" + os.Getenv("PATH")
	code, stdout, stderr := compare(t, []string{path, "PORT=" + comparePort(t)}, "load", "--only", "^fasthttp, POST", "--out", out)
	if code != 1 || stdout != "" || !strings.HasSuffix(stderr, "compare.sh: fasthttp has ended\nit has no legs\n") {
		t.Errorf("a server that ends: exit %d\n%s%s", code, stdout, stderr)
	}

	bare := t.TempDir() // no program that is asked for is in the path
	for _, name := range []string{"dirname", "sed", "bash"} {
		found, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(found, filepath.Join(bare, name)); err != nil {
			t.Fatal(err)
		}
	}
	program(bare, "apt-get", `echo "apt-get $*"`+"\n")
	for _, test := range []struct {
		args           []string
		stdout, stderr string
	}{
		{[]string{"memory", "--only", "smache"}, "", "compare.sh: missing: curl; give --install, or install them yourself\n"},
		{[]string{"load", "--only", "^floor|redis, SET"}, "", "compare.sh: missing: gcc libc6-dev redis-server; give --install, or install them yourself\n"},
		{[]string{"seed"}, "", "compare.sh: missing: curl apache2-utils; give --install, or install them yourself\n"},
		{[]string{"start", "--only", "memcached", "--install"}, "apt-get update\napt-get install -y --no-install-recommends memcached\n", ""},
		{[]string{"load", "--only", "nothing"}, "", "compare.sh: --only nothing names nothing of load\n"},
	} {
		code, stdout, stderr := compare(t, []string{"PATH=" + bare}, append(test.args, "--out", out)...)
		if code == 0 || stdout != test.stdout || test.stderr != "" && stderr != test.stderr {
			t.Errorf("%v: exit %d\n%s%s", test.args, code, stdout, stderr)
		}
	}
}
