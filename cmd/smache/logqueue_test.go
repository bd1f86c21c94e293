package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// slowReader is a writer of which each write waits until the test has taken it.
type slowReader struct {
	texts chan string
	err   error
}

func (w *slowReader) Write(p []byte) (int, error) {
	w.texts <- string(p)
	return len(p), w.err
}

func wantLogMetrics(t *testing.T, q *logQueue, written, dropped, failed string) {
	t.Helper()
	text := string(q.appendMetrics(nil))
	for result, n := range map[string]string{"written": written, "dropped": dropped, "failed": failed} {
		if !strings.Contains(text, `smache_log_lines_total{result="`+result+`"} `+n+"\n") {
			t.Errorf("not %s lines %s:\n%s", n, result, text)
		}
	}
}

// TestLogQueue: whoever logs never waits; what finds no room is counted, and the log
// says so when it is read again.
func TestLogQueue(t *testing.T) {
	w := &slowReader{texts: make(chan string)}
	log, q := newLogger(w, "json", "info")
	log.Info("first")
	poll(t, "the line is taken", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.waiting) == 0
	})
	line := strings.Repeat("x", 1023) + "\n"
	for range logRoom/len(line) + 7 { // while nobody reads
		if n, err := io.WriteString(q, line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	wantLogMetrics(t, q, "0", "7", "0")
	if text := <-w.texts; !strings.Contains(text, `"msg":"first"`) || strings.Count(text, "\n") != 1 {
		t.Errorf("the first write is %q", text)
	}
	if text := <-w.texts; text != strings.Repeat(line, logRoom/len(line)) {
		t.Errorf("the second write has %d bytes", len(text))
	}
	if text := <-w.texts; !strings.Contains(text, `"msg":"lines of this log were dropped`) || !strings.Contains(text, `"lines":7`) {
		t.Errorf("the third write is %q", text)
	}
	poll(t, "it is written", func() bool { return q.written.Load() == 258 })
	w.err = errors.New("nobody reads this")
	log.Info("last")
	<-w.texts
	q.close()
	<-q.stopped // close waits for a second at most
	wantLogMetrics(t, q, "258", "7", "1")
	log.Info("too late")
	wantLogMetrics(t, q, "258", "8", "1")
}

// TestLogStalls: a node whose standard error nobody reads, and which is full, starts,
// serves and logs, and stops when it is told to.
func TestLogStalls(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var full error
	if err := raw.Write(func(fd uintptr) bool {
		for filler := make([]byte, 4096); full == nil; _, full = syscall.Write(int(fd), filler) {
		}
		return true
	}); err != nil || !errors.Is(full, syscall.EAGAIN) {
		t.Fatal(err, full)
	}
	port := clusterPorts(t, 1)[0]
	cmd := exec.Command(binary, "serve", "--rate-limit", "1")
	cmd.Env, cmd.Stderr = cleanEnvironment("PORT="+port, "SMACHE_MEMORY=128MiB"), w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	_ = w.Close()
	refused := false
	poll(t, "it serves, and refuses what it logs", func() bool {
		response, err := http.Get("http://127.0.0.1:" + port + "/api?key=1")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		refused = refused || response.StatusCode == http.StatusTooManyRequests
		return refused
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil { // within a second of the end, though nobody reads
		t.Errorf("it ends with %v", err)
	}
}
