package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// pair gives the two ends of a TCP connection. The first has a socket that is
// busy from its first read on.
func pair(t *testing.T) (*socket, net.Conn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{reads: pullFrom}
	s.open(near)
	t.Cleanup(func() {
		_ = far.Close()
		s.end()
		_ = near.Close()
	})
	for _, c := range []net.Conn{near, far} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return s, near, far.(*net.TCPConn) //nolint:forcetypeassert // net.Dial says so
}

// coroutines counts the connections that are in one.
func coroutines() int {
	stacks := make([]byte, 1<<20)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) {
			return strings.Count(string(stacks[:n]), "(*socket).pull(")
		}
		stacks = make([]byte, 2*len(stacks))
	}
}

// TestSocketReads sends pieces that are shorter than the buffer, as long, and
// longer, each while the reader waits or just before it does.
func TestSocketReads(t *testing.T) {
	for _, size := range []int{1, 7, 64, 4096, directRead, directRead + 100} {
		s, near, far := pair(t)
		buf := make([]byte, size)
		for i, n := range []int{1, size, size, size - 1, 1, size + 1, 2 * size, 3*size + 1, 1} {
			sent := bytes.Repeat([]byte{byte('a' + i)}, n)
			wrote := make(chan error, 1)
			write := func() {
				_, err := far.Write(sent)
				wrote <- err
			}
			if i%2 == 0 {
				go write()
			} else if n < directRead { // it fits into the kernel's buffers
				write()
			} else {
				go write()
			}
			var got []byte
			for len(got) < n {
				m, err := s.read(near, buf, 0)
				if err != nil || m == 0 {
					t.Fatalf("buffer %d, piece %d: %d %v behind %d bytes", size, i, m, err, len(got))
				}
				got = append(got, buf[:m]...)
			}
			if err := <-wrote; err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("buffer %d, piece %d: %v, or other bytes", size, i, err)
			}
		}
		if s.next == nil {
			t.Fatal("no coroutine was at work")
		}
		if n, err := s.read(near, nil, 0); n != 0 || err != nil {
			t.Errorf("no buffer: %d %v", n, err)
		}
	}
}

// TestSocketWrites writes what is short, what is long, and more than the kernel
// takes at once.
func TestSocketWrites(t *testing.T) {
	s, near, far := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcde"), 1<<16)
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(far)
		got <- b
	}()
	for rest := sent; len(rest) > 0; {
		n := min(len(rest), 1+len(rest)%directWrite)
		if m, err := s.write(near, rest[:n]); m != n || err != nil {
			t.Fatal(m, err)
		}
		rest = rest[n:]
	}
	if n, err := s.write(near, sent); n != len(sent) || err != nil {
		t.Fatal(n, err)
	}
	if err := near.(*net.TCPConn).CloseWrite(); err != nil { //nolint:forcetypeassert // a listener of TCP gave it
		t.Fatal(err)
	}
	if !bytes.Equal(<-got, append(sent, sent...)) {
		t.Error("other bytes arrived")
	}
	// A reader that does not read; then one that is gone.
	s, near, far = pair(t)
	if err := near.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		_, err = s.write(near, sent[:directWrite])
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if err = near.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	_ = far.Close()
	for err == nil {
		_, err = s.write(near, sent[:directWrite])
	}
	if !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "reset by peer") {
		t.Error(err)
	}
}

// TestSocketAllocatesNothing lets a byte go to and fro.
func TestSocketAllocatesNothing(t *testing.T) {
	s, near, far := pair(t)
	other := &socket{reads: pullFrom}
	other.open(far)
	defer other.end()
	buf := make([]byte, 100)
	n := testing.AllocsPerRun(1000, func() {
		if _, err := other.write(far, buf[:1]); err != nil {
			t.Error(err)
		}
		if _, err := s.read(near, buf, 0); err != nil {
			t.Error(err)
		}
		if _, err := s.write(near, buf[:1]); err != nil {
			t.Error(err)
		}
		if _, err := other.read(far, buf, 0); err != nil {
			t.Error(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSocketEnds ends connections in every way, and their coroutines with them.
func TestSocketEnds(t *testing.T) {
	closeIt := func(s *socket, near net.Conn) { // as conn.Close does
		s.end()
		_ = near.Close()
	}
	for name, c := range map[string]struct {
		how   func(s *socket, near net.Conn, far *net.TCPConn)
		waits bool // it is done while read waits, else between two reads
		want  func(error) bool
	}{
		"closed while it waits":  {func(s *socket, near net.Conn, _ *net.TCPConn) { closeIt(s, near) }, true, isClosed},
		"closed between reads":   {func(s *socket, near net.Conn, _ *net.TCPConn) { closeIt(s, near) }, false, isClosed},
		"end of stream":          {func(_ *socket, _ net.Conn, far *net.TCPConn) { _ = far.CloseWrite() }, true, isEOF},
		"end of stream, between": {func(_ *socket, _ net.Conn, far *net.TCPConn) { _ = far.CloseWrite() }, false, isEOF},
		"reset":                  {func(_ *socket, _ net.Conn, far *net.TCPConn) { _ = far.SetLinger(0); _ = far.Close() }, true, isReset},
		"reset, between":         {func(_ *socket, _ net.Conn, far *net.TCPConn) { _ = far.SetLinger(0); _ = far.Close() }, false, isReset},
		"interrupted":            {func(_ *socket, near net.Conn, _ *net.TCPConn) { _ = near.SetReadDeadline(interrupt) }, true, isTimeout},
		"interrupted, between":   {func(_ *socket, near net.Conn, _ *net.TCPConn) { _ = near.SetReadDeadline(interrupt) }, false, isTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			before := coroutines()
			s, near, far := pair(t)
			buf := make([]byte, 100)
			if _, err := far.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := s.read(near, buf, 0); err != nil {
				t.Fatal(err)
			}
			if n := coroutines(); n != before+1 || s.waits() {
				t.Fatalf("%d coroutines, before it was %d", n, before)
			}
			ended := make(chan error, 1)
			read := func() {
				_, err := s.read(near, buf, 0)
				ended <- err
			}
			if c.waits {
				go read()
				eventually(t, "it waits", s.waits)
				c.how(s, near, far)
			} else {
				c.how(s, near, far)
				go read()
			}
			if err := <-ended; !c.want(err) {
				t.Error(err)
			}
			closeIt(s, near)
			eventually(t, "the coroutine is gone", func() bool { return coroutines() == before })
			if _, err := s.read(near, buf, 0); !isClosed(err) {
				t.Errorf("a read behind the end: %v", err)
			}
		})
	}
}

func isClosed(err error) bool  { return errors.Is(err, net.ErrClosed) }
func isEOF(err error) bool     { return err == io.EOF } //nolint:errorlint // fasthttp compares it so
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
func isReset(err error) bool   { return err != nil && strings.Contains(err.Error(), "reset by peer") }

// busy sends requests until the server's end of c, which must be the only
// connection, reads in a coroutine.
func busy(t *testing.T, s *Server, c *client) *conn {
	t.Helper()
	var sc *conn
	eventually(t, "the connection is busy", func() bool {
		for range pullFrom {
			if got := c.get("/"); got.status != 200 {
				t.Fatal(got.body)
			}
		}
		s.registry.mu.Lock()
		defer s.registry.mu.Unlock()
		if len(s.registry.conns) != 1 {
			t.Fatalf("%d connections", len(s.registry.conns))
		}
		sc = s.registry.conns[0]
		return sc.socket.waits()
	})
	return sc
}

// TestBusyConnection uses a connection that reads in a coroutine in every way.
func TestBusyConnection(t *testing.T) {
	s := newServer(t, newFake(), nil)
	c := dial(t, serve(t, s))
	busy(t, s, c)
	if _, err := io.WriteString(c, strings.Repeat("GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 300)); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if got := c.receive("GET"); got.status != 200 {
			t.Fatal(got.body)
		}
	}
	for _, n := range []int{100, 8000, 8192, 70_000, 1 << 20} {
		busy(t, s, c)
		value := `{"v":"` + strings.Repeat("v", n-8) + `"}`
		if got := c.post("/api", `{"key":1,"data":`+value+`}`); got.status != 200 || got.body != `{"data":`+value+`}` {
			t.Fatalf("POST of %d bytes: %d %.100s", n, got.status, got.body)
		}
		if got := c.get("/api?key=1"); got.body != `{"key":"1","data":`+value+`,"node":"smache@test"}` {
			t.Fatalf("GET of %d bytes: %d %.100s", n, got.status, got.body)
		}
	}
	// A byte at a time.
	busy(t, s, c)
	for _, b := range []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r") {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.send("\n"); got.status != 200 {
		t.Error(got.body)
	}
	// Quiet for a while, and busy again.
	sc := busy(t, s, c)
	eventually(t, "the coroutine is given up", func() bool { return !sc.socket.waits() })
	if got := c.get("/"); got.status != 200 {
		t.Error(got.body)
	}
	busy(t, s, c)
}

// TestEndBehindRequest closes the sending half of a busy connection right behind
// a request, so that both come with one notice.
func TestEndBehindRequest(t *testing.T) {
	cache, entered, hold := newFake(), make(chan struct{}), make(chan struct{})
	s := newServer(t, cache, nil)
	c := dial(t, serve(t, s))
	busy(t, s, c)
	cache.override = func(*proto.Op) bool {
		entered <- struct{}{}
		<-hold
		return false
	}
	const request = "GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	<-entered
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil { //nolint:forcetypeassert // dial made it
		t.Fatal(err)
	}
	hold <- struct{}{}
	if got := c.receive("GET"); got.status != 200 {
		t.Error(got.body)
	}
	<-entered
	hold <- struct{}{}
	if got := c.receive("GET"); got.status != 200 {
		t.Error(got.body)
	}
	began := time.Now()
	if n, err := c.r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("behind the last answer: %d %v", n, err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("the end was noticed after %v", d)
	}
	eventually(t, "the connection is gone", func() bool { return s.registry.open() == 0 && coroutines() == 0 })
}

// TestBusyTimeouts holds the time-outs against connections that were busy.
func TestBusyTimeouts(t *testing.T) {
	s := newServer(t, newFake(), func(c *Config) {
		c.ReadTimeout, c.IdleTimeout = 300*time.Millisecond, 400*time.Millisecond
	})
	address := serve(t, s)
	c := dial(t, address)
	busy(t, s, c)
	got := c.send("GET /api?key=1 HT")
	wantFailure(t, got, proto.FailTimeout)
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("half a request: the connection stays open: %v", err)
	}
	eventually(t, "the connection is gone", func() bool { return s.registry.open() == 0 })
	c = dial(t, address)
	busy(t, s, c)
	if n, err := c.r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("idle: %d %v", n, err)
	}
	eventually(t, "all is gone", func() bool { return s.registry.open() == 0 && coroutines() == 0 })
	if s.registry.idleTimeouts.Load() != 1 || s.registry.readTimeouts.Load() != 1 {
		t.Errorf("%d idle and %d read time-outs", s.registry.idleTimeouts.Load(), s.registry.readTimeouts.Load())
	}
}

// TestBusyShutdown shuts down with a connection that waits in a coroutine, and
// with one whose request is never answered.
func TestBusyShutdown(t *testing.T) {
	for _, held := range []bool{false, true} {
		cache, hold := newFake(), make(chan struct{})
		s := newServer(t, cache, nil)
		c := dial(t, serve(t, s))
		sc := busy(t, s, c)
		wait := 10 * time.Second
		if held {
			entered := make(chan struct{})
			cache.override = func(*proto.Op) bool {
				close(entered)
				<-hold
				return false
			}
			if _, err := io.WriteString(c, "GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			<-entered
			wait = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		if err := s.Shutdown(ctx); (err != nil) != held {
			t.Errorf("held %v: %v", held, err)
		}
		cancel()
		if turn := sc.socket.turn.Load(); turn != turnEnded {
			t.Errorf("held %v: turn is %d", held, turn)
		}
		if n, err := c.r.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("held %v: the connection is open: %d %v", held, n, err)
		}
		close(hold)
		eventually(t, "the coroutine is gone", func() bool { return coroutines() == 0 })
	}
}
