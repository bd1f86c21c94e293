package loop

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The values of Conn.place: whose a connection is.
const (
	onLoop   uint32 = 0 // the loop's, which hears of what comes
	held     uint32 = 1 // the loop's, which notes that something has come
	away     uint32 = 2 // a goroutine's, by Leave
	awayTold uint32 = 3 // the same, and something has come since it last looked
)

// What a read has found. One that comes back short has taken all bytes that there were,
// but the end may lie behind them, and both may have come with one notice.
const (
	foundMore    uint8 = 0 // as much as was asked for, or it has not been looked yet
	foundShort   uint8 = 1
	foundNothing uint8 = 2 // not even the end: of whatever comes now there will be notice
)

// Conn is a TCP connection. It is on its loop, whose Handler uses Receive, Send and
// Hold, and may let it Leave: then it belongs to one goroutine, for which it is a
// net.Conn that blocks, until ReadOrReturn gives it back. Close, SetReadDeadline,
// SetWriteDeadline and the addresses are anybody's at any time.
type Conn struct {
	// Owner is the Handler's.
	Owner any

	loop   *Loop
	fd     int // -1: closed. The loop's; others look at it with io held.
	place  atomic.Uint32
	over   atomic.Bool // the other end has ended, or broken off
	closed atomic.Bool
	missed bool  // the loop's: something has come while it was held
	last   uint8 // the goroutine's: what its last read has found

	readCut, writeCut atomic.Bool // the deadline is past
	wake              chan struct{}
	io                sync.Mutex
	local, remote     net.Addr
	timers            [2]*time.Timer // guarded by io
}

// Take makes a Conn of the socket of nc, which is closed. Nothing happens to it
// before Begin.
func (l *Loop) Take(nc *net.TCPConn) (*Conn, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{loop: l, fd: -1, wake: make(chan struct{}, 1), local: nc.LocalAddr(), remote: nc.RemoteAddr()}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		var n uintptr
		if n, _, errno = syscall.RawSyscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0); errno == 0 {
			c.fd = int(n)
		}
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("fcntl", errno)
	}
	if err != nil {
		return nil, err
	}
	_ = nc.Close()
	return c, nil
}

// Begin puts a connection onto its loop, or, for somebody who serves it at once, away
// from it.
func (c *Conn) Begin(leave bool) {
	if leave {
		c.place.Store(away)
	}
	if !c.loop.post(c, toAdd) {
		_ = c.Close()
	}
}

// Receive reads what is there, on the loop. more says that there may be more. The
// error is io.EOF, or the system's.
func (c *Conn) Receive(p []byte) (n int, more bool, err error) {
	if c.fd < 0 {
		return 0, false, net.ErrClosed
	}
	n, errno := receive(c.fd, p)
	switch {
	case errno == syscall.EAGAIN:
		return 0, false, nil
	case errno != 0:
		return 0, false, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, false, io.EOF
	}
	return n, n == len(p) || c.over.Load(), nil
}

// Send writes as much of p as the socket takes, on the loop.
func (c *Conn) Send(p []byte) (n int, err error) {
	if c.fd < 0 {
		return 0, net.ErrClosed
	}
	n, errno := send(c.fd, p)
	if errno != 0 && errno != syscall.EAGAIN {
		return 0, os.NewSyscallError("write", errno)
	}
	return n, nil
}

// Again has Ready called once more, behind the others' turns. On the loop.
func (c *Conn) Again() { c.loop.post(c, toLook) }

// Hold keeps Ready from being called until Resume. On the loop.
func (c *Conn) Hold() { c.place.Store(held) }

// Resume ends Hold: Resumed is called on the loop. Any goroutine may call it, once
// for each Hold, even before it.
func (c *Conn) Resume() { c.loop.post(c, toResume) }

// ResumeSoon is Resume for who will call Help of all loops.
func (c *Conn) ResumeSoon() { c.loop.leave(c, toResume) }

// Leave gives c to a goroutine. On the loop.
func (c *Conn) Leave() {
	c.LetRun()
	c.last = foundMore
	c.place.Store(away)
}

// LetRun has the loop let others run before it sleeps: for who has just started a
// goroutine that a client waits for. On the loop; who helps one is to let others run
// soon itself.
func (c *Conn) LetRun() { c.loop.let = true }

// Return gives c back to its loop, unless something has come that was not read. The
// goroutine's whose c is.
func (c *Conn) Return() bool { return c.drained() && c.place.CompareAndSwap(away, onLoop) }

// drained says that there was nothing left to read, and not the end either. The
// goroutine's whose c is.
func (c *Conn) drained() bool {
	return c.last == foundNothing || c.last == foundShort && !c.over.Load()
}

// ReadOrReturn is Read that does not wait: it gives c back to its loop instead.
func (c *Conn) ReadOrReturn(p []byte) (n int, returned bool, err error) {
	for {
		n, err, wait := c.readOnce(p)
		if !wait {
			return n, false, err
		}
		if c.Return() {
			return 0, true, nil
		}
	}
}

// Read reads from a connection that is the caller's.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		n, err, wait := c.readOnce(p)
		if !wait {
			return n, err
		}
		<-c.wake
	}
}

func (c *Conn) readOnce(p []byte) (n int, err error, wait bool) {
	switch {
	case c.closed.Load():
		return 0, net.ErrClosed, false
	case c.readCut.Load():
		return 0, os.ErrDeadlineExceeded, false
	case len(p) == 0:
		return 0, nil, false
	case c.drained() && c.place.Load() == away:
		return 0, nil, true
	}
	c.place.Store(away)
	c.io.Lock()
	if c.fd < 0 {
		c.io.Unlock()
		return 0, net.ErrClosed, false
	}
	n, errno := receive(c.fd, p[:min(len(p), maxDirect)])
	c.io.Unlock()
	switch {
	case errno == syscall.EAGAIN:
		c.last = foundNothing
		return 0, nil, true
	case errno != 0:
		return 0, os.NewSyscallError("read", errno), false
	case n == 0:
		return 0, io.EOF, false
	}
	if c.last = foundShort; n == min(len(p), maxDirect) {
		c.last = foundMore
	}
	return n, nil, false
}

// maxDirect is the most that one system call moves: the runtime does not know that
// it is one, and waits for it with everything else that it wants to stop.
const maxDirect = 64 << 10

// Write writes to a connection that is the caller's.
func (c *Conn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		switch {
		case c.closed.Load():
			return done, net.ErrClosed
		case c.writeCut.Load():
			return done, os.ErrDeadlineExceeded
		}
		c.io.Lock()
		if c.fd < 0 {
			c.io.Unlock()
			return done, net.ErrClosed
		}
		n, errno := send(c.fd, p[done:min(len(p), done+maxDirect)])
		c.io.Unlock()
		switch errno {
		case 0:
			done += n
		case syscall.EAGAIN:
			<-c.wake
		default:
			return done, os.NewSyscallError("write", errno)
		}
	}
	return done, nil
}

// CloseWrite ends the sending half.
func (c *Conn) CloseWrite() error {
	c.io.Lock()
	defer c.io.Unlock()
	if c.fd < 0 {
		return net.ErrClosed
	}
	return os.NewSyscallError("shutdown", syscall.Shutdown(c.fd, syscall.SHUT_WR))
}

// Close closes c, at once for everybody who uses it, and soon for the other end. It
// may be called more than once.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.signal()
	if !c.loop.post(c, toClose) {
		c.end()
	}
	return nil
}

// end ends the socket. On the loop, or when the loop has ended.
func (c *Conn) end() {
	c.io.Lock()
	defer c.io.Unlock()
	if c.fd >= 0 {
		_ = syscall.Close(c.fd)
		c.fd = -1
	}
}

// signal wakes the goroutine whose c is, if it waits.
func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// LocalAddr and RemoteAddr are those of net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Read. On the loop, a deadline that is past
// makes it call Cut.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(0, t, func() {
		c.readCut.Store(true)
		c.signal()
		if c.place.Load() < away {
			c.loop.post(c, toCut)
		}
	}, &c.readCut)
}

// SetWriteDeadline sets the deadline of Write.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(1, t, func() {
		c.writeCut.Store(true)
		c.signal()
	}, &c.writeCut)
}

func (c *Conn) setDeadline(i int, t time.Time, cut func(), is *atomic.Bool) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	c.io.Lock()
	defer c.io.Unlock()
	if c.timers[i] != nil {
		c.timers[i].Stop()
		c.timers[i] = nil
	}
	is.Store(false)
	if t.IsZero() {
		return nil
	}
	if d := time.Until(t); d > 0 {
		c.timers[i] = time.AfterFunc(d, cut)
		return nil
	}
	cut()
	return nil
}
