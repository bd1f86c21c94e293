package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/smache/smache/bench"
)

// The exit codes of bench beside exitOK, exitUsage and exitUnreachable.
const (
	exitBenchFailed      = 1   // a request failed, or an answer was wrong
	exitBenchInterrupted = 130 // stopped by a signal
)

// benchScenarios are the scenarios over HTTP, in the order in which bench runs
// them when none is named.
var benchScenarios = []string{"control", "post", "get"}

// benchConfig holds what the scenarios over HTTP were told.
type benchConfig struct {
	url, addr stringValue
	headers   listValue
	clients   intValue
	requests  intValue
	duration  durationValue
	warmup    durationValue
	timeout   durationValue
	threads   intValue
	keys      intValue
	prefix    stringValue
	order     choiceValue
	seed      intValue
	valueSize sizeValue
	retry     boolValue
	written   boolValue
	json      boolValue
	quiet     boolValue
}

func newBenchConfig() *benchConfig {
	return &benchConfig{
		url: bench.DefaultURL, clients: bench.DefaultClients, timeout: durationValue(bench.DefaultTimeout),
		keys: 1, prefix: bench.DefaultPrefix, order: choiceValue{"random", []string{"random", "sequential"}}, seed: 1,
	}
}

// settings is the table of the flags. None has a variable: a measurement should
// say in its command line all that it depends on.
func (c *benchConfig) settings() []setting {
	table := []setting{
		{name: "url", unit: "URL", value: &c.url, about: "The server to load: http://host:port, with a path in front of /api if there is one. Redirects are failures, and TLS is not spoken"},
		{name: "addr", unit: "ADDRESS", value: &c.addr, about: "The same as host:port, or only a port; wins over --url"},
		{name: "clients", unit: "COUNT", value: &c.clients, about: "Keep-alive connections, each with one request under way"},
		{name: "requests", unit: "COUNT", value: &c.requests, about: fmt.Sprintf("Requests to send, exactly; %d if neither this nor --duration is given", bench.DefaultRequests)},
		{name: "duration", unit: "DURATION", value: &c.duration, about: "Send for this long, in place of a number of requests"},
		{name: "warmup", unit: "DURATION", value: &c.warmup, about: "Send for this long before, checked but not counted"},
		{name: "timeout", unit: "DURATION", value: &c.timeout, about: "Longest to wait for a connection and for each answer"},
		{name: "threads", unit: "COUNT", value: &c.threads, about: "Event loops; 0 is a quarter of the cores, and at least 1"},
		{name: "keys", unit: "COUNT", value: &c.keys, about: "Different keys; the text of each is the prefix and ten digits"},
		{name: "key-prefix", unit: "TEXT", value: &c.prefix, about: "What the keys begin with: letters, digits and -._~"},
		{name: "order", unit: strings.Join(c.order.words, "|"), value: &c.order, about: "How the keys are gone through"},
		{name: "seed", unit: "NUMBER", value: &c.seed, about: "Start of the random order; the same seed asks for the same keys"},
		{name: "value-size", unit: "SIZE", value: &c.valueSize, about: fmt.Sprintf("Size of data, %d bytes to 16MiB; 0 is a position of 58 bytes", bench.MinValueSize)},
		{name: "header", unit: "TEXT", value: &c.headers, about: "A header for every request, Name: value; may be given again"},
		{name: "retry", value: &c.retry, about: "Send a request once more if its connection was closed before any byte of the answer, as load balancers do; without it that is a failure"},
		{name: "written", value: &c.written, about: "get does not write its keys first: an earlier run has"},
		{name: "json", value: &c.json, about: "Print one JSON object per scenario, in place of text"},
		{name: "quiet", value: &c.quiet, about: "Show no progress"},
	}
	return withoutVariables(table)
}

func withoutVariables(table []setting) []setting {
	for i := range table {
		table[i].flag = true
	}
	return table
}

// runBench is the bench subcommand; its result is the exit code.
func runBench(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	inv := invocation{ctx: ctx, args: args, stdout: stdout, stderr: stderr}
	if len(args) > 0 && args[0] == "engine" {
		return runBenchEngine(inv)
	}
	cfg := newBenchConfig()
	rest, err := parseSettings(cfg.settings(), args, nil)
	if errors.Is(err, errHelp) {
		printBenchHelp(stdout)
		return exitOK
	}
	if err != nil {
		return usageError(inv, "bench", err)
	}
	scenarios := benchScenarios
	if len(rest) > 0 {
		scenarios = rest[:1]
	}
	switch {
	case scenarios[0] == "engine":
		return usageError(inv, "bench", errors.New("write engine in front of the flags"))
	case len(rest) > 1:
		return usageError(inv, "bench", fmt.Errorf("unexpected argument %q", rest[1]))
	case !slices.Contains(benchScenarios, scenarios[0]):
		return usageError(inv, "bench", fmt.Errorf("there is no scenario %q: control, post, get, engine", scenarios[0]))
	}
	worst := exitOK
	for i, name := range scenarios {
		if i > 0 && !cfg.json {
			fmt.Fprintln(stdout)
		}
		code := runScenario(inv, cfg, name)
		if code > exitBenchFailed {
			return code
		}
		worst = max(worst, code)
	}
	return worst
}

// runScenario measures one scenario and prints what came out.
func runScenario(inv invocation, cfg *benchConfig, name string) int {
	run, err := cfg.run(name)
	if err != nil {
		return benchError(inv, err)
	}
	if !bool(cfg.quiet) && isTerminal(inv.stderr) {
		run.Progress = func(p bench.Progress) { showProgress(inv.stderr, name, p) }
	}
	result, err := bench.Run(inv.ctx, run)
	if run.Progress != nil {
		fmt.Fprint(inv.stderr, "\r\x1b[K")
	}
	if result != nil {
		write := result.WriteText
		if cfg.json {
			write = result.WriteJSON
		}
		if err := write(inv.stdout); err != nil {
			fmt.Fprintf(inv.stderr, "smache bench: cannot write the result: %v\n", err)
			return exitBenchFailed
		}
	}
	switch {
	case err != nil:
		return benchError(inv, err)
	case result.Failed() > 0:
		fmt.Fprintf(inv.stderr, "smache bench: %s: %d failures\n", name, result.Failed())
		return exitBenchFailed
	default:
		return exitOK
	}
}

// run makes the configuration of a scenario.
func (c *benchConfig) run(name string) (bench.Config, error) {
	target := string(c.url)
	if c.addr != "" {
		target = string(c.addr)
	}
	endpoint, err := bench.ParseEndpoint(target)
	if err != nil {
		return bench.Config{}, err
	}
	http := bench.HTTPConfig{
		Endpoint: endpoint, Headers: c.headers.items, ValueSize: int(c.valueSize),
		Keys: bench.Keys{Prefix: string(c.prefix), Count: uint64(c.keys), Seed: uint64(c.seed)},
	}
	if c.order.word == "sequential" {
		http.Keys.Order = bench.OrderSequential
	}
	run := bench.Config{
		Clients: int(c.clients), Requests: uint64(c.requests), Duration: time.Duration(c.duration),
		Warmup: time.Duration(c.warmup), Timeout: time.Duration(c.timeout), Threads: int(c.threads), Retry: bool(c.retry),
	}
	switch name {
	case "control":
		run.Workload, err = bench.NewControl(http)
	case "post":
		run.Workload, err = bench.NewPost(http)
	default:
		if run.Workload, err = bench.NewGet(http); err != nil {
			break
		}
		if c.written {
			break
		}
		http.Keys.Order = bench.OrderSequential
		run.PrepareRequests = max(uint64(c.keys), 1)
		run.Prepare, err = bench.NewPost(http)
	}
	return run, err
}

// benchError says what is wrong and finds the exit code.
func benchError(inv invocation, err error) int {
	fmt.Fprintf(inv.stderr, "smache bench: %s\n", strings.TrimPrefix(err.Error(), "bench: "))
	switch {
	case errors.Is(err, bench.ErrConfig), errors.Is(err, bench.ErrEndpoint):
		return exitUsage
	case errors.Is(err, bench.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, bench.ErrInterrupted):
		return exitBenchInterrupted
	default:
		return exitBenchFailed
	}
}

// showProgress draws one line over the last one.
func showProgress(w io.Writer, name string, p bench.Progress) {
	const width = 30
	filled := int(p.Share * width)
	failed := ""
	if p.Failed > 0 {
		failed = fmt.Sprintf("  %d FAILED", p.Failed)
	}
	rate := ""
	if p.Stage != bench.StageConnect {
		rate = fmt.Sprintf("  %.0f requests/s", p.Rate)
	}
	fmt.Fprintf(w, "\r\x1b[K%s: %-8s [%s%s] %3.0f%%  %d%s%s", name, p.Stage,
		strings.Repeat("=", filled), strings.Repeat(" ", width-filled), p.Share*100, p.Done, rate, failed)
}

func printBenchHelp(w io.Writer) {
	printUsage(w, "bench", newBenchConfig().settings())
	fmt.Fprint(w, `
Scenarios
  control  GET /, which does nothing
  post     POST /api: write --keys keys, again and again
  get      GET /api?key=K: write the keys once, then read them
  engine   10,000 records written, then read, in this process, without HTTP;
           see smache bench engine --help
Without one, control, post and get run one after the other.

Every answer is compared with what it must be. Failures are counted by kind:
connect, timeout, closed, status, content, malformed.

Exit codes: 0 all answers right, 1 failures, 2 usage, 4 no server, 130 interrupted

Examples
  smache bench get
  smache bench post --addr 4000 --keys 100000 --duration 10s --warmup 2s
  smache bench get --url http://10.0.0.7:4000 --clients 100 --json
`)
}
