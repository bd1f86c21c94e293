package httpapi

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// The states of a connection, as fasthttp's ConnState tells them.
const (
	connNew    int32 = 0 // nothing was read yet
	connActive int32 = 1 // from a request's first byte until its answer is written
	connIdle   int32 = 2 // between requests
)

// How long, and for how many bytes, the rest of a refused request is read away
// before its connection is closed: closing at once would make the kernel answer
// it with a reset, which can destroy the answer on its way to the client.
const (
	lingerTime  = time.Second
	lingerBytes = 64 << 20
)

// conn is a connection as fasthttp sees it. It belongs to the goroutine that
// serves it; the registry's sweeper reads its deadlines and may interrupt it, and
// Close may come from any goroutine.
//
// Deadlines are kept here, by a clock that ticks with the sweeper: fasthttp would
// read the clock and set a timer of the runtime three times per request, 0.4 µs
// in all, several times what a read of the store costs. The sweeper finds the
// connections whose deadline has passed and interrupts them, so a deadline acts
// up to two sweeps late.
type conn struct {
	// What a request touches comes first, so that it shares cache lines.
	net.Conn
	registry        *registry
	state           atomic.Int32
	lingers         atomic.Bool // close with linger
	closed          atomic.Bool
	loopback        bool          // the listener is bound to a loopback address
	readBy, writeBy atomic.Int64  // deadlines, ticks of the registry's clock; 0 is none
	in, out         atomic.Uint64 // bytes
	owes            charges
	header          headerLines
	onLoop          loopState
	knownHost       []byte    // see guard; the serving goroutine's
	tls             *tls.Conn // nil: what is read and written is on the wire as it is

	// Of TLS; the serving goroutine's.
	shaken       bool        // the handshake is done
	certificates bool        // a certificate of the client's counts as a token
	trusted      bool        // and there is one
	heard        atomic.Bool // something was read behind the handshake; any goroutine's

	rest   []byte     // read, and not yet taken by whoever serves c
	broken error      // what reads give from now on; the serving goroutine's
	addr   netip.Addr // of the remote end, for the limit per address
	remote netip.Addr // the same, in any case
	opened int64      // tick of the registry's clock
	place  int        // in registry.conns, guarded by its mutex
	// The deadlines for which the sweeper has interrupted; only it looks here.
	readCut, writeCut int64
}

// interrupt is a deadline long past, which ends a blocked read or write at once.
var interrupt = time.Unix(1, 0)

// Read reads what a client sends, until the deadline. The end of the stream within a request is
// io.ErrUnexpectedEOF: fasthttp takes a plain io.EOF between two chunks of a
// body for the body's end.
func (c *conn) Read(p []byte) (int, error) {
	if c.broken != nil {
		return 0, c.broken
	}
	n, err := c.receive(p)
	return c.take(p[:n], err)
}

// take looks at p, which was just read, and gives what Read does.
func (c *conn) take(p []byte, err error) (int, error) {
	n := len(p)
	if n > 0 {
		if c.header.exceeded(p) {
			// fasthttp answers an error only behind a request's first byte.
			c.broken = errHeaderLines
			c.registry.headerFloods.Add(1)
			return 1, nil
		}
		return n, err
	}
	if err != nil && errors.Is(err, io.EOF) && c.state.Load() == connActive {
		return 0, io.ErrUnexpectedEOF
	}
	return 0, err
}

// receive reads from the wire, or what TLS makes of it.
func (c *conn) receive(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) == 0 {
			c.rest = nil
		}
		return n, nil
	}
	if c.tls != nil {
		return c.readTLS(p)
	}
	return c.readWire(p)
}

// readWire reads from the connection, until the deadline.
func (c *conn) readWire(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.in.Add(uint64(n))
			return n, err
		}
		if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && !c.registry.passed(c.readBy.Load()) {
			// The interruption was for an earlier deadline, or to look again.
			if err := c.rearm(c.Conn.SetReadDeadline, &c.readBy); err != nil {
				return 0, err
			}
			continue
		}
		return 0, err
	}
}

// rearm takes an interruption back, unless the deadline by has passed meanwhile:
// the sweeper interrupts once for each, and it may have done so just before.
func (c *conn) rearm(set func(time.Time) error, by *atomic.Int64) error {
	if err := set(time.Time{}); err != nil {
		return err
	}
	if c.registry.passed(by.Load()) {
		return set(interrupt)
	}
	return nil
}

// Write writes all of p, until the deadline, which begins with the first write of
// an answer.
func (c *conn) Write(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Write(p)
	}
	return c.writeWire(p)
}

// writeWire writes to the connection, until the deadline.
func (c *conn) writeWire(p []byte) (int, error) {
	if c.writeBy.Load() == 0 {
		c.writeBy.Store(c.registry.after(c.registry.writeTimeout))
	}
	done := 0
	for {
		n, err := c.Conn.Write(p[done:])
		done += n
		c.out.Add(uint64(n))
		if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && !c.registry.passed(c.writeBy.Load()) {
			if err := c.rearm(c.Conn.SetWriteDeadline, &c.writeBy); err != nil {
				return done, err
			}
			continue
		}
		return done, err
	}
}

// Close closes the connection and gives back what it owes. It may be called more
// than once.
func (c *conn) Close() error {
	c.registry.settle(&c.owes) // every time: it may have been charged since
	if c.closed.Swap(true) {
		return nil
	}
	if c.tls != nil {
		return c.closeSecure()
	}
	if c.lingers.Load() {
		linger(c.Conn)
	}
	c.registry.remove(c)
	return c.Conn.Close()
}

// follow is told what fasthttp does with a connection.
func follow(nc net.Conn, state fasthttp.ConnState) {
	c := connOf(nc)
	if c == nil {
		return
	}
	switch state {
	case fasthttp.StateActive:
		c.begun()
	case fasthttp.StateIdle: // the answer is written
		c.idle()
	case fasthttp.StateNew, fasthttp.StateHijacked, fasthttp.StateClosed:
	}
}

// begun notes that a request's first byte is there.
func (c *conn) begun() {
	c.state.Store(connActive)
	c.readBy.Store(c.registry.after(c.registry.readTimeout))
}

// idle notes that an answer is written, and that the next request is waited for. It
// writes only what changes: an atomic write costs as much as ten reads.
func (c *conn) idle() {
	c.registry.settle(&c.owes)
	c.header = headerLines{}
	if c.state.Load() != connIdle {
		c.state.Store(connIdle)
	}
	if by := c.registry.after(c.registry.idleTimeout); c.readBy.Load() != by {
		c.readBy.Store(by)
	}
	if c.writeBy.Load() != 0 {
		c.writeBy.Store(0)
	}
	if c.lingers.Load() {
		c.lingers.Store(false)
	}
}

// linger ends the sending half of c and reads away what the other end still
// sends, until it stops, for a while.
func linger(c net.Conn) {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	var buf [4096]byte
	for n := 0; n < lingerBytes; {
		m, err := c.Read(buf[:])
		n += m
		if err != nil {
			return
		}
	}
}
