package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// serveLogged is serveOn with the access log in a file.
func serveLogged(t *testing.T, port, secret string, args ...string) (*process, func() []logLine) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "access"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	cmd := exec.Command(binary, append([]string{"serve", "--name", "n" + port}, args...)...)
	cmd.Stdout = file
	p := launch(t, cmd, "PORT="+port, "SMACHE_SECRET="+secret, "SMACHE_MEMORY=160MiB")
	address, ok := p.await("serving")["address"].(string)
	if !ok {
		t.Fatal("the log line names no address")
	}
	p.address = address
	return p, func() (lines []logLine) {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var l logLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			lines = append(lines, l)
		}
		return lines
	}
}

// TestTraceAcrossNodes: a traced request for a key that another node holds is in the
// logs of both, which name each other; one that is not traced is in that of the first.
func TestTraceAcrossNodes(t *testing.T) {
	const secret, trace = "a secret of the test", "0af7651916cd43dd8448eb211c80319c"
	ports := clusterPorts(t, 2)
	args := append(unhurried, "--access-log", "0.000000001")
	a, linesOfA := serveLogged(t, ports[0], secret, args...)
	b, linesOfB := serveLogged(t, ports[1], secret, append(args, "--join", a.address)...)
	awaitSettled(t, a, b)
	ask := func(method, path, body, traceparent string) {
		t.Helper()
		request, err := http.NewRequest(method, "http://"+a.address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		if traceparent != "" {
			request.Header.Set("Traceparent", traceparent)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, response.StatusCode, text)
		}
	}
	key := ""
	for i := 0; key == ""; i++ {
		text := fmt.Sprintf("key-%d", i)
		ask("POST", "/api", `{"key":"`+text+`","data":{}}`, "")
		if _, body := a.get("/api?key=" + text); strings.Contains(body, `"node":"n`+ports[1]+`"`) {
			key = text
		}
	}
	ask("GET", "/api?key="+key, "", "00-"+trace+"-b7ad6b7169203331-01")
	ask("GET", "/api?key="+key, "", "00-"+trace+"-b7ad6b7169203331-00")
	ask("GET", "/api?key="+key, "", "00-0-0-01")
	var first, second []logLine
	poll(t, "both nodes log the request", func() bool {
		first, second = linesOfA(), linesOfB()
		return len(first) > 0 && len(second) > 0
	})
	if len(first) != 1 || len(second) != 1 {
		t.Fatalf("the first node logs %v, the second %v", first, second)
	}
	for name, want := range map[string]any{
		"msg": "request", "route": "get", "status": 200.0, "client": "127.0.0.1", "holder": "n" + ports[1], "trace_id": trace, "parent_id": "b7ad6b7169203331",
	} {
		if first[0][name] != want {
			t.Errorf("the first node: %s is %v, want %v", name, first[0][name], want)
		}
	}
	for name, want := range map[string]any{
		"msg": "forwarded", "route": "get", "outcome": "ok", "from": "n" + ports[0], "trace_id": trace, "parent_id": first[0]["span_id"], "span_id": nil,
	} {
		if second[0][name] != want {
			t.Errorf("the second node: %s is %v, want %v", name, second[0][name], want)
		}
	}

	// They are lines as the manual shows them.
	manual := manualText(t)
	_, block, _ := strings.Cut(manual, "grep '\"msg\":\"request\"'`.\n\n")
	block, _, _ = strings.Cut(block, "\n\n")
	shown := json.NewDecoder(strings.NewReader(block))
	for _, line := range []logLine{first[0], second[0]} {
		var example logLine
		if err := shown.Decode(&example); err != nil {
			t.Fatalf("the manual's lines: %v", err)
		}
		if got, want := slices.Sorted(maps.Keys(line)), slices.Sorted(maps.Keys(example)); !slices.Equal(got, want) {
			t.Errorf("a line has %q, and in the manual it has %q", got, want)
		}
	}
}

// TestAccessLogReaderGone: a reader of the access log that ends does not end the node,
// and its lines are counted.
func TestAccessLogReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve", "--access-log", "1")
	cmd.Stdout = w
	p := launch(t, cmd, "PORT=0", "SMACHE_MEMORY=128MiB")
	_ = w.Close()
	p.address, _ = p.await("serving")["address"].(string)
	if status, _ := p.get("/"); status != http.StatusOK {
		t.Fatal(status)
	}
	one := make([]byte, 1)
	if _, err := r.Read(one); err != nil || string(one) != "{" {
		t.Fatalf("the access log begins with %q, %v", one, err)
	}
	_ = r.Close()
	poll(t, "lines that failed are counted", func() bool {
		_, text := p.get("/metrics")
		_, n, _ := strings.Cut(text, `smache_access_log_lines_total{result="failed"} `)
		return n != "" && !strings.HasPrefix(n, "0\n")
	})
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d; the log: %v", code, p.lines())
	}
}
