package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen; it is long because machines
// that test are busy.
const patience = 30 * time.Second

// newServer makes a Server over cache, quiet, with the changes of adjust. Its time-outs are
// such that a busy machine does not make it close a connection.
func newServer(tb testing.TB, cache Cache, adjust func(*Config)) *Server {
	tb.Helper()
	config := Config{
		Cache: cache, Node: "smache@test", Version: "test", Stats: fakeStats, Logger: slog.New(slog.DiscardHandler),
		ReadTimeout: 10 * patience, WriteTimeout: 10 * patience, IdleTimeout: 10 * patience,
	}
	if adjust != nil {
		adjust(&config)
	}
	s, err := New(config)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// serve runs s on a loopback listener until the test ends, and gives its address.
func serve(tb testing.TB, s *Server) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return serveOn(tb, s, ln)
}

func serveOn(tb testing.TB, s *Server, ln net.Listener) string {
	tb.Helper()
	return serveBy(tb, s, s.Serve, ln)
}

// withAdmin allows for serveAdmin.
func withAdmin(c *Config) { c.Admin = true }

// serveAdmin is serve for the address for administration.
func serveAdmin(tb testing.TB, s *Server) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return serveBy(tb, s, s.ServeAdmin, ln)
}

func serveBy(tb testing.TB, s *Server, serve func(net.Listener) error, ln net.Listener) string {
	tb.Helper()
	served := make(chan error, 1)
	go func() { served <- serve(ln) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx) // a test may have left a connection open on purpose
		if err := <-served; err != nil && !errors.Is(err, ErrServerClosed) {
			tb.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// client is one connection that speaks raw HTTP.
type client struct {
	tb testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(tb testing.TB, address string) *client {
	tb.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return newClient(tb, c)
}

func newClient(tb testing.TB, c net.Conn) *client {
	return &client{tb: tb, Conn: c, r: bufio.NewReader(c)}
}

// answerText is an answer as it came.
type answerText struct {
	status int
	header http.Header
	body   string
	close  bool
}

// send writes a raw request and reads the answer to it.
func (c *client) send(raw string) answerText {
	c.tb.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		c.tb.Fatal(err)
	}
	if _, err := io.WriteString(c, raw); err != nil {
		c.tb.Fatalf("write: %v", err)
	}
	method, _, _ := strings.Cut(raw, " ")
	return c.receive(method)
}

// sendMeanwhile is send that reads while it writes. A server that refuses a request lingers
// for a while only, and may close before it has taken all of a long one: who reads meanwhile
// has the answer all the same.
func (c *client) sendMeanwhile(raw string) answerText {
	c.tb.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		c.tb.Fatal(err)
	}
	go func() { _, _ = io.WriteString(c, raw) }()
	method, _, _ := strings.Cut(raw, " ")
	return c.receive(method)
}

// receive reads the answer to a request with this method.
func (c *client) receive(method string) answerText {
	c.tb.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil { // for each of many
		c.tb.Fatal(err)
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.tb.Fatalf("read the answer: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.tb.Fatalf("read the answer's body: %v", err)
	}
	if resp.Close {
		resp.Header.Set("Connection", "close") // net/http takes it out
	}
	return answerText{status: resp.StatusCode, header: resp.Header, body: string(body), close: resp.Close}
}

// get and post are requests on one line; body is JSON.
func (c *client) get(target string) answerText {
	c.tb.Helper()
	return c.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

func (c *client) post(target, body string) answerText {
	c.tb.Helper()
	return c.send(postText(target, body))
}

func postText(target, body string) string {
	return "POST " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
		itoa(len(body)) + "\r\n\r\n" + body
}

// eventually waits until what is true.
func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("not within %v: %s", patience, what)
		}
	}
}
