package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/valyala/fasthttp"
)

// parsedTokens makes tokens of texts.
func parsedTokens(tb testing.TB, texts ...string) []Token {
	tb.Helper()
	tokens, err := ParseTokens([]byte(strings.Join(texts, "\n")))
	if err != nil {
		tb.Fatal(err)
	}
	return tokens
}

const (
	writeToken = "writer-0123456789"
	readToken  = "reader-0123456789"
)

// TestAccessOfRoutes: what each route needs, written out: a route that is added
// must be judged here.
func TestAccessOfRoutes(t *testing.T) {
	open := "healthcheck livez readyz options ui"
	read := "other get mget root cluster metrics openapi stats"
	s := newServer(t, newFake(), func(c *Config) {
		c.Tokens = Tokens{All: parsedTokens(t, writeToken), Read: parsedTokens(t, readToken)}
		c.Admin = true
	})
	c := dial(t, serveAdmin(t, s))
	for _, info := range routes {
		want := map[string]int{"": 401, readToken: 403, writeToken: 200}
		needs := accessWrite
		switch {
		case strings.Contains(" "+open+" ", " "+info.label+" "):
			needs, want[""], want[readToken] = accessOpen, 200, 200
		case strings.Contains(" "+read+" ", " "+info.label+" "):
			needs, want[readToken] = accessRead, 200
		}
		if info.access != needs {
			t.Errorf("%s needs %d, should need %d", info.label, info.access, needs)
		}
		for _, path := range info.paths {
			for _, method := range strings.Fields(info.methods) {
				for token, status := range want {
					text := method + " " + path + "?key=1&seconds=0.01 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
					if token != "" {
						text += "Authorization: Bearer " + token + "\r\n"
					}
					got := c.send(text + "\r\n")
					refused := got.status == 401 || got.status == 403
					if refused != (status != 200) || refused && got.status != status {
						t.Errorf("%s %s with %q: %d", method, path, token, got.status)
					}
				}
			}
		}
	}
	metrics := string(s.AppendMetrics(nil))
	for _, want := range []string{`rights="all",place="1"} `, `rights="read",place="1"} `} {
		_, count, ok := strings.Cut(metrics, "smache_http_token_requests_total{"+want)
		if !ok || strings.HasPrefix(count, "0\n") {
			t.Errorf("the uses of the token with %s are not counted", want)
		}
	}
}

// TestTokensAreReplaced: a rotation has two for a while, and no request that
// carries one of them fails meanwhile.
func TestTokensAreReplaced(t *testing.T) {
	first, second := parsedTokens(t, writeToken), parsedTokens(t, "second-0123456789")
	s := newServer(t, &still{status: 0}, func(c *Config) { c.Tokens = Tokens{All: first} })
	ask := func(token string) int {
		ctx := getContext("/api?key=1")
		ctx.Request.Header.Set("Authorization", "Bearer "+token)
		s.Handler()(ctx)
		return ctx.Response.StatusCode()
	}
	stop, asked := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var group sync.WaitGroup
	group.Go(func() {
		for {
			if got := ask(writeToken); got != 200 {
				t.Errorf("the first token during the rotation: %d", got)
			}
			once.Do(func() { close(asked) })
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	<-asked
	for range 100 {
		if err := s.SetTokens(Tokens{All: append(second[:1:1], first...)}); err != nil {
			t.Fatal(err)
		}
		if err := s.SetTokens(Tokens{All: append(first[:1:1], second...)}); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	group.Wait()
	if got := ask("second-0123456789"); got != 200 {
		t.Errorf("the second token: %d", got)
	}
	if err := s.SetTokens(Tokens{All: second}); err != nil {
		t.Fatal(err)
	}
	if got := ask(writeToken); got != 401 {
		t.Errorf("the first token after the rotation: %d", got)
	}
	for _, bad := range []Tokens{{Read: first}, {All: make([]Token, MaxTokens+1)}, {All: first, Read: make([]Token, MaxTokens+1)}} {
		if err := s.SetTokens(bad); !errors.Is(err, ErrTokenRights) && !errors.Is(err, ErrTokenCount) {
			t.Errorf("%d and %d tokens: %v", len(bad.All), len(bad.Read), err)
		}
	}
	if got := ask("second-0123456789"); got != 200 {
		t.Errorf("tokens that are refused replace the old ones: %d", got)
	}
	if err := s.SetTokens(Tokens{}); err != nil {
		t.Fatal(err)
	}
	if got := ask(writeToken + "x"); got != 200 {
		t.Errorf("without tokens: %d", got)
	}
}

// TestTokensInTheLog: somebody who tries tokens is noticed, and nothing of what
// was tried is in the log.
func TestTokensInTheLog(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, newFake(), func(c *Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Tokens = Tokens{All: parsedTokens(t, writeToken), Read: parsedTokens(t, readToken)}
	})
	for _, token := range []string{"guess-0123456789", "guess-0123456780", writeToken, readToken} {
		for _, target := range []string{"/api?key=1", "/cluster"} {
			ctx := getContext(target)
			ctx.Request.Header.Set("Authorization", "Bearer "+token)
			s.Handler()(ctx)
		}
	}
	text := log.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, `"code":"unauthorized","refused_so_far":1}`) {
		t.Errorf("the log is %q", text)
	}
	for _, secret := range []string{"guess", "writer", "reader", fmt.Sprintf("%x", s.guard.tokens.Load().All[0].digest[:4])} {
		if strings.Contains(text, secret) || strings.Contains(string(s.AppendMetrics(nil)), secret) {
			t.Errorf("%q is in the log or the metrics", secret)
		}
	}
}

// TestTokensAllocateNothing: with tokens a hit stays free of allocations.
func TestTokensAllocateNothing(t *testing.T) {
	s := newServer(t, &still{value: []byte(seedValue)}, func(c *Config) {
		c.Tokens = Tokens{All: parsedTokens(t, writeToken, "second-0123456789"), Read: parsedTokens(t, readToken)}
	})
	ctx := getContext("/api?key=1042")
	ctx.Request.Header.Set("Authorization", "Bearer "+readToken)
	ctx.Response.KeepBodyBuffer = true
	n := testing.AllocsPerRun(1000, func() {
		ctx.Response.Reset()
		s.Handler()(ctx)
	})
	if ctx.Response.StatusCode() != fasthttp.StatusOK || n > poolMisses {
		t.Errorf("status %d, %v allocations", ctx.Response.StatusCode(), n)
	}
}

func TestParseTokens(t *testing.T) {
	long := strings.Repeat("x", maxToken)
	for text, want := range map[string]int{
		writeToken: 1, writeToken + "\n": 1, " " + writeToken + " \r\n\n# old\n" + readToken + "\n": 2,
		long: 1, "abcdefghijklmno=": 1, "a.b-c_d~e+f/g0h1": 1,
		"": -1, "\n#\n": -1, "short": -1, long + "x": -1, "================": -1, "abcdefgh=jklmnop": -1,
		"token with spaces inside": -1, "tökén-0123456789": -1, "a,b,c,d,e,f,g,h,i": -1, writeToken + "\x00": -1,
		strings.Repeat(writeToken+"\n", MaxTokens): MaxTokens, strings.Repeat(writeToken+"\n", MaxTokens+1): -1,
	} {
		tokens, err := ParseTokens([]byte(text))
		switch {
		case want < 0 && !errors.Is(err, ErrTokenForm) && !errors.Is(err, ErrTokenCount):
			t.Errorf("%.40q: %v", text, err)
		case want >= 0 && (err != nil || len(tokens) != want):
			t.Errorf("%.40q: %d tokens, %v", text, len(tokens), err)
		case err != nil && len(text) > 1 && strings.Contains(err.Error(), strings.TrimSpace(text)):
			t.Errorf("the error repeats %.40q", text)
		}
	}
}

// FuzzTokens: whatever a file holds, its tokens are found as a client sends them,
// and nothing that is not in it is.
func FuzzTokens(f *testing.F) {
	f.Add([]byte(writeToken+"\n# "+readToken+"\n"), []byte("Bearer "+writeToken))
	f.Add([]byte("\r\n \t"+readToken+" \r\n"), []byte("bearer  "+readToken))
	f.Add([]byte{0xff, '\n'}, []byte("Bearer \xff"))
	f.Fuzz(func(t *testing.T, file, header []byte) {
		tokens, err := ParseTokens(file)
		if err != nil {
			if tokens != nil {
				t.Fatal("tokens and an error")
			}
			return
		}
		all := Tokens{All: tokens}
		lines := TokenLines(file)
		for i, line := range lines {
			got := all.find(bearer(append([]byte("Bearer "), line...)))
			if got.may != accessWrite || !bytes.Equal(lines[got.place], line) {
				t.Fatalf("token %d is found as %+v", i, got)
			}
		}
		if got := all.find(bearer(header)); got.may == accessWrite && !bytes.Contains(header, lines[got.place]) {
			t.Fatalf("%q is taken for token %d of %q", header, got.place, file)
		}
	})
}
