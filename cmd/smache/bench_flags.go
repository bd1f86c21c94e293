package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/smache/smache/bench"
)

// benchUses says which scenarios a flag has to do with: only those, or all but those.
// A flag that is not in it has to do with all; --batch, which scripts give to whatever
// they measure, is not.
var benchUses = map[string]struct{ only, never []string }{
	"read-share": {only: []string{"mixed", "remote", "peer"}},
	"updates":    {only: []string{"location"}},
	"reads":      {only: []string{"location"}},
	"method":     {only: []string{"http"}},
	"body":       {only: []string{"http"}},
	"status":     {only: []string{"http"}},
	"answer":     {only: []string{"http"}},
	"order":      {never: []string{"location"}}, // which moves one thing after the other
	"remote":     {never: []string{"seed"}},     // whose rows say where the key is
	"label":      {never: []string{"seed"}},     // whose rows have names
}

// benchUnused says of which scenarios the help leaves a flag out, beside those that
// benchUses refuses it for: it would be without effect, or is without sense.
var benchUnused = map[string][]string{
	"keys":       {"control"},
	"key-prefix": {"control"},
	"order":      {"control"},
	"skew":       {"control", "location"},
	"seed":       {"control", "location"},
	"value-size": {"control"},
	"ttl":        {"control"},
	"vary":       {"control", "mixed", "location"},
	"remote":     {"control", "http", "remote"},
	"batch":      {"control", "post", "get", "mixed", "remote", "peer", "http", "seed"},
	"written":    {"control", "post", "mset", "http"},
	"secret":     {"http", "seed"}, "secret-file": {"http", "seed"}, "cluster": {"http", "seed"},
}

// benchConcerns reports whether a flag has to do with a scenario.
func benchConcerns(flag, scenario string) bool {
	uses := benchUses[flag]
	return (uses.only == nil || slices.Contains(uses.only, scenario)) &&
		!slices.Contains(uses.never, scenario) && !slices.Contains(benchUnused[flag], scenario)
}

// noteGiven has each setting of the table note whether it was given.
func noteGiven(table []setting) {
	for i := range table {
		if table[i].given == nil {
			table[i].given = new(bool)
		}
	}
}

// checkBenchFlags refuses flags that would be without effect in all of the scenarios,
// and zeros that would mean the default. The table has noted what was given.
func (c *benchConfig) checkBenchFlags(table []setting, scenarios []string) error {
	given := map[string]bool{}
	for i := range table {
		name := table[i].name
		if given[name] = *table[i].given; !given[name] {
			continue
		}
		uses, some := benchUses[name]
		of := func(list []string) bool {
			return !slices.ContainsFunc(scenarios, func(s string) bool { return !slices.Contains(list, s) })
		}
		switch {
		case !some:
		case uses.only != nil && !slices.ContainsFunc(scenarios, func(s string) bool { return slices.Contains(uses.only, s) }):
			return fmt.Errorf("--%s is for %s only", name, strings.Join(uses.only, ", "))
		case uses.never != nil && of(uses.never):
			return fmt.Errorf("--%s is not for %s", name, strings.Join(uses.never, ", "))
		}
	}
	switch {
	case given["drain"] && c.duration == 0 && c.warmup == 0:
		return errors.New("--drain is for --duration and --warmup only")
	case given["min-difference"] && c.compare == "":
		return errors.New("--min-difference is for --compare only")
	case c.minDifference < .01 || c.minDifference > 1:
		return errors.New("--min-difference must be 0.01 to 1")
	}
	if given["url"] && given["addr"] {
		return errors.New("--url and --addr both name the server: give one, --url if there is a path")
	}
	if given["duration"] && c.duration == 0 {
		return fmt.Errorf("--duration must be at least %v", bench.MinDuration)
	}
	if given["skew"] && c.order.word != "zipf" {
		return errors.New("--skew is for --order zipf only")
	}
	for name, zero := range map[string]bool{
		"clients": c.clients == 0, "keys": c.keys == 0, "rounds": c.rounds == 0, "batch": c.batch == 0,
		"skew": c.skew == 0, "timeout": c.timeout == 0, "drain": c.drain == 0,
	} {
		if zero {
			return fmt.Errorf("--%s must be above 0", name)
		}
	}
	return nil
}
