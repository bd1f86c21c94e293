package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A manager stands in for a service manager: it hears what services say.
type manager struct {
	t    *testing.T
	path string
	said chan string
}

func newManager(t *testing.T) *manager {
	m := &manager{t: t, path: filepath.Join(t.TempDir(), "notify"), said: make(chan string, 1000)}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buffer := make([]byte, 1000)
		for {
			length, err := conn.Read(buffer)
			if err != nil {
				return
			}
			m.said <- string(buffer[:length])
		}
	}()
	return m
}

// hear waits until something is said that begins with a text, and gives it and all
// that was said before.
func (m *manager) hear(begin string) (said string, before []string) {
	m.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case said := <-m.said:
			if strings.HasPrefix(said, begin) {
				return said, before
			}
			before = append(before, said)
		case <-deadline:
			m.t.Fatalf("nobody says %s; said was %q", begin, before)
		}
	}
}

// TestServiceTells: a node says when it is ready, that it lives, what it does and that
// it stops.
func TestServiceTells(t *testing.T) {
	m := newManager(t)
	p := serve(t, []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=200000"}, "--stop-timeout", "7s")
	_, before := m.hear("READY=1")
	if want := "FDSTORE=1\nFDPOLL=0\nFDNAME=listen-127.0.0.1_0"; len(before) != 2 || before[0] != want || !strings.HasPrefix(before[1], "STATUS=") {
		t.Errorf("before it is ready it says %q", before)
	}
	if line, _ := m.hear("STATUS="); line != "STATUS=serving on "+p.address+": 0 entries" {
		t.Errorf("it says %q", line)
	}
	for range 3 {
		m.hear("WATCHDOG=1")
	}
	p.signal(syscall.SIGHUP)
	m.hear("RELOADING=1")
	m.hear("READY=1")
	p.signal(syscall.SIGTERM)
	if line, _ := m.hear("STOPPING=1"); line != "STOPPING=1\nEXTEND_TIMEOUT_USEC=12000000" {
		t.Errorf("it says %q", line)
	}
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	m.hear("STATUS=stopping")
	for range len(m.said) {
		if line := <-m.said; line == "WATCHDOG=1" {
			t.Error("it feeds the watchdog after it has said that it stops")
		}
	}
}

// TestServiceWaitsForCluster: a node that has not joined is not ready.
func TestServiceWaitsForCluster(t *testing.T) {
	t.Parallel()
	ports := clusterPorts(t, 2)
	m := newManager(t)
	p := start(t, []string{"NOTIFY_SOCKET=" + m.path, "SMACHE_MEMORY=160MiB"},
		"serve", "--listen", "127.0.0.1:"+ports[0], "--join", "127.0.0.1:"+ports[1])
	p.await("serving")
	if line, _ := m.hear("STATUS="); line != "STATUS=looking for the cluster" {
		t.Errorf("it says %q", line)
	}
	m.hear("READY=1") // alone, when it has looked for long enough
	p.address = "127.0.0.1:" + ports[0]
	if status, _ := p.get("/readyz"); status != http.StatusOK {
		t.Errorf("it has said that it is ready, and /readyz is %d", status)
	}
}

// TestWatchdogStarves: a watchdog is fed only while the port answers.
func TestWatchdogStarves(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	// The kernel accepts the connection; nobody answers.
	for _, secure := range []bool{false, true} {
		err := error(context.DeadlineExceeded)
		for wait := 50 * time.Millisecond; errors.Is(err, context.DeadlineExceeded); wait *= 2 { // before it was connected
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			err = answers(ctx, listener.Addr().String(), secure)
			cancel()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a port that is silent: %v", err)
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	long, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, secure := range []bool{false, true} {
		if err := answers(long, listener.Addr().String(), secure); err != nil {
			t.Errorf("a port that turns everybody away: %v", err)
		}
	}
}

// activated is a command that runs smache with a listening socket passed to it.
func activated(t *testing.T, socket *os.File, args ...string) *exec.Cmd {
	t.Helper()
	// LISTEN_PID must be the node's own: the shell becomes the node.
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=http exec "$0" "$@"`, binary}, args...)...)
	cmd.ExtraFiles = []*os.File{socket}
	return cmd
}

func listeningSocket(t *testing.T) (file *os.File, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err = listener.(*net.TCPListener).File()
	if err == nil {
		err = listener.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file, listener.Addr().String()
}

// TestRestartRefusesNobody restarts a node under load, with its port held open by
// whoever starts it: no connection is refused, and no request fails whose connection
// had not been closed before it was answered.
func TestRestartRefusesNobody(t *testing.T) {
	socket, address := listeningSocket(t)
	run := func() *process {
		p := launch(t, activated(t, socket, "serve"), "SMACHE_MEMORY=128MiB", "SMACHE_LISTEN=127.0.0.1:1")
		if got := p.await("serving")["address"]; got != address {
			t.Fatalf("the node serves on %v, and was passed %s", got, address)
		}
		if p.logged("--listen and PORT are not used: the service manager has passed a socket; see ListenStream= in smache.socket") == nil {
			t.Error("nothing says that the address given is not used")
		}
		return p
	}
	p := run()
	var stop atomic.Bool
	var done atomic.Int64
	var load sync.WaitGroup
	for w := range 32 {
		load.Go(func() {
			for n := 0; !stop.Load(); n++ {
				if err := writeOnce(address, fmt.Sprintf("%d-%d", w, n)); err != nil {
					t.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	for range 3 {
		before := done.Load()
		poll(t, "the load runs", func() bool { return done.Load() > before+500 })
		p.signal(syscall.SIGTERM)
		if code := p.exit(); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		p = run()
	}
	before := done.Load()
	poll(t, "the load runs", func() bool { return done.Load() > before+500 })
	stop.Store(true)
	load.Wait()
}

// TestKeptSocket: a socket that the process before has left is used if it has the
// address of --listen, and let go of if it has another.
func TestKeptSocket(t *testing.T) {
	socket, address := listeningSocket(t)
	elsewhere := "127.0.0.1:" + clusterPorts(t, 1)[0]
	for _, c := range []struct{ about, listen string }{{"the same address", address}, {"another address", elsewhere}} {
		m := newManager(t)
		cmd := activated(t, socket, "serve", "--listen", c.listen)
		cmd.Args[2] = strings.Replace(cmd.Args[2], "LISTEN_FDNAMES=http", "LISTEN_FDNAMES="+keptName(address), 1)
		p := launch(t, cmd, "SMACHE_MEMORY=128MiB", "NOTIFY_SOCKET="+m.path)
		if got := p.await("serving")["address"]; got != c.listen {
			t.Errorf("%s: the node serves on %v, not on %s", c.about, got, c.listen)
		}
		_, before := m.hear("READY=1")
		var want []string
		if c.listen != address {
			want = []string{"FDSTOREREMOVE=1\nFDNAME=" + keptName(address), "FDSTORE=1\nFDPOLL=0\nFDNAME=" + keptName(elsewhere)}
		}
		if said := before[:len(before)-1]; !slices.Equal(said, want) {
			t.Errorf("%s: it says %q, not %q", c.about, said, want)
		}
		p.signal(syscall.SIGTERM)
		if code := p.exit(); code != exitOK {
			t.Errorf("%s: exit code %d", c.about, code)
		}
	}
}

// writeOnce writes a key on a connection of its own, and tries again as long as the
// connection is closed before a byte of an answer. That it cannot connect is an
// error at once.
func writeOnce(address, key string) error {
	for range 100 {
		k, err := dial(address)
		if err != nil {
			return err
		}
		status, answer, _, err := k.ask(http.MethodPost, "/api", `{"key":"`+key+`","data":{"n":1}}`)
		_ = k.conn.Close()
		if errors.As(err, &unansweredError{}) {
			continue
		}
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("writing %s: %d %s, %w", key, status, answer, err)
		}
		return nil
	}
	return fmt.Errorf("writing %s: the connection is always closed", key)
}

// TestServiceDoesNotStart: what a manager passes and the node cannot use is said.
func TestServiceDoesNotStart(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	local, err := listener.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = local.Close() }()
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	one, _ := listeningSocket(t)
	two, _ := listeningSocket(t)
	for _, c := range []struct {
		files []*os.File
		env   string
		want  string
	}{
		{[]*os.File{local}, "LISTEN_FDS=1", "a socket of unix"},
		{[]*os.File{plain}, "LISTEN_FDS=1", "cannot be listened on"},
		{[]*os.File{one, two}, "LISTEN_FDS=2", "several sockets"},
		{nil, "LISTEN_FDS=many", "LISTEN_FDS"},
		{nil, "NOTIFY_SOCKET=here", "NOTIFY_SOCKET"},
	} {
		cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve`, binary)
		cmd.ExtraFiles, cmd.Env = c.files, cleanEnvironment(c.env, "SMACHE_MEMORY=128MiB", "PORT=0")
		output, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(output), c.want) {
			t.Errorf("%s: %v\n%s\nwant exit code 2 and %q", c.env, err, output, c.want)
		}
	}
}
