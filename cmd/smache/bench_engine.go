package main

import (
	"errors"
	"fmt"

	"github.com/smache/smache/bench"
	"github.com/smache/smache/engine/store"
)

// benchEngineConfig holds what bench engine was told.
type benchEngineConfig struct {
	records   intValue
	rounds    intValue
	valueSize sizeValue
	arena     sizeValue
	json      boolValue
}

func newBenchEngineConfig() *benchEngineConfig {
	return &benchEngineConfig{records: bench.DefaultRecords, rounds: bench.DefaultRounds, arena: 64 << 20}
}

func (c *benchEngineConfig) settings() []setting {
	return withoutVariables([]setting{
		{name: "records", unit: "COUNT", value: &c.records, about: "Records written, then read, by one goroutine"},
		{name: "rounds", unit: "COUNT", value: &c.rounds, about: "How often that is done, each time with other values"},
		{name: "value-size", unit: "SIZE", value: &c.valueSize, about: fmt.Sprintf("Size of the values, %d bytes to 16MiB; 0 is a position of 58 bytes", bench.MinValueSize)},
		{name: "arena", unit: "SIZE", value: &c.arena, about: "Memory for the values, a multiple of 32MiB"},
		{name: "json", value: &c.json, about: "Print one JSON object, in place of text"},
	})
}

// runBenchEngine measures a store of this process. The first argument is the
// scenario's name.
func runBenchEngine(inv invocation) int {
	cfg := newBenchEngineConfig()
	rest, err := parseSettings(cfg.settings(), inv.args[1:], nil)
	if errors.Is(err, errHelp) {
		printUsage(inv.stdout, "bench", cfg.settings())
		return exitOK
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("unexpected argument %q", rest[0])
	}
	if err != nil {
		return usageError(inv, "bench", err)
	}
	s, err := store.New(store.Config{ArenaBytes: int64(cfg.arena)})
	if err != nil {
		fmt.Fprintf(inv.stderr, "smache bench: %v; see --arena\n", err)
		return exitUsage
	}
	result, err := bench.RunEngine(inv.ctx, bench.EngineConfig{
		Target: s, Records: int(cfg.records), Rounds: int(cfg.rounds), ValueSize: int(cfg.valueSize),
	})
	if closing := s.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return benchError(inv, err)
	}
	write := result.WriteText
	if cfg.json {
		write = result.WriteJSON
	}
	if err := write(inv.stdout); err != nil {
		fmt.Fprintf(inv.stderr, "smache bench: cannot write the result: %v\n", err)
		return exitBenchFailed
	}
	return exitOK
}
