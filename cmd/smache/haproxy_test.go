package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestHAProxy runs haproxy, where it is installed, with the file of services.sh before a
// node that is busy: one whose /readyz takes longer than the time between two checks is
// left in, and one that says it is not ready is taken out.
func TestHAProxy(t *testing.T) {
	haproxy := server(t, "haproxy")
	node := serve(t, nil)
	var checks atomic.Int32
	var leaves atomic.Bool
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/readyz":
			http.Redirect(w, r, "http://"+node.address+r.URL.Path, http.StatusTemporaryRedirect)
		case leaves.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			time.Sleep(300 * time.Millisecond) // what the test is about: longer than between two checks
			checks.Add(1)
		}
	}))
	defer busy.Close()
	address := "127.0.0.1:" + clusterPorts(t, 1)[0]
	text, err := os.ReadFile(filepath.Join(repository(t), "scripts", "haproxy.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	// In place of Docker's names and ports.
	config := string(text)
	for _, change := range []struct{ from, to string }{
		{`(?m)^resolvers docker\n(    .*\n)+`, ""},
		{`bind :8080`, "bind " + address},
		{`server-template .*`, "server node1 " + busy.Listener.Addr().String()},
	} {
		from := regexp.MustCompile(change.from)
		if len(from.FindAllString(config, -1)) != 1 {
			t.Fatalf("haproxy.cfg has not one %q", change.from)
		}
		config = from.ReplaceAllLiteralString(config, change.to)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd := exec.Command(haproxy, "-db", "-f", file)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	defer stop()
	ask := func() int {
		response, err := http.Get("http://" + address + "/healthcheck")
		if err != nil {
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	poll(t, "it answers", func() bool { return ask() == http.StatusOK })
	for begin := checks.Load(); checks.Load() < begin+5; {
		if got := ask(); got != http.StatusOK {
			stop()
			t.Fatalf("after %d checks: %d; it says: %s", checks.Load(), got, said.String())
		}
	}
	leaves.Store(true)
	poll(t, "it sends nothing to a node that leaves", func() bool { return ask() == http.StatusServiceUnavailable })
}
