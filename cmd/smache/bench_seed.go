package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/smache/smache/bench"
)

// A seedRow is one of the figures that the cache before this one was documented
// with: ab, 900 keep-alive clients, 50,000 requests, one machine that is not named.
type seedRow struct {
	title    string
	scenario string
	remote   bool // two nodes, the key on the other one

	perSecond         int
	p50, p95, longest int // milliseconds
}

var seedRows = []seedRow{
	{"control, GET /", "control", false, 30540, 28, 46, 76},
	{"one node, POST", "post", false, 23411, 37, 62, 94},
	{"one node, GET", "get", false, 26595, 32, 52, 78},
	{"two nodes, POST, key on the other one", "post", true, 17577, 50, 77, 118},
	{"two nodes, GET, key on the other one", "get", true, 18652, 46, 76, 167},
}

// runBenchSeed measures the rows one after the other, at the node that was given or
// at nodes of its own, and prints them beside the documented figures.
func runBenchSeed(inv invocation, cfg *benchConfig, out *benchOutput) int {
	own := cfg.addr == "" && !cfg.urlGiven
	if about, err := cfg.about("seed"); err != nil || about.Endpoint.Protocol != bench.ProtocolHTTP {
		if err == nil {
			err = fmt.Errorf("%w: --url: seed is for http:// only, as its figures are", bench.ErrConfig)
		}
		return benchError(inv, err) // before a row is measured
	}
	results := make([]*bench.Result, len(seedRows)) // nil: not measured
	worst := exitOK
	for i, remote := range []bool{false, true} {
		at := *cfg
		var nodes *seedNodes
		if own {
			var err error
			if nodes, err = startSeedNodes(inv, i+1, int(cfg.clients)); err != nil {
				fmt.Fprintf(inv.stderr, "smache bench: seed: %v\n", err)
				worst = exitBenchFailed
				if inv.ctx.Err() != nil {
					worst = exitBenchInterrupted
				}
				break
			}
			at.addr = stringValue(nodes.addresses[0])
			at.pids.items = nodes.pids()
		}
		code := runSeedRows(inv, &at, remote, own, results)
		if nodes != nil {
			nodes.stop()
		}
		if worst = max(worst, code); code > exitBenchFailed {
			break
		}
	}
	// Rows that are over are printed, whatever kept the others from being measured.
	if err := writeSeed(inv.stdout, out, results); err != nil {
		fmt.Fprintf(inv.stderr, "smache bench: cannot write the result: %v\n", err)
		return exitBenchFailed
	}
	return worst
}

// runSeedRows measures the rows of one node, or of two. A row that cannot be measured,
// because the node that was given is alone, has no result.
func runSeedRows(inv invocation, cfg *benchConfig, remote, own bool, results []*bench.Result) (worst int) {
	for i, row := range seedRows {
		if row.remote != remote {
			continue
		}
		cfg.remote, cfg.label = boolValue(remote), stringValue(row.title)
		result, err := measure(inv, cfg, row.scenario)
		if errors.Is(err, bench.ErrRemote) && !own {
			fmt.Fprintf(inv.stderr, "smache bench: %s: left out: %s\n", row.title, strings.TrimPrefix(err.Error(), "bench: "))
			continue
		}
		if err != nil {
			return benchError(inv, err)
		}
		results[i] = result
		switch {
		case result.Failed() > 0:
			fmt.Fprintf(inv.stderr, "smache bench: %s: %d failures\n", row.title, result.Failed())
			worst = exitBenchFailed
		}
	}
	return worst
}

// writeSeed prints the table, or each result for machines, and has out keep them for
// the page.
func writeSeed(w io.Writer, out *benchOutput, results []*bench.Result) error {
	table := fmt.Sprintf("%-40s%29s%43s\n%-40s%11s%6s%6s%6s%12s%8s%8s%8s%7s%8s%8s\n", "", "documented (ab)", "here", "",
		"requests/s", "p50", "p95", "max", "requests/s", "p50", "p95", "max", "times", "CPU us", "failed")
	if !slices.ContainsFunc(results, func(r *bench.Result) bool { return r != nil }) {
		return nil
	}
	bottleneck := false
	for i, r := range results {
		row := &seedRows[i]
		table += fmt.Sprintf("%-40s%11d%6d%6d%6d", row.title, row.perSecond, row.p50, row.p95, row.longest)
		if r == nil {
			table += fmt.Sprintf("%12s\n", "-")
			continue
		}
		cpu := "-"
		if r.Server != nil {
			cpu = fmt.Sprintf("%.1f", r.Server.PerRequest)
		}
		table += fmt.Sprintf("%12.0f%8.1f%8.1f%8.1f%7.2f%8s%8d\n", r.RequestsPerSecond, r.Latency.P50, r.Latency.P95, r.Latency.Max,
			r.RequestsPerSecond/float64(row.perSecond), cpu, r.Failed())
		bottleneck = bottleneck || r.CPU.Bottleneck
		if bool(out.cfg.json) || bool(out.cfg.csv) {
			if err := out.add(r); err != nil {
				return err
			}
			continue
		}
		out.results = append(out.results, r)
	}
	if out.cfg.json || out.cfg.csv {
		return nil
	}
	table += "Times in ms; CPU: user and system time of the nodes for each request. The documented\nfigures are of another machine, which is not named: compare CPU, or both on one.\n"
	if bottleneck {
		table += "WARNING: the generator itself was the bottleneck in some rows.\n"
	}
	if _, err := io.WriteString(w, table); err != nil {
		return err
	}
	for _, r := range out.results {
		if old := out.counterpart(r); old != nil {
			fmt.Fprintf(w, "\n%s\n", r.Label)
			if err := bench.Compare(old, r, float64(out.cfg.minDifference)).WriteText(w); err != nil {
				return err
			}
		}
	}
	return nil
}
