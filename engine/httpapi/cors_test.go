package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/smache/smache/proto"
)

const (
	mapOrigin  = "https://map.example"
	evilOrigin = "https://evil.example"
)

// asked gives a request of a page of an origin. The header lines have their ends.
func asked(method, target, origin, header, body string) string {
	text := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + header
	if origin != "" {
		text += "Origin: " + origin + "\r\n"
	}
	if body != "" {
		text += "Content-Length: " + itoa(len(body)) + "\r\n"
	}
	return text + "\r\n" + body
}

// listOf is the value of a header that is a list, in order.
func listOf(header http.Header, name string) []string {
	list := strings.Split(header.Get(name), ", ")
	slices.Sort(list)
	return list
}

// TestCORSOrigins: which pages may read what a node answers, and which are refused, by
// what --cors-origin says: reads, writes, and the questions that browsers ask first.
func TestCORSOrigins(t *testing.T) {
	const allowed, refused = mapOrigin, ""
	for _, c := range []struct {
		configured []string
		origin     string
		says       string // Access-Control-Allow-Origin
		status     int
	}{
		{nil, "", "", 200},
		{nil, mapOrigin, refused, 403},
		{nil, "null", refused, 403},
		{nil, "http://localhost", "", 200}, // the node's own page
		{[]string{mapOrigin}, "", "", 200},
		{[]string{mapOrigin}, mapOrigin, allowed, 200},
		{[]string{"https://Map.example/", "http://localhost:3000"}, mapOrigin, allowed, 200},
		{[]string{"http://localhost:3000", mapOrigin}, mapOrigin, allowed, 200},
		{[]string{mapOrigin}, "http://localhost", "", 200},
		{[]string{mapOrigin}, "http://map.example", refused, 403},
		{[]string{mapOrigin}, mapOrigin + ":8443", refused, 403},
		{[]string{mapOrigin}, mapOrigin + ".evil.example", refused, 403},
		{[]string{mapOrigin}, "https://sub.map.example", refused, 403},
		{[]string{mapOrigin}, evilOrigin, refused, 403},
		{[]string{mapOrigin}, "null", refused, 403},
		{[]string{"*"}, "", "", 200},
		{[]string{"*"}, evilOrigin, "*", 200},
		{[]string{"*"}, "null", "*", 200},
	} {
		cache, carriedOut := newFake(), 0
		cache.override = func(*proto.Op) bool {
			carriedOut++
			return false
		}
		s := newServer(t, cache, func(config *Config) { config.CORSOrigins = c.configured })
		client := dial(t, serve(t, s))
		for _, request := range []string{
			asked("GET", "/api?key=1", c.origin, "", ""),
			asked("POST", "/api", c.origin, "Content-Type: application/json\r\n", `{"key":1,"data":{}}`),
			asked("DELETE", "/api?key=1", c.origin, "", ""),
			asked("POST", "/api/mget", c.origin, "Content-Type: application/json\r\n", `{"keys":[1]}`),
			asked("GET", "/readyz", c.origin, "", ""),
			asked("OPTIONS", "/api", c.origin, "Access-Control-Request-Method: DELETE\r\nAccess-Control-Request-Headers: if-match\r\n", ""),
		} {
			got := client.send(request)
			first, _, _ := strings.Cut(request, " HTTP")
			preflight := strings.HasPrefix(first, "OPTIONS")
			want := c.status
			if preflight && want == 200 {
				want = 204
			}
			if got.status != want || got.header.Get("Access-Control-Allow-Origin") != c.says {
				t.Errorf("%q, %s from %q: %d, allowed is %q; want %d, %q", c.configured, first, c.origin, got.status, got.header.Get("Access-Control-Allow-Origin"), want, c.says)
			}
			// A cache must not give one page what was meant for another.
			if varies := len(c.configured) > 0 && c.configured[0] != "*"; varies != (got.header.Get("Vary") == "Origin") {
				t.Errorf("%q, %s: Vary is %q", c.configured, first, got.header.Get("Vary"))
			}
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") && (c.says == "" || name == "Access-Control-Allow-Credentials" ||
					!preflight && name != "Access-Control-Allow-Origin" && name != "Access-Control-Expose-Headers") {
					t.Errorf("%q, %s from %q: there is %s", c.configured, first, c.origin, name)
				}
			}
		}
		cache.mu.Lock()
		if (c.status == 403) != (carriedOut == 0) {
			t.Errorf("%q: of what a page of %s wants %d operations are carried out", c.configured, c.origin, carriedOut)
		}
		cache.mu.Unlock()
	}
}

// TestCORSPreflight: a page may send every method and header of the API that it has to
// ask for, and read every header that the API describes.
func TestCORSPreflight(t *testing.T) {
	s := newServer(t, newFake(), func(c *Config) {
		c.CORSOrigins, c.Tokens.All = []string{mapOrigin}, parsedTokens(t, writeToken)
	})
	client := dial(t, serve(t, s))
	var methods []string
	for _, info := range routes {
		methods = append(methods, strings.Fields(info.methods)...)
		for _, path := range info.paths {
			if info.admin {
				continue
			}
			got := client.send(asked("OPTIONS", path, mapOrigin, "Access-Control-Request-Method: POST\r\n", ""))
			if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != mapOrigin || got.header.Get("Access-Control-Max-Age") != "600" {
				t.Errorf("OPTIONS %s: %d %v", path, got.status, got.header)
			}
		}
	}
	slices.Sort(methods)
	got := client.send(asked("OPTIONS", "/api", mapOrigin, "Access-Control-Request-Method: POST\r\n", ""))
	if may := listOf(got.header, "Access-Control-Allow-Methods"); !slices.Equal(may, slices.Compact(methods)) {
		t.Errorf("a page may use %q; the API has %q", may, slices.Compact(methods))
	}

	var described struct {
		Components struct {
			Parameters map[string]struct{ Name, In string }
			Headers    map[string]any
		}
	}
	if err := json.Unmarshal(openAPIText, &described); err != nil {
		t.Fatal(err)
	}
	headers := []string{"Authorization", "Content-Type", "Traceparent"}
	for _, p := range described.Components.Parameters {
		if p.In == "header" {
			headers = append(headers, p.Name)
		}
	}
	slices.Sort(headers)
	if may := listOf(got.header, "Access-Control-Allow-Headers"); !slices.Equal(may, headers) || len(headers) < 5 {
		t.Errorf("a page may send %q; the API takes %q", may, headers)
	}
	readable := []string{}
	for name := range described.Components.Headers {
		if name != "Cache-Control" { // which every page may read
			readable = append(readable, name)
		}
	}
	slices.Sort(readable)
	got = client.send(asked("GET", "/api?key=1", mapOrigin, "Authorization: Bearer "+writeToken+"\r\n", ""))
	if may := listOf(got.header, "Access-Control-Expose-Headers"); got.status != 200 || !slices.Equal(may, readable) || len(readable) < 5 {
		t.Errorf("a page may read %q; the API gives %q", may, readable)
	}
}

// TestCORSFailures: an answer that tells of a failure has the headers, too. Without them
// a page would only be told that something went wrong.
func TestCORSFailures(t *testing.T) {
	const (
		json  = "Content-Type: application/json\r\n"
		token = "Authorization: Bearer " + writeToken + "\r\n"
		read  = "Authorization: Bearer " + readToken + "\r\n"
	)
	provoked := map[string]bool{}
	for _, c := range []struct {
		want                           *proto.Failure
		method, target, header, answer string
	}{
		{proto.FailUnauthorized, "GET", "/api?key=1", "", ""},
		{proto.FailReadOnly, "POST", "/api", read + json, `{"key":1,"data":{}}`},
		{proto.FailJSON, "POST", "/api", token + json, `{`},
		{proto.FailKeyNil, "GET", "/api", token, ""},
		{proto.FailMethod, "PUT", "/api", token, ""},
		{proto.FailPath, "GET", "/nothing", token, ""},
		{proto.FailMiss, "GET", "/api?key=1&miss=404", token, ""},
		{proto.FailPrecondition, "POST", "/api", token + json + "If-Match: \"0000000000000001\"\r\n", `{"key":1,"data":{}}`},
		{proto.FailMediaType, "POST", "/api", token + "Content-Type: text/plain\r\n", `{"key":1,"data":{}}`},
		{proto.FailValueTooLarge, "POST", "/api", token + json, `{"key":1,"data":{"v":"` + strings.Repeat("v", 2000) + `"}}`},
		{proto.FailBodyTooLarge, "POST", "/api", token + json, `{"key":1,"data":{"v":"` + strings.Repeat("v", 20_000) + `"}}`},
		{proto.FailQueueFull, "GET", "/api?key=full", token, ""},
		{proto.FailUnreachable, "GET", "/api?key=away", token, ""},
		{proto.FailInternal, "GET", "/api?key=panic", token, ""},
		{proto.FailRateLimited, "GET", "/api?key=1", token, ""}, // from here on
	} {
		for _, origin := range []string{mapOrigin, ""} {
			cache := newFake()
			cache.override = func(op *proto.Op) bool {
				switch key := string(op.Key); {
				case strings.Contains(key, "full"):
					op.Status = proto.StatusQueueFull
				case strings.Contains(key, "away"):
					op.Status = proto.StatusUnreachable
				case strings.Contains(key, "panic"):
					panic("on purpose")
				default:
					return false
				}
				return true
			}
			s := newServer(t, cache, func(config *Config) {
				config.CORSOrigins, config.MaxValue, config.MaxBody = []string{mapOrigin}, 1000, 10_000
				config.Tokens = Tokens{All: parsedTokens(t, writeToken), Read: parsedTokens(t, readToken)}
				if c.want == proto.FailRateLimited {
					config.RateLimit, config.RateBurst = 1, 1
				}
			})
			if c.want == proto.FailRateLimited {
				slowly(s)
			}
			client := dial(t, serve(t, s))
			if c.want == proto.FailRateLimited {
				client.send(asked(c.method, c.target, origin, c.header, c.answer))
			}
			got := client.send(asked(c.method, c.target, origin, c.header, c.answer))
			wantFailure(t, got, c.want)
			if got.header.Get("Access-Control-Allow-Origin") != origin || (got.header.Get("Access-Control-Expose-Headers") != "") != (origin != "") || got.header.Get("Vary") != "Origin" {
				t.Errorf("%s from %q has %v", c.want.Code, origin, got.header)
			}
			provoked[fmt.Sprint(got.status)] = true
		}
	}
	for _, status := range strings.Fields("400 401 403 404 405 412 413 415 429 500 503") {
		if !provoked[status] {
			t.Errorf("no answer %s", status)
		}
	}
}
