package gossip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// entry is one entry of the join list.
type entry struct {
	text string // as the operator gave it, for logs and errors
	addr netip.Addr
	host string // a DNS name, if addr is not valid
	srv  bool   // the name of SRV records
	port uint16 // HTTP

	// Of the seeker's goroutine and the resolving one, under seeker.mu.
	resolving bool
	found     []netip.AddrPort // gossip addresses of the last good answer
	known     bool             // there was one, and no failure since
	failed    string           // the failure that was logged last
}

const (
	maxHost    = 253 // of a DNS name
	maxLabel   = 63
	maxTargets = 32 // of an SRV answer
	maxFound   = 256
	maxMet     = 64
)

// parseJoin reads the join list. The error is ErrJoin, and names the entry.
func parseJoin(list []string, gossipPort func(uint16) (uint16, bool)) (entries []*entry, err error) {
	split := func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }
	for _, several := range list {
		for _, text := range strings.FieldsFunc(several, split) {
			e, err := parseEntry(text)
			if err != nil {
				return nil, err
			}
			if _, ok := gossipPort(e.port); !ok && !e.srv {
				return nil, fmt.Errorf("%w: %q: there is no gossip port for the HTTP port %d; up to %d it is the HTTP port + %d",
					ErrJoin, text, e.port, 65535-GossipOffset, GossipOffset)
			}
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func parseEntry(text string) (*entry, error) {
	fail := func(why string) (*entry, error) {
		return nil, fmt.Errorf("%w: %q: %s; an entry is host, host:port, [IPv6]:port, name@host or _service._proto.name", ErrJoin, text, why)
	}
	e := &entry{text: text, port: HTTPPort}
	rest := text[strings.LastIndexByte(text, '@')+1:] // the seed's node names
	host, port, err := splitPort(rest)
	if err != nil {
		return fail(err.Error())
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fail("the port must be 1 to 65535")
		}
		e.port = uint16(n)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		switch e.addr = addr.Unmap(); {
		case addr.Zone() != "":
			return fail("an address with a zone is not known to others")
		case addr.IsUnspecified() || addr.IsMulticast():
			return fail("not the address of a node")
		}
		return e, nil
	}
	if strings.HasPrefix(rest, "[") {
		return fail("brackets are for IPv6 addresses")
	}
	e.host, e.srv = host, strings.HasPrefix(host, "_")
	if err := checkHost(host); err != nil {
		return fail(err.Error())
	}
	if e.srv && (port != "" || strings.Count(strings.TrimSuffix(host, "."), ".") < 2) {
		return fail("an SRV name is _service._proto.name, and its records give the port")
	}
	return e, nil
}

// splitPort takes host and port apart; an IPv6 address needs brackets only if
// there is a port.
func splitPort(text string) (host, port string, err error) {
	if _, err := netip.ParseAddr(text); err == nil {
		return text, "", nil
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		host, rest, ok := strings.Cut(inner, "]")
		port, colon := strings.CutPrefix(rest, ":")
		switch {
		case !ok:
			return "", "", errors.New("a bracket is missing")
		case rest != "" && (!colon || port == ""):
			return "", "", errors.New("the port must be 1 to 65535")
		}
		return host, port, nil
	}
	host, port, colon := strings.Cut(text, ":")
	switch {
	case strings.Contains(port, ":"):
		return "", "", errors.New("an IPv6 address with a port needs brackets")
	case colon && port == "":
		return "", "", errors.New("the port must be 1 to 65535")
	}
	return host, port, nil
}

// checkHost judges a DNS name. Underscores are common in containers' names.
func checkHost(host string) error {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > maxLabel {
			return errors.New("not a host name")
		}
		for i := range len(label) {
			switch b := label[i]; {
			case b == '-' || b == '_' || '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'z':
			default:
				return errors.New("not a host name")
			}
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return errors.New("neither an address nor a host name")
	}
	if len(host) > maxHost {
		return errors.New("a host name is too long")
	}
	return nil
}

// resolve gives the gossip addresses of an entry. An answer without any is an
// error.
func (e *entry) resolve(ctx context.Context, cfg *Config) ([]netip.AddrPort, error) {
	if e.addr.IsValid() {
		port, _ := cfg.GossipPort(e.port) // parseJoin has checked it
		return []netip.AddrPort{netip.AddrPortFrom(e.addr, port)}, nil
	}
	if !e.srv {
		return lookup(ctx, cfg, e.host, e.port)
	}
	_, records, err := cfg.Resolver.LookupSRV(ctx, "", "", e.host)
	if len(records) == 0 {
		return nil, cmpError(err, "the name has no SRV records")
	}
	var all []netip.AddrPort
	err = nil
	for _, record := range records[:min(len(records), maxTargets)] {
		found, failed := lookup(ctx, cfg, record.Target, record.Port)
		all, err = append(all, found...), errors.Join(err, failed)
	}
	if len(all) == 0 {
		return nil, err
	}
	return all, nil
}

// lookup resolves a host name.
func lookup(ctx context.Context, cfg *Config, host string, http uint16) ([]netip.AddrPort, error) {
	port, ok := cfg.GossipPort(http)
	if !ok {
		return nil, fmt.Errorf("there is no gossip port for the HTTP port %d of %s", http, host)
	}
	addrs, err := cfg.Resolver.LookupNetIP(ctx, "ip", host)
	if len(addrs) == 0 {
		return nil, cmpError(err, "the name has no addresses")
	}
	all := make([]netip.AddrPort, 0, len(addrs))
	for _, addr := range addrs[:min(len(addrs), maxFound)] {
		if addr = addr.Unmap().WithZone(""); !addr.IsUnspecified() && !addr.IsMulticast() {
			all = append(all, netip.AddrPortFrom(addr, port))
		}
	}
	return all, nil
}

// cmpError gives err, or one that says text.
func cmpError(err error, text string) error {
	if err != nil {
		return err
	}
	return errors.New(text)
}
