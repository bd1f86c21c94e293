package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
)

// environment is the process's environment.
type environment map[string]string

func parseEnvironment(pairs []string) environment {
	env := environment{}
	for _, pair := range pairs {
		if name, text, ok := strings.Cut(pair, "="); ok {
			env[name] = text
		}
	}
	return env
}

// A setting is one row of the table from which flags, environment variables, the
// help text, the log line of the configuration and the README are made.
type setting struct {
	name   string // the flag, without dashes
	unit   string // what kind of value it takes, for help: SIZE, DURATION, …; empty for a switch
	value  value  // holds the default until it is parsed
	about  string // one sentence or two, no full stop at the end
	secret bool   // never shown
	flag   bool   // has no environment variable: --json, --help
	given  *bool  // if set, becomes true when a flag or a variable sets the value
}

// set sets the value to what a flag or a variable says.
func (s *setting) set(text string) error {
	if s.given != nil {
		*s.given = true
	}
	return s.value.Set(text)
}

// variable is the name of the setting's environment variable.
func (s *setting) variable() string {
	if s.flag {
		return ""
	}
	return "SMACHE_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// shown is the value as logs and help may show it.
func (s *setting) shown() string {
	text := s.value.String()
	if s.secret && text != "" {
		return "****"
	}
	return text
}

// isSwitch says that the flag needs no value.
func (s *setting) isSwitch() bool {
	_, ok := s.value.(*boolValue)
	return ok
}

// errHelp says that --help was given.
var errHelp = errors.New("help")

// parseSettings sets the settings from the environment, then from the arguments,
// which win, and returns the arguments that are no flags. A flag may stand behind
// an argument; what follows -- is no flag, and neither is a negative number.
// The errors name the flag or the variable; errHelp asks for help.
func parseSettings(settings []setting, args []string, env environment) ([]string, error) {
	byName := map[string]*setting{}
	for i := range settings {
		s := &settings[i]
		byName[s.name] = s
		text, ok := env[s.variable()]
		if !ok || s.variable() == "" || text == "" {
			continue
		}
		if err := s.set(text); err != nil {
			return nil, fmt.Errorf("the environment variable %s=%s: %w", s.variable(), s.quoted(text), err)
		}
		if list, ok := s.value.(*listValue); ok {
			list.reset()
		}
	}
	var rest []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(rest, args[i+1:]...), nil
		}
		if len(arg) < 2 || arg[0] != '-' || arg[1] >= '0' && arg[1] <= '9' {
			rest = append(rest, arg)
			continue
		}
		name, text, given := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		if name == "help" || name == "h" {
			return nil, errHelp
		}
		s := byName[name]
		switch {
		case s == nil:
			return nil, fmt.Errorf("there is no flag --%s", name)
		case !given && s.isSwitch():
			text = "true"
		case !given && i+1 == len(args):
			return nil, fmt.Errorf("--%s needs a value", name)
		case !given:
			i++
			text = args[i]
		}
		if err := s.set(text); err != nil {
			return nil, fmt.Errorf("--%s %s: %w", name, s.quoted(text), err)
		}
	}
	return rest, nil
}

// quoted is a text that was given for the setting, as an error may show it.
func (s *setting) quoted(text string) string {
	if s.secret {
		return "****"
	}
	return fmt.Sprintf("%q", text)
}

// parseCommand parses the settings of a subcommand that takes from least to most
// arguments. It answers --help and mistakes itself: ok is false then, and the
// subcommand ends with the code.
func parseCommand(inv invocation, name string, settings []setting, least, most int) (rest []string, code int, ok bool) {
	if inv.describe != nil {
		inv.describe(settings)
		return nil, exitOK, false
	}
	rest, err := parseSettings(settings, inv.args, inv.env)
	if errors.Is(err, errHelp) {
		printUsage(inv.stdout, name, settings)
		return nil, exitOK, false
	}
	switch {
	case err != nil:
	case len(rest) > most:
		err = fmt.Errorf("unexpected argument %q", rest[most])
	case len(rest) < least:
		err = errors.New("an argument is missing")
	default:
		return rest, exitOK, true
	}
	return nil, usageError(inv, name, err), false
}

// usageError says what is wrong with the command line.
func usageError(inv invocation, name string, err error) int {
	fmt.Fprintf(inv.stderr, "smache %s: %v; see smache %s --help\n", name, err, name)
	return exitUsage
}

func printUsage(w io.Writer, name string, settings []setting) {
	for _, c := range commands() {
		if c.name == name {
			fmt.Fprintf(w, "smache %s: %s\n\nUsage: %s\n", name, c.about, strings.TrimSpace("smache "+name+" "+c.args))
		}
	}
	if len(settings) > 0 {
		printSettings(w, settings)
	}
}

func printSettings(w io.Writer, settings []setting) {
	fmt.Fprintln(w, "\nFlags, their environment variables and [defaults]")
	for i := range settings {
		s := &settings[i]
		head := "--" + s.name
		if s.unit != "" {
			head += " " + s.unit
		}
		if v := s.variable(); v != "" {
			head += ", " + v
		}
		if text := s.shown(); text != "" && !s.isSwitch() {
			head += " [" + text + "]"
		}
		fmt.Fprintf(w, "  %s\n", head)
		for _, line := range wrap(s.about, 72) {
			fmt.Fprintf(w, "      %s\n", line)
		}
	}
}

// wrap breaks text at spaces into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// logAttributes gives the settings as attributes of a log line.
func logAttributes(settings []setting) []slog.Attr {
	attrs := make([]slog.Attr, 0, len(settings))
	for i := range settings {
		attrs = append(attrs, slog.String(settings[i].name, settings[i].shown()))
	}
	return attrs
}

// markdownTable gives the settings as the table of the README.
func markdownTable(settings []setting) string {
	var b strings.Builder
	b.WriteString("| flag | variable | default | meaning |\n| --- | --- | --- | --- |\n")
	for i := range settings {
		s := &settings[i]
		def := s.shown()
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", s.name, s.variable(), def, strings.ReplaceAll(s.about, "|", "\\|"))
	}
	return b.String()
}

// unknownVariables lists the variables that look like settings and are none: a
// misspelt one must not be silent.
func unknownVariables(env environment) []string {
	known := []string{}
	for _, table := range [][]setting{newServeConfig().settings(), newClientConfig().settings()} {
		for i := range table {
			known = append(known, table[i].variable())
		}
	}
	var unknown []string
	for name := range env {
		if strings.HasPrefix(name, "SMACHE_") && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	sort.Strings(unknown)
	return unknown
}

// table writes rows in columns for people.
func table(w io.Writer, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	_ = tw.Flush()
}
