package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/smache/smache"

// mayImport says which of our packages a package may import. A name that ends in
// /... stands for everything below it.
var mayImport = map[string][]string{
	"cmd/smache":          {"bench", "cmd/smache/internal/...", "engine", "engine/...", "peer", "peer/...", "proto"},
	"engine":              {"engine/...", "peer", "peer/...", "proto"},
	"engine/store":        {"proto"},
	"engine/httpapi":      {"engine/httpapi/loop", "engine/internal/...", "proto"},
	"engine/httpapi/loop": {},
	"proto":               {},

	// What is measured against: a program of its own, no part of the binary.
	"engine/httpapi/baseline": {},
	"scripts/floor/gnet":      {},
	"scripts/floor/nethttp":   {},
	"peer":                    {"peer/gossip", "peer/hold", "peer/place", "peer/secure", "proto"},
	"peer/gossip":             {"proto"},
	"peer/hold":               {"proto"},
	"peer/place":              {"proto"},
	"peer/secure":             {},
	"bench":                   {"peer/secure", "proto"},

	// Recorded requests and answers, for tests; the lines of the access log.
	"engine/internal/conversation": {},
	"engine/internal/accesslog":    {"proto"},
	// What clients saw of a cluster, held against the promises: for tests.
	"cmd/smache/internal/history": {},

	// What a service says to its manager, and is given by it.
	"cmd/smache/internal/systemd": {},
}

// onlyIn says which packages may import a module of others, tests included. What
// is not listed is not imported at all.
var onlyIn = map[string][]string{
	"github.com/VictoriaMetrics/fastcache":    {"engine/store"},
	"github.com/cespare/xxhash/v2":            {"engine/store"},
	"github.com/dchest/siphash":               {"engine/store"},
	"github.com/valyala/fasthttp":             {"engine/httpapi", "engine/httpapi/baseline"},
	"github.com/goccy/go-json":                {"engine/httpapi"},
	"github.com/panjf2000/gnet/v2":            {"peer", "bench", "scripts/floor/gnet"},
	"github.com/hashicorp/memberlist":         {"peer/gossip"},
	"github.com/flynn/noise":                  {"peer/secure"},
	"github.com/HdrHistogram/hdrhistogram-go": {"bench"},
	"golang.org/x/sys":                        {"engine", "engine/store", "bench", "peer", "cmd/smache"},
	"golang.org/x/term":                       {"cmd/smache"},
}

// onlyCmd are the standard library's ways to read flags and the environment and
// to end the process, which only cmd may use.
var onlyCmd = map[string][]string{
	"flag":    nil, // the whole package
	"os":      {"Exit", "Getenv", "LookupEnv", "Environ", "ExpandEnv", "Args"},
	"log":     {"Fatal", "Fatalf", "Fatalln"},
	"syscall": {"Exit", "Getenv"},
}

// topLevel are the entries of the repository's root. Dot files are free, and
// bin and dist are what builds leave.
var topLevel = []string{
	"bench", "bin", "cmd", "dist", "docs", "engine", "peer", "proto", "scripts",
	"Dockerfile", "LICENSE", "Makefile", "README.md", "go.mod", "go.sum",
}

// repository is the root of the repository.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("there is no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(repository(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("%s has no place at the top level", e.Name())
		}
	}
}

func TestImportRules(t *testing.T) {
	root := repository(t)
	files := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, ".go"):
			return nil
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		files++
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, complaint := range checkFile(t, filepath.ToSlash(relative), text) {
			t.Error(complaint)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Fatalf("only %d files were found", files)
	}
}

// TestModulesAreNamed: go.mod tells the modules that the code uses from those that
// they bring along.
func TestModulesAreNamed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, used := onlyIn[name]; used == strings.Contains(line, "// indirect") && strings.HasPrefix(line, "\t") {
			t.Errorf("go.mod: %s is used: %t", name, used)
		}
	}
}

// TestImportRulesFind holds the rules against files that break them.
func TestImportRulesFind(t *testing.T) {
	for _, c := range []struct{ file, body string }{
		{"engine/store/x.go", `import _ "` + module + `/engine"`},
		{"proto/x.go", `import _ "` + module + `/peer"`},
		{"proto/x.go", `import _ "golang.org/x/sys/unix"`},
		{"util/x.go", ``},
		{"engine/x.go", `import _ "github.com/valyala/fasthttp"`},
		{"engine/httpapi/x.go", `import _ "github.com/VictoriaMetrics/fastcache"`},
		{"engine/httpapi/x.go", `import _ "github.com/panjf2000/gnet/v2"`},
		{"engine/httpapi/x_test.go", `import _ "github.com/VictoriaMetrics/fastcache"`},
		{"engine/x.go", `import _ "github.com/someone/thing"`},
		{"bench/x.go", `import _ "flag"`},
		{"bench/x.go", `import "os"; func f() { os.Exit(1) }`},
		{"engine/httpapi/baseline/x.go", `import _ "flag"`},
		{"peer/x.go", `import sys "os"; var v = sys.Getenv("X")`},
		{"peer/x.go", `import "log"; func f() { log.Fatalf("x") }`},
	} {
		if len(checkFile(t, c.file, []byte("package p\n"+c.body))) == 0 {
			t.Errorf("%s with %s breaks no rule", c.file, c.body)
		}
	}
	for _, c := range []struct{ file, body string }{
		{"cmd/smache/x.go", `import ("os"; _ "` + module + `/engine/store"); func f() { os.Exit(1) }`},
		{"engine/x.go", `import _ "` + module + `/engine/store"`},
		{"engine/x_test.go", `import "os"; func f() { os.Exit(1) }`},
		{"engine/x.go", `import "os"; var f = os.ReadFile`},
	} {
		for _, complaint := range checkFile(t, c.file, []byte("package p\n"+c.body)) {
			t.Errorf("%s with %s: %s", c.file, c.body, complaint)
		}
	}
}

// checkFile gives the rules that a file breaks.
func checkFile(t *testing.T, file string, text []byte) (complaints []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	pkg := path.Dir(file)
	if _, known := mayImport[pkg]; !known {
		return []string{file + ": the package is not in the table of packages"}
	}
	local := map[string]string{} // names of standard packages in this file
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if complaint := checkImport(pkg, imported); complaint != "" {
			complaints = append(complaints, file+": "+complaint)
		}
		local[path.Base(imported)] = imported
		if spec.Name != nil {
			local[spec.Name.Name] = imported
		}
		if imported == "flag" && !mayTouchProcess(file) {
			complaints = append(complaints, file+": only cmd reads flags")
		}
	}
	if mayTouchProcess(file) {
		return complaints
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if name, ok := selector.X.(*ast.Ident); ok && slices.Contains(onlyCmd[local[name.Name]], selector.Sel.Name) {
			complaints = append(complaints, file+": only cmd uses "+local[name.Name]+"."+selector.Sel.Name)
		}
		return true
	})
	return complaints
}

// mayTouchProcess says that a file may use what onlyCmd lists: it is part of the
// program or of a test.
func mayTouchProcess(file string) bool {
	return strings.HasPrefix(file, "cmd/") || strings.HasSuffix(file, "_test.go")
}

// checkImport says what is wrong with a package's import, if anything is.
func checkImport(pkg, imported string) string {
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		if ours == pkg {
			return "" // a test from outside the package
		}
		for _, allowed := range mayImport[pkg] {
			prefix, wildcard := strings.CutSuffix(allowed, "...")
			if ours == allowed || wildcard && strings.HasPrefix(ours, prefix) {
				return ""
			}
		}
		return "may not import " + ours
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for theirs, allowed := range onlyIn {
		if imported == theirs || strings.HasPrefix(imported, theirs+"/") {
			if slices.Contains(allowed, pkg) {
				return ""
			}
			return "may not import " + theirs
		}
	}
	return "imports " + imported + ", which is not in the table of modules"
}
