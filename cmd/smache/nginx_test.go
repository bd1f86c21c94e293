package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// server finds a program that administrators have in their path.
func server(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		program = "/usr/sbin/" + name
		if _, err = os.Stat(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("there is no %s; .ci/run has to install one", name)
			}
			t.Skipf("%s is not installed", name)
		}
	}
	return program
}

// TestManualNginx runs nginx, where it is installed, with the lines of the manual: it
// takes them, passes requests on, and sends one again whose node is gone.
func TestManualNginx(t *testing.T) {
	nginx := server(t, "nginx")
	manual, err := os.ReadFile(filepath.Join(repository(t), "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, lines, _ := strings.Cut(string(manual), " nginx:\n\n")
	lines, _, ok := strings.Cut(lines, "\n\nnginx without a module")
	servers := regexp.MustCompile(`10\.0\.0\.[12]:4000`)
	if !ok || len(servers.FindAllString(lines, -1)) != 2 {
		t.Fatalf("the manual has no lines for nginx, or others: %s", lines)
	}
	// On a loopback address a node wants to know the name that nginx asks for.
	stays := serve(t, nil, "--name", "stays", "--allowed-host", "smache")
	goes := serve(t, nil, "--name", "goes", "--allowed-host", "smache")
	address := "127.0.0.1:" + clusterPorts(t, 1)[0]
	nodes := []string{stays.address, goes.address}
	lines = servers.ReplaceAllStringFunc(lines, func(string) (node string) {
		node, nodes = nodes[0], nodes[1:]
		return node
	})
	lines = strings.Replace(lines, "listen 8080;", "listen "+address+";", 1)
	if !strings.Contains(lines, address) {
		t.Fatal("the manual's nginx listens on another port than 8080")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	temporary := ""
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += what + "_temp_path " + filepath.Join(dir, what) + ";\n"
	}
	text := "daemon off;\nmaster_process off;\npid " + filepath.Join(dir, "pid") + ";\nerror_log " + filepath.Join(dir, "error") +
		";\nevents {}\nhttp {\naccess_log off;\n" + temporary + lines + "\n}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(nginx, "-t", "-p", dir, "-c", file).CombinedOutput(); err != nil {
		t.Fatalf("nginx -t: %v\n%s", err, output)
	}
	cmd := exec.Command(nginx, "-p", dir, "-c", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	ask := func(method, path, body string) int {
		request, err := http.NewRequest(method, "http://"+address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	poll(t, "nginx answers", func() bool { return ask("GET", "/readyz", "") == http.StatusOK })
	for i := range 40 {
		if i == 20 {
			goes.stop()
		}
		if got := ask("POST", "/api", `{"key":"a","data":{}}`); got != http.StatusOK {
			t.Errorf("request %d is answered %d", i, got)
		}
	}
}
