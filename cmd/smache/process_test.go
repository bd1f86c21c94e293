package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// update makes TestReadmeTables rewrite the README: make docs.
var update = flag.Bool("update", false, "rewrite the README's tables")

// patience is how long a test waits for what must happen; it is long because
// machines that test are busy.
const patience = 9 * time.Minute

// binary is the command, built once, without the race detector, as it is shipped: with
// it, several nodes on two cores are too slow to keep their leases. The tests of engine,
// peer and the packages below run what it is made of with the detector.
var binary string

// TestMain builds the command. Where there is no curl, the test binary stands in
// for it under that name, so that the README's examples and the scripts run on a
// machine with Go and nothing else.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "curl" {
		os.Exit(curl(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "smache-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "smache")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the command: %v\n%s", err, output)
		return 1
	}
	if _, err := exec.LookPath("curl"); err != nil {
		self, err := os.Executable()
		if err == nil {
			err = os.Symlink(self, filepath.Join(dir, "curl"))
		}
		if err == nil {
			err = os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "standing in for curl:", err)
			return 1
		}
	}
	// Unless -parallel says otherwise. What is parallel here mostly waits: for slots
	// that change hands, for leases that run out, for a second node to be looked for.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// cleanEnvironment is the environment without what configures a node, and with
// some pairs more.
func cleanEnvironment(pairs ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return strings.HasPrefix(name, "SMACHE_") ||
			slices.Contains([]string{"PORT", "UPLINK_NODE", "COOKIE", "GOMEMLIMIT", "GOGC", "GOMAXPROCS"}, name)
	})
	return append(env, pairs...)
}

// A process is a running node.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string // where it listens
	exited  chan struct{}
	mu      sync.Mutex
	log     []logLine
	news    chan struct{} // a token for each new log line, at most one waiting
}

// A logLine is one line of a node's log.
type logLine map[string]any

// start runs smache with arguments, and the variables given besides.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command(binary, args...), env...)
}

// launch runs a command that becomes a node.
func launch(t *testing.T, cmd *exec.Cmd, env ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, exited: make(chan struct{}), news: make(chan struct{}, 1)}
	p.cmd.Env = cleanEnvironment(env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.read(stderr)
		_ = p.cmd.Wait() // its code is read from ProcessState
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
	})
	return p
}

func (p *process) read(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := logLine{}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			line = logLine{"msg": lines.Text()}
		}
		p.mu.Lock()
		p.log = append(p.log, line)
		p.mu.Unlock()
		select {
		case p.news <- struct{}{}:
		default:
		}
	}
}

// lines gives a copy of the log so far.
func (p *process) lines() []logLine {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

// logged finds the first log line with a message.
func (p *process) logged(message string) logLine {
	for _, line := range p.lines() {
		if line["msg"] == message {
			return line
		}
	}
	return nil
}

// await waits for a log line with a message.
func (p *process) await(message string) logLine {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		if line := p.logged(message); line != nil {
			return line
		}
		select {
		case <-p.news:
		case <-p.exited:
			if line := p.logged(message); line != nil {
				return line
			}
			p.t.Fatalf("the process ended with code %d before it logged %q; its log: %v", p.cmd.ProcessState.ExitCode(), message, p.lines())
		case <-deadline:
			p.t.Fatalf("no log line %q within %v; the log: %v", message, patience, p.lines())
		}
	}
}

// exit waits for the end of the process and gives its exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("the process did not end within %v; its log: %v", patience, p.lines())
		return 0
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	if s == syscall.SIGSTOP && runtime.GOOS == "linux" {
		// One of its threads takes the signal, and the others go on until that one runs.
		poll(p.t, "the process stands still", p.stands)
	}
}

// stands reports whether all threads of the process have been stopped.
func (p *process) stands() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		p.t.Fatal("no threads", err)
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		if _, state, ok := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " "); !ok || state[0] != 'T' {
			return false
		}
	}
	return true
}

// serve runs a node on a free port and waits until it serves.
func serve(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := start(t, append([]string{"PORT=0", "SMACHE_MEMORY=128MiB"}, env...), append([]string{"serve"}, args...)...)
	address, ok := p.await("serving")["address"].(string)
	if !ok {
		t.Fatalf("the log line names no address: %v", p.lines())
	}
	p.address = address
	return p
}

// nobodyAt gives an address at which nobody listens, nor can, until the test ends.
func nobodyAt(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	syscall.CloseOnExec(socket)
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	address, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", address.(*syscall.SockaddrInet4).Port)
}

// get asks the node for a path.
func (p *process) get(path string) (status int, body string) {
	p.t.Helper()
	status, body, err := p.tryGet(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return status, body
}

// tryGet is get for nodes that may give the connection too little time.
func (p *process) tryGet(path string) (status int, body string, err error) {
	response, err := http.Get("http://" + p.address + path)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// poll tries until ok, and fails the test if that takes too long. It tries less and
// less often, because what it waits for needs the cores that it asks on.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	const first, last = 2 * time.Millisecond, 50 * time.Millisecond
	deadline := time.After(patience)
	for pause := first; !ok(); pause = min(pause*5/4, last) {
		select {
		case <-time.After(pause):
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// execute runs smache, or another program, to its end.
func execute(t *testing.T, dir, stdin string, env []string, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience) // a node that should not start runs for ever
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, cleanEnvironment(env...), strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}
