package httpapi

import (
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
// Deadlines are kept here, not in the runtime's timers: fasthttp sets three per
// request, at 0.1 µs each, which is as much as a read of the store costs. The
// sweeper finds the connections whose deadline has passed and interrupts them,
// so a deadline acts up to one sweep late.
type conn struct {
	net.Conn
	registry *registry
	// loopback says that the listener is bound to a loopback address.
	loopback bool
	addr     netip.Addr // of the remote end, for the limit per address
	opened   int64      // on the registry's clock
	place    int        // in registry.conns, guarded by its mutex

	state           atomic.Int32
	readBy, writeBy atomic.Int64  // deadlines on the registry's clock; 0 is none
	in, out         atomic.Uint64 // bytes
	lingers         atomic.Bool   // close with linger
	closed          atomic.Bool
	owes            charges
	knownHost       []byte // see guard; the serving goroutine's

	// The deadlines for which the sweeper has interrupted; only it looks here.
	readCut, writeCut int64
}

// interrupt is a deadline long past, which ends a blocked read or write at once.
var interrupt = time.Unix(1, 0)

// Read reads, until the deadline. The end of the stream within a request is
// io.ErrUnexpectedEOF: fasthttp takes a plain io.EOF between two chunks of a
// body for the body's end.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.in.Add(uint64(n))
			return n, err
		}
		if err == nil {
			return 0, nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.registry.passed(c.readBy.Load()) {
			// The interruption was for an earlier deadline.
			if err := c.Conn.SetReadDeadline(time.Time{}); err != nil {
				return 0, err
			}
			continue
		}
		if errors.Is(err, io.EOF) && c.state.Load() == connActive {
			return 0, io.ErrUnexpectedEOF
		}
		return 0, err
	}
}

// Write writes all of p, until the deadline.
func (c *conn) Write(p []byte) (int, error) {
	done := 0
	for {
		n, err := c.Conn.Write(p[done:])
		done += n
		c.out.Add(uint64(n))
		if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && !c.registry.passed(c.writeBy.Load()) {
			if err := c.Conn.SetWriteDeadline(time.Time{}); err != nil {
				return done, err
			}
			continue
		}
		return done, err
	}
}

// SetReadDeadline makes reads fail after t.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.readBy.Store(c.registry.at(t))
	return nil
}

// SetWriteDeadline makes writes fail after t.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.Store(c.registry.at(t))
	return nil
}

// SetDeadline makes reads and writes fail after t.
func (c *conn) SetDeadline(t time.Time) error {
	at := c.registry.at(t)
	c.readBy.Store(at)
	c.writeBy.Store(at)
	return nil
}

// Close closes the connection and gives back what it owes. It may be called more
// than once.
func (c *conn) Close() error {
	c.registry.settle(&c.owes) // every time: it may have been charged since
	if c.closed.Swap(true) {
		return nil
	}
	if c.lingers.Load() {
		linger(c.Conn)
	}
	c.registry.remove(c)
	return c.Conn.Close()
}

// follow is told what fasthttp does with a connection.
func follow(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateActive:
		c.state.Store(connActive)
	case fasthttp.StateIdle:
		c.registry.settle(&c.owes) // the answer is written
		c.writeBy.Store(0)
		c.lingers.Store(false)
		c.state.Store(connIdle)
	case fasthttp.StateNew, fasthttp.StateHijacked, fasthttp.StateClosed:
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
