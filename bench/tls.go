package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// plainBytes is what is opened at a time: a record of TLS.
const plainBytes = 16 << 10

// A tlsLink is TLS on the connection of a slot, which a reactor carries. Its handshake
// is a dialer's, which waits for it; from then on it belongs to the slot's loop.
// For crypto/tls it is the connection underneath.
type tlsLink struct {
	net.Conn // until the handshake is over
	slot     *slot
	conn     *tls.Conn
	ready    bool   // the handshake is over
	in       []byte // sealed bytes that came and were not opened
	failed   error  // why the connection is to be closed
}

// tlsConfig is what connections to the endpoint are made with.
func (e Endpoint) tlsConfig() *tls.Config {
	c := e.TLS.Clone()
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(e.Address) // it was joined by ParseEndpoint
	}
	if e.Protocol == ProtocolHTTP {
		c.NextProtos = []string{"http/1.1"}
	}
	c.DynamicRecordSizingDisabled = true // a request is one record
	return c
}

// dialPlain opens a connection with the standard library.
func (r *run) dialPlain(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: r.cfg.Timeout, KeepAlive: -1}
	return d.DialContext(ctx, "tcp", r.address.String())
}

// dialTLS opens a connection for a slot, and gives what carries it. A dialer's.
func (r *run) dialTLS(ctx context.Context, s *slot) (*net.TCPConn, error) {
	c, err := r.dialPlain(ctx)
	if err != nil {
		return nil, err
	}
	link, err := r.handshake(ctx, c)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	link.slot, s.tls = s, link
	return c.(*net.TCPConn), nil // "tcp" gives no other
}

// handshake makes TLS of a connection, which remains the caller's.
func (r *run) handshake(ctx context.Context, c net.Conn) (*tlsLink, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	link := &tlsLink{Conn: c}
	link.conn = tls.Client(link, r.tls)
	if err := link.conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", r.address, err)
	}
	link.Conn, link.ready = nil, true
	return link, nil
}

// write seals a request and hands it to the wire.
func (t *tlsLink) write(request []byte) {
	_, _ = t.conn.Write(request) // Write has told the loop of an error
}

// received opens what the reactor has read, and gives it to the loop. The connection
// must be closed if it returns false.
func (t *tlsLink) received(b []byte) bool {
	s := t.slot
	l, w := s.loop, s.wire
	t.in = b
	for {
		n, err := t.conn.Read(l.plain)
		if n > 0 && !l.take(s, l.plain[:n]) {
			return false
		}
		switch {
		case s.wire != w: // it was closed meanwhile
			return true
		case errors.Is(err, errNoneYet):
			return true
		case err != nil:
			t.failed = err
			return false
		}
	}
}

// noneYet is the error of a Read when all that came was taken. It is of the kind
// after which crypto/tls can go on reading.
type noneYet struct{}

var errNoneYet error = noneYet{}

func (noneYet) Error() string   { return "bench: no more bytes yet" }
func (noneYet) Timeout() bool   { return true }
func (noneYet) Temporary() bool { return true }

// Read is crypto/tls's: it takes sealed bytes.
func (t *tlsLink) Read(b []byte) (int, error) {
	if !t.ready {
		return t.Conn.Read(b)
	}
	if len(t.in) == 0 {
		return 0, errNoneYet
	}
	n := copy(b, t.in)
	t.in = t.in[n:]
	return n, nil
}

// Write is crypto/tls's: it gives sealed bytes.
func (t *tlsLink) Write(b []byte) (int, error) {
	if !t.ready {
		return t.Conn.Write(b)
	}
	w := t.slot.wire
	if w != nil {
		w.write(b)
	}
	if w == nil || t.slot.wire != w { // it has been closed from within
		return 0, net.ErrClosed
	}
	return len(b), nil
}
