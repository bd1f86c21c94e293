package main

import (
	"encoding/json"
	"fmt"

	"github.com/smache/smache/engine"
)

// runVersion says what this binary is.
func runVersion(inv invocation) int {
	var asJSON boolValue
	settings := []setting{{name: "json", value: &asJSON, about: "Print JSON", flag: true}}
	if _, code, ok := parseCommand(inv, "version", settings, 0, 0); !ok {
		return code
	}
	build := engine.ReadBuild(version)
	if asJSON {
		return printJSON(inv, build)
	}
	fmt.Fprintf(inv.stdout, "smache %s\n", build.Version)
	rows := [][]string{}
	if build.Revision != "" {
		revision := build.Revision
		if build.Modified {
			revision += " and changes"
		}
		rows = append(rows, []string{"revision", revision}, []string{"date", build.Time})
	}
	table(inv.stdout, append(rows, []string{"go", build.Go}, []string{"platform", build.Platform}))
	return exitOK
}

// printJSON prints v as one line of JSON.
func printJSON(inv invocation, v any) int {
	encoder := json.NewEncoder(inv.stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		fmt.Fprintf(inv.stderr, "smache: cannot write the answer: %v\n", err)
		return exitNo
	}
	return exitOK
}
