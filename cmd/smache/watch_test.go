package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWatch: a line for each member, again and again, until it is ended; what is wrong
// is said beside.
func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan string, 1)
	answers := 0
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch answers++; answers {
		case 1:
			fmt.Fprint(w, `{"node":"a","latency_bounds":[1],"members":[{"name":"a","state":"serving","slots":7,"samples":{"span_ms":[1000],"reads":[5],"writes":[1],
				"deletes":[0],"failed":[2],"hits":[4],"misses":[1],"evictions":[0],"processor_us":[500000],"entries":[9],"live_bytes":[10],"arena_age_ms":[1000],
				"resident_bytes":[1048576],"memory_bytes":[5],"moving":[3],"latency":[[6,0]]}},{"name":"b","state":"serving","slots":9,"error":"no_answer"}]}`)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"message":"the node is shutting down","code":"draining"}`)
		case 3:
			fmt.Fprint(w, `{"members":[{"name":"a","samples":{"span_ms":[1000]}}]}`)
		default:
			asked <- r.URL.RawQuery
			cancel()
		}
	}))
	defer node.Close()
	code, stdout, stderr := capture(ctx, "", nil, "status", "--server", node.URL, "--watch", "20ms")
	const want = " member=a state=serving slots=7 moving=3 requests=6/s refused=2/s hits=80.0% p50=500ms p99=990ms entries=9 evicted=0/s memory=1MiB arena_age=1.0s cpu=50.0%\n"
	lines := strings.SplitAfter(stdout, "\n")
	if code != exitOK || len(lines) != 3 || !strings.HasSuffix(lines[0], want) || !strings.HasSuffix(lines[1], " member=b state=no_answer slots=9\n") {
		t.Errorf("exit %d, %q", code, stdout)
	}
	if _, err := time.Parse(time.RFC3339, strings.Split(stdout, " ")[0]); err != nil {
		t.Error(err)
	}
	if strings.Count(stderr, "\n") != 2 || !strings.Contains(stderr, "draining") {
		t.Errorf("beside it says %q", stderr)
	}
	if query := <-asked; query != "last=1" {
		t.Errorf("it asks for %s", query)
	}
	for _, args := range [][]string{{"5s"}, {"--watch", "0s"}, {"--watch", "often"}, {"--watch", "1s", "2s"}} {
		if code, _, stderr := capture(t.Context(), "", nil, append([]string{"status"}, args...)...); code != exitUsage {
			t.Errorf("status %q: exit %d, %q", args, code, stderr)
		}
	}
}

// watchedLine is what a log collector has to expect.
var watchedLine = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) member=(\S+) state=([a-z_]+) slots=\d+( [a-z0-9_]+=\S+)*$`)

// TestWatchGoesOn: status --watch, with its output in a file, goes on while a node dies and
// comes back, and while the one that it asks does: one plain line for each member, all of
// one moment together.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	ports := clusterPorts(t, 2)
	asked := serveOn(t, ports[0], aSecret, unhurried...)
	other := serveOn(t, ports[1], aSecret, append(unhurried, "--join", "127.0.0.1:"+ports[0])...)
	awaitSettled(t, asked, other)

	out, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	beside, err := os.Create(filepath.Join(t.TempDir(), "beside"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = beside.Close() }()
	cmd := exec.Command(binary, "status", "--server", asked.address, "--watch", "100ms")
	cmd.Env, cmd.Stdout, cmd.Stderr = cleanEnvironment(), out, beside
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is ended below
		close(ended)
	}()
	defer func() {
		_ = cmd.Process.Kill()
		<-ended
	}()
	read := func(f *os.File) string {
		t.Helper()
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	// since waits until what follows an event says something.
	from := 0
	since := func(what, pattern string) {
		t.Helper()
		is := regexp.MustCompile(pattern)
		poll(t, what, func() bool { return is.MatchString(read(out)[from:]) })
	}
	both := fmt.Sprintf(`member=n%s state=serving slots=\d+ moving=.*\n\S+ member=n%s state=serving slots=\d+ moving=`, min(ports[0], ports[1]), max(ports[0], ports[1]))
	since("both are there", both)

	from = len(read(out))
	other.signal(syscall.SIGKILL)
	other.exit()
	since("one has all slots", `member=n`+ports[0]+` state=serving slots=65536 `)
	from = len(read(out))
	other = serveOn(t, ports[1], aSecret, "--join", "127.0.0.1:"+ports[0])
	since("both are there again", both)
	awaitSettled(t, asked, other)

	asked.stop()
	poll(t, "it says that it gets no answer", func() bool { return strings.Contains(read(beside), "no answer from http://"+asked.address) })
	from = len(read(out))
	asked = serveOn(t, ports[0], aSecret, "--join", "127.0.0.1:"+ports[1])
	since("both are there once more", both)

	before, moment := "", "" // members are in the order of their names
	for line := range strings.Lines(read(out)) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole {
			break // it is being written
		}
		found := watchedLine.FindStringSubmatch(line)
		if found == nil {
			t.Errorf("%q", line)
			continue
		}
		at, name := found[1], found[2]
		if at < moment || name > before && before != "" && at != moment {
			t.Errorf("%q follows what %s was at %s", line, before, moment)
		}
		before, moment = name, at
	}
}
