package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// sampleSettings is a table with one setting of each kind.
type sampleSettings struct {
	name   stringValue
	count  intValue
	hosts  listValue
	secret stringValue
	quiet  boolValue
}

func (s *sampleSettings) settings() []setting {
	return []setting{
		{name: "name", unit: "NAME", value: &s.name, about: "A name"},
		{name: "max-count", unit: "COUNT", value: &s.count, about: "A number | a count"},
		{name: "host", unit: "HOSTS", value: &s.hosts, about: "Hosts"},
		{name: "secret", unit: "TEXT", value: &s.secret, about: "A secret", secret: true},
		{name: "quiet", value: &s.quiet, about: "A switch", flag: true},
	}
}

func TestParseSettings(t *testing.T) {
	for _, c := range []struct {
		about string
		args  []string
		env   environment
		want  sampleSettings
		rest  []string
	}{
		{"defaults", nil, nil, sampleSettings{name: "n", count: 1}, nil},
		{"variable", nil, environment{"SMACHE_MAX_COUNT": "2"}, sampleSettings{name: "n", count: 2}, nil},
		{"empty variable", nil, environment{"SMACHE_MAX_COUNT": ""}, sampleSettings{name: "n", count: 1}, nil},
		{"flag over variable", []string{"--max-count", "3"}, environment{"SMACHE_MAX_COUNT": "2"}, sampleSettings{name: "n", count: 3}, nil},
		{"one dash, equals sign", []string{"-max-count=4"}, nil, sampleSettings{name: "n", count: 4}, nil},
		{"empty value", []string{"--name="}, nil, sampleSettings{count: 1}, nil},
		{"value like a flag", []string{"--name", "--x"}, nil, sampleSettings{name: "--x", count: 1}, nil},
		{"flags behind arguments", []string{"a", "--quiet", "b", "--name", "m"}, nil, sampleSettings{name: "m", count: 1, quiet: true}, []string{"a", "b"}},
		{"switch with a value", []string{"--quiet=false", "a"}, nil, sampleSettings{name: "n", count: 1}, []string{"a"}},
		{"negative number, dash", []string{"-5", "-"}, nil, sampleSettings{name: "n", count: 1}, []string{"-5", "-"}},
		{"two dashes", []string{"--", "--quiet", "-x"}, nil, sampleSettings{name: "n", count: 1}, []string{"--quiet", "-x"}},
		{"switches have no variable", nil, environment{"SMACHE_QUIET": "true"}, sampleSettings{name: "n", count: 1}, nil},
		{"list", []string{"--host", "a", "--host", "b,c"}, nil, sampleSettings{name: "n", count: 1, hosts: listValue{items: []string{"a", "b", "c"}}}, nil},
		{"list, flag over variable", []string{"--host", "a"}, environment{"SMACHE_HOST": "x,y"}, sampleSettings{name: "n", count: 1, hosts: listValue{items: []string{"a"}}}, nil},
	} {
		got := sampleSettings{name: "n", count: 1}
		rest, err := parseSettings(got.settings(), c.args, c.env)
		if err != nil {
			t.Errorf("%s: %v", c.about, err)
			continue
		}
		if !slices.Equal(got.hosts.items, c.want.hosts.items) || !slices.Equal(rest, c.rest) {
			t.Errorf("%s: hosts %q, arguments %q", c.about, got.hosts.items, rest)
		}
		if got.name != c.want.name || got.count != c.want.count || got.quiet != c.want.quiet {
			t.Errorf("%s: got %+v, want %+v", c.about, got, c.want)
		}
	}
}

func TestParseSettingsErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  environment
		want string
	}{
		{[]string{"--nane", "x"}, nil, "--nane"},
		{[]string{"--name"}, nil, "--name needs a value"},
		{[]string{"--max-count", "x"}, nil, "--max-count"},
		{[]string{"--quiet=perhaps"}, nil, "--quiet"},
		{nil, environment{"SMACHE_MAX_COUNT": "x"}, "SMACHE_MAX_COUNT"},
		// A bad variable is an error even where a flag would have won.
		{[]string{"--max-count", "1"}, environment{"SMACHE_MAX_COUNT": "x"}, "SMACHE_MAX_COUNT"},
	} {
		var s sampleSettings
		_, err := parseSettings(s.settings(), c.args, c.env)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q with %v: %v does not name %q", c.args, c.env, err, c.want)
		}
	}
	var s sampleSettings
	for _, arg := range []string{"-h", "--help", "-help"} {
		if _, err := parseSettings(s.settings(), []string{arg}, nil); !errors.Is(err, errHelp) {
			t.Errorf("%s gives %v", arg, err)
		}
	}
}

// refusing is a value that takes nothing.
type refusing struct{ stringValue }

func (*refusing) Set(string) error { return errors.New("no") }

func TestSecretsAreMasked(t *testing.T) {
	s := sampleSettings{secret: "hunter2"}
	var help bytes.Buffer
	printUsage(&help, "serve", s.settings())
	shown := help.String() + markdownTable(s.settings())
	for _, attr := range logAttributes(s.settings()) {
		shown += attr.String()
	}
	_, err := parseSettings([]setting{{name: "secret", value: &refusing{}, secret: true}}, []string{"--secret", "hunter2"}, nil)
	if err == nil {
		t.Fatal("the value was taken")
	}
	shown += err.Error()
	_, err = parseSettings([]setting{{name: "secret", value: &refusing{}, secret: true}}, nil, environment{"SMACHE_SECRET": "hunter2"})
	if err == nil {
		t.Fatal("the value was taken")
	}
	shown += err.Error()
	if strings.Contains(shown, "hunter2") {
		t.Errorf("the secret is shown in %s", shown)
	}
	if strings.Count(shown, "****") != 5 {
		t.Errorf("the secret is not masked everywhere in %s", shown)
	}
}

func TestUnknownVariables(t *testing.T) {
	env := environment{"SMACHE_MEMROY": "1", "SMACHE_MEMORY": "1", "SMACHE_SERVER": "x", "HOME": "/", "SMACHE_A": ""}
	if got := unknownVariables(env); !slices.Equal(got, []string{"SMACHE_A", "SMACHE_MEMROY"}) {
		t.Errorf("got %q", got)
	}
}

func TestPort(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  environment
		want string
	}{
		{nil, nil, "127.0.0.1:4000"},
		{nil, environment{"PORT": "4001"}, "127.0.0.1:4001"},
		{nil, environment{"PORT": ""}, "127.0.0.1:4000"},
		{nil, environment{"PORT": "4001", "SMACHE_LISTEN": ":5000"}, ":5000"},
		{[]string{"--listen", "[::1]:6000"}, environment{"PORT": "4001", "SMACHE_LISTEN": ":5000"}, "[::1]:6000"},
		{[]string{"--listen", "127.0.0.1:4000"}, environment{"PORT": "4001"}, "127.0.0.1:4000"},
	} {
		cfg := newServeConfig()
		_, err := parseSettings(cfg.settings(), c.args, c.env)
		if err == nil {
			err = cfg.applyPort(c.env)
		}
		if err == nil {
			err = cfg.check()
		}
		if err != nil || string(cfg.listen) != c.want {
			t.Errorf("%q with %v listens on %q, %v; want %q", c.args, c.env, cfg.listen, err, c.want)
		}
	}
}

// capture runs a subcommand in this process.
func capture(ctx context.Context, stdin string, env environment, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(invocation{ctx: ctx, args: args, env: env, stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

// TestUsageErrors holds every mistake to exit code 2 and a line that names it.
func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  environment
		want string
	}{
		{[]string{}, nil, "Usage"},
		{[]string{"sevre"}, nil, `"sevre"`},
		{[]string{"serve", "extra"}, nil, `"extra"`},
		{[]string{"serve", "--memroy", "1GiB"}, nil, "--memroy"},
		{[]string{"serve", "--memory", "lots"}, nil, "--memory"},
		{[]string{"serve", "--memory", "0"}, nil, "--memory"},
		{[]string{"serve", "--listen", "4000"}, nil, "--listen"},
		{[]string{"serve", "--admin-listen", "4001"}, nil, "--admin-listen"},
		{[]string{"serve", "--access-log", "2"}, nil, "--access-log"},
		{[]string{"serve", "--max-value", "0"}, nil, "--max-value"},
		{[]string{"serve", "--max-body", "2GiB"}, nil, "--max-body"},
		{[]string{"serve", "--max-batch", "0"}, nil, "--max-batch"},
		{[]string{"serve", "--queue", "0"}, nil, "--queue"},
		{[]string{"serve", "--writers", "3"}, nil, "--writers"},
		{[]string{"serve", "--read-timeout", "0"}, nil, "--read-timeout"},
		{[]string{"serve", "--drain-delay", "30s"}, nil, "--drain-delay"},
		{[]string{"serve", "--log-level", "loud"}, nil, "--log-level"},
		{[]string{"serve", "--pprof", "0.0.0.0:6060"}, nil, "--pprof"},
		{[]string{"serve"}, environment{"PORT": "http"}, "PORT"},
		{[]string{"serve"}, environment{"PORT": "65536"}, "PORT"},
		{[]string{"serve"}, environment{"SMACHE_MEMORY": "lots"}, "SMACHE_MEMORY"},
		{[]string{"get"}, nil, "argument is missing"},
		{[]string{"get", "a", "b"}, nil, `"b"`},
		{[]string{"get", "a", "--server", "ftp://x"}, nil, "--server"},
		{[]string{"set", "a"}, nil, "argument is missing"},
		{[]string{"set", "a", "{"}, nil, "not valid JSON"},
		{[]string{"set", "a", `{},"ttl":1`}, nil, "not valid JSON"},
		{[]string{"set", "a\xff", "{}"}, nil, "UTF-8"},
		{[]string{"set", "a", "{}", "--ttl", "soon"}, nil, "--ttl"},
		{[]string{"key", ""}, nil, "nil_key"},
		{[]string{"key", "null"}, nil, "nil_key"},
		{[]string{"key", "\xff"}, nil, "malformed_utf8"},
		{[]string{"key", strings.Repeat("x", 1025)}, nil, "key_too_long"},
		{[]string{"version", "x"}, nil, `"x"`},
		{[]string{"help", "a", "b"}, nil, "one command"},
		{[]string{"status", "--timeout", "x"}, nil, "--timeout"},
	} {
		code, stdout, stderr := capture(t.Context(), "", c.env, c.args...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("smache %q with %v: exit %d, stdout %q, stderr %q; want 2 and %q", c.args, c.env, code, stdout, stderr, c.want)
		}
	}
}

// TestHelpFitsTerminals: no line of any command's help is wider than 80 columns.
func TestHelpFitsTerminals(t *testing.T) {
	texts := [][]string{{"help"}, {"bench", "engine", "--help"}}
	for _, c := range commands() {
		texts = append(texts, []string{"help", c.name})
	}
	for _, args := range texts {
		code, stdout, _ := capture(t.Context(), "", nil, args...)
		if code != exitOK || stdout == "" {
			t.Errorf("smache %q exits with %d and prints %q", args, code, stdout)
		}
		for line := range strings.Lines(stdout) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("smache %q: %d columns: %s", args, n, line)
			}
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}, {"help", "help"}} {
		code, stdout, _ := capture(t.Context(), "", nil, args...)
		if code != exitOK {
			t.Errorf("smache %q exits with %d", args, code)
		}
		for _, c := range commands() {
			if !strings.Contains(stdout, "  "+c.name+" ") {
				t.Errorf("smache %q does not list %s", args, c.name)
			}
		}
	}
	for _, args := range [][]string{{"help", "serve"}, {"serve", "--help"}, {"serve", "--memory", "1GiB", "-h"}} {
		code, stdout, _ := capture(t.Context(), "", nil, args...)
		if code != exitOK {
			t.Errorf("smache %q exits with %d", args, code)
		}
		for _, s := range newServeConfig().settings() {
			if !strings.Contains(stdout, "--"+s.name+" ") && !strings.Contains(stdout, "--"+s.name+",") || !strings.Contains(stdout, s.variable()) {
				t.Errorf("smache %q does not list --%s", args, s.name)
			}
		}
	}
	for args, usage := range map[string]string{"bench": "smache bench [SCENARIO] [flags]", "get": "smache get [flags] KEY"} {
		if _, stdout, _ := capture(t.Context(), "", nil, "help", args); !strings.Contains(stdout, "Usage: "+usage+"\n") {
			t.Errorf("smache help %s does not say %q: %q", args, usage, stdout)
		}
	}
	for _, name := range []string{"get", "set", "del", "status", "key", "secret", "version"} {
		if code, stdout, _ := capture(t.Context(), "", nil, "help", name); code != exitOK || !strings.Contains(stdout, "smache "+name) {
			t.Errorf("smache help %s exits with %d and prints %q", name, code, stdout)
		}
	}
}

func TestVersion(t *testing.T) {
	code, stdout, _ := capture(t.Context(), "", nil, "version")
	if code != exitOK || !strings.HasPrefix(stdout, "smache ") || !strings.Contains(stdout, "go1.") {
		t.Errorf("exit %d, %q", code, stdout)
	}
	code, stdout, _ = capture(t.Context(), "", nil, "version", "--json")
	if code != exitOK || !strings.Contains(stdout, `"version":`) {
		t.Errorf("exit %d, %q", code, stdout)
	}
}
