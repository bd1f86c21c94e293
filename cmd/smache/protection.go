package main

import (
	"crypto/tls"
	"log/slog"
	"net/netip"

	"github.com/smache/smache/engine"
	"github.com/smache/smache/engine/httpapi"
)

// protection is what keeps strangers from the API.
type protection struct {
	tokens  httpapi.Tokens
	proxies []netip.Prefix
	tls     *tls.Config
}

// protection reads the files that the flags name. The errors name the flag.
func (c *serveConfig) protection() (p protection, err error) {
	if p.tokens, err = c.access.tokens(); err != nil {
		return p, err
	}
	if err = c.tls.check(len(p.tokens.All) > 0); err != nil {
		return p, err
	}
	if p.proxies, err = c.access.proxies(); err != nil {
		return p, err
	}
	p.tls, err = c.tls.config()
	return p, err
}

// warnOfAddress says who may use the API at an address, which flag has given.
func (c *serveConfig) warnOfAddress(flag, address string, p protection, log *slog.Logger) {
	switch {
	case engine.IsLoopback(address):
	case len(p.tokens.All) == 0 && !c.tls.closed():
		log.Warn("the API is open to everyone who reaches this address: see --token-file, put a firewall in front, or see "+flag, "address", address)
	case p.tls == nil:
		log.Info("tokens and entries pass this address in plain text: see --tls-cert, or let TLS end in front of it", "address", address)
	}
}
