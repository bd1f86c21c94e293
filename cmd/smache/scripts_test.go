package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestScripts posts with one of the seed's scripts and reads back with the other.
func TestScripts(t *testing.T) {
	p := serve(t, nil, "--name", "n1")
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	root := repository(t)
	run := func(script string) []string {
		t.Helper()
		code, stdout, stderr := execute(t, root, "", nil, "sh", filepath.Join("scripts", script), port)
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		if code != 0 || len(lines) != 7 {
			t.Fatalf("%s %s: exit %d\n%s%s", script, port, code, stdout, stderr)
		}
		return lines
	}
	posted := run("curl.post.sh")
	seen := []string{}
	for i, line := range run("curl.get.sh") {
		var wrote, read struct {
			Key  string
			Data json.RawMessage
		}
		if err := json.Unmarshal([]byte(posted[i]), &wrote); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(line), &read); err != nil || string(wrote.Data) != string(read.Data) || len(read.Data) < 10 {
			t.Errorf("posted %s, read %s", posted[i], line)
		}
		if slices.Contains(seen, string(read.Data)) || slices.Contains(seen, read.Key) {
			t.Errorf("two of the keys are one: %s", line)
		}
		seen = append(seen, string(read.Data), read.Key)
	}
	if p.exited == nil {
		t.Fatal("the node ended")
	}
	code, _, _ := execute(t, root, "", nil, "sh", "scripts/curl.get.sh", "1")
	if code == 0 {
		t.Error("curl.get.sh says that all is well where nobody listens")
	}
}

// TestDevScript is the seed's walk: two nodes of one machine, in two shells, each
// with a name and an uplink. The first one's uplink is itself.
func TestDevScript(t *testing.T) {
	t.Parallel()
	ports := clusterPorts(t, 2)
	uplink := "localhost:" + ports[0]
	dev := func(port, name string) *process {
		p := launch(t, exec.Command("sh", filepath.Join(repository(t), "scripts", "dev.sh"), port, name, uplink), append(unhurriedNodes, "SMACHE_MEMORY=160MiB")...)
		address, ok := p.await("serving")["address"].(string)
		if !ok || !strings.HasSuffix(address, ":"+port) {
			t.Fatalf("the node listens on %q", address)
		}
		p.address = address
		return p
	}
	one := dev(ports[0], "smache@localhost")
	poll(t, "the first node serves", func() bool { status, _ := one.get("/readyz"); return status == http.StatusOK })
	two := dev(ports[1], "smache_two@localhost")
	awaitSettled(t, one, two)
	var seen []string
	for _, m := range two.members().Members {
		seen = append(seen, m.Name)
	}
	if !slices.Equal(seen, []string{"smache@localhost", "smache_two@localhost"}) {
		t.Errorf("the members are %q", seen)
	}
	for _, step := range []struct{ script, port string }{{"curl.post.sh", ports[0]}, {"curl.get.sh", ports[1]}} {
		code, stdout, stderr := execute(t, repository(t), "", nil, "sh", filepath.Join("scripts", step.script), step.port)
		if code != 0 || strings.Count(stdout, `"data":{"lat":`) != 7 {
			t.Errorf("%s %s: exit %d\n%s%s", step.script, step.port, code, stdout, stderr)
		}
	}
	two.stop()
	one.stop()
}

// TestBenchScript: the three rows of the documented benchmark, in small, with ab where
// it is installed, and without.
func TestBenchScript(t *testing.T) {
	p := serve(t, nil)
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir() // all that the script needs, but ab
	for _, name := range []string{"sh", "dirname", "go"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	without := []string{"PATH=" + tools}
	for name, env := range map[string][]string{"installed": nil, "without ab": without} {
		env = append(env, "CLIENTS=5", "REQUESTS=50")
		code, stdout, stderr := execute(t, repository(t), "", env, "sh", "scripts/bench.sh", port)
		if code != 0 || strings.Count(stdout, "Complete requests:      50") != 3 {
			t.Errorf("%s: exit %d\n%s%s", name, code, stdout, stderr)
		}
	}
}

// TestBenchABScript: the five documented rows, in small, with ab; where it is not
// installed, the script says so.
func TestBenchABScript(t *testing.T) {
	t.Parallel()
	env := []string{"CLIENTS=5", "REQUESTS=50", "PORTS=" + strings.Join(clusterPorts(t, 3), " ")}
	code, stdout, stderr := execute(t, repository(t), "", env, "bash", "scripts/bench-ab.sh", "2")
	if _, err := exec.LookPath("ab"); err != nil {
		if code != 1 || !strings.Contains(stderr, "apache2-utils") {
			t.Fatalf("without ab: exit %d\n%s%s", code, stdout, stderr)
		}
		return
	}
	for _, row := range []string{"control, GET /", "one node, POST", "one node, GET", "two nodes, key on the other one, POST", "two nodes, key on the other one, GET"} {
		if strings.Count(stdout, "\n| "+row+" | ") != 1 {
			t.Errorf("exit %d, %s: no row %q in\n%s", code, stderr, row, stdout)
		}
	}
	if code != 0 {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
