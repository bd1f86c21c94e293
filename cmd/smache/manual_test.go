package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// manualText is docs/OPERATIONS.md.
func manualText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestManualNames: whatever the manual names is there: settings, subcommands and their
// flags, metrics, files of this repository, targets of make, and tests.
func TestManualNames(t *testing.T) {
	t.Parallel()
	manual := manualText(t)
	named := func(least int, pattern string) []string {
		t.Helper()
		names := map[string]bool{}
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(manual, -1) {
			names[found[1]] = true
		}
		if len(names) < least {
			t.Errorf("the manual names only %d of %s", len(names), pattern)
		}
		return slices.Sorted(maps.Keys(names))
	}
	_, man, _ := execute(t, "", "", nil, binary, "man")
	man = strings.ReplaceAll(man, `\-`, "-")
	others := "--some-flag --read-only --add-host --replicas --system" // of nobody, docker, kubectl and groupadd
	for _, flag := range named(15, "[ `(](--[a-z][a-z-]+)") {
		if !regexp.MustCompile(flag+`\b`).MatchString(man) && !strings.Contains(others, flag) {
			t.Errorf("there is no flag %s", flag)
		}
	}
	for _, command := range named(2, "`smache ([a-z]+)") {
		if !strings.Contains(man, "smache "+command) {
			t.Errorf("there is no smache %s", command)
		}
	}
	env := environment{}
	for _, name := range named(5, `\b(SMACHE_[A-Z_]+)\b`) {
		env[name] = ""
	}
	delete(env, "SMACHE_SOME_FLAG")
	delete(env, "SMACHE_ADDRESS") // of compose.yaml
	if unknown := unknownVariables(env); len(unknown) > 0 {
		t.Errorf("there are no variables %q", unknown)
	}
	_, metrics := serveOn(t, clusterPorts(t, 1)[0], aSecret, "--access-log", "1").get("/metrics")
	for _, name := range named(5, `\b(smache_[a-z][a-z_]*[a-z])\b`) {
		if !strings.Contains(metrics, "\n"+name+" ") && !strings.Contains(metrics, "\n"+name+"{") && !strings.HasPrefix(name, "smache_amd") {
			t.Errorf("there is no metric %s", name)
		}
	}
	for _, name := range named(10, "\\b((?:scripts|engine|docs)/[a-zA-Z0-9_./-]*[a-zA-Z0-9])") {
		if _, err := os.Stat(filepath.Join(repository(t), name)); err != nil {
			t.Error(err)
		}
	}
	makefile, err := os.ReadFile(filepath.Join(repository(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range named(1, "(?m)(?:`|^    )make ([a-z]+)\\b") {
		if !strings.Contains(string(makefile), "\n"+target+":") {
			t.Errorf("make has no %s", target)
		}
	}
	var tests strings.Builder
	err = filepath.WalkDir(repository(t), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			var text []byte
			text, err = os.ReadFile(path)
			tests.Write(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range named(3, "`(Test[A-Z][A-Za-z]+)`") {
		if !strings.Contains(tests.String(), "func "+name+"(") {
			t.Errorf("there is no %s", name)
		}
	}
	installer, err := os.ReadFile(filepath.Join(repository(t), "scripts", "install.sh"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range named(3, "scripts/install.sh ([a-z]+)") {
		if !regexp.MustCompile(`(?m)^  (?:[a-z]+ \| )*` + command + `(?: \| [a-z]+)*\)`).Match(installer) {
			t.Errorf("install.sh has no %s", command)
		}
	}
}
