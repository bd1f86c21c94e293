package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/smache/smache/bench"
)

// A benchMaker makes a scenario's workload; reads says that its keys must have
// been written.
type benchMaker struct {
	name  string
	reads bool
	build func(c *benchConfig, about bench.WorkloadConfig) (bench.Workload, error)
}

// benchMakers lists the scenarios over a network, in the order of the help text.
func benchMakers() []benchMaker {
	plain := func(build func(bench.WorkloadConfig) (bench.Workload, error)) func(*benchConfig, bench.WorkloadConfig) (bench.Workload, error) {
		return func(_ *benchConfig, about bench.WorkloadConfig) (bench.Workload, error) { return build(about) }
	}
	return []benchMaker{
		{"control", false, plain(bench.NewControl)},
		{"post", false, plain(bench.NewPost)},
		{"get", true, plain(bench.NewGet)},
		{"mixed", true, func(c *benchConfig, about bench.WorkloadConfig) (bench.Workload, error) {
			return bench.NewMixed(about, float64(c.readShare))
		}},
		{"mget", true, plain(bench.NewMget)},
		{"mset", false, plain(bench.NewMset)},
		{"location", true, func(c *benchConfig, about bench.WorkloadConfig) (bench.Workload, error) {
			updates, reads := c.locationRates(about.Keys.Count)
			return bench.NewLocation(about, updates, reads)
		}},
		{"remote", true, remoteOrPeer},
		{"peer", true, remoteOrPeer},
		{"http", false, func(c *benchConfig, about bench.WorkloadConfig) (bench.Workload, error) {
			return bench.NewHTTP(about, bench.HTTPCall{
				Method: string(c.method), Path: c.path, Body: string(c.body), Status: int(c.status), Answer: string(c.answer),
			})
		}},
	}
}

// remoteOrPeer reads keys, and writes as many as --read-share says.
func remoteOrPeer(c *benchConfig, about bench.WorkloadConfig) (bench.Workload, error) {
	if !about.Vary {
		return bench.NewGet(about)
	}
	return bench.NewMixed(about, float64(c.readShare))
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
	return append(names, "seed", "engine")
}

// run makes the configuration of a scenario, which there must be.
func (c *benchConfig) run(ctx context.Context, name string) (bench.Config, error) {
	about, err := c.about(name)
	if err == nil {
		err = c.askNode(ctx, name, &about)
	}
	if err != nil {
		return bench.Config{}, err
	}
	run := bench.Config{
		Clients: c.chosenClients(), Requests: uint64(c.requests), Duration: time.Duration(c.duration), Rounds: int(c.rounds),
		Warmup: time.Duration(c.warmup), Drain: time.Duration(c.drain), Timeout: time.Duration(c.timeout), Threads: int(c.threads), Retry: bool(c.retry),
		Label: string(c.label),
	}
	if run.Servers, err = c.servers(); err != nil {
		return run, err
	}
	maker := benchScenario(name)
	if run.Workload, err = maker.build(c, about); err != nil {
		return run, err
	}
	if run.Pacer, err = c.pacer(name, about.Keys.Count); err == nil && maker.reads && !bool(c.written) {
		run.Prepare, run.PrepareRequests, err = bench.NewFill(about, int(c.clients))
	}
	return run, err
}

// chosenClients is the number that was given, or 0 for the default, which has a bound.
func (c *benchConfig) chosenClients() int {
	if !c.clientsGiven {
		return 0
	}
	return int(c.clients)
}

// about says what the requests are about.
func (c *benchConfig) about(name string) (about bench.WorkloadConfig, err error) {
	flag, target := "url", string(c.url)
	if c.addr != "" {
		flag, target = "addr", string(c.addr)
	}
	about = bench.WorkloadConfig{
		Headers: slices.Clone(c.headers.items), ValueSize: int(c.valueSize), TTL: time.Duration(c.ttl),
		Vary: bool(c.vary) || name == "mixed" || (name == "remote" || name == "peer") && c.shareGiven, Batch: int(c.batch),
		Keys: bench.Keys{Prefix: string(c.prefix), Count: max(uint64(c.keys), 1), Seed: uint64(c.seed), Skew: float64(c.skew)},
	}
	switch c.order.word {
	case "sequential":
		about.Keys.Order = bench.OrderSequential
	case "zipf":
		about.Keys.Order = bench.OrderZipf
	}
	if name == "location" {
		about.Vary = true
		if about.TTL == 0 {
			about.TTL = bench.DefaultLocationTTL
		}
		if !c.keysGiven {
			about.Keys.Count = bench.DefaultThings
		}
	}
	token, err := firstToken(&c.token, string(c.tokenFile))
	if err != nil {
		return about, fmt.Errorf("%w: %w", bench.ErrConfig, err)
	}
	if token != "" {
		about.Headers = append(about.Headers, "Authorization: Bearer "+token)
	}
	if name == "http" {
		about.Endpoint, c.path, err = bench.SplitURL(target)
	} else {
		about.Endpoint, err = bench.ParseEndpoint(target)
	}
	if err != nil {
		return about, fmt.Errorf("--%s: %w", flag, err)
	}
	return about, c.secure(&about.Endpoint)
}

// secure has the endpoint checked, and told who this is, as the flags say.
func (c *benchConfig) secure(e *bench.Endpoint) error {
	if e.TLS == nil {
		if c.trust != (trustFlags{}) || bool(c.insecure) {
			return fmt.Errorf("%w: --ca, --insecure and --client-cert are for TLS: --url https://… or rediss://…", bench.ErrConfig)
		}
		return nil
	}
	if c.trust.ca != "" && bool(c.insecure) {
		return fmt.Errorf("%w: --ca and --insecure exclude each other", bench.ErrConfig)
	}
	config, err := c.trust.config()
	if err != nil {
		return fmt.Errorf("%w: %w", bench.ErrConfig, err)
	}
	config.InsecureSkipVerify = bool(c.insecure) // as asked for
	e.TLS = config
	return nil
}

// askNode completes what only a node knows: which keys are on others, and its peer
// port.
func (c *benchConfig) askNode(ctx context.Context, name string, about *bench.WorkloadConfig) (err error) {
	if name == "remote" || bool(c.remote) {
		if about.Keys.Only, err = bench.RemoteKeys(ctx, *about); err != nil {
			return err
		}
	}
	if name == "peer" || name == "remote" {
		about.Name = name
	}
	if name == "peer" && about.Endpoint.Protocol == bench.ProtocolHTTP {
		about.Endpoint, err = bench.PeerEndpoint(ctx, *about)
		about.Headers = nil // they were for the question
	}
	about.Cluster = string(c.cluster.name)
	if len(c.cluster.secrets) > 0 {
		about.Secret = c.cluster.secrets[0]
	}
	return err
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
