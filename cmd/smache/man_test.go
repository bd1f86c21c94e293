package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// printed is what a subcommand prints.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(invocation{ctx: t.Context(), args: args, stdout: &stdout, stderr: &stderr}); code != exitOK {
		t.Fatalf("smache %q: exit code %d\n%s", args, code, &stderr)
	}
	return stdout.String()
}

// TestManual: the manual page has every command and every flag, with its variable, and
// no line that troff would take for a request.
func TestManual(t *testing.T) {
	page := printed(t, "man")
	for _, c := range described() {
		if !strings.Contains(page, ".SS smache "+c.name) {
			t.Errorf("the page lacks the command %s", c.name)
		}
		for i := range c.settings {
			s := &c.settings[i]
			head := `\fB` + roff("--"+s.name) + `\fR`
			if s.unit != "" {
				head += ` \fI` + roff(s.unit) + `\fR`
			}
			if v := s.variable(); v != "" {
				head += ", " + v
			}
			if !strings.Contains(page, ".TP\n"+head) || !strings.Contains(page, roff(s.about)) {
				t.Errorf("the page lacks %s --%s", c.name, s.name)
			}
		}
	}
	requests := []string{".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".BR", ".I", `.\"`}
	for line := range strings.Lines(page) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !slices.Contains(requests, word) {
			t.Errorf("troff takes this line for a request: %s", line)
		}
	}
	if _, err := exec.LookPath("groff"); err == nil {
		cmd := exec.Command("groff", "-man", "-ww", "-Tascii")
		cmd.Stdin = strings.NewReader(page)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil || stderr.Len() > 0 {
			t.Errorf("groff: %v\n%s", err, &stderr)
		}
	}
}

// TestTablesAreAll: each command but help shows its table without running, and the one
// of serve is that of the README.
func TestTablesAreAll(t *testing.T) {
	for _, c := range described() {
		if got, want := markdownTable(c.settings), markdownTable(newServeConfig().settings()); c.name == "serve" && got != want {
			t.Errorf("serve shows\n%s", got)
		}
		if slices.Contains([]string{"get", "set", "del", "status", "key", "bench"}, c.name) && len(c.settings) < 2 {
			t.Errorf("%s shows %d settings", c.name, len(c.settings))
		}
	}
}

// TestBashCompletes asks bash itself, where there is one.
func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Logf("there is no bash: %v", err)
		return
	}
	script := printed(t, "completion", "bash")
	for _, c := range []struct{ line, want string }{
		{"smache s", "serve set status secret"},
		{"smache serve --drain-", "--drain-delay"},
		{"smache serve --log-format ", "auto text json"},
		{"smache serve --memory ", ""},
		{"smache bench --order ", "random sequential"},
		{"smache bench ", "control post get engine --help"},
		{"smache completion z", "zsh"},
		{"smache serve --secret-file " + filepath.Dir(bash) + "/bas", bash},
	} {
		words := strings.Split(c.line, " ")
		cmd := exec.Command(bash, "-c", script+`
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _smache; printf '%s\n' "${COMPREPLY[@]}"`, "bash")
		cmd.Args = append(cmd.Args, words...)
		output, err := cmd.CombinedOutput()
		got := strings.Fields(string(output))
		for _, word := range strings.Fields(c.want) {
			if !slices.Contains(got, word) {
				t.Errorf("%q completes to %q, %v; want %s", c.line, got, err, word)
			}
		}
		if c.want == "" && len(got) > 0 {
			t.Errorf("%q completes to %q; want nothing", c.line, got)
		}
	}
}

// TestCompletions: each shell is told every command and flag.
func TestCompletions(t *testing.T) {
	marks := map[string]string{"bash": "--", "zsh": "--", "fish": "-l "}
	for _, shell := range shellNames() {
		text := printed(t, "completion", shell)
		for _, c := range described() {
			if !strings.Contains(text, c.name) {
				t.Errorf("%s: %s is missing", shell, c.name)
			}
			for i := range c.settings {
				if !strings.Contains(text, marks[shell]+c.settings[i].name) {
					t.Errorf("%s: %s --%s is missing", shell, c.name, c.settings[i].name)
				}
			}
		}
	}
	var stderr bytes.Buffer
	if code := run(invocation{ctx: t.Context(), args: []string{"completion", "tcsh"}, stdout: &stderr, stderr: &stderr}); code != exitUsage {
		t.Errorf("completions for an unknown shell: exit code %d", code)
	}
}
