package bench

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// startLogin starts a redis that wants a login, and gives its address. Refusals
// repeat what was sent, as redis's do of commands that it does not know.
func startLogin(t *testing.T, login string) string { return startLoginOn(t, listen(t), login) }

// startLoginOn is startLogin on a listener, which may be one over TLS.
func startLoginOn(t *testing.T, l net.Listener, login string) string {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	values := map[string]string{}
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		in, database := false, "0"
		for r := bufio.NewReader(c); ; {
			words, err := readRESP(r)
			if err != nil {
				return
			}
			text := "+OK\r\n"
			switch {
			case words[0] == "AUTH":
				if in = strings.Join(words[1:], ":") == login; !in {
					text = fmt.Sprintf("-WRONGPASS of %s\r\n", words)
				}
			case !in:
				text = "-NOAUTH\r\n"
			case words[0] == "SELECT":
				database = words[1]
			case database != "7":
				text = "-ERR another database\r\n"
			default:
				mu.Lock()
				text = answerRESP(values, words)
				mu.Unlock()
			}
			if !send(c, text) {
				return
			}
		}
	}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// Connections begin with AUTH and SELECT, and nothing that is printed has the password.
func TestLogin(t *testing.T) {
	const password = "s3cret"
	for _, login := range []string{"me:" + password, password} {
		address := startLogin(t, login)
		eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
			user := login
			if login == password {
				user = ":" + login
			}
			e, err := ParseEndpoint("redis://" + user + "@" + address + "/7")
			if err != nil {
				t.Fatal(err)
			}
			if shown := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(shown, password) {
				t.Error(shown)
			}
			cfg := WorkloadConfig{Endpoint: e, Keys: Keys{Count: 5, Order: OrderSequential}}
			result, err := testRun(t, e, func(c *Config) {
				c.reactor, c.Workload = with, mustWorkload(t, NewGet, cfg)
				c.Prepare, c.PrepareRequests = mustWorkload(t, NewPost, cfg), 5
			})
			if err != nil || result.OK != 40 || result.URL != "redis://"+address+"/7" {
				t.Fatalf("%v, %+v", err, result)
			}
			var out bytes.Buffer
			if err := errors.Join(result.WriteText(&out), result.WriteJSON(&out), result.WriteCSV(&out), WriteHTML(&out, []*Result{result}, nil, 0)); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), password) {
				t.Error("the password is in a report")
			}
			cfg.Endpoint.Login.Password = password + "x"
			_, err = testRun(t, e, func(c *Config) { c.reactor, c.Workload = with, mustWorkload(t, NewGet, cfg) })
			if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), password) {
				t.Error(err)
			}
		})
	}
}

// Over TLS the login is sealed, and a wrong one is refused as it is without.
func TestLoginTLS(t *testing.T) {
	const password = "s3cret"
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	address := startLoginOn(t, tls.NewListener(listen(t), certified.TLS), "me:"+password)
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		load := func(password string) (*Result, error) {
			e, err := ParseEndpoint("rediss://me:" + password + "@" + address + "/7")
			if err != nil {
				t.Fatal(err)
			}
			e.TLS.RootCAs = certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			cfg := WorkloadConfig{Endpoint: e, Keys: Keys{Count: 5, Order: OrderSequential}}
			return testRun(t, e, func(c *Config) {
				c.reactor, c.Workload = with, mustWorkload(t, NewGet, cfg)
				c.Prepare, c.PrepareRequests = mustWorkload(t, NewPost, cfg), 5
			})
		}
		if result, err := load(password); err != nil || result.OK != 40 || result.URL != "rediss://"+address+"/7" {
			t.Errorf("%v, %+v", err, result)
		}
		if _, err := load(password + "x"); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), password) {
			t.Error(err)
		}
	})
}

// Answers to a login may come in pieces.
func TestLoginPieces(t *testing.T) {
	const answers = "+OK\r\n+OK\r\n"
	for cut := range len(answers) {
		p := newRESPSession(Login{Password: "x", Database: 1})
		if got := string(p.begin()); got != "*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n" {
			t.Fatalf("%q", got)
		}
		if _, ready, err := p.greet([]byte(answers[:cut])); ready || err != nil {
			t.Errorf("%d: %v, %v", cut, ready, err)
		}
		if _, ready, err := p.greet([]byte(answers[cut:])); !ready || err != nil {
			t.Errorf("%d: %v, %v", cut, ready, err)
		}
		if p.idle([]byte("+OK\r\n")) == nil {
			t.Error("what nobody asked for is taken")
		}
	}
	for _, wrong := range []string{"-ERR x\r\n", "+OK\r\n-ERR x\r\n", answers + "+", "HTTP/1.1\r\n", ":1\r\n"} {
		p := newRESPSession(Login{Password: "x", Database: 1})
		p.begin()
		if _, ready, err := p.greet([]byte(wrong)); ready || err == nil {
			t.Errorf("%q: %v, %v", wrong, ready, err)
		}
	}
}

// URLs that are refused are not quoted with what may be a password.
func TestLoginHidden(t *testing.T) {
	for _, text := range []string{
		"http://u:s3cret@h:0", "http://u:1/s3cret@h", "u:1/s3cret@h", "u:s3cret@h?x", "http://s3cret@h", "http://a%3Ab:s3cret@h", "memcached://u:s3cret@h", "peer://:s3cret@h", "redis://u:s3cret@h/x",
		"redis://u:s3cret/x@h", "redis://:s3cret#x@h", "redis://u:1/s3cret@h", "redis://u:s3cret@h:0", "redis://u:s3cret@h?x",
		"redis://u:s3cret@", "ftp://u:s3cret@h", "redis://u:s3cret%@h", "redis://s3cret@h", "redis://u:@h", "redis://h/-1",
	} {
		if e, err := ParseEndpoint(text); !errors.Is(err, ErrEndpoint) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %+v, %v", text, e, err)
		}
	}
	for _, text := range []string{
		"http://u:s3cret@h:0/x", "http://u:s3cret/x@h/", "http://u:s3cret#x@h/",
		"http://u:1/s3cret@h", "u:1/s3cret@h/x", "http://u:1?s3cret@h", "http://me:x@u:1/s3cret@h",
	} {
		if e, path, err := SplitURL(text); !errors.Is(err, ErrEndpoint) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %+v, %s, %v", text, e, path, err)
		}
	}
	if e, path, err := SplitURL("http://h:1/users/%40me?mail=a%40b"); err != nil || e.Host != "h:1" || path != "/users/%40me?mail=a%40b" {
		t.Errorf("%+v, %s, %v", e, path, err)
	}
}

// User and password of an HTTP URL are sent as Basic, and nothing that is printed has them.
func TestLoginBasic(t *testing.T) {
	const password = "s3:cr%t"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, secret, ok := r.BasicAuth(); !ok || user != "me" || secret != password || r.URL.Path != "/base/x" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	load := func(user string, headers ...string) *Result {
		t.Helper()
		e, path, err := SplitURL("http://" + user + host + "/base/x")
		if err != nil {
			t.Fatal(err)
		}
		if shown := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(shown, "s3") {
			t.Error(shown)
		}
		cfg := WorkloadConfig{Endpoint: e, Headers: headers}
		asked := newAsker(&cfg).ask(t.Context(), path, nil, new(struct{}))
		w, err := NewHTTP(cfg, HTTPCall{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		result, err := Run(t.Context(), Config{Workload: w, Clients: 2, Requests: 10})
		if err != nil {
			t.Fatal(err)
		}
		if (asked == nil) != (result.OK == 10) {
			t.Errorf("%d of 10 requests are right, and a question: %v", result.OK, asked)
		}
		var out bytes.Buffer
		if err := errors.Join(result.WriteText(&out), result.WriteJSON(&out), result.WriteCSV(&out), WriteHTML(&out, []*Result{result}, nil, 0)); err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprint(&out, asked)
		for _, secret := range []string{"s3:cr", "s3%3Acr", base64.StdEncoding.EncodeToString([]byte("me:" + password))} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%s is in a report", secret)
			}
		}
		return result
	}
	if r := load("me:s3%3Acr%25t@"); r.OK != 10 || r.URL != server.URL {
		t.Errorf("%+v", r)
	}
	for _, r := range []*Result{load(""), load("me:s3%3Acr%25@"), load("me:s3%3Acr%25t@", "authorization: Bearer x")} {
		if r.OK != 0 || r.Failed() != 10 {
			t.Errorf("%+v", r)
		}
	}
}
