package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// DefaultURL is the endpoint of a node that was started without flags.
const DefaultURL = "http://127.0.0.1:4000"

// ErrEndpoint says that a URL is not one that can be aimed at.
var ErrEndpoint = errors.New("bench: bad endpoint")

// Protocol is what a server speaks.
type Protocol uint8

const (
	// ProtocolHTTP is HTTP/1.1; unless it is NewHTTP's, Smache's public API.
	ProtocolHTTP Protocol = 0
	// ProtocolRESP is that of redis.
	ProtocolRESP Protocol = 1
	// ProtocolMemcached is memcached's text protocol.
	ProtocolMemcached Protocol = 2
	// ProtocolPeer is that of Smache's nodes among each other, in a client's role.
	ProtocolPeer Protocol = 3
)

// A scheme is what URLs of a protocol begin with, and the usual port.
type scheme struct{ name, port string }

// protocols gives each its scheme and, if it is spoken over TLS, too, that of it there.
var protocols = [...]struct{ plain, secure scheme }{
	ProtocolHTTP:      {scheme{"http", "80"}, scheme{"https", "443"}},
	ProtocolRESP:      {scheme{"redis", "6379"}, scheme{"rediss", "6379"}},
	ProtocolMemcached: {plain: scheme{"memcached", "11211"}},
	ProtocolPeer:      {plain: scheme{"peer", "14000"}},
}

// Endpoint is the server under load.
type Endpoint struct {
	// Protocol is what it speaks.
	Protocol Protocol
	// Address is host:port, to be dialed.
	Address string
	// Host is the text of the Host header.
	Host string
	// Base is what stands in front of every path, without a final slash;
	// usually empty.
	Base string
	// TLS is how the server is spoken to over TLS; nil: not over TLS. Its name is
	// that of Address if there is none here.
	TLS *tls.Config
	// Login is what connections to redis begin with, and what requests over HTTP send as
	// Authorization: Basic; of the others it is empty.
	Login Login
}

// ParseEndpoint reads http://[user:password@]host[:port][/base], redis://[[user]:password@]host[:port][/database],
// memcached://host[:port], peer://host[:port], host:port, :port or a bare port; a missing host is
// 127.0.0.1, and what has no scheme speaks HTTP. https:// and rediss:// are the same over
// TLS, with the authorities of the system. A base with a bare @ is refused: it may be the
// end of a password that has a slash. The errors wrap ErrEndpoint, and hold no password.
func ParseEndpoint(text string) (Endpoint, error) {
	full := text
	switch {
	case text != "" && strings.Trim(text, "0123456789") == "":
		full = "http://127.0.0.1:" + text
	case strings.HasPrefix(text, ":"):
		full = "http://127.0.0.1" + text
	case !strings.Contains(text, "://"):
		full = "http://" + text
	}
	u, err := url.Parse(full)
	shown := hideUser(text)
	if err != nil && shown != text { // the error may hold a piece of the password
		return Endpoint{}, fmt.Errorf("%w: %q: is all that is special before the @ percent-encoded?", ErrEndpoint, shown)
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("%w: %q: %w", ErrEndpoint, text, err)
	}
	e := Endpoint{Host: u.Host, Base: strings.TrimRight(u.EscapedPath(), "/")}
	found := e.find(u.Scheme)
	switch {
	case found == nil:
		return Endpoint{}, fmt.Errorf("%w: %q: only http://, https://, redis://, rediss://, memcached:// and peer:// are spoken", ErrEndpoint, shown)
	case u.Hostname() == "":
		return Endpoint{}, fmt.Errorf("%w: %q: there is no host", ErrEndpoint, shown)
	case e.Protocol == ProtocolHTTP && strings.Contains(e.Base, "@"):
		return Endpoint{}, errBareAt(text)
	case u.User != nil && e.Protocol != ProtocolRESP && e.Protocol != ProtocolHTTP:
		return Endpoint{}, fmt.Errorf("%w: %q: user and password are for redis:// and http:// only", ErrEndpoint, shown)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Endpoint{}, fmt.Errorf("%w: %q: give scheme, host, port and path only", ErrEndpoint, shown)
	case e.Protocol == ProtocolHTTP && !(e.Login.parseUser(u.User) && validBasic(e.Login)):
		return Endpoint{}, fmt.Errorf("%w: %q: write http://user:password@host:port", ErrEndpoint, shown)
	case e.Protocol == ProtocolRESP && !e.Login.parseLogin(u.User, e.Base):
		return Endpoint{}, fmt.Errorf("%w: %q: write redis://user:password@host:port/database", ErrEndpoint, shown)
	case e.Protocol != ProtocolHTTP && e.Protocol != ProtocolRESP && e.Base != "":
		return Endpoint{}, fmt.Errorf("%w: %q: give scheme, host and port only", ErrEndpoint, shown)
	}
	if e.Protocol == ProtocolRESP {
		e.Base = ""
	}
	port := u.Port()
	if port == "" {
		port = found.port
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Endpoint{}, fmt.Errorf("%w: %q: the port is not 1 to 65535", ErrEndpoint, shown)
	}
	e.Address = net.JoinHostPort(u.Hostname(), port)
	return e, nil
}

// find sets Protocol and TLS by the scheme of a URL; nil if none has it.
func (e *Endpoint) find(name string) *scheme {
	for i := range protocols {
		p := &protocols[i]
		e.Protocol = Protocol(i)
		switch name {
		case p.plain.name:
			return &p.plain
		case p.secure.name:
			e.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
			return &p.secure
		}
	}
	return nil
}

// SplitURL cuts a URL of NewHTTP, whose path and query may have placeholders, into
// the server and the path. An @ in them must be percent-encoded, as in ParseEndpoint. The
// errors wrap ErrEndpoint, and hold no password.
func SplitURL(text string) (e Endpoint, path string, err error) {
	whole, from := text, 0
	if i := strings.Index(text, "://"); i >= 0 {
		from = i + len("://")
	}
	path = "/"
	if i := strings.IndexAny(text[from:], "/?#"); i >= 0 {
		text, path = text[:from+i], text[from+i:]
	}
	if strings.HasPrefix(path, "?") {
		path = "/" + path
	}
	if strings.Contains(path, "@") {
		return Endpoint{}, "", errBareAt(whole)
	}
	if e, err = ParseEndpoint(text); err != nil {
		return e, "", err
	}
	for _, c := range []byte(path) {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return e, "", fmt.Errorf("%w: %q: spaces, # and what is not ASCII must be percent-encoded", ErrEndpoint, path)
		}
	}
	return e, path, nil
}

// errBareAt refuses an @ behind the host: http://user:1/word@host, of which host, port and
// path are user, 1 and /word@host, is more likely a login with a slash in the password.
func errBareAt(text string) error {
	return fmt.Errorf("%w: %q: write %%40 for an @ in the path; if it ends a password, %%2F, %%3F and %%23 for its / ? and #", ErrEndpoint, hideUser(text))
}

// URL is the endpoint as text, without user and password.
func (e Endpoint) URL() string {
	s := &protocols[e.Protocol].plain
	if e.TLS != nil {
		s = &protocols[e.Protocol].secure
	}
	if e.Login.Database > 0 {
		return s.name + "://" + e.Host + "/" + strconv.FormatUint(uint64(e.Login.Database), 10)
	}
	return s.name + "://" + e.Host + e.Base
}

// checkHeaders refuses what would break the requests, or what they set already.
func checkHeaders(headers []string) error {
	for _, h := range headers {
		name, _, err := cutHeader([]byte(h))
		if err != nil {
			return fmt.Errorf("%w: --header %q is none; write Name: value", ErrConfig, h)
		}
		switch strings.ToLower(string(name)) {
		case "host", "content-length", "transfer-encoding", "connection", "expect":
			return fmt.Errorf("%w: --header %s is set by the generator itself", ErrConfig, name)
		}
	}
	return nil
}
