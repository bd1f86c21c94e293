package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/smache/smache/proto"
)

// TestUIPolicy: the page's own style and program are the ones that its policy allows,
// and nothing in its markup would need another permission.
func TestUIPolicy(t *testing.T) {
	c := dial(t, serve(t, newServer(t, newFake(), nil)))
	got := c.get("/ui")
	policy := got.header.Get("Content-Security-Policy")
	for _, tag := range []string{"style", `script type="module"`} {
		_, text, found := strings.Cut(got.body, "<"+tag+">")
		text, _, closed := strings.Cut(text, "</"+strings.Fields(tag)[0]+">")
		sum := sha256.Sum256([]byte(text))
		if !found || !closed || len(text) < 1000 || !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("the policy %q does not allow the %s of %d bytes", policy, tag, len(text))
		}
		if strings.Count(got.body, "</"+strings.Fields(tag)[0]) != 1 {
			t.Errorf("the %s is not in one piece", tag)
		}
	}
	for _, never := range []string{"innerHTML", "eval(", " style=", " onclick=", "document.write"} {
		if strings.Contains(got.body, never) {
			t.Errorf("the page has %q in it", never)
		}
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
		}
	}
}

// TestUIAgain: a page that the client has is not sent again, and one that takes gzip
// gets it so.
func TestUIAgain(t *testing.T) {
	c := dial(t, serve(t, newServer(t, newFake(), nil)))
	first := c.get("/ui")
	ask := func(header string) answerText {
		return c.send("GET /ui HTTP/1.1\r\nHost: localhost\r\n" + header + "\r\n\r\n")
	}
	if again := ask("If-None-Match: " + first.header.Get("ETag")); again.status != 304 || again.body != "" {
		t.Errorf("%d, %d bytes", again.status, len(again.body))
	}
	if other := ask(`If-None-Match: "x"`); other.status != 200 || other.body != first.body {
		t.Errorf("%d, %d bytes", other.status, len(other.body))
	}
	if small := ask("Accept-Encoding: gzip"); small.header.Get("Content-Encoding") != "gzip" || len(small.body) > len(first.body)/2 {
		t.Errorf("%v, %d bytes", small.header, len(small.body))
	}
	if foreign := ask("Sec-Fetch-Site: cross-site"); foreign.status != 403 {
		t.Errorf("to a foreign page: %d", foreign.status)
	}
	if link := ask("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate"); link.status != 200 {
		t.Errorf("to who follows a link: %d", link.status)
	}
	if other := c.send("GET /stats HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\r\n"); other.status != 403 {
		t.Errorf("to who follows a link elsewhere: %d", other.status)
	}
}

// TestUIFirstLook: the page, and five minutes of three busy nodes, are under 100 KB as
// they are sent.
func TestUIFirstLook(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := dial(t, serve(t, newServer(t, newFake(), func(config *Config) {
		config.Stats = func(last int) (s Stats, ok bool) {
			for range 3 {
				samples := proto.Stats{Figures: proto.FigureCount}
				for i := range last {
					var one proto.Sample
					for f := range one {
						one[f] = 20_000 + uint64(r.IntN(2000)) // counts of a second
					}
					one[proto.FigureNumber] = uint64(i)
					for class := range proto.LatencyCount {
						one[int(proto.FigureLatency)+class] = uint64(r.IntN(1 + 20_000>>class))
					}
					samples.Samples = proto.AppendSample(samples.Samples, &one)
				}
				s.Members = append(s.Members, MemberStats{Member: Member{Name: "smache@10.0.0.1:4000"}, Samples: samples})
			}
			return s, true
		}
	})))
	sent := 0
	for _, path := range []string{"/ui", "/stats?last=300"} {
		got := c.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")
		if got.status != 200 {
			t.Fatalf("%s: %d", path, got.status)
		}
		t.Logf("%s: %d bytes", path, len(got.body))
		sent += len(got.body)
	}
	if sent > 100_000 {
		t.Errorf("%d bytes", sent)
	}
}
