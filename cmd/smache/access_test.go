package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	aToken       = "token-0123456789-all"
	anotherToken = "token-9876543210-all"
	aReadToken   = "token-0123456789-read"
)

// askWith asks a node with a token and gives the status.
func askWith(t *testing.T, p *process, method, path, token, body string) int {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+p.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// TestServeWithTokens: P7's warning goes, the API closes, the client has a token,
// and no token is shown anywhere.
func TestServeWithTokens(t *testing.T) {
	file := secretFile(t, aToken+"\n")
	p := serve(t, []string{"SMACHE_READ_TOKEN=" + aReadToken}, "--listen", "0.0.0.0:0", "--token-file", file, "--log-level", "debug")
	const entry = `{"key":"a","data":{"n":1}}`
	for _, c := range []struct {
		method, path, token, body string
		want                      int
	}{
		{"GET", "/api?key=a", "", "", 401}, {"POST", "/api", "", entry, 401}, {"GET", "/metrics", "", "", 401},
		{"GET", "/readyz", "", "", 200}, {"GET", "/livez", "", "", 200}, {"GET", "/healthcheck", "", "", 200},
		{"POST", "/api", aReadToken, entry, 403}, {"GET", "/metrics", aReadToken, "", 200},
		{"POST", "/api", aToken, entry, 200}, {"GET", "/api?key=a", aReadToken, "", 200},
	} {
		if got := askWith(t, p, c.method, c.path, c.token, c.body); got != c.want {
			t.Errorf("%s %s with %q: %d, want %d", c.method, c.path, c.token, got, c.want)
		}
	}
	port := p.address[strings.LastIndexByte(p.address, ':'):]
	for _, c := range []struct {
		env  []string
		args []string
		code int
		want string
	}{
		{nil, []string{"get", "a"}, exitServer, "unauthorized"},
		{nil, []string{"status"}, exitServer, "unauthorized"},
		{nil, []string{"status", "--quiet"}, exitOK, ""},
		{[]string{"SMACHE_TOKEN=" + aToken + "," + anotherToken}, []string{"get", "a"}, exitOK, ""},
		{[]string{"SMACHE_TOKEN_FILE=" + file}, []string{"set", "b", "{}"}, exitOK, ""},
		{nil, []string{"del", "b", "--token-file", file}, exitOK, ""},
		{nil, []string{"status", "--token-file", file}, exitOK, ""},
		{nil, []string{"key", "a", "--token", aReadToken}, exitOK, ""},
		{[]string{"SMACHE_TOKEN=" + aReadToken}, []string{"set", "a", "{}"}, exitServer, "read_only_token"},
		{[]string{"SMACHE_TOKEN=" + aToken}, []string{"get", "a", "--token-file", file}, exitUsage, "exclude"},
		{nil, []string{"get", "a", "--token-file", file + "x"}, exitUsage, "--token-file"},
		{nil, []string{"get", "a", "--token", "short"}, exitUsage, "--token"},
	} {
		code, stdout, stderr := execute(t, "", "", append(c.env, "SMACHE_SERVER=127.0.0.1"+port), binary, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%v smache %q: exit %d, %s %s; want %d and %s", c.env, c.args, code, stdout, stderr, c.code, c.want)
		}
		if strings.Contains(stderr, "0123456789") || strings.Contains(stderr, "short") {
			t.Errorf("smache %q shows the token: %s", c.args, stderr)
		}
	}
	for _, line := range p.lines() {
		text, err := json.Marshal(line)
		if err != nil || strings.Contains(string(text), "0123456789") {
			t.Errorf("the log shows a token: %s", text)
		}
		if line["level"] == "WARN" && line["code"] != "unauthorized" {
			t.Errorf("a node with tokens warns: %s", text)
		}
	}
}

// TestServeTokensAreJudged: what nobody can mean does not start, and no token is
// repeated.
func TestServeTokensAreJudged(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--token", "short-one"}, "--token"},
		{[]string{"--token-file", filepath.Join(t.TempDir(), "none")}, "--token-file"},
		{[]string{"--token-file", t.TempDir()}, "--token-file"},
		{[]string{"--token-file", secretFile(t, "# nothing\n")}, "--token-file"},
		{[]string{"--token-file", secretFile(t, aToken), "--token", anotherToken}, "exclude"},
		{[]string{"--read-token", aReadToken}, "--token-file"},
		{[]string{"--trusted-proxy", "10.0.0.0/8,proxy"}, "--trusted-proxy"},
		{[]string{"--trusted-proxy", "0.0.0.0/0"}, "--trusted-proxy"},
		{[]string{"--rate-burst", "5"}, "--rate-limit"},
		{[]string{"--token", aToken, "--read-token-file", secretFile(t, "short-one")}, "--read-token-file"},
	} {
		cfg := newServeConfig()
		_, err := parseSettings(cfg.settings(), c.args, nil)
		if err == nil {
			_, err = cfg.protection()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "short-one") {
			t.Errorf("%q: %v", c.args, err)
		}
	}
}

// TestTokenFileIsReadAgain: on SIGHUP; a file that cannot be used changes nothing.
func TestTokenFileIsReadAgain(t *testing.T) {
	file := secretFile(t, aToken)
	p := serve(t, nil, "--token-file", file)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.signal(syscall.SIGHUP)
	}
	write(anotherToken + "\n" + aToken)
	poll(t, "the second token is taken", func() bool { return askWith(t, p, "GET", "/cluster", anotherToken, "") == 200 })
	if got := askWith(t, p, "GET", "/cluster", aToken, ""); got != 200 {
		t.Errorf("the first token during the rotation: %d", got)
	}
	write("")
	p.await("cannot be read again; what was read before stays in use")
	if got := askWith(t, p, "GET", "/cluster", aToken, ""); got != 200 {
		t.Errorf("after an empty file: %d", got)
	}
	write(anotherToken)
	poll(t, "the first token is refused", func() bool { return askWith(t, p, "GET", "/cluster", aToken, "") == 401 })
}

// TestWarnsOfCopies: what the service manager has copied is not renewed, which is said
// of each such file and of no other.
func TestWarnsOfCopies(t *testing.T) {
	dir := t.TempDir()
	copied, renewed := filepath.Join(dir, "token"), secretFile(t, aReadToken)
	if err := os.WriteFile(copied, []byte(aToken), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{dir, dir + "x"} {
		p := serve(t, []string{"CREDENTIALS_DIRECTORY=" + given}, "--token-file", copied, "--read-token-file", renewed)
		var warned []any
		for _, line := range p.lines() {
			if line["level"] == "WARN" {
				warned = append(warned, line["file"])
			}
		}
		if want := given == dir; (len(warned) == 1) != want || want && warned[0] != copied {
			t.Errorf("with copies in %s it warns of %v", given, warned)
		}
	}
}

// TestReloader: files are read again when they change, in whatever way, and only
// then.
func TestReloader(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "one")
	var applied []string
	failed := 0
	one := newReload("file", func() error {
		text, err := os.ReadFile(path)
		if err == nil && string(text) == "broken" {
			err = errors.New("broken")
		}
		applied = append(applied, string(text))
		return err
	}, path, "")
	r := &reloader{reloads: []*reload{one}, log: slog.New(slog.DiscardHandler), count: func(err error) {
		if err != nil {
			failed++
		}
	}}
	tick := func(want string, times, failures int) {
		t.Helper()
		r.all(false)
		r.all(false)
		if len(applied) != times || times > 0 && applied[times-1] != want || failed != failures {
			t.Errorf("read %q, failed %d times; want the last to be %q", applied, failed, want)
		}
	}
	tick("", 0, 0)
	write(path, "another")
	tick("another", 1, 0)
	write(path, "broken")
	tick("broken", 2, 1)
	// As kubelet and certbot do: the name is moved to another file.
	write(other, "moved")
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	tick("moved", 3, 1)
	r.all(true)
	tick("moved", 4, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	tick("", 5, 2)
	write(path, "back")
	tick("back", 6, 2)
}

// TestReloaderRuns: a tick looks, a signal does, and the end is the end.
func TestReloaderRuns(t *testing.T) {
	done := make(chan struct{}, 1)
	r := &reloader{reloads: []*reload{newReload("nothing", func() error {
		done <- struct{}{}
		return nil
	})}, log: slog.New(slog.DiscardHandler), count: func(error) {}}
	ticks, signals, stop, ended := make(chan time.Time), make(chan os.Signal), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		r.run(stop, ticks, signals)
	}()
	ticks <- time.Time{}
	signals <- syscall.SIGHUP
	<-done
	close(stop)
	<-ended
	if len(done) > 0 {
		t.Error("a tick reads again what has not changed")
	}
}
