package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// allMetrics gives what a node prints that has all that a node can have: a cluster, TLS, an
// address for administration, tokens of both kinds and an access log. A connection has been
// closed at its peer port.
func allMetrics(t *testing.T) string {
	t.Helper()
	const secret = "a-token-of-this-test"
	pair := newKeyPair(t, t.TempDir(), "node", time.Now().Add(time.Hour))
	port := clusterPorts(t, 1)[0]
	p := start(t, []string{"PORT=" + port, "SMACHE_MEMORY=160MiB", "SMACHE_SECRET=" + aSecret, "SMACHE_TOKEN=" + secret, "SMACHE_READ_TOKEN=another-" + secret},
		"serve", "--admin-listen", "127.0.0.1:0", "--tls-cert", pair.cert, "--tls-key", pair.key, "--access-log", "1", "--rate-limit", "1000000")
	address, ok := p.await("serving administration")["address"].(string)
	if !ok {
		t.Fatalf("the log names no address: %v", p.lines())
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(number+peerOffset)))
	if err != nil {
		t.Fatal(err)
	}
	_ = stranger.Close()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	var text []byte
	poll(t, "the connection is counted", func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+secret)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if text, err = io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
			t.Fatal(response.Status, err)
		}
		return strings.Contains(string(text), "\nsmache_peer_closes_total{")
	})
	return string(text)
}

// metricsTable is the table of docs/METRICS.md.
func metricsTable(t *testing.T, text string) string {
	t.Helper()
	labels := map[string][]string{}
	for line := range strings.Lines(text) {
		found := regexp.MustCompile(`^(\w+?)(?:_bucket|_sum|_count)?\{(.*)\} `).FindStringSubmatch(line)
		if found == nil {
			continue
		}
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(found[2], -1) {
			if name := found[1]; label[1] != "le" && !slices.Contains(labels[name], label[1]) {
				labels[name] = append(labels[name], label[1])
			}
		}
	}
	var table strings.Builder
	table.WriteString("| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n")
	for _, found := range regexp.MustCompile(`(?m)^# HELP (\w+) (.*)\n# TYPE (\w+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		name, help, kind := found[1], found[2], found[4]
		if found[3] != name || len(help) < 8 || !strings.HasSuffix(help, ".") {
			t.Errorf("%s: its meaning is %q, and the type is of %s", name, help, found[3])
		}
		var by []string
		for _, label := range labels[name] {
			by = append(by, "`"+label+"`")
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, kind, strings.Join(by, ", "), strings.ReplaceAll(help, "|", `\|`))
	}
	return table.String()
}

// TestMetricsAreDocumented: docs/METRICS.md lists the metrics that a node prints, with what
// they mean, and no others; with -update it is rewritten. What the other pages name is there.
// Prometheus's own tool finds nothing wrong with them.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	text := allMetrics(t)
	path := filepath.Join(repository(t), "docs", "METRICS.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := metricsTable(t, text)
	before, got, after := section(t, string(page), "metrics")
	switch {
	case got != want && *update:
		if err := os.WriteFile(path, []byte(before+want+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case got != want:
		t.Errorf("docs/METRICS.md differs from what a node prints: make docs rewrites it to\n%s", want)
	}
	if lines, types := strings.Count(want, "\n"), strings.Count(text, "\n# TYPE "); lines != types+2 || types < 100 {
		t.Errorf("%d metrics make a table of %d lines", types, lines)
	}
	for _, file := range append(documents(t), "README.md") {
		page, err := os.ReadFile(filepath.Join(repository(t), file))
		if err != nil {
			t.Fatal(err)
		}
		for _, named := range regexp.MustCompile("`(smache_[a-z0-9_]*[a-z0-9])[`{]").FindAllStringSubmatch(string(page), -1) {
			if !strings.Contains(want, "| `"+named[1]+"` |") {
				t.Errorf("%s names %s, which no node prints", file, named[1])
			}
		}
	}
	cmd := exec.Command(promtool(t), "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if output, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(output)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, output)
	}
}

// documents are the pages of docs.
func documents(t *testing.T) (files []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repository(t), "docs", "*.md"))
	if err != nil || len(paths) < 5 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		files = append(files, filepath.Join("docs", filepath.Base(path)))
	}
	return files
}

// A limitRow is a row of docs/LIMITS.md.
type limitRow struct{ what, by, value, beyond, counted string }

func limitRows(t *testing.T) (rows []limitRow) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(repository(t), "docs", "LIMITS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| limit |") || strings.HasPrefix(line, "| --- |") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 {
			t.Fatalf("the row has %d cells: %s", len(cells), line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, limitRow{cells[0], cells[1], cells[2], cells[3], cells[4]})
	}
	if len(rows) < 30 {
		t.Fatalf("docs/LIMITS.md has %d rows", len(rows))
	}
	return rows
}

// fixedLimits are the constants behind the limits that no flag sets.
var fixedLimits = map[string]struct {
	directory, constant string
	bytes               bool
}{
	"Connections to `--admin-listen`":                      {"engine/httpapi", "adminConnections", false},
	"Headers of a request":                                 {"engine/httpapi", "maxHeaderLines", false},
	"Requests for `/stats` at once":                        {"engine", "maxLooking", false},
	"Requests to a node without an answer":                 {"peer", "defaultInFlight", false},
	"Operations that wait for another try":                 {"peer", "maxParked", false},
	"Operations that wait for a key to be fetched":         {"peer", "maxFetching", false},
	"Requests of other nodes that are kept":                {"peer", "maxCopied", true},
	"Frames that wait for the state machine":               {"peer", "maxMail", true},
	"Messages to a node of which it has not taken note":    {"peer", "maxAway", true},
	"Entries set aside after a partition":                  {"peer/hold", "maxAside", true},
	"Slots that are taken over at a time":                  {"peer", "moveWindow", false},
	"Connections that have not shown the secret":           {"peer", "defaultPending", false},
	"A gossip exchange":                                    {"peer/gossip", "maxStream", true},
	"Gossip connections at once":                           {"peer/gossip", "maxInbound", false},
	"What gossip connections bring before they are opened": {"peer/gossip", "maxHeld", true},
	"Lines of the log that wait":                           {"cmd/smache", "logRoom", true},
	"Lines of the access log that wait":                    {"engine/internal/accesslog", "queueLen", false},
	"Tokens of one kind":                                   {"engine/httpapi", "MaxTokens", false},
	"Bytes that wait to be sent to a node":                 {"peer", "DefaultOutbox", true},
}

// constants gives the values of the constants that a directory's files declare by numbers
// alone.
func constants(t *testing.T, directory string) map[string]string {
	t.Helper()
	values := map[string]string{}
	files := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(repository(t), directory, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatal(directory, err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == len(spec.Values) {
				for i, name := range spec.Names {
					if v, err := types.Eval(files, nil, token.NoPos, types.ExprString(spec.Values[i])); err == nil && v.Value != nil {
						values[name.Name] = v.Value.ExactString()
					}
				}
			}
			return true
		})
	}
	return values
}

// limitText gives a limit as docs/LIMITS.md writes it.
func limitText(t *testing.T, value string, bytes bool) string {
	t.Helper()
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		t.Fatal(err)
	case bytes && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case bytes && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	case n >= 1000:
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return strconv.FormatInt(n, 10)
}

// TestLimitsAreDocumented holds docs/LIMITS.md against the program: its flags and their
// defaults, the constants behind what is fixed, the codes and the metrics. Every flag that
// is a limit is there, and so is every code by which a client is refused for one.
func TestLimitsAreDocumented(t *testing.T) {
	t.Parallel()
	rows := limitRows(t)
	text := allMetrics(t)
	settings := newServeConfig().settings()
	flags, codes, whole := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, row := range rows {
		whole[row.what] = true
		named := regexp.MustCompile("`--([a-z-]+)`").FindAllStringSubmatch(row.by, -1)
		switch {
		case strings.HasPrefix(row.by, "fixed: "):
		case len(named) == 0:
			t.Errorf("%s: neither a flag nor a reason: %s", row.what, row.by)
		}
		for i, flag := range named {
			at := slices.IndexFunc(settings, func(s setting) bool { return s.name == flag[1] })
			if at < 0 {
				t.Errorf("%s: there is no flag --%s", row.what, flag[1])
				continue
			}
			// A default of 0 is none, or derived, which the row puts into words.
			if by := settings[at].value.String(); i == 0 && !flags[flag[1]] && by != "0" && !strings.HasPrefix(row.value+",", by+",") {
				t.Errorf("%s: the default of --%s is %s, not %s", row.what, flag[1], by, row.value)
			}
			flags[flag[1]] = true
		}
		if fixed, ok := fixedLimits[row.what]; ok {
			value, ok := constants(t, fixed.directory)[fixed.constant]
			if !ok {
				t.Errorf("%s: there is no constant %s in %s", row.what, fixed.constant, fixed.directory)
			} else if is := limitText(t, value, fixed.bytes); !strings.HasPrefix(strings.ReplaceAll(row.value, "8MiB", "8 MiB")+",", is+",") {
				t.Errorf("%s: it is %s, not %s", row.what, is, row.value)
			}
		}
		for _, code := range regexp.MustCompile("(?:([0-9]{3}) |or )`([a-z_]+)`").FindAllStringSubmatch(row.beyond, -1) {
			at := slices.IndexFunc(proto.Failures(), func(f *proto.Failure) bool { return f.Code == code[2] })
			if at < 0 || code[1] != "" && strconv.Itoa(proto.Failures()[at].HTTP) != code[1] {
				t.Errorf("%s: there is no failure %s %s", row.what, code[1], code[2])
			}
			codes[code[2]] = true
		}
		counters := regexp.MustCompile("`(smache_[a-z_]+)(\\{[^`]*\\})?`").FindAllStringSubmatch(row.counted, -1)
		if len(counters) == 0 && !strings.HasPrefix(row.counted, "nothing: ") {
			t.Errorf("%s: no metric counts it: %s", row.what, row.counted)
		}
		for _, counter := range counters {
			if name := counter[1] + counter[2]; !strings.Contains(text, "\n"+name+" ") && (counter[2] != "" || !strings.Contains(text, "\n"+name+"{")) {
				t.Errorf("%s: there is no metric %s", row.what, name)
			}
		}
	}
	for name := range fixedLimits {
		if !whole[name] {
			t.Errorf("docs/LIMITS.md has no row %q", name)
		}
	}
	limits := regexp.MustCompile(`^(max-.*|.*-timeout|.*-budget|rate-.*|.*-rate|queue|memory|peer-wait|peer-outbox)$`)
	for _, s := range settings {
		if limits.MatchString(s.name) && !flags[s.name] {
			t.Errorf("docs/LIMITS.md does not name --%s", s.name)
		}
	}
	for _, f := range proto.Failures() {
		limited := slices.Contains([]int{408, 413, 429, 431, 503}, f.HTTP) && f.Code != "draining"
		if limited && !codes[f.Code] {
			t.Errorf("docs/LIMITS.md does not say what is refused as %s", f.Code)
		}
	}
}
