package httpapi

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/smache/smache/proto"
)

// closeNotice is how long the closing of a TLS connection may wait for its last
// record to be taken.
const closeNotice = 100 * time.Millisecond

// refusePlain says that somebody speaks HTTP where TLS is spoken.
var refusePlain = refusal{fail: proto.FailRequest, text: "this port speaks TLS: ask with https"}

// handshakes counts how TLS connections begin.
type handshakes struct {
	done, failed, plain atomic.Uint64
}

// wire is a connection as TLS sees it: the bytes on the line, read and written with
// the deadlines and the system calls of conn. TLS lies between these and what
// fasthttp sees, so that an interruption that is none never reaches it: it takes
// every failed write for the end.
type wire struct{ *conn }

func (w wire) Read(p []byte) (int, error) { return w.readWire(p) }

func (w wire) Write(p []byte) (int, error) {
	if w.closed.Load() { // the notice that it is closed
		return w.Conn.Write(p)
	}
	return w.writeWire(p)
}

func (w wire) Close() error { return w.Conn.Close() }

// SetWriteDeadline is called by tls.Conn for its last record.
func (w wire) SetWriteDeadline(t time.Time) error {
	if soon := time.Now().Add(closeNotice); t.After(soon) {
		t = soon
	}
	return w.Conn.SetWriteDeadline(t)
}

// speakTLS makes c a TLS connection. Before it serves.
func (c *conn) speakTLS(config *tls.Config) {
	c.tls = tls.Server(wire{c}, config)
	c.certificates = config.ClientAuth == tls.VerifyClientCertIfGiven
}

// readTLS reads what TLS carries; the first call shakes hands. A handshake that
// fails is the end of the stream: there is nobody to answer.
func (c *conn) readTLS(p []byte) (int, error) {
	writeBy := c.writeBy.Load()
	defer c.writeBy.Store(writeBy) // what TLS itself writes is no answer
	if !c.shaken {
		if err := c.tls.Handshake(); err != nil {
			c.unshaken(err)
			return 0, io.EOF
		}
		c.shaken = true
		c.trusted = c.certificates && len(c.tls.ConnectionState().VerifiedChains) > 0
		c.registry.handshakes.done.Add(1)
	}
	n, err := c.tls.Read(p)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	return n, err
}

// quiet reports whether nothing of a request has been read on c.
func (c *conn) quiet() bool {
	if c.tls != nil {
		return !c.heard.Load()
	}
	return c.in.Load() == 0
}

// unshaken counts a handshake that failed, and tells a client that speaks HTTP what
// to do instead.
func (c *conn) unshaken(err error) {
	var other tls.RecordHeaderError
	if !errors.As(err, &other) || !looksLikeHTTP(other.RecordHeader) {
		c.registry.handshakes.failed.Add(1)
		return
	}
	c.registry.handshakes.plain.Add(1)
	c.registry.refused(refusePlain.fail)
	if _, err := c.writeWire(wholeAnswer(&refusePlain, "")); err == nil {
		c.lingers.Store(true)
	}
}

// looksLikeHTTP reports whether five bytes begin a request.
func looksLikeHTTP(b [5]byte) bool {
	switch string(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	default:
		return false
	}
}

// closeSecure closes c, which is closed for everybody else already. Whoever lingers
// serves c: no other goroutine is in its writes.
func (c *conn) closeSecure() error {
	if c.lingers.Load() {
		if c.shaken {
			_ = c.tls.CloseWrite()
		}
		linger(c.Conn)
	}
	c.registry.remove(c)
	err := c.tls.Close()
	if errors.Is(err, net.ErrClosed) {
		err = c.Conn.Close()
	}
	return err
}

// SetTLS replaces the certificates, and what client certificates are held to, for
// all connections from now on; those that are there go on. nil ends TLS. The
// config is not to be changed afterwards.
func (s *Server) SetTLS(config *tls.Config) { s.tls.Store(config) }

// appendTLSMetrics appends what concerns TLS, if it is spoken.
func (s *Server) appendTLSMetrics(dst []byte) []byte {
	config := s.tls.Load()
	if config == nil {
		return dst
	}
	h := &s.registry.handshakes
	const name = "smache_http_tls_handshakes_total"
	dst = appendHead(dst, name, "counter", "TLS connections begun, by how that went; plain spoke HTTP instead.")
	dst = appendNumber(append(dst, name+`{result="done"}`...), h.done.Load())
	dst = appendNumber(append(dst, name+`{result="failed"}`...), h.failed.Load())
	dst = appendNumber(append(dst, name+`{result="plain"}`...), h.plain.Load())
	if len(config.Certificates) > 0 && config.Certificates[0].Leaf != nil {
		dst = appendMetric(dst, "smache_http_tls_certificate_expires_seconds", "gauge", "When the certificate in use expires, in seconds since 1970.",
			uint64(max(config.Certificates[0].Leaf.NotAfter.Unix(), 0)))
	}
	return dst
}

// wholeAnswer is a whole answer for a connection that is then closed.
func wholeAnswer(why *refusal, retryAfter string) []byte {
	body := appendFailure(nil, why)
	answer := []byte("HTTP/1.1 " + strconv.Itoa(why.fail.HTTP) + " " + statusText(why.fail.HTTP) +
		"\r\nServer: " + serverName + "\r\nConnection: close\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n")
	if retryAfter != "" {
		answer = append(answer, "Retry-After: "+retryAfter+"\r\n"...)
	}
	answer = append(answer, "Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"...)
	return append(answer, body...)
}
