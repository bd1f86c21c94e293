// Command smache is the one binary of Smache: the node, its client and its load
// generator.
//
// It owns flags, environment variables, signals and exit codes; nothing else in
// the module reads a flag or a variable, or ends the process. It refuses to know
// how anything is stored, placed or answered. Every subcommand is a function of
// an invocation, which holds all that it may touch of the outside world, so that
// a test can run it without a process.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

// The exit codes. They are part of the interface and never change.
const (
	exitOK          = 0 // done
	exitNo          = 1 // get: a miss; del: nothing there; set: a condition failed; status: not ready; serve, secret: failed
	exitUsage       = 2 // a flag, an argument or a variable is wrong
	exitServer      = 3 // the server answered with an error; serve: stopped before everything was finished
	exitUnreachable = 4 // no server answered
)

// exitMeanings are the exit codes as the help text and the manual page explain them.
var exitMeanings = []struct {
	code    int
	meaning string
}{
	{exitOK, "done"},
	{exitNo, "get: a miss; del: there was nothing; set: a condition does not hold; status: not ready; serve: could not start, or failed"},
	{exitUsage, "a flag, an argument or a variable is wrong"},
	{exitServer, "the server answered with an error; serve: stopped before all was finished"},
	{exitUnreachable, "no server answered"},
}

// version is the release, set by the linker: -X main.version=v1.2.3.
var version = ""

// An invocation is one run of a subcommand and all of the outside world that it
// sees.
type invocation struct {
	ctx    context.Context
	args   []string // behind the subcommand's name
	env    environment
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	// program is the file of this binary, for those that it starts; empty: to be found
	// out. Tests set it.
	program string
	// describe, if set, takes the table of the subcommand, which then does nothing
	// else.
	describe func([]setting)
}

// A command is one subcommand.
type command struct {
	name  string
	args  string // the arguments, as help shows them
	about string // one line
	run   func(invocation) int
}

// commands lists the subcommands in the order of the help text.
func commands() []command {
	return []command{
		{"serve", "[flags]", "run a node", runServe},
		{"get", "[flags] KEY", "read an entry", runGet},
		{"set", "[flags] KEY JSON|-", "write an entry; - reads standard input", runSet},
		{"del", "[flags] KEY", "delete an entry", runDel},
		{"status", "[flags] [--watch [INTERVAL]]", "show the cluster and a node's figures", runStatus},
		{"top", "[flags]", "show the cluster live in a terminal", runTop},
		{"key", "[flags] KEY", "show a key's form, slot and holder", runKey},
		{"secret", "", "print a new secret for a cluster", runSecret},
		{"bench", "[SCENARIO] [flags]", "load a node and measure it", runBench},
		{"completion", "bash|zsh|fish", "print the completions for a shell", runCompletion},
		{"man", "", "print the manual page, as troff", runMan},
		{"version", "[--json]", "say what this binary is", runVersion},
		{"help", "[COMMAND]", "explain a command", runHelp},
	}
}

func main() {
	os.Exit(run(invocation{
		ctx:    context.Background(),
		args:   os.Args[1:],
		env:    parseEnvironment(os.Environ()),
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
	}))
}

// run finds the subcommand and runs it.
func run(inv invocation) int {
	if len(inv.args) == 0 {
		printHelp(inv.stderr)
		return exitUsage
	}
	name := inv.args[0]
	inv.args = inv.args[1:]
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-v", "-version", "--version":
		name = "version"
	}
	for _, c := range commands() {
		if c.name == name {
			return c.run(inv)
		}
	}
	fmt.Fprintf(inv.stderr, "smache: there is no command %q; see smache help\n", name)
	return exitUsage
}

func runHelp(inv invocation) int {
	if inv.describe != nil {
		return exitOK // it has no flags
	}
	switch len(inv.args) {
	case 0:
		printHelp(inv.stdout)
		return exitOK
	case 1:
		if inv.args[0] == "help" || strings.HasPrefix(inv.args[0], "-") {
			printHelp(inv.stdout)
			return exitOK
		}
		name := inv.args[0]
		inv.args = []string{name, "--help"}
		return run(inv)
	default:
		fmt.Fprintln(inv.stderr, "smache help: takes one command at most")
		return exitUsage
	}
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, "Smache is a cache of immutable JSON values behind an HTTP API.\n\nUsage: smache COMMAND [flags] [arguments]\n\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(tw, "  %s %s\t%s\n", c.name, c.args, c.about)
	}
	_ = tw.Flush()
	fmt.Fprint(w, `
smache serve, with no flag, is a working node on 127.0.0.1:4000.
smache COMMAND --help lists the flags of a command. Those of serve, and
--server, --timeout, --token, --token-file, --ca, --client-cert and
--client-key, can also be given as environment variables, --some-name as
SMACHE_SOME_NAME; the flag wins.

Exit codes
`)
	for _, e := range exitMeanings {
		for i, line := range wrap(e.meaning, 72) {
			code := " "
			if i == 0 {
				code = strconv.Itoa(e.code)
			}
			fmt.Fprintf(w, "  %s  %s\n", code, line)
		}
	}
}
