package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

func readme(t *testing.T) (path, text string) {
	t.Helper()
	path = filepath.Join(repository(t), "README.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(content)
}

// section gives what stands between two marks of the README.
func section(t *testing.T, text, name string) (before, between, after string) {
	t.Helper()
	begin, end := "<!-- "+name+": written by make docs -->\n", "<!-- "+name+": end -->"
	before, rest, found := strings.Cut(text, begin)
	between, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("the README lacks the marks of %s", name)
	}
	return before + begin, between, end + after
}

// failureTable gives proto's failures as the table of the README.
func failureTable() string {
	again := map[proto.Retry]string{
		proto.RetryNever: "never", proto.RetrySafe: "safely", proto.RetryUnknown: "with care",
	}
	var b strings.Builder
	b.WriteString("| status | code | again | meaning |\n| --- | --- | --- | --- |\n")
	for _, f := range proto.Failures() {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", f.HTTP, f.Code, again[f.Retry], f.Text)
	}
	return b.String()
}

// TestReadmeTables holds the README's tables against the code; with -update it
// rewrites them.
func TestReadmeTables(t *testing.T) {
	path, text := readme(t)
	for name, want := range map[string]string{
		"settings": markdownTable(newServeConfig().settings()),
		"failures": failureTable(),
	} {
		before, got, after := section(t, text, name)
		if got == want {
			continue
		}
		if !*update {
			t.Errorf("the README's table of %s differs from the code: make docs rewrites it to\n%s", name, want)
		}
		text = before + want + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// clusterSection cuts the README's section about clusters out.
func clusterSection(t *testing.T, text string) (section, rest string) {
	t.Helper()
	before, after, found := strings.Cut(text, "\n## A cluster in a minute\n")
	section, after, closed := strings.Cut(after, "\n## ")
	if !found || !closed {
		t.Fatal("the README has no section about clusters")
	}
	return section, before + "\n## " + after
}

// TestReadmeExamples runs every example of the README against a node, with a
// shell, and compares what it prints. In the README … stands for what differs
// from run to run.
func TestReadmeExamples(t *testing.T) {
	_, text := readme(t)
	_, text = clusterSection(t, text)
	const documented = "127.0.0.1:4000"
	p := serve(t, nil)
	examples := 0
	run := func(block string) (wrong []string) {
		for _, example := range examplesOf(block) {
			line := strings.ReplaceAll(example.command, documented, p.address)
			want := strings.ReplaceAll(example.output, documented, p.address)
			code, stdout, stderr := execute(t, "", "", nil, "sh", "-c", line)
			stdout = strings.ReplaceAll(stdout, "\r", "")
			if stdout != "" && !strings.HasSuffix(stdout, "\n") {
				stdout += "\n"
			}
			if code != 0 || !matches(want, stdout) {
				wrong = append(wrong, fmt.Sprintf("$ %s\nexit %d, prints\n%s%swant\n%s", line, code, stdout, stderr, want))
			}
		}
		return wrong
	}
	for _, block := range consoleBlocks(text) {
		examples += len(examplesOf(block))
		var wrong []string
		for try := range 20 {
			begin := time.Now()
			// An age is shown as it is within a second.
			if wrong = run(block); len(wrong) == 0 || !strings.Contains(block, "Smache-Age: 0.") || time.Since(begin) < time.Second {
				break
			}
			t.Logf("try %d took %v", try, time.Since(begin))
		}
		for _, text := range wrong {
			t.Error(text)
		}
	}
	if examples < 15 {
		t.Errorf("only %d examples were found", examples)
	}
}

// TestReadmeCluster runs the examples of the section about clusters, as one script
// of a shell, on other ports. Where there is no terminal %1 is not the first job: the
// script keeps the numbers of the processes.
func TestReadmeCluster(t *testing.T) {
	t.Parallel()
	_, text := readme(t)
	text, _ = clusterSection(t, text)
	for i, port := range clusterPorts(t, 3) {
		for _, offset := range []int{0, peerOffset} {
			number, err := strconv.Atoi(port)
			if err != nil {
				t.Fatal(err)
			}
			documented, real := strconv.Itoa(4000+i+offset), strconv.Itoa(number+offset)
			text = strings.ReplaceAll(text, "127.0.0.1:"+documented, "127.0.0.1:"+real)
		}
	}
	text = strings.ReplaceAll(text, "smache@127.0.0.1:400…", "smache@127.0.0.1:…")
	text = strings.ReplaceAll(text, "--wait 1m ", "--wait 10m ") // of a busy machine
	var script strings.Builder
	var examples []example
	for _, block := range consoleBlocks(text) {
		examples = append(examples, examplesOf(block)...)
	}
	const mark = "-- the next example --"
	jobs := 0
	for _, example := range examples {
		command := regexp.MustCompile(`%(\d)`).ReplaceAllString(example.command, `$$p$1`)
		if strings.HasSuffix(command, "&") {
			jobs++
			command += fmt.Sprintf(" p%d=$!", jobs)
		}
		fmt.Fprintf(&script, "%s\necho '%s'\n", command, mark)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-c", script.String()+"wait\n")
	shell.Dir = t.TempDir()
	shell.Env = cleanEnvironment(append(unhurriedNodes, "SMACHE_MEMORY=160MiB", "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))...)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the nodes are its children
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	var stdout, stderr strings.Builder
	shell.Stdout, shell.Stderr = &stdout, &stderr
	err := shell.Run()
	printed := strings.Split(strings.ReplaceAll(stdout.String(), "}"+mark, "}\n"+mark), mark+"\n")
	if err != nil || len(examples) < 10 || len(printed) != len(examples)+1 {
		t.Fatalf("%v; %d examples print\n%s\n%s", err, len(examples), stdout.String(), stderr.String())
	}
	for i, example := range examples {
		if !matches(example.output, printed[i]) {
			t.Errorf("$ %s\nprints\n%swant\n%s", example.command, printed[i], example.output)
		}
	}
}

// TestReadmeListsPaths: every path of the API's description is in the table.
func TestReadmeListsPaths(t *testing.T) {
	_, text := readme(t)
	_, api, _ := strings.Cut(text, "\n## The API\n")
	api, _, _ = strings.Cut(api, "\n### ")
	p := serve(t, nil)
	_, description := p.get("/openapi.json")
	var body struct {
		Paths map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(description), &body); err != nil || len(body.Paths) < 10 {
		t.Fatalf("the description lists %d paths, %v", len(body.Paths), err)
	}
	for path := range body.Paths {
		if !strings.Contains(api, path+" ") && !strings.Contains(api, path+"`") && !strings.Contains(api, path+"?") {
			t.Errorf("the README does not list %s", path)
		}
	}
}

// consoleBlocks gives the README's blocks of examples.
func consoleBlocks(text string) (blocks []string) {
	for _, part := range strings.Split(text, "```console\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

// An example is a command and what it prints.
type example struct{ command, output string }

func examplesOf(block string) (examples []example) {
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			examples = append(examples, example{command: strings.TrimSpace(command)})
		} else if len(examples) > 0 {
			examples[len(examples)-1].output += line
		}
	}
	return examples
}

// matches compares, with … in want standing for anything within a line.
func matches(want, got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", `[^\n]*?`)
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got)
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\n", "a\n", true}, {"a…c\n", "abc\n", true}, {"a…c\n", "ab\nc\n", false}, {"a.c\n", "abc\n", false}, {"", "x", false},
	} {
		if matches(c.want, c.got) != c.ok {
			t.Errorf("%q and %q: %t", c.want, c.got, !c.ok)
		}
	}
}

// TestReadmeCommands holds the two commands at the README's head against what
// there is: CI calls the one, and the other is what TestServeWithoutFlags runs.
func TestReadmeCommands(t *testing.T) {
	_, text := readme(t)
	head, _, _ := strings.Cut(text, "\n## ")
	for _, command := range []string{"    go run ./cmd/smache serve\n", "    ./scripts/test.sh\n"} {
		if !strings.Contains(head, command) {
			t.Errorf("the head of the README lacks %q", command)
		}
	}
	ci, err := os.ReadFile(filepath.Join(repository(t), ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(ci), "./scripts/test.sh\n") {
		t.Error(".ci/run does not call the README's test command")
	}
}

// TestReadmeNamesTests: a test, a file or a directory that the README names is
// there.
func TestReadmeNamesTests(t *testing.T) {
	_, text := readme(t)
	root := repository(t)
	var tests strings.Builder
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		content, err := os.ReadFile(file)
		tests.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)`").FindAllStringSubmatch(text, -1)
	if len(named) < 5 {
		t.Errorf("the README names only %d tests", len(named))
	}
	for _, name := range named {
		if !strings.Contains(tests.String(), "func "+name[1]+"(") {
			t.Errorf("the README names %s, which is no test", name[1])
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([A-Za-z][A-Za-z0-9/._-]*)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(root, link[1])); err != nil {
			t.Errorf("the README links to %s: %v", link[1], err)
		}
	}
}
