package bench

import (
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

// Endpoint is the server under load.
type Endpoint struct {
	// Address is host:port, to be dialed.
	Address string
	// Host is the text of the Host header.
	Host string
	// Base is what stands in front of every path, without a final slash;
	// usually empty.
	Base string
}

// ParseEndpoint reads http://host[:port][/base], host:port, :port or a bare
// port; a missing host is 127.0.0.1. The errors wrap ErrEndpoint.
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
	switch {
	case err != nil:
		return Endpoint{}, fmt.Errorf("%w: %q: %w", ErrEndpoint, text, err)
	case u.Scheme != "http":
		return Endpoint{}, fmt.Errorf("%w: %q: only http:// is spoken", ErrEndpoint, text)
	case u.Hostname() == "":
		return Endpoint{}, fmt.Errorf("%w: %q: there is no host", ErrEndpoint, text)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Endpoint{}, fmt.Errorf("%w: %q: give scheme, host, port and path only", ErrEndpoint, text)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Endpoint{}, fmt.Errorf("%w: %q: the port is not 1 to 65535", ErrEndpoint, text)
	}
	return Endpoint{
		Address: net.JoinHostPort(u.Hostname(), port),
		Host:    u.Host,
		Base:    strings.TrimRight(u.EscapedPath(), "/"),
	}, nil
}

// URL is the endpoint as text.
func (e Endpoint) URL() string { return "http://" + e.Host + e.Base }

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
