package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// runSet writes an entry and prints its key and ETag.
func runSet(inv invocation) int {
	cfg := newClientConfig()
	var ttl, ifMatch stringValue
	var create boolValue
	settings := append(cfg.settings(),
		setting{name: "ttl", unit: "DURATION", value: &ttl, about: "Time to live: 90s, 5m, 1.5, or never. Without it, the node's --default-ttl", flag: true},
		setting{name: "if-match", unit: "ETAG", value: &ifMatch, about: "Write only if the entry is still the one with this ETag; * is any", flag: true},
		setting{name: "create", value: &create, about: "Write only if there is no entry", flag: true},
	)
	rest, code, ok := parseCommand(inv, "set", settings, 2, 2)
	if !ok {
		return code
	}
	c, err := newClient(cfg)
	if err != nil {
		return usageError(inv, "set", err)
	}
	body, err := setBody(inv, rest[0], rest[1], string(ttl))
	if err != nil {
		return usageError(inv, "set", err)
	}
	header := http.Header{}
	if ifMatch != "" {
		header.Set("If-Match", quotedTags(string(ifMatch)))
	}
	if create {
		header.Set("If-None-Match", "*")
	}
	a, err := c.do(inv.ctx, http.MethodPost, "/api", header, body)
	switch {
	case err == nil && a.status == http.StatusOK:
		fmt.Fprintf(inv.stdout, `{"key":%s,"stored":true,"etag":%s}`+"\n", quote(rest[0]), quote(bareTag(a.header.Get("ETag"))))
		return exitOK
	case err == nil && a.status == http.StatusPreconditionFailed:
		fmt.Fprintf(inv.stdout, `{"key":%s,"stored":false}`+"\n", quote(rest[0]))
		return exitNo
	default:
		return fail(inv, "set", a, err)
	}
}

// setBody makes the body of a write. The JSON is checked here, because it is
// spliced into the body: what is no whole JSON value could add members to it.
func setBody(inv invocation, key, data, ttl string) ([]byte, error) {
	if !utf8.ValidString(key) {
		return nil, errors.New("the key is not valid UTF-8")
	}
	raw := []byte(data)
	if data == "-" {
		var err error
		if raw, err = io.ReadAll(inv.stdin); err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
	}
	if !json.Valid(raw) {
		return nil, errors.New("the value is not valid JSON")
	}
	body := append([]byte(`{"key":`), quote(key)...)
	body = append(append(body, `,"data":`...), raw...)
	switch ttl {
	case "":
	case "never":
		body = append(body, `,"ttl":null`...)
	default:
		d, err := parseDuration(ttl)
		if err != nil {
			return nil, fmt.Errorf("--ttl %q: %w", ttl, err)
		}
		body = append(body, `,"ttl":`...)
		body = strconv.AppendFloat(body, float64(d)/float64(time.Second), 'f', -1, 64)
	}
	return append(body, '}'), nil
}

// runDel deletes an entry and prints whether there was one.
func runDel(inv invocation) int {
	cfg := newClientConfig()
	var ifMatch stringValue
	settings := append(cfg.settings(),
		setting{name: "if-match", unit: "ETAG", value: &ifMatch, about: "Delete only the entry with this ETag", flag: true})
	rest, code, ok := parseCommand(inv, "del", settings, 1, 1)
	if !ok {
		return code
	}
	c, err := newClient(cfg)
	if err != nil {
		return usageError(inv, "del", err)
	}
	header := http.Header{}
	if ifMatch != "" {
		header.Set("If-Match", quotedTags(string(ifMatch)))
	}
	a, err := c.do(inv.ctx, http.MethodDelete, keyPath(rest[0]), header, nil)
	var body struct {
		Deleted bool `json:"deleted"`
	}
	switch {
	case err == nil && a.status == http.StatusOK && json.Unmarshal(a.body, &body) == nil:
	case err == nil && a.status == http.StatusPreconditionFailed:
	default:
		return fail(inv, "del", a, err)
	}
	fmt.Fprintf(inv.stdout, `{"key":%s,"deleted":%t}`+"\n", quote(rest[0]), body.Deleted)
	if !body.Deleted {
		return exitNo
	}
	return exitOK
}
