package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/smache/smache/bench"
)

// A benchMaker makes a scenario's workload; reads says that its keys must have
// been written.
type benchMaker struct {
	name  string
	reads bool
	build func(c *benchConfig, http bench.HTTPConfig) (bench.Workload, error)
}

// benchMakers lists the scenarios over a network, in the order of the help text.
func benchMakers() []benchMaker {
	plain := func(build func(bench.HTTPConfig) (bench.Workload, error)) func(*benchConfig, bench.HTTPConfig) (bench.Workload, error) {
		return func(_ *benchConfig, http bench.HTTPConfig) (bench.Workload, error) { return build(http) }
	}
	return []benchMaker{
		{"control", false, plain(bench.NewControl)},
		{"post", false, plain(bench.NewPost)},
		{"get", true, plain(bench.NewGet)},
		{"mixed", true, func(c *benchConfig, http bench.HTTPConfig) (bench.Workload, error) {
			return bench.NewMixed(http, float64(c.readShare))
		}},
		{"mget", true, plain(bench.NewMget)},
		{"mset", false, plain(bench.NewMset)},
		{"location", true, func(c *benchConfig, http bench.HTTPConfig) (bench.Workload, error) {
			updates, reads := c.locationRates(http.Keys.Count)
			return bench.NewLocation(http, updates, reads)
		}},
	}
}

// benchScenario finds a scenario; nil if there is none of the name.
func benchScenario(name string) *benchMaker {
	for _, m := range benchMakers() {
		if m.name == name {
			return &m
		}
	}
	return nil
}

// benchScenarioNames are the scenarios of bench, those without a network included.
func benchScenarioNames() (names []string) {
	for _, m := range benchMakers() {
		names = append(names, m.name)
	}
	return append(names, "engine")
}

// run makes the configuration of a scenario, which there must be.
func (c *benchConfig) run(name string) (bench.Config, error) {
	http, err := c.about(name)
	if err != nil {
		return bench.Config{}, err
	}
	run := bench.Config{
		Clients: int(c.clients), Requests: uint64(c.requests), Duration: time.Duration(c.duration), Rounds: int(c.rounds),
		Warmup: time.Duration(c.warmup), Timeout: time.Duration(c.timeout), Threads: int(c.threads), Retry: bool(c.retry),
		Label: string(c.label),
	}
	if run.Servers, err = c.servers(); err != nil {
		return run, err
	}
	maker := benchScenario(name)
	if run.Workload, err = maker.build(c, http); err != nil {
		return run, err
	}
	if run.Pacer, err = c.pacer(name, http.Keys.Count); err == nil && maker.reads && !bool(c.written) {
		run.Prepare, run.PrepareRequests, err = benchFill(http)
	}
	return run, err
}

// about says what the requests are about.
func (c *benchConfig) about(name string) (http bench.HTTPConfig, err error) {
	target := string(c.url)
	if c.addr != "" {
		target = string(c.addr)
	}
	http = bench.HTTPConfig{
		Headers: c.headers.items, ValueSize: int(c.valueSize), TTL: time.Duration(c.ttl),
		Vary: bool(c.vary) || name == "mixed", Batch: int(c.batch),
		Keys: bench.Keys{Prefix: string(c.prefix), Count: max(uint64(c.keys), 1), Seed: uint64(c.seed), Skew: float64(c.skew)},
	}
	switch c.order.word {
	case "sequential":
		http.Keys.Order = bench.OrderSequential
	case "zipf":
		http.Keys.Order = bench.OrderZipf
	}
	if name == "location" {
		http.Vary = true
		if http.TTL == 0 {
			http.TTL = bench.DefaultLocationTTL
		}
		if !c.keysGiven {
			http.Keys.Count = bench.DefaultThings
		}
	}
	http.Endpoint, err = bench.ParseEndpoint(target)
	return http, err
}

// locationRates are updates and reads a second of location.
func (c *benchConfig) locationRates(things uint64) (updates, reads uint64) {
	updates, reads = uint64(c.updates), uint64(c.reads)
	if updates == 0 {
		updates = things
	}
	if !c.readsGiven {
		reads = max(things/max(uint64(c.batch), 1), 1)
	}
	return updates, reads
}

// pacer is that of an open loop, which location always is; else nil.
func (c *benchConfig) pacer(name string, things uint64) (bench.Pacer, error) {
	rate := float64(c.rate)
	if rate == 0 && name == "location" {
		updates, reads := c.locationRates(things)
		rate = float64(updates + reads)
	}
	if rate == 0 {
		return nil, nil
	}
	return bench.ConstantRate(rate)
}

func (c *benchConfig) servers() (pids []int, err error) {
	for _, text := range c.pids.items {
		pid, err := strconv.Atoi(text)
		if err != nil || pid <= 0 {
			return nil, fmt.Errorf("%w: --server-pid %s: must be the number of a process", bench.ErrConfig, text)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// benchFill makes the workload that writes every key once, many at a time if there
// are many.
func benchFill(http bench.HTTPConfig) (w bench.Workload, requests uint64, err error) {
	const many, atOnce, largest = 1000, 100, 8 << 10
	http.Keys.Order = bench.OrderSequential
	if http.Keys.Count < many || http.ValueSize > largest {
		w, err = bench.NewPost(http)
		return w, http.Keys.Count, err
	}
	http.Batch = atOnce
	w, err = bench.NewMset(http)
	return w, (http.Keys.Count + atOnce - 1) / atOnce, err
}
