package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/smache/smache/proto"
)

// clientConfig holds what all client subcommands were told.
type clientConfig struct {
	server    stringValue
	timeout   durationValue
	token     listValue
	tokenFile stringValue
	trust     trustFlags
}

func newClientConfig() *clientConfig {
	return &clientConfig{server: "127.0.0.1:4000", timeout: durationValue(10 * time.Second)}
}

// settings is the table of what every client subcommand can be told.
func (c *clientConfig) settings() []setting {
	return append([]setting{
		{name: "server", unit: "ADDRESS", value: &c.server, about: "The node to ask: address and port, or a URL"},
		{name: "timeout", unit: "DURATION", value: &c.timeout, about: "Longest to wait for its answer"},
		{name: "token", unit: "TOKEN", value: &c.token, secret: true, about: "The bearer token to send; of several, as a node takes them, the first. Other users of the machine see flags: prefer the variable, or --token-file"},
		{name: "token-file", unit: "FILE", value: &c.tokenFile, about: "A file with the token instead, in its first line"},
	}, c.trust.settings("; an address without http:// is then https")...)
}

// A client speaks to one node.
type client struct {
	base  string
	token string // empty: none
	http  *http.Client
}

// newClient makes a client; the error is one of usage.
func newClient(cfg *clientConfig) (*client, error) {
	base := string(cfg.server)
	if !strings.Contains(base, "://") {
		host, port, err := net.SplitHostPort(base)
		switch {
		case err != nil || net.ParseIP(base) != nil: // no port, or an IPv6 address alone
			host, port = strings.Trim(base, "[]"), "4000"
		case host == "":
			host = "127.0.0.1"
		}
		base = net.JoinHostPort(host, port)
		scheme := "http://"
		if cfg.trust.ca != "" {
			scheme = "https://"
		}
		base = scheme + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("--server %q: must be an address and a port, or a URL: 127.0.0.1:4000, http://cache.internal:4000", string(cfg.server))
	}
	token, err := firstToken(&cfg.token, string(cfg.tokenFile))
	if err != nil {
		return nil, err
	}
	trust, err := cfg.trust.config()
	if err != nil {
		return nil, err
	}
	// No proxy: a node is asked directly or not at all.
	return &client{
		base:  u.Scheme + "://" + u.Host,
		token: token,
		http:  &http.Client{Timeout: time.Duration(cfg.timeout), Transport: &http.Transport{TLSClientConfig: trust}},
	}, nil
}

// maxAnswer is the longest answer that the client reads.
const maxAnswer = 1 << 30

// An answer is what a node said, its body read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// errUnreachable wraps whatever kept an answer from arriving.
var errUnreachable = errors.New("no answer")

// do sends a request; the error is errUnreachable with its cause.
func (c *client) do(ctx context.Context, method, path string, header http.Header, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, which may carry the key
		}
		return answer{}, fmt.Errorf("%w from %s (see --server): %w", errUnreachable, c.base, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("%w from %s: %w", errUnreachable, c.base, err)
	}
	return answer{response.StatusCode, response.Header, text}, nil
}

// failure is an error answer's body.
type failure struct {
	Message string `json:"message"`
	Code    string `json:"code"`
}

// fail reports what went wrong and gives the exit code for it.
func fail(inv invocation, name string, a answer, err error) int {
	if err != nil {
		fmt.Fprintf(inv.stderr, "smache %s: %v\n", name, err)
		return exitUnreachable
	}
	var f failure
	if json.Unmarshal(a.body, &f) != nil || f.Message == "" {
		f.Message = "the answer is not one of Smache's"
	}
	if f.Code == proto.FailPath.Code {
		f.Message += "; where a node has --admin-listen, that is the address to ask (see --server)"
	}
	fmt.Fprintf(inv.stderr, "smache %s: the server answered %d %s: %s\n", name, a.status, f.Code, f.Message)
	return exitServer
}

// keyPath is the path of a key's entry.
func keyPath(key string) string { return "/api?key=" + url.QueryEscape(key) }

// runGet reads an entry and prints it as one line of JSON.
func runGet(inv invocation) int {
	cfg := newClientConfig()
	var onlyData boolValue
	settings := append(cfg.settings(), setting{name: "data", value: &onlyData, about: "Print the data alone, as it is stored", flag: true})
	rest, code, ok := parseCommand(inv, "get", settings, 1, 1)
	if !ok {
		return code
	}
	c, err := newClient(cfg)
	if err != nil {
		return usageError(inv, "get", err)
	}
	a, err := c.do(inv.ctx, http.MethodGet, keyPath(rest[0]), nil, nil)
	if err != nil || a.status != http.StatusOK {
		return fail(inv, "get", a, err)
	}
	var body struct {
		Data json.RawMessage `json:"data"`
		Node string          `json:"node"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil || len(body.Data) == 0 {
		return fail(inv, "get", a, nil)
	}
	miss := string(body.Data) == "null"
	if onlyData {
		fmt.Fprintf(inv.stdout, "%s\n", body.Data)
	} else {
		printEntry(inv.stdout, rest[0], body.Data, body.Node, a.header)
	}
	if miss {
		return exitNo
	}
	return exitOK
}

// printEntry prints an entry with what its headers say. The data is spliced in:
// an encoder would change its bytes.
func printEntry(w io.Writer, key string, data []byte, node string, header http.Header) {
	line := append([]byte(`{"key":`), quote(key)...)
	line = append(append(line, `,"data":`...), data...)
	line = append(append(line, `,"node":`...), quote(node)...)
	if tag := bareTag(header.Get("ETag")); tag != "" {
		line = append(append(line, `,"etag":`...), quote(tag)...)
	}
	for _, h := range []struct{ header, member string }{{"Smache-TTL", `,"ttl":`}, {"Smache-Age", `,"age":`}} {
		if seconds, err := strconv.ParseFloat(header.Get(h.header), 64); err == nil {
			line = strconv.AppendFloat(append(line, h.member...), seconds, 'f', -1, 64)
		}
	}
	_, _ = w.Write(append(line, "}\n"...))
}

// quote writes a text as a JSON string.
func quote(text string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic("BUG: a string that JSON cannot hold: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// bareTag is an ETag without its quotes, as the JSON of the API has it.
func bareTag(header string) string { return strings.Trim(header, `"`) }

// quotedTags is the list of ETags that a header takes, from one that may be bare.
func quotedTags(text string) string {
	if text == "*" || strings.ContainsAny(text, `"`) {
		return text
	}
	tags := strings.Split(text, ",")
	for i, t := range tags {
		tags[i] = `"` + strings.TrimSpace(t) + `"`
	}
	return strings.Join(tags, ", ")
}
