package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
)

// ErrNetwork says that a text is no network.
var ErrNetwork = errors.New("httpapi: a network is an address, or one with the length of its prefix, above 0: 10.0.0.0/8, fd00::/8, 192.0.2.1")

// ParseNetworks reads networks and addresses. The error is ErrNetwork. The whole
// Internet is none: whoever believes everybody believes nobody.
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, errAddr := netip.ParseAddr(text)
			if errAddr != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("%w: %q is not", ErrNetwork, text)
			}
			addr = addr.Unmap()
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix.Addr().Is4In6() || prefix.Bits() == 0 {
			return nil, fmt.Errorf("%w: %q is not", ErrNetwork, text)
		}
		networks = append(networks, prefix.Masked())
	}
	return networks, nil
}

// within reports whether an address is of one of the networks.
func within(addr netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// clientOf gives the address that a request comes from.
func (s *Server) clientOf(r *request) netip.Addr {
	return forwardedFor(r.conn.remote, r.headers.forwarded, s.config.TrustedProxies)
}

// forwardedFor gives the address of the client behind proxies. Each proxy appends to
// X-Forwarded-For whom it was asked by, so the list is true from its end as far as
// those who wrote it are trusted; what is in front of that a client can write itself.
func forwardedFor(remote netip.Addr, header []byte, trusted []netip.Prefix) netip.Addr {
	for len(header) > 0 && within(remote, trusted) {
		entry := header
		if i := bytes.LastIndexByte(header, ','); i >= 0 {
			entry, header = header[i+1:], header[:i]
		} else {
			header = nil
		}
		addr, ok := parseForwarded(string(bytes.TrimSpace(entry)))
		if !ok {
			return remote
		}
		remote = addr
	}
	return remote
}

// parseForwarded reads an address, as it is or with brackets or a port, as proxies
// write it.
func parseForwarded(text string) (netip.Addr, bool) {
	if n := len(text); n > 2 && text[0] == '[' && text[n-1] == ']' {
		text = text[1 : n-1]
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}
