package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/smache/smache/bench"
)

// The exit codes of bench beside exitOK, exitUsage and exitUnreachable.
const (
	exitBenchFailed      = 1   // a request failed, or an answer was wrong
	exitBenchInterrupted = 130 // stopped by a signal
)

// benchDefaults are the scenarios that bench runs when none is named, in order.
var benchDefaults = []string{"control", "post", "get"}

// benchConfig holds what the scenarios over a network were told.
type benchConfig struct {
	url, addr stringValue
	headers   listValue
	token     listValue
	tokenFile stringValue
	trust     trustFlags
	insecure  boolValue
	cluster   clusterFlags // its secret and name only
	remote    boolValue
	method    stringValue
	body      stringValue
	status    intValue
	answer    stringValue
	clients   intValue
	requests  intValue
	duration  durationValue
	rate      floatValue
	rounds    intValue
	warmup    durationValue
	drain     durationValue
	timeout   durationValue
	threads   intValue
	keys      intValue
	prefix    stringValue
	order     choiceValue
	skew      floatValue
	seed      intValue
	valueSize sizeValue
	ttl       durationValue
	vary      boolValue
	batch     intValue
	readShare floatValue
	updates   intValue
	reads     intValue
	retry     boolValue
	written   boolValue
	pids      listValue
	label     stringValue
	json, csv boolValue
	html      stringValue
	compare   stringValue

	minDifference floatValue

	quiet boolValue

	urlGiven, clientsGiven, keysGiven, readsGiven, shareGiven bool

	path string // of scenario http, from url
}

func newBenchConfig() *benchConfig {
	return &benchConfig{
		url: bench.DefaultURL, clients: bench.DefaultClients, timeout: durationValue(bench.DefaultTimeout), drain: durationValue(bench.DefaultDrain),
		keys: 1, prefix: bench.DefaultPrefix, seed: 1, rounds: 1,
		order: choiceValue{"random", []string{"random", "uniform", "zipf", "sequential"}}, skew: bench.DefaultSkew,
		cluster: newClusterFlags(), batch: bench.DefaultBatch, readShare: bench.DefaultReadShare,
		minDifference: bench.DefaultMinDifference,
	}
}

// settings is the table of the flags. None but the token, the
// secret and the cluster has a variable: a
// measurement should say in its command line all that it depends on.
func (c *benchConfig) settings() []setting {
	return append(withoutVariables(append([]setting{
		{name: "url", unit: "URL", value: &c.url, given: &c.urlGiven, about: "The server to load: http://host:port, with user:password@ in front of the host where Basic is asked for, and with a path in front of /api if there is one; redis://user:password@host:port/database (user, password and database may be left out; no password is ever printed, but other users of the machine see flags), memcached://host:port, or peer://host:port (a node's peer port) for the same scenarios in their words; any path and query for the scenario http. https:// and rediss:// are the same over TLS. Redirects are failures"},
		{name: "addr", unit: "ADDRESS", value: &c.addr, about: "The same as host:port, or only a port, of HTTP; in place of --url"},
		{name: "clients", unit: "COUNT", value: &c.clients, given: &c.clientsGiven, about: "Keep-alive connections, each with one request under way. Unless given, no more than --requests; those for which none is left send nothing"},
		{name: "requests", unit: "COUNT", value: &c.requests, about: fmt.Sprintf("Requests to send, exactly; %d if neither this nor --duration is given. With both, what comes first ends the measurement", bench.DefaultRequests)},
		{name: "duration", unit: "DURATION", value: &c.duration, about: fmt.Sprintf("Send for this long, at least %v", bench.MinDuration)},
		{name: "rate", unit: "PER-SECOND", value: &c.rate, about: "Send this many requests a second, answered or not (open loop), and count latency from the intended time; 0: each client sends when it was answered (closed loop)"},
		{name: "rounds", unit: "COUNT", value: &c.rounds, about: "How often to measure, each time for --requests or --duration; their spread tells --compare what is noise"},
		{name: "warmup", unit: "DURATION", value: &c.warmup, about: "Send for this long before, checked but not counted"},
		{name: "drain", unit: "DURATION", value: &c.drain, about: "After --duration or --warmup, how long to wait for the answers under way; with --rate, what is late is sent for half of it. The rest counts as unfinished and unsent"},
		{name: "timeout", unit: "DURATION", value: &c.timeout, about: "Longest to wait for a connection and for each answer"},
		{name: "threads", unit: "COUNT", value: &c.threads, about: "Event loops; 0 is a quarter of the cores, and at least 1"},
		{name: "keys", unit: "COUNT", value: &c.keys, given: &c.keysGiven, about: fmt.Sprintf("Different keys; the text of each is the prefix and ten digits. location: the things, %d unless given", bench.DefaultThings)},
		{name: "key-prefix", unit: "TEXT", value: &c.prefix, about: "What the keys begin with: letters, digits and -._~"},
		{name: "order", unit: strings.Join(c.order.words, "|"), value: &c.order, about: "How the keys are gone through; random and uniform are the same. location takes one thing after the other"},
		{name: "skew", unit: "NUMBER", value: &c.skew, about: "Exponent of --order zipf"},
		{name: "seed", unit: "NUMBER", value: &c.seed, about: "Start of the random order; the same seed asks for the same keys"},
		{name: "value-size", unit: "SIZE", value: &c.valueSize, about: fmt.Sprintf("Size of data, %d bytes to 16MiB; 0 is a position of 58 bytes", bench.MinValueSize)},
		{name: "ttl", unit: "DURATION", value: &c.ttl, about: "Time to live of what is written; 0 is none, but for location, which takes 10s"},
		{name: "vary", value: &c.vary, about: "Write other values each time; without it every write but the first is one of the same bytes. mixed and location always do"},
		{name: "remote", value: &c.remote, about: "Ask the node for keys that live on others, and use only those; remote always does"},
		{name: "batch", unit: "COUNT", value: &c.batch, about: "Keys of each mget and mset, and of location's reads. An mset is one body, which the node bounds with --max-body (8MiB) and --max-batch: with --value-size, keep batch times size below that"},
		{name: "read-share", unit: "SHARE", value: &c.readShare, given: &c.shareGiven, about: "mixed: share of reads, 0 to 1; remote and peer: the same, all unless given"},
		{name: "updates", unit: "PER-SECOND", value: &c.updates, about: "location: writes a second; 0 is each thing once"},
		{name: "reads", unit: "PER-SECOND", value: &c.reads, given: &c.readsGiven, about: "location: reads a second of --batch things each; unless given, each thing once"},
		{name: "header", unit: "TEXT", value: &c.headers, about: "A header for every request, Name: value; may be given again"},
		{name: "method", unit: "METHOD", value: &c.method, about: "http: GET, or POST with a --body, unless given"},
		{name: "body", unit: "TEXT", value: &c.body, about: "http: what to send; here and in --url {key} stands for the key, and here {value} for its JSON value. As application/json unless --header says otherwise"},
		{name: "status", unit: "CODE", value: &c.status, about: "http: the status of the right answer, 200 unless given"},
		{name: "answer", unit: "TEXT", value: &c.answer, about: "http: the body of the right answer, with {key} and {value}, and {any} for what is not known; without it the status alone is checked"},
		{name: "retry", value: &c.retry, about: "Send a request once more if its connection was closed before any byte of the answer, as load balancers do; without it that is a failure"},
		{name: "written", value: &c.written, about: "Do not write the keys before they are read: an earlier run has"},
		{name: "server-pid", unit: "PID", value: &c.pids, about: "A process of the server on this machine, whose CPU time and memory are to be reported; may be given again. Linux only"},
		{name: "label", unit: "TEXT", value: &c.label, about: "A name for the result, in JSON and comparisons; the rows of seed have their own"},
		{name: "json", value: &c.json, about: "Print one JSON object per scenario, in place of text"},
		{name: "csv", value: &c.csv, about: "Print a line of comma-separated values per scenario, in place of text"},
		{name: "html", unit: "FILE", value: &c.html, about: "Write a page with charts, too: one file, which needs no other"},
		{name: "compare", unit: "FILE", value: &c.compare, about: "Compare with the results that an earlier --json wrote, each with that of the same scenario, settings and label (or no label), and say which differences are more than noise. As text, on the page of --html, or with --json in comparison; not with --csv"},
		{name: "min-difference", unit: "SHARE", value: &c.minDifference, about: "compare: the least difference that counts, 0.01 to 1. Half of it is the least deviation that runs of the same are taken to have"},
		{name: "quiet", value: &c.quiet, about: "Show no progress"},
		{name: "insecure", value: &c.insecure, about: "https, rediss: take any certificate of the server"},
	}, c.trust.settings("")...)), setting{name: "token", unit: "TOKEN", value: &c.token, secret: true, about: "The bearer token to send; of several, as a node takes them, the first. Other users of the machine see flags: prefer the variable, or --token-file"},
		setting{name: "token-file", unit: "FILE", value: &c.tokenFile, flag: true, about: "A file with the token instead, in its first line"},
		setting{name: "secret", unit: "SECRET", value: &c.cluster.secret, secret: true, about: "peer: the cluster's secret; of two, as nodes take them, the first. Other users of the machine see flags: prefer the variable, or --secret-file. Without one nothing is encrypted, as with --insecure-cluster"},
		setting{name: "secret-file", unit: "FILE", value: &c.cluster.secretFile, flag: true, about: "A file with the secret instead, in its first line"},
		setting{name: "cluster", unit: "NAME", value: &c.cluster.name, about: "peer: the cluster's name"})
}

func withoutVariables(table []setting) []setting {
	for i := range table {
		table[i].flag = true
	}
	return table
}

// runBench is the bench subcommand; its result is the exit code.
func runBench(inv invocation) int {
	cfg := newBenchConfig()
	if inv.describe != nil {
		inv.describe(cfg.settings())
		return exitOK
	}
	ctx, stop := signal.NotifyContext(inv.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	inv.ctx = ctx
	if len(inv.args) > 0 && inv.args[0] == "engine" {
		return runBenchEngine(inv)
	}
	table := cfg.settings()
	noteGiven(table)
	rest, err := parseSettings(table, inv.args, inv.env)
	if errors.Is(err, errHelp) {
		printBenchHelp(inv.stdout, inv.args)
		return exitOK
	}
	if err != nil {
		return usageError(inv, "bench", err)
	}
	scenarios := benchDefaults
	if len(rest) > 0 {
		scenarios = rest[:1]
	}
	switch {
	case scenarios[0] == "engine":
		return usageError(inv, "bench", errors.New("write engine in front of the flags"))
	case len(rest) > 1:
		return usageError(inv, "bench", fmt.Errorf("unexpected argument %q", rest[1]))
	case benchScenario(scenarios[0]) == nil && scenarios[0] != "seed":
		return usageError(inv, "bench", fmt.Errorf("there is no scenario %q: %s", scenarios[0], strings.Join(benchScenarioNames(), ", ")))
	case bool(cfg.json) && bool(cfg.csv):
		return usageError(inv, "bench", errors.New("--json and --csv exclude each other"))
	case cfg.compare != "" && bool(cfg.csv) && cfg.html == "":
		return usageError(inv, "bench", errors.New("--csv has no columns for --compare: give --json or --html, or neither"))
	}
	if err := cfg.checkBenchFlags(table, scenarios); err != nil {
		return usageError(inv, "bench", err)
	}
	if err := cfg.cluster.readSecrets(inv.env); err != nil {
		return usageError(inv, "bench", err)
	}
	out, err := newBenchOutput(inv, cfg)
	if err != nil {
		return usageError(inv, "bench", err)
	}
	worst := exitOK
	for _, name := range scenarios {
		run := runScenario
		if name == "seed" {
			run = func(inv invocation, cfg *benchConfig, out *benchOutput, _ string) int {
				return runBenchSeed(inv, cfg, out)
			}
		}
		code := run(inv, cfg, out, name)
		worst = max(worst, code)
		if code > exitBenchFailed {
			break // what was measured until then has its place on the page, too
		}
	}
	if err := out.finish(); err != nil {
		fmt.Fprintf(inv.stderr, "smache bench: cannot write the result: %v\n", err)
		return max(worst, exitBenchFailed)
	}
	return worst
}

// measure measures one scenario. There may be both a result and an error.
func measure(inv invocation, cfg *benchConfig, name string) (*bench.Result, error) {
	run, err := cfg.run(inv.ctx, name)
	if err != nil {
		return nil, err
	}
	if !bool(cfg.quiet) && isTerminal(inv.stderr) {
		run.Progress = func(p bench.Progress) { showProgress(inv.stderr, name, p) }
	}
	if few := int(cfg.requests); few > 0 && few < bench.DefaultClients && !cfg.clientsGiven {
		fmt.Fprintf(inv.stderr, "smache bench: %s: %d clients in place of %d, one for each of --requests\n", name, few, bench.DefaultClients)
	}
	result, err := bench.Run(inv.ctx, run)
	if run.Progress != nil {
		fmt.Fprint(inv.stderr, "\r\x1b[K")
	}
	return result, err
}

// runScenario measures one scenario and prints what came out.
func runScenario(inv invocation, cfg *benchConfig, out *benchOutput, name string) int {
	result, err := measure(inv, cfg, name)
	if result != nil {
		if err := out.add(result); err != nil {
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

// benchError says what is wrong and finds the exit code.
func benchError(inv invocation, err error) int {
	fmt.Fprintf(inv.stderr, "smache bench: %s\n", strings.ReplaceAll(err.Error(), "bench: ", ""))
	switch {
	case errors.Is(err, bench.ErrConfig), errors.Is(err, bench.ErrEndpoint), errors.Is(err, bench.ErrRemote):
		return exitUsage
	case errors.Is(err, bench.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, bench.ErrInterrupted):
		return exitBenchInterrupted
	default:
		return exitBenchFailed
	}
}

// benchAbout says what each scenario does, in the order of the help text.
var benchAbout = []struct{ name, about string }{
	{"control", "GET /, which does nothing"},
	{"post", "POST /api: write --keys keys, again and again"},
	{"get", "GET /api?key=K: read them"},
	{"mixed", "reads and writes, --read-share of them reads"},
	{"mget", "POST /api/mget: read --batch keys at a time"},
	{"mset", "POST /api/mset: write as many"},
	{"location", "many moving things: --updates writes a second, each with --ttl, and --reads reads a second of the --batch things of a region each, as an open loop; one update in 100 takes a thing to the next region"},
	{"remote", "GETs, or with --read-share POSTs, too, of keys that live on another node than the one addressed"},
	{"peer", "the same in the nodes' binary protocol, one request a connection at a time; the peer port is asked for, or given as peer://"},
	{"http", "any request to any server: --url with path and query, --method, --body, --status, --answer"},
	{"seed", "the five figures that the seed's documentation has, beside those: control, post and get at one node, post and get of a key on the other of two. Without --addr or --url it starts the nodes itself, on free ports"},
	{"engine", "10,000 records written, then read, in this process, without HTTP; see smache bench engine --help"},
}

// benchKinds is what the help says of all scenarios.
const benchKinds = `
Every answer is compared with what it must be. Failures are counted by kind:
connect, timeout, closed, status, content, malformed, unsent: in an open loop,
no connection was free, and unfinished: under way --drain after the end.

Exit codes: 0 all answers right, 1 failures, 2 usage, 4 no server,
130 interrupted
`

// printBenchHelp prints the help of bench, or of the scenario that the arguments name.
func printBenchHelp(w io.Writer, args []string) {
	settings := newBenchConfig().settings()
	for _, s := range benchAbout {
		if slices.Contains(args, s.name) {
			fmt.Fprintf(w, "smache bench %s: %s\n\nUsage: smache bench %s [flags]\n", s.name, strings.Join(wrap(s.about, 72), "\n  "), s.name)
			settings = slices.DeleteFunc(settings, func(f setting) bool { return !benchConcerns(f.name, s.name) })
			printSettings(w, settings)
			fmt.Fprint(w, benchKinds)
			return
		}
	}
	printUsage(w, "bench", settings)
	fmt.Fprint(w, "\nScenarios, each with a --help of its own\n")
	for _, s := range benchAbout {
		fmt.Fprintf(w, "  %-8s %s\n", s.name, strings.Join(wrap(s.about, 64), "\n           "))
	}
	fmt.Fprint(w, `Without one, control, post and get run one after the other. What is read is
written before, unless --written says that it is there.
`, benchKinds, `
Examples
  smache bench get
  smache bench post --addr 4000 --keys 100000 --duration 10s --warmup 2s
  smache bench mixed --keys 1000000 --order zipf --rate 20000 --duration 30s
  smache bench get --url redis://127.0.0.1:6379 --keys 1000000
  smache bench http --url 'http://127.0.0.1:8080/users/{key}' --method PUT \
    --body '{"id":"{key}","data":{value}}' --status 201
  smache bench seed
  smache bench remote --addr 4000 --keys 1000
  smache bench peer --addr 4000 --secret-file secret --clients 100
  smache bench get --rounds 7 --json > old.json
  smache bench get --rounds 7 --compare old.json --html new.html
`)
}
