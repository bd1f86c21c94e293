package loop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// script is a Handler made of functions.
type script struct {
	ready, resumed, cut func(*Conn)
	rest                func()
	rested              atomic.Int32
	quiet               atomic.Int32 // how often it has rested since something came
}

func (s *script) Ready(c *Conn) {
	s.quiet.Store(0)
	if s.ready != nil {
		s.ready(c)
	}
}

func (s *script) Resumed(c *Conn) {
	s.quiet.Store(0)
	if s.resumed != nil {
		s.resumed(c)
	}
}

func (s *script) Cut(c *Conn) {
	if s.cut != nil {
		s.cut(c)
	}
}

func (s *script) Rest() {
	s.rested.Add(1)
	s.quiet.Add(1)
	if s.rest != nil {
		s.rest()
	}
}

// run runs a loop until the test ends.
func run(t *testing.T, s *script) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	go l.Run(s)
	t.Cleanup(func() {
		l.Stop()
		<-l.Ended()
	})
	return l
}

// pair gives both ends of a connection, the first on l once it has begun.
func pair(t *testing.T, l *Loop) (*Conn, *net.TCPConn) {
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
	c, err := l.Take(near.(*net.TCPConn)) // a listener of TCP gave it
	if err != nil {
		t.Fatal(err)
	}
	if c.RemoteAddr().String() != far.LocalAddr().String() || c.LocalAddr().String() != far.RemoteAddr().String() {
		t.Fatal("it has other addresses")
	}
	t.Cleanup(func() {
		_ = far.Close()
		_ = c.Close()
	})
	if err := far.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c, far.(*net.TCPConn) // it dials TCP
}

func write(t *testing.T, c io.Writer, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, c io.Reader, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if _, err := io.ReadFull(c, p); err != nil {
		t.Error(err)
	}
	return p
}

// TestSocketOptions: what is written leaves at once, in two pieces too, and a client that is
// gone without a word is found out.
func TestSocketOptions(t *testing.T) {
	l := run(t, &script{})
	c, _ := pair(t, l)
	for name, option := range map[string]struct{ level, name int }{
		"TCP_NODELAY": {syscall.IPPROTO_TCP, syscall.TCP_NODELAY}, "SO_KEEPALIVE": {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
	} {
		if v, err := syscall.GetsockoptInt(c.fd, option.level, option.name); err != nil || v != 1 {
			t.Errorf("%s is %d, %v", name, v, err)
		}
	}
}

// echo gives back what comes, in pieces of at most size bytes a turn, and closes
// behind the end.
func echo(size int) *script {
	buf := make([]byte, size)
	return &script{ready: func(c *Conn) {
		n, more, err := c.Receive(buf)
		if err != nil {
			_ = c.Close()
			return
		}
		for p := buf[:n]; len(p) > 0; {
			m, err := c.Send(p)
			if err != nil {
				_ = c.Close()
				return
			}
			p = p[m:]
		}
		if more {
			c.Again()
		}
	}}
}

// TestReady sends pieces of all sizes, before the connection begins and after, and the
// end together with the last of them.
func TestReady(t *testing.T) {
	for _, size := range []int{1, 7, 4096} {
		l := run(t, echo(size))
		for _, n := range []int{1, size - 1, size, size + 1, 3 * size} {
			c, far := pair(t, l)
			sent := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
			write(t, far, sent)
			c.Begin(false)
			if got := read(t, far, n); !bytes.Equal(got, sent) {
				t.Fatalf("%d bytes by %d: other bytes", n, size)
			}
			for range 100 {
				write(t, far, sent)
				if got := read(t, far, n); !bytes.Equal(got, sent) {
					t.Fatalf("%d bytes by %d: other bytes", n, size)
				}
			}
			write(t, far, sent)
			if err := far.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("%d bytes by %d, and the end: %v, or other bytes", n, size, err)
			}
		}
	}
}

// TestEndlessSender floods a loop from one connection, and asks on another.
func TestEndlessSender(t *testing.T) {
	buf := make([]byte, 4096)
	var flooded atomic.Int64
	l := run(t, &script{ready: func(c *Conn) {
		n, more, err := c.Receive(buf)
		if err != nil {
			_ = c.Close()
			return
		}
		if c.Owner == "flood" {
			flooded.Add(int64(n))
		} else {
			_, _ = c.Send(buf[:n])
		}
		if more {
			c.Again()
		}
	}})
	flood, far := pair(t, l)
	flood.Owner = "flood"
	flood.Begin(false)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		big := make([]byte, 1<<20)
		for {
			if _, err := far.Write(big); err != nil {
				return
			}
		}
	}()
	c, other := pair(t, l)
	c.Begin(false)
	for flooded.Load() < 64<<20 {
		write(t, other, []byte("ask"))
		if got := read(t, other, 3); string(got) != "ask" {
			t.Fatal(got)
		}
	}
	_ = flood.Close()
	<-ended
}

// TestLeaveAndReturn sends messages of which each is answered on the loop or away
// from it, in turns, so that a notice that was missed would stop it.
func TestLeaveAndReturn(t *testing.T) {
	var visits, returns atomic.Int64
	turn := 0
	buf := make([]byte, 1<<17)
	s := &script{}
	s.ready = func(c *Conn) {
		if turn++; turn%3 != 0 {
			n, more, err := c.Receive(buf[:100])
			if err != nil {
				_ = c.Close()
				return
			}
			for p := buf[:n]; len(p) > 0; {
				m, err := c.Send(p)
				if err != nil {
					_ = c.Close()
					return
				}
				p = p[m:]
			}
			if more {
				c.Again()
			}
			return
		}
		c.Leave()
		visits.Add(1)
		go func() {
			mine := make([]byte, 1<<17)
			for {
				n, back, err := c.ReadOrReturn(mine)
				if back {
					returns.Add(1)
					return
				}
				if err == nil {
					_, err = c.Write(mine[:n])
				}
				if err != nil {
					_ = c.Close()
					return
				}
			}
		}()
	}
	l := run(t, s)
	c, far := pair(t, l)
	c.Begin(false)
	for i := range 5000 {
		n := 1 + i*37%250
		if i%1000 == 0 {
			n = 1 << 17
		}
		sent := bytes.Repeat([]byte{byte(i)}, n)
		go func() { _, _ = far.Write(sent) }()
		if got := read(t, far, n); !bytes.Equal(got, sent) {
			t.Fatalf("message %d: other bytes", i)
		}
	}
	if visits.Load() < 500 || returns.Load() < 500 {
		t.Errorf("%d visits, %d returns", visits.Load(), returns.Load())
	}
}

// TestEndWhileReading sends the last bytes and the end together, again and again, to a
// goroutine that is about to wait.
func TestEndWhileReading(t *testing.T) {
	l := run(t, &script{})
	for range 3000 {
		c, far := pair(t, l)
		c.Begin(true)
		ended := make(chan error, 1)
		go func() {
			n, p := 0, make([]byte, 10)
			for {
				m, err := c.Read(p)
				if n += m; err == nil {
					continue
				}
				if n != 2 {
					err = errors.New("bytes are missing")
				}
				ended <- err
				return
			}
		}()
		write(t, far, []byte("a"))
		write(t, far, []byte("b"))
		_ = far.CloseWrite()
		select {
		case err := <-ended:
			if err != io.EOF {
				t.Fatal(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the end was missed")
		}
		_, _ = far.Close(), c.Close()
	}
}

// TestHold holds a connection at each message, while more comes.
func TestHold(t *testing.T) {
	buf, early := make([]byte, 1), false
	s := &script{}
	s.ready = func(c *Conn) {
		if n, _, err := c.Receive(buf); n == 0 {
			if err != nil {
				_ = c.Close()
			}
			return
		}
		if early = !early; early {
			c.Resume()
			c.Hold()
			return
		}
		c.Hold()
		go c.Resume()
	}
	s.resumed = func(c *Conn) {
		_, _ = c.Send(buf)
		c.Again()
	}
	c, far := pair(t, run(t, s))
	c.Begin(false)
	sent := []byte(strings.Repeat("0123456789", 1000))
	go func() {
		_, _ = far.Write(sent)
		_ = far.CloseWrite()
	}()
	if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d, %v", len(got), len(sent), err)
	}
}

// waits says that c's goroutine is about to wait, or does.
func waits(t *testing.T, c *Conn, far *net.TCPConn) {
	t.Helper()
	write(t, far, []byte("x"))
	if _, err := c.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
}

// fill writes until the socket takes no more, and goes on.
func fill(c *Conn) error {
	p := make([]byte, 1<<20)
	for {
		if _, err := c.Write(p); err != nil {
			return err
		}
	}
}

// TestDeadlines sets deadlines before a read and a write, and while they wait.
func TestDeadlines(t *testing.T) {
	past := time.Unix(1, 0)
	for _, when := range []time.Duration{-1, 0, 20 * time.Millisecond} {
		c, far := pair(t, run(t, &script{}))
		c.Begin(true)
		waits(t, c, far)
		set := func(f func(time.Time) error) {
			at := past
			if when > 0 {
				at = time.Now().Add(when)
			}
			if err := f(at); err != nil {
				t.Error(err)
			}
		}
		if when < 0 {
			set(c.SetReadDeadline)
		} else {
			go set(c.SetReadDeadline)
		}
		if n, err := c.Read(make([]byte, 10)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %d %v", n, err)
		}
		if _, err := c.Write([]byte("y")); err != nil {
			t.Error(err)
		}
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		waits(t, c, far)
		if when < 0 {
			set(c.SetWriteDeadline)
		} else {
			go set(c.SetWriteDeadline)
		}
		if err := fill(c); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		go func() { _, _ = io.Copy(io.Discard, far) }()
		if _, err := c.Write([]byte("z")); err != nil {
			t.Error(err)
		}
	}
	cut := make(chan *Conn)
	c, _ := pair(t, run(t, &script{cut: func(c *Conn) { cut <- c }}))
	c.Begin(false)
	if err := c.SetReadDeadline(past); err != nil {
		t.Fatal(err)
	}
	if <-cut != c {
		t.Error("another was cut")
	}
}

// TestClose closes a connection from outside at every moment.
func TestClose(t *testing.T) {
	held := make(chan struct{}, 1)
	for name, step := range map[string]func(*Loop, *Conn, *net.TCPConn) error{
		"before it begins": func(_ *Loop, c *Conn, _ *net.TCPConn) error {
			_ = c.Close()
			c.Begin(false)
			return net.ErrClosed
		},
		"on its loop": func(_ *Loop, c *Conn, _ *net.TCPConn) error {
			c.Begin(false)
			_ = c.Close()
			return net.ErrClosed
		},
		"held": func(_ *Loop, c *Conn, far *net.TCPConn) error {
			c.Owner = "hold"
			c.Begin(false)
			_, _ = far.Write([]byte("x"))
			<-held
			_ = c.Close()
			c.Resume()
			return net.ErrClosed
		},
		"reading": func(_ *Loop, c *Conn, _ *net.TCPConn) error {
			c.Begin(true)
			go func() { _ = c.Close() }()
			_, err := c.Read(make([]byte, 10))
			return err
		},
		"writing": func(_ *Loop, c *Conn, _ *net.TCPConn) error {
			c.Begin(true)
			go func() { _ = c.Close() }()
			return fill(c)
		},
		"stopped": func(l *Loop, c *Conn, _ *net.TCPConn) error {
			c.Begin(true)
			go func() {
				l.Stop()
				<-l.Ended()
			}()
			_, err := c.Read(make([]byte, 10))
			return err
		},
		"begun behind the end": func(l *Loop, c *Conn, _ *net.TCPConn) error {
			l.Stop()
			<-l.Ended()
			c.Begin(false)
			c.Resume()
			return net.ErrClosed
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := run(t, &script{ready: func(c *Conn) {
				if c.Owner == "hold" {
					c.Hold()
					held <- struct{}{}
				}
			}})
			c, far := pair(t, l)
			if err := step(l, c, far); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			// Unread bytes turn the end into a reset.
			if _, err := io.Copy(io.Discard, far); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the other end: %v", err)
			}
			if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("a read behind the end: %d %v", n, err)
			}
			if err := errors.Join(c.Close(), c.Close()); err != nil {
				t.Error(err)
			}
			if c.SetReadDeadline(time.Now()) == nil || c.CloseWrite() == nil && name != "stopped" {
				t.Error("a closed connection takes orders")
			}
		})
	}
}

// TestBroken has the other end break off.
func TestBroken(t *testing.T) {
	c, far := pair(t, run(t, &script{}))
	c.Begin(true)
	waits(t, c, far)
	go func() {
		_ = far.SetLinger(0)
		_ = far.Close()
	}()
	if n, err := c.Read(make([]byte, 10)); n != 0 || err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("read: %d %v", n, err)
	}
	if err := fill(c); err == nil || !strings.Contains(err.Error(), "broken pipe") {
		t.Errorf("write: %v", err)
	}
}

// sleeps waits until a loop of s, for which nothing comes, sleeps for good: it rests before
// each nap, and before that.
func sleeps(t *testing.T, l *Loop, s *script) {
	t.Helper()
	deadline := time.After(time.Minute)
	for s.quiet.Load() <= napsMost || !l.asleep.Load() {
		select {
		case <-deadline:
			t.Fatal("it does not sleep")
		case <-time.After(time.Millisecond):
		}
	}
}

// Who helps a loop that sleeps serves what was left to it, before Help returns; where there
// is much, or the loop is at work, the loop does.
func TestHelp(t *testing.T) {
	var resumed atomic.Int32
	began, end := make(chan struct{}), make(chan struct{})
	s := &script{}
	s.ready = func(c *Conn) {
		buf := make([]byte, 8)
		switch n, _, _ := c.Receive(buf); {
		case n == 0:
			_ = c.Close()
		case buf[0] == 'h':
			c.Hold()
		default:
			began <- struct{}{}
			<-end
		}
		_, _ = c.Send(buf[:1])
	}
	s.resumed = func(c *Conn) {
		resumed.Add(1)
		_, _ = c.Send([]byte("r"))
	}
	l := run(t, s)
	hold := func(n int) (held []*Conn, far []*net.TCPConn) {
		t.Helper()
		for range n {
			c, f := pair(t, l)
			c.Begin(false)
			write(t, f, []byte("h"))
			read(t, f, 1)
			held, far = append(held, c), append(far, f)
		}
		return held, far
	}

	held, far := hold(helpMost)
	sleeps(t, l, s)
	rested := s.rested.Load()
	for _, c := range held {
		c.ResumeSoon()
	}
	if n := resumed.Load(); n != 0 {
		t.Errorf("%d were resumed without Help", n)
	}
	l.Help()
	if n := resumed.Load(); n != helpMost || s.rested.Load() != rested+1 {
		t.Errorf("Help has resumed %d of %d, and rested %d times", n, helpMost, s.rested.Load()-rested)
	}
	for _, f := range far {
		read(t, f, 1)
	}
	l.Help() // of nothing

	held, far = hold(helpMost + 1)
	sleeps(t, l, s)
	for _, c := range held {
		c.ResumeSoon()
	}
	l.Help()
	for _, f := range far {
		read(t, f, 1)
	}

	held, far = hold(1)
	busy, other := pair(t, l)
	busy.Begin(false)
	write(t, other, []byte("b"))
	<-began
	held[0].ResumeSoon()
	l.Help()
	if n := resumed.Load(); n != 2*helpMost+1 {
		t.Errorf("%d were resumed while the loop was at work", n)
	}
	close(end)
	read(t, far[0], 1)
}

// A panic of the Handler is that of who helps, and the loop hears of what comes afterwards.
func TestHelpPanics(t *testing.T) {
	var panics atomic.Bool
	s := &script{resumed: func(c *Conn) { _, _ = c.Send([]byte("r")) }}
	s.ready = func(c *Conn) {
		if n, _, _ := c.Receive(make([]byte, 8)); n == 0 {
			_ = c.Close()
			return
		}
		c.Hold()
		_, _ = c.Send([]byte("h"))
	}
	s.rest = func() {
		if panics.Swap(false) {
			panic("in Rest")
		}
	}
	l := run(t, s)
	c, far := pair(t, l)
	c.Begin(false)
	write(t, far, []byte("x"))
	read(t, far, 1)
	sleeps(t, l, s)
	panics.Store(true)
	c.ResumeSoon()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		l.Help()
	}()
	read(t, far, 1)
	write(t, far, []byte("x"))
	read(t, far, 1)
	c.Resume() // which has to wake it
	read(t, far, 1)
}

// Many help at once, while things come, and while the loop ends: each Hold is ended once,
// and the end is not missed.
func TestHelpByMany(t *testing.T) {
	const conns, rounds = 8, 200
	s := &script{}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	ask, done := make(chan *Conn, conns), make(chan struct{})
	defer close(done)
	s.ready = func(c *Conn) {
		if n, _, _ := c.Receive(make([]byte, 8)); n == 0 {
			_ = c.Close()
			return
		}
		c.Hold()
		ask <- c
	}
	s.resumed = func(c *Conn) { _, _ = c.Send([]byte("r")) }
	l := run(t, s)
	for range 3 {
		helpers.Go(func() {
			for {
				select {
				case c := <-ask:
					c.ResumeSoon()
					l.Help()
				case <-done:
					return
				}
			}
		})
	}
	var clients sync.WaitGroup
	for range conns {
		c, far := pair(t, l)
		c.Begin(false)
		clients.Go(func() {
			for range rounds {
				write(t, far, []byte("x"))
				if got := read(t, far, 1); got[0] != 'r' {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	clients.Wait()
	for range 50 { // beside helpers, a loop that is told to end does
		l, err := New()
		if err != nil {
			t.Fatal(err)
		}
		go l.Run(&script{})
		helpers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.Ended():
					return
				default:
					l.Help()
				}
			}
		})
		l.Stop()
		<-l.Ended()
	}
}

// A loop says that it rests before it sleeps, and before it ends: nothing that waits for
// that is left behind.
func TestRestBeforeTheEnd(t *testing.T) {
	s := &script{}
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	l.Stop() // before it has begun, so that it never looks for events
	l.Run(s)
	if s.rested.Load() != 1 {
		t.Errorf("rested %d times", s.rested.Load())
	}
}

// A loop for which nothing comes any more wakes a number of times, and lets others run,
// before it sleeps until something does. So it is after each event.
func TestNaps(t *testing.T) {
	var looks atomic.Int32
	slept := make(chan struct{}, 8) // more than there are, one after the end among them
	l := run(t, &script{
		ready: func(c *Conn) {
			looks.Store(0)
			if _, _, err := c.Receive(make([]byte, 8)); err != nil {
				_ = c.Close()
			}
		},
		rest: func() {
			if looks.Add(1) == napsMost+1 {
				slept <- struct{}{}
			}
		},
	})
	c, far := pair(t, l)
	<-slept // it has had nothing to do
	c.Begin(false)
	for range 3 {
		write(t, far, []byte("x"))
		<-slept
	}
}
