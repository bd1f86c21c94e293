package httpapi

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

// TestAdminApart: the public address has no more than clients need, the other one all.
func TestAdminApart(t *testing.T) {
	s := newServer(t, newFake(), withAdmin)
	public, admin := dial(t, serve(t, s)), dial(t, serveAdmin(t, s))
	nothing := public.get("/nothing")
	for _, info := range routes {
		for _, path := range info.paths {
			for _, method := range append(strings.Fields(info.methods), "OPTIONS") {
				text := method + " " + path + "?key=1&seconds=0.01 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
				got := public.send(text)
				if hidden := got.status == 404 && got.header.Get("Allow") == ""; hidden != info.admin {
					t.Errorf("the public address answers %s %s with %d", method, path, got.status)
				}
				if info.admin && method == "GET" && got.body != nothing.body {
					t.Errorf("the public address tells %s from nothing: %s", path, got.body)
				}
				if got := admin.send(text); got.status == 404 {
					t.Errorf("the address for administration answers %s %s with 404", method, path)
				}
			}
		}
	}
}

// TestAdminNone: without such an address there is one for all, but for profiles, which
// are not for everybody who may use the API.
func TestAdminNone(t *testing.T) {
	c := dial(t, serve(t, newServer(t, newFake(), nil)))
	for _, info := range routes {
		for _, path := range info.paths {
			if info.admin {
				got := c.get(path + "?seconds=0.01")
				if profile := strings.HasPrefix(path, "/debug/"); (got.status == 404) != profile {
					t.Errorf("GET %s is answered %d", path, got.status)
				}
			}
		}
	}
}

// TestAdminAccess: the same tokens are asked for; and a stranger at the public address
// does not learn from /ui, which is open elsewhere, whether it is there.
func TestAdminAccess(t *testing.T) {
	s := newServer(t, newFake(), func(c *Config) {
		c.Admin = true
		c.Tokens = Tokens{All: parsedTokens(t, writeToken), Read: parsedTokens(t, readToken)}
	})
	public, admin := dial(t, serve(t, s)), dial(t, serveAdmin(t, s))
	with := func(path, token string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	}
	for _, c := range []struct {
		what string
		got  answerText
		want int
	}{
		{"/ui, public", public.get("/ui"), 401},
		{"/metrics, public", public.get("/metrics"), 401},
		{"/livez, public", public.get("/livez"), 200},
		{"/metrics, public, with a token", public.send(with("/metrics", writeToken)), 404},
		{"/ui", admin.get("/ui"), 200},
		{"/livez", admin.get("/livez"), 200},
		{"/metrics", admin.get("/metrics"), 401},
		{"/metrics, with a token to read", admin.send(with("/metrics", readToken)), 200},
		{"a profile, with a token to read", admin.send(with("/debug/pprof/heap", readToken)), 403},
		{"a profile", admin.send(with("/debug/pprof/heap", writeToken)), 200},
		{"another name", admin.send("GET /livez HTTP/1.1\r\nHost: example.org\r\n\r\n"), 421},
	} {
		if c.got.status != c.want {
			t.Errorf("%s: %d, want %d", c.what, c.got.status, c.want)
		}
	}
}

// TestAdminConnections: clients that take all connections do not keep an operator out,
// and the other way round.
func TestAdminConnections(t *testing.T) {
	s := newServer(t, newFake(), func(c *Config) { c.Admin, c.MaxConnections = true, 1 })
	public, admin := serve(t, s), serveAdmin(t, s)
	if got := dial(t, public).get("/"); got.status != 200 {
		t.Fatal(got.body)
	}
	if got := dial(t, public).receive("GET"); got.status != 503 {
		t.Errorf("a connection too many is answered %d", got.status)
	}
	for range adminConnections {
		if got := dial(t, admin).get("/metrics"); got.status != 200 {
			t.Fatal(got.body)
		}
	}
	if got := dial(t, admin).receive("GET"); got.status != 503 {
		t.Errorf("a connection too many for administration is answered %d", got.status)
	}
	metrics := string(s.AppendMetrics(nil))
	for _, want := range []string{
		"smache_http_connections 1\n", "smache_http_admin_connections 64\n", "smache_http_admin_connections_rejected_total 1\n",
		`smache_http_connections_rejected_total{limit="total"} 1` + "\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
}

// TestAdminShutdown: both addresses end, that for administration last, with the answer
// to a request under way; a profile is cut short for it.
func TestAdminShutdown(t *testing.T) {
	s := newServer(t, newFake(), withAdmin)
	serve(t, s)
	c := dial(t, serveAdmin(t, s))
	answered := make(chan answerText)
	go func() { answered <- c.get("/debug/pprof/trace?seconds=300") }()
	eventually(t, "the profile is being taken", func() bool { return len(s.profiling) == 1 })
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if got := <-answered; got.status != 200 || !got.close || len(got.body) == 0 {
		t.Errorf("a profile under way is answered %d with %d bytes", got.status, len(got.body))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ServeAdmin(ln); !errors.Is(err, ErrServerClosed) {
		t.Errorf("ServeAdmin after Shutdown: %v", err)
	}
}

// TestProfiles: they are what the tools of Go read, one at a time.
func TestProfiles(t *testing.T) {
	s := newServer(t, newFake(), withAdmin)
	address := serveAdmin(t, s)
	c := dial(t, address)
	for path, magic := range map[string]string{
		"profile?seconds=0.05": "\x1f\x8b", "heap": "\x1f\x8b", "goroutine": "\x1f\x8b", "trace?seconds=0.05": "go 1.",
	} {
		got := c.get("/debug/pprof/" + path)
		if got.status != 200 || !strings.HasPrefix(got.body, magic) || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %d bytes, %v", path, got.status, len(got.body), got.header)
		}
	}
	for _, seconds := range []string{"0", "-1", "301", "NaN", "x"} {
		if got := c.get("/debug/pprof/profile?seconds=" + seconds); got.status != 400 || !strings.Contains(got.body, "seconds must be") {
			t.Errorf("seconds=%s: %d %s", seconds, got.status, got.body)
		}
	}
	first := dial(t, address)
	answered := make(chan answerText)
	go func() { answered <- first.get("/debug/pprof/profile?seconds=300") }()
	eventually(t, "the profile is being taken", func() bool { return len(s.profiling) == 1 })
	if got := c.get("/debug/pprof/heap"); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("a second profile: %d", got.status)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	<-answered
}
