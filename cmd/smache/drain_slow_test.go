package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestStopWhileAnswersLeave: who reads a large answer slowly gets all of it though the
// node is told to stop in the middle, and the node waits for that and exits with 0.
func TestStopWhileAnswersLeave(t *testing.T) {
	p := serve(t, []string{"SMACHE_MEMORY=256MiB"}, "--stop-timeout", "60s", "--write-timeout", "60s", "--large-budget", "64MiB")
	const values, readers = 8, 3
	data := make([]string, values)
	var keys []string
	for i := range data {
		data[i] = fmt.Sprintf(`{"v":"%s"}`, strings.Repeat(fmt.Sprintf("%d-", i), 450_000))
		k, err := dial(p.address)
		if err != nil {
			t.Fatal(err)
		}
		status, answer, _, err := k.ask(http.MethodPost, "/api", fmt.Sprintf(`{"key":"k%d","data":%s}`, i, data[i]))
		if err != nil || status != http.StatusOK {
			t.Fatalf("%d, %.100s, %v", status, answer, err)
		}
		_ = k.conn.Close()
		keys = append(keys, fmt.Sprintf(`"k%d"`, i))
	}
	one := func(i int) string { return fmt.Sprintf(`{"key":"k%d","data":%s,"node":"%s"}`, i, data[i], nodeName(p)) }
	var all []string
	for i := range data {
		all = append(all, one(i))
	}
	// More than the system's buffers of both ends take.
	want := `{"results":[` + strings.Join(all, ",") + `]}`

	var done sync.WaitGroup
	begun, stopping := make(chan bool, readers), make(chan struct{})
	for range readers {
		k := dialNarrow(t, p.address)
		done.Go(func() {
			defer func() { _ = k.conn.Close() }()
			sum, length, err := readSlowly(k, `{"keys":[`+strings.Join(keys, ",")+`]}`, begun, stopping)
			if err != nil || length != len(want) || sum != sha256.Sum256([]byte(want)) {
				t.Errorf("%d bytes came of %d, or others: %v", length, len(want), err)
			}
		})
	}
	for range readers {
		<-begun
	}
	p.signal(syscall.SIGTERM)
	poll(t, "nobody listens", func() bool {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(stopping)
	done.Wait()
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d; the log: %v", code, p.lines())
	}
}

// dialNarrow connects with a small buffer for what comes.
func dialNarrow(t *testing.T, address string) *keepAlive {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		_ = c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10) })
		return err
	}}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return &keepAlive{conn, bufio.NewReader(conn)}
}

// readSlowly asks for a batch, says when its answer has begun, and reads the rest once the
// node is stopping.
func readSlowly(k *keepAlive, body string, begun chan<- bool, stopping <-chan struct{}) (sum [sha256.Size]byte, length int, err error) {
	if err := k.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return sum, 0, err
	}
	_, err = fmt.Fprintf(k.conn, "POST /api/mget HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if err == nil {
		_, err = k.reader.Peek(1)
	}
	begun <- true
	if err != nil {
		return sum, 0, err
	}
	<-stopping
	head, err := http.ReadResponse(k.reader, nil)
	if err != nil {
		return sum, 0, err
	}
	hash := sha256.New()
	n, err := io.Copy(hash, head.Body)
	hash.Sum(sum[:0])
	return sum, int(n), err
}
