package engine

import "net"

// NodeName makes a node's name of the address that others reach it at:
// smache@<address>:<port>, as Advertised finds it. Names must be unique in a
// cluster, and several nodes may share an address, so the port is part of it.
func NodeName(listener net.Addr, host string) string { return "smache@" + Advertised(listener, host) }

// Advertised gives the address at which others reach a listener: host, if there
// is one, with the listener's port. Else a listener on all addresses is reached at
// the first address of the machine that is neither loopback nor link-local; if
// there is none, at the loopback address.
func Advertised(listener net.Addr, host string) string {
	listening, port, err := net.SplitHostPort(listener.String())
	if err != nil {
		return listener.String()
	}
	if host != "" {
		return net.JoinHostPort(host, port)
	}
	if ip := net.ParseIP(listening); ip == nil || !ip.IsUnspecified() {
		return listener.String()
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		addrs = nil // the machine hides its interfaces: only loopback is sure
	}
	return net.JoinHostPort(outward(addrs), port)
}

// outward picks the address that other machines can reach: IPv4 before IPv6.
func outward(addrs []net.Addr) string {
	best := ""
	for _, a := range addrs {
		ipnet, ok := a.(*net.IPNet)
		if !ok || !ipnet.IP.IsGlobalUnicast() {
			continue
		}
		if ipnet.IP.To4() != nil {
			return ipnet.IP.String()
		}
		if best == "" {
			best = ipnet.IP.String()
		}
	}
	if best == "" {
		return "127.0.0.1"
	}
	return best
}
