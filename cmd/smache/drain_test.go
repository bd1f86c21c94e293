package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A keepAlive is one connection that sends one request at a time.
type keepAlive struct {
	conn   net.Conn
	reader *bufio.Reader
}

func dial(address string) (*keepAlive, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &keepAlive{conn, bufio.NewReader(conn)}, nil
}

// unansweredError says that the connection ended before the first byte of an
// answer: the case in which clients and load balancers try again.
type unansweredError struct{ error }

// ask sends a request and reads the answer whole. The error is unansweredError
// where no byte of an answer came.
func (k *keepAlive) ask(method, path, body string) (status int, answer string, last bool, err error) {
	response, answer, err := k.send(method, path, "", body, patience)
	if err != nil {
		return 0, "", false, err
	}
	return response.StatusCode, answer, response.Close, nil
}

// send is ask with header lines, each with its end, and with a time-out.
func (k *keepAlive) send(method, path, header, body string, timeout time.Duration) (head *http.Response, answer string, err error) {
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method, path, header)
	if body != "" {
		request += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	if err := k.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, "", err
	}
	if _, err := io.WriteString(k.conn, request+"\r\n"+body); err != nil {
		return nil, "", unansweredError{err}
	}
	if _, err := k.reader.Peek(1); err != nil {
		return nil, "", unansweredError{err}
	}
	head, err = http.ReadResponse(k.reader, &http.Request{Method: method})
	if err != nil {
		return nil, "", fmt.Errorf("the head of an answer was cut short: %w", err)
	}
	text, err := io.ReadAll(head.Body)
	if err != nil {
		return nil, "", fmt.Errorf("the body of an answer was cut short: %w", err)
	}
	return head, string(text), nil
}

// TestStopUnderLoad sends SIGTERM to a node under load, with writers and readers
// on keep-alive connections that come back when they are closed. Every answer
// must be whole; what was written must be read, by whoever is still answered,
// until the end; nothing else than "not answered" may go wrong; and the node must
// exit with 0.
func TestStopUnderLoad(t *testing.T) {
	for _, delay := range []string{"0", "400ms"} {
		t.Run("drain-delay "+delay, func(t *testing.T) { stopUnderLoad(t, delay) })
	}
}

func stopUnderLoad(t *testing.T, delay string) {
	p := serve(t, nil, "--drain-delay", delay)
	const workers = 32
	var written, read atomic.Int64
	var done sync.WaitGroup
	for w := range workers {
		done.Go(func() {
			if err := loadUntilRefused(p.address, w, &written, &read); err != nil {
				t.Error(err)
			}
		})
	}
	poll(t, "the load runs", func() bool { return written.Load() > 2000 })
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d; the log: %v", code, p.lines())
	}
	done.Wait()
	t.Logf("%d writes answered, %d of them read again", written.Load(), read.Load())
	if missing := written.Load() - read.Load(); missing > workers {
		t.Errorf("%d answered writes were not read again; each worker may miss one, its last", missing)
	}
}

// loadUntilRefused writes unique keys and reads each again, until nobody listens
// any more.
func loadUntilRefused(address string, worker int, written, read *atomic.Int64) error {
	for number := 0; ; {
		k, err := dial(address)
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
			return nil // the node is gone
		}
		if err != nil {
			return err
		}
		number, err = loadConnection(k, worker, number, written, read)
		_ = k.conn.Close()
		if err != nil {
			return err
		}
	}
}

// loadConnection loads one connection until the node closes it.
func loadConnection(k *keepAlive, worker, number int, written, read *atomic.Int64) (int, error) {
	for {
		number++
		key := fmt.Sprintf("worker%d-%d", worker, number)
		data := fmt.Sprintf(`{"worker":%d,"number":%d}`, worker, number)
		status, answer, last, err := k.ask(http.MethodPost, "/api", `{"key":"`+key+`","data":`+data+`}`)
		if end, err := judge(status, answer, `{"data":`+data+`}`, err); end || err != nil {
			return number, err
		}
		written.Add(1)
		if last {
			return number, nil
		}
		status, answer, last, err = k.ask(http.MethodGet, "/api?key="+key, "")
		want := `{"key":"` + key + `","data":` + data + `,"node":"`
		if len(answer) > len(want) {
			answer = answer[:len(want)]
		}
		if end, err := judge(status, answer, want, err); end || err != nil {
			return number, err
		}
		read.Add(1)
		if last {
			return number, nil
		}
	}
}

// judge says whether the connection has ended as it may, or what is wrong.
func judge(status int, answer, want string, err error) (end bool, wrong error) {
	if errors.As(err, &unansweredError{}) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if status != http.StatusOK || answer != want {
		return false, fmt.Errorf("answered %d %s, want 200 %s", status, answer, want)
	}
	return false, nil
}
