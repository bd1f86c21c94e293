package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/smache/smache/engine/httpapi"
)

// accessFlags holds what smache serve was told of who may use its API.
type accessFlags struct {
	token, readToken         listValue
	tokenFile, readTokenFile stringValue
	rateLimit, rateBurst     intValue
	trustedProxies           listValue

	// openFiles are those of the files that all users of the machine may read.
	openFiles []string
	// set gives the running node its tokens.
	set func(httpapi.Tokens) error
}

// settings are the rows of access in the table of smache serve.
func (c *accessFlags) settings() []setting {
	return []setting{
		{name: "token", unit: "TOKENS", value: &c.token, secret: true, about: "Bearer tokens, separated by commas, without one of which only `/livez`, `/readyz`, `/healthcheck` and the page `/ui`, which asks for one, are answered: `smache secret` makes one. Two during a rotation: both are accepted. Other users of the machine see flags: prefer the variable, or `--token-file`"},
		{name: "token-file", unit: "FILE", value: &c.tokenFile, about: "A file with such tokens instead, one in each line. It is read again when it changes, and on SIGHUP"},
		{name: "read-token", unit: "TOKENS", value: &c.readToken, secret: true, about: "Bearer tokens that may only read, beside those of `--token`"},
		{name: "read-token-file", unit: "FILE", value: &c.readTokenFile, about: "A file with such tokens instead, as for `--token-file`"},
		{name: "rate-limit", unit: "COUNT", value: &c.rateLimit, about: "Most requests a second of one client address, of IPv6 of one network of 64 bits; beyond it they are answered 429. A batch is one request, probes do not count; 0: no such limit"},
		{name: "rate-burst", unit: "COUNT", value: &c.rateBurst, about: "How many of them may come at once after a pause; 0: as many as in a second"},
		{name: "trusted-proxy", unit: "NETWORKS", value: &c.trustedProxies, about: "Addresses and networks, separated by commas, of proxies whose X-Forwarded-For is believed: the client of a request is then the last address there that is not one of these"},
	}
}

// tokens gives the tokens that the API is to accept, as the flags and the files say
// now. The errors name the flag and repeat no token.
func (c *accessFlags) tokens() (t httpapi.Tokens, err error) {
	c.openFiles = nil
	if t.All, err = c.tokensOf("token", &c.token, string(c.tokenFile)); err != nil {
		return t, err
	}
	if t.Read, err = c.tokensOf("read-token", &c.readToken, string(c.readTokenFile)); err != nil {
		return t, err
	}
	if len(t.Read) > 0 && len(t.All) == 0 {
		return t, errors.New("--read-token: with tokens that may only read, nobody could write: give --token or --token-file, too")
	}
	return t, nil
}

// reload reads the files again, and gives the node what they say.
func (c *accessFlags) reload() error {
	tokens, err := c.tokens()
	if err != nil {
		return err
	}
	return c.set(tokens)
}

// proxies gives the networks of --trusted-proxy.
func (c *accessFlags) proxies() ([]netip.Prefix, error) {
	networks, err := httpapi.ParseNetworks(c.trustedProxies.items)
	if err != nil {
		return nil, fmt.Errorf("--trusted-proxy: %w", err)
	}
	if c.rateBurst > 0 && c.rateLimit == 0 {
		return nil, errors.New("--rate-burst has no meaning without --rate-limit")
	}
	return networks, nil
}

func (c *accessFlags) tokensOf(flag string, given *listValue, path string) ([]httpapi.Token, error) {
	var text []byte
	switch {
	case len(given.items) > 0 && path != "":
		return nil, fmt.Errorf("--%s and --%s-file exclude each other", flag, flag)
	case len(given.items) > 0:
		text = []byte(strings.Join(given.items, "\n"))
	case path != "":
		flag += "-file"
		var open bool
		var err error
		if text, open, err = readSecretFile(path); err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
		if open {
			c.openFiles = append(c.openFiles, path)
		}
	default:
		return nil, nil
	}
	tokens, err := httpapi.ParseTokens(text)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	return tokens, nil
}

// firstToken gives the first of the tokens that a client was told, or "".
func firstToken(given *listValue, path string) (string, error) {
	var text []byte
	switch {
	case len(given.items) > 0 && path != "":
		return "", errors.New("--token and --token-file exclude each other")
	case len(given.items) > 0:
		text = []byte(given.items[0])
	case path != "":
		var err error
		if text, _, err = readSecretFile(path); err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
	default:
		return "", nil
	}
	lines := httpapi.TokenLines(text)
	if len(lines) == 0 {
		return "", fmt.Errorf("--token-file: there is no token in %s", path)
	}
	token := bytes.Clone(lines[0])
	if _, err := httpapi.ParseToken(token); err != nil {
		return "", fmt.Errorf("--token: %w", err)
	}
	return string(token), nil
}

// warn says what an operator should know of how the API is protected.
func (c *accessFlags) warn(log *slog.Logger) {
	for _, path := range c.openFiles {
		log.Warn("all users of this machine may read the tokens: chmod 600, or 640", "file", path)
	}
}
