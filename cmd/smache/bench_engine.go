package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/smache/smache/bench"
	"github.com/smache/smache/engine/store"
)

// benchEngineConfig holds what bench engine was told.
type benchEngineConfig struct {
	records   intValue
	rounds    intValue
	valueSize sizeValue
	arena     sizeValue
	workers   intValue
	json, csv boolValue
}

func newBenchEngineConfig() *benchEngineConfig {
	return &benchEngineConfig{records: bench.DefaultRecords, rounds: bench.DefaultRounds, arena: 64 << 20}
}

func (c *benchEngineConfig) settings() []setting {
	return withoutVariables([]setting{
		{name: "records", unit: "COUNT", value: &c.records, about: "Records written, then read"},
		{name: "goroutines", unit: "COUNT", value: &c.workers, about: "How many goroutines share the records; 0 is one for each core"},
		{name: "rounds", unit: "COUNT", value: &c.rounds, about: "How often that is done, each time with other values"},
		{name: "value-size", unit: "SIZE", value: &c.valueSize, about: fmt.Sprintf("Size of the values, %d bytes to 16MiB; 0 is a position of 58 bytes", bench.MinValueSize)},
		{name: "arena", unit: "SIZE", value: &c.arena, about: "Memory for the values, a multiple of 32MiB"},
		{name: "json", value: &c.json, about: "Print one JSON object, in place of text"},
		{name: "csv", value: &c.csv, about: "Print two lines of comma-separated values, the names and the figures, in place of text"},
	})
}

// benchNotEngine says why flags that only look as if they were for engine, too, are not.
var benchNotEngine = map[string]string{
	"html":           "its page shows latency and rate over time, which are not measured here",
	"compare":        "it tells noise by single rounds, of which there is only the spread here; for builds see scripts/bench-builds.sh, or go test -bench and benchstat",
	"min-difference": "it is for --compare",
	"label":          "it names results for --compare",
	"keys":           "--records is the number of keys",
	"requests":       "each round writes and reads --records once",
	"clients":        "--goroutines is the number of those who ask",
}

// refuseNetworkFlags gives the error of a flag that the other scenarios have.
func (c *benchEngineConfig) refuseNetworkFlags(args []string) error {
	is := func(table []setting, name string) bool {
		return slices.ContainsFunc(table, func(s setting) bool { return s.name == name })
	}
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || is(c.settings(), name) || !is(newBenchConfig().settings(), name) {
			continue
		}
		why := benchNotEngine[name]
		if why == "" {
			why = "there is no server to ask"
		}
		return fmt.Errorf("--%s is not for engine: %s", name, why)
	}
	return nil
}

// writers gives each goroutine a writer of its own, as far as the arena goes; 0, the
// store's default, if it is no arena.
func (c *benchEngineConfig) writers() int {
	n := min(int(c.workers), int(c.arena/store.ArenaUnit))
	for n&(n-1) != 0 {
		n &= n - 1
	}
	return max(n, 0)
}

// runBenchEngine measures a store of this process. The first argument is the
// scenario's name.
func runBenchEngine(inv invocation) int {
	cfg := newBenchEngineConfig()
	if err := cfg.refuseNetworkFlags(inv.args[1:]); err != nil {
		return usageError(inv, "bench engine", err)
	}
	rest, err := parseSettings(cfg.settings(), inv.args[1:], nil)
	if errors.Is(err, errHelp) {
		fmt.Fprintln(inv.stdout, "smache bench engine: write and read records in this process, without HTTP\n\nUsage: smache bench engine [flags]")
		printSettings(inv.stdout, cfg.settings())
		return exitOK
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("unexpected argument %q", rest[0])
	}
	if err == nil && bool(cfg.json) && bool(cfg.csv) {
		err = errors.New("--json and --csv exclude each other")
	}
	if err != nil {
		return usageError(inv, "bench engine", err)
	}
	if cfg.workers == 0 {
		cfg.workers = intValue(runtime.GOMAXPROCS(0))
	}
	s, err := store.New(store.Config{ArenaBytes: int64(cfg.arena), Writers: cfg.writers()})
	if err != nil {
		fmt.Fprintf(inv.stderr, "smache bench: %v; see --arena\n", err)
		return exitUsage
	}
	result, err := bench.RunEngine(inv.ctx, bench.EngineConfig{
		Target: s, Records: int(cfg.records), Rounds: int(cfg.rounds), ValueSize: int(cfg.valueSize), Goroutines: int(cfg.workers),
	})
	if closing := s.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return benchError(inv, err)
	}
	write := result.WriteText
	switch {
	case bool(cfg.json):
		write = result.WriteJSON
	case bool(cfg.csv):
		write = result.WriteCSV
	}
	if err := write(inv.stdout); err != nil {
		fmt.Fprintf(inv.stderr, "smache bench: cannot write the result: %v\n", err)
		return exitBenchFailed
	}
	return exitOK
}
