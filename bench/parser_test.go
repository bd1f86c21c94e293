package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// outcome is everything that a parser says about a sequence of bytes.
type outcome struct {
	status int
	body   string
	close  bool
	done   bool
	rest   string
	err    error
}

// parse feeds the pieces to p, and whatever is left over with the next piece.
func parse(p Reader, pieces ...[]byte) (o outcome) {
	for i, b := range pieces {
		for more := true; more; {
			event, piece, rest, err := p.Next(b)
			if err != nil {
				o.err = err
				return o
			}
			o.body += string(piece)
			switch event {
			case EventDone:
				o.status, o.close, o.done = p.Status(), p.Close(), true
				o.rest = string(rest)
				for _, unread := range pieces[i+1:] {
					o.rest += string(unread)
				}
				return o
			case EventMore:
				more = false
			case EventBody:
				b, more = rest, len(rest) > 0
			default:
				panic(fmt.Sprint("no such event: ", event))
			}
		}
	}
	return o
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

var validAnswers = []struct {
	name, text string
	want       outcome
}{
	{"plain", "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", outcome{status: 200, body: "{}"}},
	{"name in any case", "HTTP/1.1 200 OK\ncOnTeNt-LENGTH:2\n\n{}", outcome{status: 200, body: "{}"}},
	{"white space around values", "HTTP/1.1 200 OK\nContent-Length: \t 2 \t\nX: a b\n\n{}", outcome{status: 200, body: "{}"}},
	{"no reason", "HTTP/1.1 200\nContent-Length: 0\n\n", outcome{status: 200}},
	{"empty reason", "HTTP/1.1 404 \nContent-Length: 0\n\n", outcome{status: 404}},
	{"the same length twice", "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\n{}", outcome{status: 200, body: "{}"}},
	{"connection: close", "HTTP/1.1 200 OK\nConnection: x , CLOSE\nContent-Length: 2\n\n{}", outcome{status: 200, body: "{}", close: true}},
	{"keep-alive of 1.0", "HTTP/1.0 200 OK\nConnection: Keep-Alive\nContent-Length: 2\n\n{}", outcome{status: 200, body: "{}"}},
	{"1.0", "HTTP/1.0 200 OK\nContent-Length: 2\n\n{}", outcome{status: 200, body: "{}", close: true}},
	{"no content", "HTTP/1.1 204 No Content\n\n", outcome{status: 204}},
	{"not modified", "HTTP/1.1 304 Not Modified\nContent-Length: 500\n\n", outcome{status: 304}},
	{"interim", "HTTP/1.1 103 Early Hints\nLink: x\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\n{}", outcome{status: 200, body: "{}"}},
	{"chunked", "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n1\n{\nA;x=y\n\"a\":12345}\n0\n\n", outcome{status: 200, body: `{"a":12345}`}},
	{"chunked with trailer", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2 \n{}\n000\nX: y\nZ: w\n\n", outcome{status: 200, body: "{}"}},
	{"chunked and empty", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n", outcome{status: 200}},
	{"obs-text", "HTTP/1.1 200 \xff\xfe\nX: \xc3\xa4\nContent-Length: 0\n\n", outcome{status: 200}},
	{"header of the same length", "HTTP/1.1 200 OK\nconnectiox: close\ncontent-lengtx: 9\nContent-Length: 0\n\n", outcome{status: 200}},
}

func TestParserValid(t *testing.T) {
	for _, test := range validAnswers {
		t.Run(test.name, func(t *testing.T) {
			text := []byte(crlf(test.text))
			want := test.want
			want.done = true
			var p Parser
			if got := parse(&p, text); got != want {
				t.Fatalf("whole: got %+v, want %+v", got, want)
			}
			for cut := range text {
				p.Reset()
				if !p.Untouched() {
					t.Fatal("not untouched after Reset")
				}
				if got := parse(&p, text[:cut]); got.done || got.err != nil {
					t.Fatalf("the first %d of %d bytes: got %+v, want more", cut, len(text), got)
				}
				if p.Untouched() != (cut == 0) {
					t.Fatalf("the first %d bytes: untouched is %v", cut, p.Untouched())
				}
				p.Reset()
				if got := parse(&p, text[:cut], text[cut:]); got != want {
					t.Fatalf("cut at %d: got %+v, want %+v", cut, got, want)
				}
			}
			p.Reset()
			var drops [][]byte
			for i := range text {
				drops = append(drops, text[i:i+1])
			}
			if got := parse(&p, drops...); got != want {
				t.Fatalf("byte by byte: got %+v, want %+v", got, want)
			}
			p.Reset()
			want.rest = "HTTP/1.1 "
			if got := parse(&p, text, []byte("HTTP/1.1 ")); got != want {
				t.Fatalf("with bytes behind: got %+v, want %+v", got, want)
			}
		})
	}
}

func TestParserMalformed(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		name, text string
		want       error
	}{
		{"no HTTP", "SSH-2.0-OpenSSH_9.2\n", ErrMalformed},
		{"HTTP/2", "HTTP/2.0 200 OK\n\n", ErrMalformed},
		{"no status", "HTTP/1.1 \n\n", ErrMalformed},
		{"letters as status", "HTTP/1.1 2x0 OK\n\n", ErrMalformed},
		{"four digits", "HTTP/1.1 2000 OK\n\n", ErrMalformed},
		{"status below 100", "HTTP/1.1 099 OK\n\n", ErrMalformed},
		{"control character in reason", "HTTP/1.1 200 O\x01K\n\n", ErrMalformed},
		{"switching protocols", "HTTP/1.1 101 X\n\n", ErrMalformed},
		{"interim without end", strings.Repeat("HTTP/1.1 100 Continue\n\n", maxInterim+1), ErrMalformed},
		{"no colon", "HTTP/1.1 200 OK\nContent-Length 2\n\n{}", ErrMalformed},
		{"empty name", "HTTP/1.1 200 OK\n: 2\n\n{}", ErrMalformed},
		{"space in front of colon", "HTTP/1.1 200 OK\nContent-Length : 2\n\n{}", ErrMalformed},
		{"folded", "HTTP/1.1 200 OK\nX: a\n b\nContent-Length: 0\n\n", ErrMalformed},
		{"NUL in value", "HTTP/1.1 200 OK\nX: a\x00b\nContent-Length: 0\n\n", ErrMalformed},
		{"CR in value", "HTTP/1.1 200 OK\nX: a\rb\nContent-Length: 0\n\n", ErrMalformed},
		{"length with sign", "HTTP/1.1 200 OK\nContent-Length: +2\n\n{}", ErrMalformed},
		{"empty length", "HTTP/1.1 200 OK\nContent-Length:\n\n", ErrMalformed},
		{"length of 19 digits", "HTTP/1.1 200 OK\nContent-Length: 1000000000000000000\n\n", ErrMalformed},
		{"two lengths", "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\n{}", ErrMalformed},
		{"list of lengths", "HTTP/1.1 200 OK\nContent-Length: 2, 2\n\n{}", ErrMalformed},
		{"length and chunked", "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n", ErrMalformed},
		{"gzip", "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n", ErrMalformed},
		{"chunked twice", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n", ErrMalformed},
		{"chunked in 1.0", "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n", ErrMalformed},
		{"no chunk size", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n\n", ErrMalformed},
		{"chunk size in letters", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nxyz\n", ErrMalformed},
		{"chunk size of 16 digits", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0000000000000001\n", ErrBodyTooLarge},
		{"chunk too long", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\n{}\n0\n\n", ErrMalformed},
		{"bad trailer", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\nx\n\n", ErrMalformed},
		{"chunks above the limit", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n40\n" + long[:64] + "\n40\n", ErrBodyTooLarge},
		{"body above the limit", "HTTP/1.1 200 OK\nContent-Length: 101\n\n", ErrBodyTooLarge},
		{"endless body above the limit", "HTTP/1.1 200 OK\n\n" + long, ErrBodyTooLarge},
		{"header above the limit", "HTTP/1.1 200 OK\nX: " + long, ErrHeaderTooLarge},
		{"whole header above the limit", "HTTP/1.1 200 OK\nX: " + long + "\n\n", ErrHeaderTooLarge},
		{"status line above the limit", "HTTP/1.1 200 " + long, ErrHeaderTooLarge},
		{"trailer above the limit", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\nX: " + long, ErrHeaderTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := Parser{MaxHeader: 256, MaxBody: 100}
			if strings.HasPrefix(test.name, "interim") {
				p.MaxHeader = 1 << 10
			}
			got := parse(&p, []byte(crlf(test.text)))
			if !errors.Is(got.err, test.want) || !errors.Is(got.err, ErrMalformed) {
				t.Fatalf("got %+v, want the error %v", got, test.want)
			}
		})
	}
	for _, text := range []string{"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", "\n"} {
		var p Parser
		if got := parse(&p, []byte(text)); !errors.Is(got.err, ErrMalformed) {
			t.Errorf("%q, without CR: got %+v", text, got)
		}
	}
}

func TestParserUntilClose(t *testing.T) {
	var p Parser
	got := parse(&p, []byte(crlf("HTTP/1.1 200 OK\n\n{\"a\":")), []byte("1}"))
	if got.done || got.err != nil || got.body != `{"a":1}` || p.Status() != 200 || !p.Close() {
		t.Fatalf("got %+v", got)
	}
	if !p.Finish() {
		t.Fatal("the end of the connection does not complete the answer")
	}
	p.Reset()
	parse(&p, []byte(crlf("HTTP/1.1 200 OK\nContent-Length: 2\n\n{")))
	if p.Finish() {
		t.Fatal("the end of the connection completes an answer that it cuts short")
	}
}

func TestParserDropsLargeBuffer(t *testing.T) {
	var p Parser
	parse(&p, []byte("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 8<<10)))
	p.Reset()
	if p.carry != nil {
		t.Fatalf("%d bytes are held on to", cap(p.carry))
	}
}

func seedAnswers(f *testing.F) {
	for _, test := range validAnswers {
		f.Add([]byte(crlf(test.text)), uint16(7))
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nuntil the end"), uint16(20))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), uint16(1))
	f.Add([]byte("HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"), uint16(3))
}

// However the bytes are cut, the parser says the same.
func FuzzParserCuts(f *testing.F) {
	seedAnswers(f)
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		var p Parser
		whole := parse(&p, text)
		step := int(cut)%64 + 1
		var pieces [][]byte
		for i := 0; i < len(text); i += step {
			pieces = append(pieces, text[i:min(i+step, len(text))])
		}
		p.Reset()
		got := parse(&p, pieces...)
		if (got.err == nil) != (whole.err == nil) {
			t.Fatalf("in steps of %d: %v; whole: %v", step, got.err, whole.err)
		}
		got.err, whole.err = nil, nil
		if got != whole {
			t.Fatalf("in steps of %d: %+v; whole: %+v", step, got, whole)
		}
	})
}

// What the parser takes, net/http takes as well, and finds the same in it.
func FuzzParserAgainstNetHTTP(f *testing.F) {
	seedAnswers(f)
	f.Fuzz(func(t *testing.T, text []byte, _ uint16) {
		var p Parser
		got := parse(&p, text)
		if !got.done || bytes.HasPrefix(text, []byte("HTTP/1.1 1")) || bytes.HasPrefix(text, []byte("HTTP/1.0 1")) {
			return // net/http leaves interim answers to its caller
		}
		response, err := http.ReadResponse(bufio.NewReaderSize(bytes.NewReader(text), 64<<10), nil)
		if err != nil {
			if strings.Contains(err.Error(), "malformed MIME header") {
				return // it also refuses some header names that RFC 9110 allows
			}
			t.Fatalf("net/http refuses what was taken: %v", err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatalf("net/http refuses the body that was taken: %v", err)
		}
		if response.StatusCode != got.status || string(body) != got.body {
			t.Fatalf("got %d %q, net/http %d %q", got.status, got.body, response.StatusCode, body)
		}
	})
}

func BenchmarkParser(b *testing.B) {
	text := []byte(crlf("HTTP/1.1 200 OK\nServer: smache\nDate: Sun, 22 Nov 2026 17:10:10 GMT\nContent-Type: application/json\nContent-Length: 2\nConnection: keep-alive\n\n{}"))
	var p Parser
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		if event, _, _, err := p.Next(text); event != EventDone || err != nil {
			b.Fatal(event, err)
		}
	}
}
