package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/smache/smache/engine/httpapi"
)

// accessFlags holds what smache serve was told of who may use its API.
type accessFlags struct {
	token, readToken         listValue
	tokenFile, readTokenFile stringValue

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
