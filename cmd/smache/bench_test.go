package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/smache/smache/bench"
)

// runBenchTest runs the subcommand as main does.
func runBenchTest(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = runBench(invocation{ctx: ctx, args: args, stdout: &out, stderr: &errs, program: binary})
	return code, out.String(), errs.String()
}

func TestBenchNode(t *testing.T) {
	p := serve(t, nil)
	few := []string{"--clients", "20", "--requests", "300"}
	small := append([]string{"--addr", p.address}, few...)
	code, stdout, stderr := runBenchTest(t.Context(), small...)
	if code != exitOK || stderr != "" {
		t.Fatalf("code %d, %s\n%s", code, stderr, stdout)
	}
	for line, count := range map[string]int{
		"Complete requests:      300\n": 3, "Failed requests:        0\n": 3,
		"Scenario:               control (": 1, "Scenario:               post (": 1, "Scenario:               get (": 1,
	} {
		if strings.Count(stdout, line) != count {
			t.Errorf("%q is not there %d times:\n%s", line, count, stdout)
		}
	}
	for _, args := range [][]string{
		{"get", "--keys", "50", "--order", "sequential", "--warmup", "10ms"},
		{"get", "--keys", "5", "--value-size", "200KiB", "--threads", "2"},
		{"post", "--keys", "50", "--duration", "1s", "--retry", "--quiet"},
		{"post", "--keys", "50", "--vary", "--ttl", "1m"},
		{"get", "--keys", "50", "--vary", "--value-size", "400"},
		{"get", "--keys", "2000", "--order", "zipf", "--rounds", "2"},
		{"mixed", "--keys", "50", "--read-share", "0.5", "--rate", "5000"},
		{"mget", "--keys", "50", "--batch", "7"},
		{"mset", "--keys", "50", "--batch", "7", "--vary"},
		{"location", "--keys", "300", "--rate", "2000"},
		{"--header", "X-Test: 1", "control", "--url", "http://" + p.address},
	} {
		if !slices.Contains(args, "--url") {
			args = append(args, "--addr", p.address)
		}
		code, stdout, stderr := runBenchTest(t.Context(), append(append(few, "--json"), args...)...)
		var result bench.Result
		if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != exitOK || stderr != "" {
			t.Errorf("%v: code %d, %v, %s\n%s", args, code, err, stderr, stdout)
		}
		if result.OK == 0 || result.OK != result.Requests {
			t.Errorf("%v: %+v", args, result)
		}
	}
	code, stdout, stderr = runBenchTest(t.Context(), "get", "--addr", p.address, "--requests", "100")
	if code != exitOK || !strings.Contains(stdout, "Concurrency Level:      100\n") || !strings.Contains(stdout, "Complete requests:      100\n") ||
		stderr != "smache bench: get: 100 clients in place of 900, one for each of --requests\n" {
		t.Errorf("code %d, %s\n%s", code, stderr, stdout)
	}
}

// The seed's rows, at nodes that bench starts itself, which are gone afterwards.
func TestBenchSeed(t *testing.T) {
	small := []string{"seed", "--clients", "20", "--requests", "300"}
	code, stdout, stderr := runBenchTest(t.Context(), small...)
	want := 9
	if strings.Contains(stdout, "\nWARNING: the generator itself was the bottleneck") { // as it may be, on a busy machine
		want++
	}
	if code != exitOK || stderr != "" || strings.Count(stdout, "\n") != want {
		t.Fatalf("code %d, %s\n%s", code, stderr, stdout)
	}
	for i, row := range seedRows {
		line := strings.Fields(strings.Split(stdout, "\n")[i+2])
		if title := strings.Join(line[:len(line)-11], " "); title != row.title || line[len(line)-1] != "0" {
			t.Errorf("row %d: %q", i, line)
		}
	}
	code, stdout, stderr = runBenchTest(t.Context(), append(small, "--json")...)
	decoder := json.NewDecoder(strings.NewReader(stdout))
	for i, row := range seedRows {
		var r bench.Result
		if err := decoder.Decode(&r); err != nil || r.Label != row.title || r.OK != 300 || r.Server == nil {
			t.Errorf("code %d, %s, row %d: %+v, %v", code, stderr, i, r, err)
		}
	}

	// The rows are compared with those of before, each with its own.
	old := filepath.Join(t.TempDir(), "old.json")
	if err := os.WriteFile(old, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = runBenchTest(t.Context(), append(small, "--compare", old)...)
	if code != exitOK || stderr != "" || strings.Count(stdout, "Compared with before:") != len(seedRows) {
		t.Errorf("code %d, %s\n%s", code, stderr, stdout)
	}

	// At a node that is alone there are three rows.
	p := serve(t, nil)
	code, stdout, stderr = runBenchTest(t.Context(), append(small, "--addr", p.address)...)
	if code != exitOK || strings.Count(stderr, "left out") != 2 || strings.Count(stdout, " -\n") != 2 {
		t.Errorf("code %d, %s\n%s", code, stderr, stdout)
	}
	if runtime.GOOS != "linux" {
		return // --server-pid is for Linux only
	}
	code, stdout, stderr = runBenchTest(t.Context(), append(small, "--addr", p.address, "--server-pid", strconv.Itoa(os.Getpid()))...)
	if code != exitOK || strings.Count(stderr, "left out") != 2 || strings.Count(stdout, " -\n") != 2 {
		t.Errorf("with a process: code %d, %s\n%s", code, stderr, stdout)
	}
}

// Keys on the other node, over HTTP and over the nodes' own protocol.
func TestBenchCluster(t *testing.T) {
	ports := clusterPorts(t, 2)
	first := serveOn(t, ports[0], aSecret, unhurried...)
	awaitSettled(t, first, serveOn(t, ports[1], aSecret, append(unhurried, "--join", "127.0.0.1:"+ports[0])...))
	for _, args := range [][]string{
		{"remote", "--keys", "30"},
		{"remote", "--keys", "30", "--read-share", "0.5"},
		{"mget", "--remote", "--keys", "30", "--batch", "5"},
		{"peer", "--keys", "30", "--secret", aSecret},
		{"peer", "--keys", "30", "--secret", aSecret, "--remote", "--read-share", "0.5"},
	} {
		args = append(args, "--addr", first.address, "--clients", "10", "--requests", "200", "--json")
		code, stdout, stderr := runBenchTest(t.Context(), args...)
		var r bench.Result
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK || r.OK != 200 {
			t.Errorf("%v: code %d, %v, %s\n%s", args, code, err, stderr, stdout)
		}
	}
	code, _, stderr := runBenchTest(t.Context(), "peer", "--addr", first.address, "--clients", "2", "--requests", "2")
	if code != exitUnreachable || !strings.Contains(stderr, "--secret") {
		t.Errorf("without the secret: code %d, %s", code, stderr)
	}
}

func TestBenchFailures(t *testing.T) {
	for kind, answer := range map[string]http.HandlerFunc{
		"status":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"content": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"x":1}`) },
		"closed":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"timeout": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"malformed": func(w http.ResponseWriter, _ *http.Request) {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = io.WriteString(c, "nonsense\r\n")
				_ = c.Close()
			}
		},
	} {
		server := httptest.NewServer(answer)
		timeout := patience.String()
		if kind == "timeout" {
			timeout = "1s"
		}
		code, stdout, stderr := runBenchTest(t.Context(), "control", "--url", server.URL,
			"--clients", "2", "--requests", "4", "--timeout", timeout, "--json")
		server.Close()
		var result bench.Result
		if err := json.Unmarshal([]byte(stdout), &result); err != nil {
			t.Fatalf("%s: %v: %s", kind, err, stdout)
		}
		if code != exitBenchFailed || result.Failures[kind] != 4 || !strings.Contains(stderr, "4 failures") {
			t.Errorf("%s: code %d, %v, %s", kind, code, result.Failures, stderr)
		}
	}
}

func TestBenchUsage(t *testing.T) {
	address := nobodyAt(t)
	for _, test := range []struct {
		args []string
		code int
		says string // on standard error, or on standard output if the code is 0
	}{
		{[]string{"--help"}, exitOK, "Scenarios"},
		{[]string{"engine", "--help"}, exitOK, "--records"},
		{[]string{"get", "--help"}, exitOK, "Usage: smache bench get [flags]"},
		{[]string{"--json", "--help", "mixed"}, exitOK, "  --read-share SHARE"},
		{[]string{"control", "--addr", address}, exitUnreachable, "--url"},
		{[]string{"--addr", address}, exitUnreachable, "--url"},
		{[]string{"nothing"}, exitUsage, "no scenario"},
		{[]string{"get", "post"}, exitUsage, "unexpected argument"},
		{[]string{"http", "--url", "http://" + address + "/path", "--addr", address}, exitUsage, "--url and --addr"},
		{[]string{"get", "--drain", "2s"}, exitUsage, "--drain is for --duration"},
		{[]string{"get", "--drain", "0", "--duration", "1s"}, exitUsage, "--drain must be above 0"},
		{[]string{"get", "--min-difference", "0.1"}, exitUsage, "--compare only"},
		{[]string{"get", "--compare", os.DevNull, "--min-difference", "0"}, exitUsage, "must be 0.01 to 1"},
		{[]string{"get", "--duration", "5ns"}, exitUsage, "--duration must be at least 10ms"},
		{[]string{"get", "--duration", "0"}, exitUsage, "--duration must be at least 10ms"},
		{[]string{"--json", "engine"}, exitUsage, "in front of the flags"},
		{[]string{"--nothing"}, exitUsage, "--nothing"},
		{[]string{"--order", "backwards"}, exitUsage, "--order"},
		{[]string{"get", "--order", "zipf", "--keys", "5", "--skew", "11"}, exitUsage, "--skew"},
		{[]string{"get", "--rate", "-1"}, exitUsage, "--rate"},
		{[]string{"get", "--rate", "1e9"}, exitUsage, "--rate"},
		{[]string{"mixed", "--read-share", "1.5"}, exitUsage, "--read-share"},
		{[]string{"mget", "--batch", "1001"}, exitUsage, "--batch"},
		{[]string{"location", "--updates", "100000000"}, exitUsage, "--updates"},
		{[]string{"post", "--ttl", "1us"}, exitUsage, "--ttl"},
		{[]string{"get", "--rounds", "101"}, exitUsage, "--rounds"},
		{[]string{"get", "--server-pid", "x"}, exitUsage, "--server-pid"},
		{[]string{"get", "--addr", address, "--server-pid", "2147483646"}, exitUsage, "--server-pid"},
		{[]string{"get", "--keys", "3000000000"}, exitUsage, "must be at most 2147483647"},
		{[]string{"get", "--skew", "0", "--order", "zipf"}, exitUsage, "--skew must be above 0"},
		{[]string{"get", "--skew", "2"}, exitUsage, "--order zipf"},
		{[]string{"get", "--keys", "0"}, exitUsage, "--keys must be above 0"},
		{[]string{"get", "--clients", "0"}, exitUsage, "--clients must be above 0"},
		{[]string{"get", "--rounds", "0"}, exitUsage, "--rounds must be above 0"},
		{[]string{"mget", "--batch", "0"}, exitUsage, "--batch must be above 0"},
		{[]string{"get", "--timeout", "0"}, exitUsage, "--timeout must be above 0"},
		{[]string{"get", "--read-share", "0.5"}, exitUsage, "--read-share is for mixed, remote, peer only"},
		{[]string{"mixed", "--updates", "5"}, exitUsage, "--updates is for location only"},
		{[]string{"--reads", "5"}, exitUsage, "--reads is for location only"},
		{[]string{"post", "--body", "x"}, exitUsage, "--body is for http only"},
		{[]string{"location", "--order", "zipf"}, exitUsage, "--order is not for location"},
		{[]string{"seed", "--label", "x"}, exitUsage, "--label is not for seed"},
		{[]string{"seed", "--remote"}, exitUsage, "--remote is not for seed"},
		{[]string{"get", "--compare", os.DevNull}, exitUsage, os.DevNull + ": not the results of --json: it is empty"},
		{[]string{"engine", "--keys", "1"}, exitUsage, "see smache bench engine --help"},
		{[]string{"engine", "--help"}, exitOK, "Usage: smache bench engine [flags]"},
		{[]string{"engine", "--json", "--csv"}, exitUsage, "--json and --csv exclude each other"},
		{[]string{"engine", "--html", "page.html"}, exitUsage, "--html is not for engine: its page shows latency"},
		{[]string{"engine", "--json", "--compare=old.json"}, exitUsage, "--compare is not for engine: it tells noise by"},
		{[]string{"engine", "--keys", "1"}, exitUsage, "--records"},
		{[]string{"engine", "--addr", "4000"}, exitUsage, "--addr is not for engine: there is no server"},
		{[]string{"engine", "--addrs", "4000"}, exitUsage, "--addrs"},
		{[]string{"seed", "--url", "redis://127.0.0.1:1"}, exitUsage, "seed is for http://"},
		{[]string{"seed", "--url", "redis://u:s3cret@127.0.0.1:1/x"}, exitUsage, "***@"},
		{[]string{"get", "--csv", "--json"}, exitUsage, "--csv"},
		{[]string{"get", "--compare", "/nowhere"}, exitUsage, "--compare"},
		{[]string{"get", "--html", "/nowhere/page.html"}, exitUsage, "--html"},
		{[]string{"--url", "ftp://127.0.0.1:1"}, exitUsage, "only http://"},
		{[]string{"get", "--url", "redis://127.0.0.1:1/x"}, exitUsage, "--url"},
		{[]string{"get", "--url", "redis://127.0.0.1:1", "--header", "X: y"}, exitUsage, "--header"},
		{[]string{"mset", "--url", "redis://127.0.0.1:1", "--ttl", "1s"}, exitUsage, "--ttl"},
		{[]string{"mset", "--url", "memcached://127.0.0.1:1"}, exitUsage, "mset"},
		{[]string{"post", "--url", "memcached://127.0.0.1:1", "--ttl", "1500ms"}, exitUsage, "--ttl"},
		{[]string{"get", "--url", "memcached://127.0.0.1:1", "--key-prefix", strings.Repeat("k", 241)}, exitUsage, "--key-prefix"},
		{[]string{"http", "--url", "redis://127.0.0.1:1"}, exitUsage, "--url"},
		{[]string{"http", "--url", "127.0.0.1:1/{value}"}, exitUsage, "--url"},
		{[]string{"http", "--url", "127.0.0.1:1/a b"}, exitUsage, "--url"},
		{[]string{"http", "--method", "a b"}, exitUsage, "--method"},
		{[]string{"http", "--method", "CONNECT"}, exitUsage, "--method"},
		{[]string{"http", "--status", "1000"}, exitUsage, "--status"},
		{[]string{"http", "--answer", "{any}"}, exitUsage, "--answer"},
		{[]string{"http", "--method", "HEAD", "--answer", "x"}, exitUsage, "--answer"},
		{[]string{"get", "--remote", "--url", "redis://127.0.0.1:1"}, exitUsage, "--remote"},
		{[]string{"peer", "--secret", "short"}, exitUsage, "--secret"},
		{[]string{"peer", "--addr", address}, exitUnreachable, "--url"},
		{[]string{"remote", "--addr", address}, exitUnreachable, "--url"},
		{[]string{"mget", "--url", "peer://127.0.0.1:1"}, exitUsage, "mget"},
		{[]string{"get", "--token", "a b"}, exitUsage, "--token"},
		{[]string{"get", "--token-file", "/nowhere"}, exitUsage, "--token-file"},
		{[]string{"--timeout", "0.1ms"}, exitUsage, "--timeout"},
		{[]string{"get", "--value-size", "3"}, exitUsage, "--value-size"},
		{[]string{"get", "--key-prefix", "a b"}, exitUsage, "--key-prefix"},
		{[]string{"get", "--header", "Host: x"}, exitUsage, "--header Host"},
		{[]string{"engine", "--arena", "1MiB"}, exitUsage, "--arena"},
		{[]string{"engine", "more"}, exitUsage, "unexpected argument"},
		{[]string{"engine", "--records", "100000000"}, exitUsage, "--records"},
		{[]string{"engine", "--value-size", "1"}, exitUsage, "--value-size"},
	} {
		code, stdout, stderr := runBenchTest(t.Context(), test.args...)
		said := stderr
		if test.code == exitOK {
			said = stdout
		}
		if code != test.code || !strings.Contains(said, test.says) {
			t.Errorf("%v: code %d, %s", test.args, code, said)
		}
		if test.code != exitOK && (stdout != "" || strings.Count(stderr, "\n") != 1) {
			t.Errorf("%v: more than one line: %s%s", test.args, stdout, stderr)
		}
	}
}

// The help of a scenario has the flags that concern it, and no other.
func TestBenchHelp(t *testing.T) {
	for _, name := range benchScenarioNames() {
		if name == "engine" {
			continue
		}
		_, help, _ := runBenchTest(t.Context(), name, "--help")
		for flag, where := range map[string][]string{
			"--read-share": {"mixed", "remote", "peer"}, "--updates": {"location"}, "--body": {"http"}, "--batch": {"mget", "mset", "location"},
			"--clients": {name}, "--compare": {name}, "--label": slices.DeleteFunc(benchScenarioNames(), func(s string) bool { return s == "seed" }),
		} {
			if there := strings.Contains(help, "\n  "+flag+" "); there != slices.Contains(where, name) {
				t.Errorf("%s --help has %s: %v", name, flag, there)
			}
		}
		if strings.Contains(help, "Scenarios") || !strings.Contains(help, "Failures are counted by kind") {
			t.Errorf("%s --help: %s", name, help)
		}
	}
	_, help, _ := runBenchTest(t.Context(), "--help")
	for _, name := range benchScenarioNames() {
		if !strings.Contains(help, "\n  "+name+" ") {
			t.Errorf("the help does not say what %s is", name)
		}
	}
}

func TestBenchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	page := filepath.Join(t.TempDir(), "page.html")
	code, stdout, stderr := runBenchTest(ctx, "control", "--url", server.URL, "--clients", "2", "--duration", "1h", "--html", page)
	if code != exitBenchInterrupted || !strings.Contains(stdout, "Requests per second") || !strings.Contains(stderr, "interrupted") {
		t.Errorf("code %d, %s\n%s", code, stderr, stdout)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "</html>") {
		t.Errorf("the page of what was measured: %v, %.200s", err, text)
	}
}

// A seed that is interrupted keeps the rows that are over, in every form.
func TestBenchSeedInterrupted(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	for _, form := range [][]string{{"--html", page}, {"--json"}, {"--csv"}} {
		ctx, cancel := context.WithCancel(t.Context())
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				cancel() // control is over
			}
			_, _ = io.WriteString(w, "{}")
		}))
		code, stdout, stderr := runBenchTest(ctx, append([]string{"seed", "--url", server.URL, "--clients", "2", "--requests", "40"}, form...)...)
		server.Close()
		cancel()
		if code != exitBenchInterrupted || !strings.Contains(stdout, "control, GET /") || !strings.Contains(stderr, "interrupted") {
			t.Errorf("%v: code %d, %s\n%s", form, code, stderr, stdout)
		}
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "control, GET /") {
		t.Errorf("the page of what was measured: %v, %.200s", err, text)
	}
}

// A page of nothing is not left behind.
func TestBenchNoPage(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	if code, _, stderr := runBenchTest(t.Context(), "get", "--timeout", "0.1ms", "--html", page); code != exitUsage {
		t.Errorf("code %d, %s", code, stderr)
	}
	if _, err := os.Stat(page); !os.IsNotExist(err) {
		t.Errorf("a page was left: %v", err)
	}
}

func TestBenchEngine(t *testing.T) {
	small := []string{"engine", "--records", "200", "--rounds", "3"}
	code, stdout, stderr := runBenchTest(t.Context(), small...)
	if code != exitOK || stderr != "" || !strings.Contains(stdout, "200 records of 58 bytes") || !strings.Contains(stdout, "both") {
		t.Errorf("code %d, %s\n%s", code, stderr, stdout)
	}
	code, stdout, _ = runBenchTest(t.Context(), append(small, "--json", "--value-size", "100KiB")...)
	var result bench.EngineResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != exitOK || result.ValueSize != 100<<10 || result.Both.Median <= 0 {
		t.Errorf("code %d, %v, %s", code, err, stdout)
	}
	code, stdout, _ = runBenchTest(t.Context(), append(small, "--csv")...)
	lines, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil || code != exitOK || len(lines) != 2 || lines[0][0] != "records" || !slices.Equal(lines[1][:3], []string{"200", "3", "58"}) {
		t.Errorf("code %d, %v, %s", code, err, stdout)
	}
}

func TestBenchProgress(t *testing.T) {
	var out bytes.Buffer
	showProgress(&out, "get", bench.Progress{Stage: bench.StageMeasure, Done: 25_000, Total: 50_000, Share: .5, Rate: 1234.4, P99: 12_340_000, Failed: 2})
	want := "\r\x1b[Kget: measure  [===============               ]  50%  25000  1234 requests/s  p99 12.3 ms  2 FAILED"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// What --json wrote is what --compare reads; --csv and --html tell the same.
func TestBenchOutputs(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer server.Close()
	dir := t.TempDir()
	args := []string{"control", "--url", server.URL, "--clients", "4", "--requests", "40", "--rounds", "5", "--label", "first"}
	code, stdout, stderr := runBenchTest(t.Context(), append(args, "--json")...)
	if code != exitOK {
		t.Fatalf("code %d, %s", code, stderr)
	}
	old, page := filepath.Join(dir, "old.json"), filepath.Join(dir, "page.html")
	if err := os.WriteFile(old, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = runBenchTest(t.Context(), append(args, "--compare", old, "--html", page, "--min-difference", "0.2")...)
	if code != exitOK || !strings.Contains(stdout, "5 rounds before, 5 now; from 20 % on\n") || !strings.Contains(stdout, "\nrequests/s ") {
		t.Errorf("code %d, %s\n%s", code, stderr, stdout)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "<svg") || !strings.Contains(string(text), "first: control") {
		t.Errorf("%v: %.200s", err, text)
	}
	// For machines, too; and what has no counterpart says so.
	code, stdout, stderr = runBenchTest(t.Context(), append(args, "--compare", old, "--json")...)
	var result bench.Result
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != exitOK || stderr != "" || result.Comparison == nil ||
		!result.Comparison.Rounds || len(result.Comparison.Differences) == 0 || result.Comparison.Differences[0].Figure != "requests/s" {
		t.Errorf("code %d, %v, %s\n%s", code, err, stderr, stdout)
	}
	for _, other := range [][]string{{"--json"}, {}} {
		code, stdout, stderr = runBenchTest(t.Context(), append(append(args, "--compare", old, "--label", "other"), other...)...)
		if code != exitOK || !strings.Contains(stderr, "not compared") || strings.Contains(stdout, "ompar") {
			t.Errorf("code %d, %s\n%s", code, stderr, stdout)
		}
	}
	_, _, stderr = runBenchTest(t.Context(), append(args, "--compare", old, "--warmup", "10ms")...)
	if want := "smache bench: first: control: not compared with " + old + ": --warmup is 10ms, and was none\n"; stderr != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
	// The results are not to be overwritten by a page.
	code, _, stderr = runBenchTest(t.Context(), append(args, "--compare", old, "--html", old)...)
	if kept, err := os.ReadFile(old); err != nil || code != exitUsage || !strings.Contains(stderr, "the same file") || !bytes.HasPrefix(kept, []byte("{")) {
		t.Errorf("code %d, %v, %s", code, err, stderr)
	}
	code, _, stderr = runBenchTest(t.Context(), append(args, "--compare", old, "--csv")...)
	if code != exitUsage || !strings.Contains(stderr, "--compare") || !strings.Contains(stderr, "--csv") {
		t.Errorf("code %d, %s", code, stderr)
	}
	code, stdout, _ = runBenchTest(t.Context(), append(args, "--csv")...)
	records, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if code != exitOK || err != nil || len(records) != 2 || records[0][1] != "scenario" || records[1][1] != "control" || records[1][9] != "200" {
		t.Errorf("code %d, %v, %q", code, err, records)
	}
}
