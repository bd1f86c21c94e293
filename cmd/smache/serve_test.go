package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nodeName asks a node for its name.
func nodeName(p *process) string {
	p.t.Helper()
	var body struct {
		Node string `json:"node"`
	}
	status, text := p.get("/cluster")
	if err := json.Unmarshal([]byte(text), &body); status != http.StatusOK || err != nil {
		p.t.Fatalf("/cluster answers %d %s", status, text)
	}
	return body.Node
}

// TestServeWithoutFlags runs what the README runs, on a free port.
func TestServeWithoutFlags(t *testing.T) {
	p := start(t, []string{"PORT=0"}, "serve")
	address, ok := p.await("serving")["address"].(string)
	if host, _, err := net.SplitHostPort(address); !ok || err != nil || host != "127.0.0.1" {
		t.Fatalf("the node listens on %q", address)
	}
	p.address = address
	for _, path := range []string{"/", "/healthcheck", "/readyz", "/livez"} {
		if status, body := p.get(path); status != http.StatusOK {
			t.Errorf("%s answers %d %s", path, status, body)
		}
	}
	if got, want := nodeName(p), "smache@"+address; got != want {
		t.Errorf("the node is named %q, want %q", got, want)
	}
	configuration := p.await("configuration")
	for _, s := range newServeConfig().settings() {
		want := s.shown()
		if s.name == "listen" {
			want = "127.0.0.1:0"
		}
		if got := configuration[s.name]; got != want {
			t.Errorf("the configuration logged has %s=%v, want %q", s.name, got, want)
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d after SIGTERM; the log: %v", code, p.lines())
	}
	if n := len(p.lines()); p.logged("stopped") == nil || n < 4 {
		t.Errorf("the log: %v", p.lines())
	}
}

// TestInterrupt: Ctrl-C is as good as SIGTERM.
func TestInterrupt(t *testing.T) {
	p := serve(t, nil)
	p.signal(syscall.SIGINT)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d after SIGINT; the log: %v", code, p.lines())
	}
}

func TestServePrecedence(t *testing.T) {
	p := serve(t, []string{"SMACHE_NAME=from-variable"})
	if got := nodeName(p); got != "from-variable" {
		t.Errorf("with the variable alone the name is %q", got)
	}
	p = serve(t, []string{"SMACHE_NAME=from-variable"}, "--name", "from-flag")
	if got := nodeName(p); got != "from-flag" {
		t.Errorf("with variable and flag the name is %q", got)
	}
	p = serve(t, []string{"PORT=1", "SMACHE_LISTEN=127.0.0.1:0"})
	if _, port, _ := net.SplitHostPort(p.address); port == "1" {
		t.Errorf("PORT wins over SMACHE_LISTEN: %s", p.address)
	}
}

// TestServeWarns holds P8 for the environment, and P7 for the address.
func TestServeWarns(t *testing.T) {
	p := serve(t, []string{"SMACHE_MEMROY=1GiB", "GOMEMLIMIT=64MiB"}, "--listen", ":0")
	var warned string
	for _, line := range p.lines() {
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		if line["level"] == "WARN" {
			warned += string(text) + "\n"
		}
	}
	for _, want := range []string{"SMACHE_MEMROY", "GOMEMLIMIT", "--listen"} {
		if !strings.Contains(warned, want) {
			t.Errorf("no warning names %s; the warnings: %s", want, warned)
		}
	}
	if quiet := serve(t, nil); quiet.logged("stopped") == nil {
		for _, line := range quiet.lines() {
			if line["level"] == "WARN" {
				t.Errorf("a node as it should be warns: %v", line)
			}
		}
	}
}

// TestServeDoesNotStart: what cannot work fails at once, with the flag to turn.
func TestServeDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	const free = "127.0.0.1:0"
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--listen", taken.Addr().String()}, exitNo, "--listen"},
		{[]string{"--listen", free, "--memory", "4096GiB"}, exitNo, "--memory"},
		{[]string{"--listen", free, "--memory", "1MiB"}, exitNo, "--memory"},
		{[]string{"--listen", free, "--max-connections", "500000000"}, exitNo, "--max-connections"},
		{[]string{"--listen", free, "--writers", "1024"}, exitNo, "--writers"},
		{[]string{"--listen", free, "--memory", "128MiB", "--max-value", "1MiB"}, exitNo, "--max-value"},
		{[]string{"--listen", free, "--pprof", taken.Addr().String()}, exitNo, "--pprof"},
		{[]string{"--listen", free, "--admin-listen", taken.Addr().String()}, exitNo, "--admin-listen"},
		{[]string{"--listen", free, "--no-such-flag"}, exitUsage, "--no-such-flag"},
		{[]string{"--listen", free, "--peer-listen", "0.0.0.0:0", "--gossip-listen", free}, exitNo, "--insecure-cluster"},
		{[]string{"--listen", free, "--peer-listen", free, "--gossip-listen", ":0"}, exitNo, "--secret"},
		{[]string{"--listen", free, "--peer-listen", taken.Addr().String(), "--gossip-listen", free}, exitNo, "--peer-listen"},
		{[]string{"--listen", free, "--peer-listen", free, "--gossip-listen", taken.Addr().String()}, exitNo, "--gossip-listen"},
		{[]string{"--listen", free, "--secret", "hunter2"}, exitUsage, "--secret"},
		{[]string{"--listen", free, "--join", "other"}, exitUsage, "--peer-listen"},
	} {
		begin := time.Now()
		code, stdout, stderr := execute(t, "", "", nil, binary, append([]string{"serve"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("smache serve %q: exit %d, stdout %q, stderr %q; want %d and %s", c.args, code, stdout, stderr, c.code, c.want)
		}
		if took := time.Since(begin); took > patience/2 {
			t.Errorf("smache serve %q takes %v to fail", c.args, took)
		}
	}
}

// TestServeProfiles: off unless asked for, and not for web pages.
func TestServeProfiles(t *testing.T) {
	p := serve(t, nil, "--pprof", "127.0.0.1:0")
	address, ok := p.await("serving profiles")["address"].(string)
	if !ok {
		t.Fatal("the log line names no address")
	}
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/debug/pprof/goroutine?debug=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"": 200, "localhost": 200, "evil.example": 421} {
		request.Host = host
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("with Host %q the profiles answer %d, want %d", host, response.StatusCode, want)
		}
	}
	if status, _ := p.get("/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("the public API answers %d for the profiles", status)
	}
}

// TestAdminListen: what shows the node moves to an address of its own, where the
// clients of the command line and Go's own find it.
func TestAdminListen(t *testing.T) {
	p := serve(t, []string{"SMACHE_ADMIN_LISTEN=127.0.0.1:0"}, "--listen", "0.0.0.0:0")
	admin, ok := p.await("serving administration")["address"].(string)
	if !ok {
		t.Fatal("the log line names no address")
	}
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	public := "127.0.0.1:" + port
	for _, c := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"status", "--server", public}, exitServer, "--admin-listen"},
		{[]string{"status", "--server", public, "--quiet"}, exitOK, ""},
		{[]string{"status", "--server", admin}, exitOK, ""},
		{[]string{"set", "--server", public, "a", `{"n":1}`}, exitOK, ""},
		{[]string{"get", "--server", admin, "a"}, exitOK, ""},
	} {
		if code, _, stderr := capture(t.Context(), "", environment{}, c.args...); code != c.code || !strings.Contains(stderr, c.stderr) {
			t.Errorf("smache %q: exit %d, %s", c.args, code, stderr)
		}
	}
	code, stdout, stderr := execute(t, "", "", []string{"PPROF_TMPDIR=" + t.TempDir()}, "go", "tool", "pprof", "-top", "-nodecount=1", "http://"+admin+"/debug/pprof/heap")
	if code != 0 || !strings.Contains(stdout, "inuse_space") {
		t.Errorf("go tool pprof: exit %d, %s%s", code, stdout, stderr)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d; the log: %v", code, p.lines())
	}
}

// TestDrainDelay: after SIGTERM /readyz is false at once, and all else goes on
// until the delay is over.
func TestDrainDelay(t *testing.T) {
	p := serve(t, nil, "--drain-delay", "5m", "--stop-timeout", "6m")
	p.signal(syscall.SIGTERM)
	poll(t, "/readyz is false", func() bool {
		status, _ := p.get("/readyz")
		return status == http.StatusServiceUnavailable
	})
	if status, body := p.get("/cluster"); status != http.StatusOK || !strings.Contains(body, `"state":"leaving"`) {
		t.Errorf("/cluster answers %d %s", status, body)
	}
	if status, body := p.get("/api?key=a"); status != http.StatusOK {
		t.Errorf("/api answers %d %s during the drain delay", status, body)
	}
	if status, _ := p.get("/livez"); status != http.StatusOK {
		t.Errorf("/livez answers %d during the drain delay", status)
	}

	// The second signal ends it at once.
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitServer {
		t.Errorf("exit code %d after the second signal, want %d", code, exitServer)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("the second signal takes %v", took)
	}
	if lines := p.lines(); lines[len(lines)-1]["level"] != "ERROR" {
		t.Errorf("the last line of the log is %v", lines[len(lines)-1])
	}
}

// TestStopTimeout: a request that never arrives whole does not keep a node up
// beyond --stop-timeout.
func TestStopTimeout(t *testing.T) {
	p := serve(t, nil, "--stop-timeout", "1s", "--read-timeout", "1h")
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	const half = "POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
	if _, err := io.WriteString(conn, half); err != nil {
		t.Fatal(err)
	}
	// The node has seen the connection once it has answered on a later one.
	p.get("/livez")
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	code := p.exit()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("stopping takes %v", took)
	}
	if code != exitServer {
		t.Errorf("exit code %d, want %d; the log: %v", code, exitServer, p.lines())
	}
}
