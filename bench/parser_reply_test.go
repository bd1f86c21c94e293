package bench

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
)

func newRESP() Reader      { return &replyParser{grammar: new(respGrammar)} }
func newMemcached() Reader { return &replyParser{grammar: new(memcachedGrammar)} }

var validReplies = []struct {
	name   string
	reader func() Reader
	text   string
	status int
}{
	{"simple", newRESP, "+OK\n", StatusReply},
	{"empty simple", newRESP, "+\n", StatusReply},
	{"error", newRESP, "-ERR unknown command\n", StatusError},
	{"integer", newRESP, ":-12\n", StatusReply},
	{"bulk", newRESP, "$5\nab\ncd\n", StatusReply},
	{"empty bulk", newRESP, "$0\n\n", StatusReply},
	{"nothing", newRESP, "$-1\n", StatusReply},
	{"array", newRESP, "*3\n$1\na\n$-1\n:7\n", StatusReply},
	{"empty array", newRESP, "*0\n", StatusReply},
	{"no array", newRESP, "*-1\n", StatusReply},
	{"nested", newRESP, "*2\n*2\n+a\n*0\n*1\n$2\nxy\n", StatusReply},
	{"error inside", newRESP, "*2\n+a\n-ERR b\n", StatusError},
	{"stored", newMemcached, "STORED\n", StatusReply},
	{"miss", newMemcached, "END\n", StatusReply},
	{"value", newMemcached, "VALUE k 0 5\nab\ncd\nEND\n", StatusReply},
	{"values", newMemcached, "VALUE k 4294967295 0\n\nVALUE l 0 3 99\nEND\nEND\n", StatusReply},
	{"error between", newMemcached, "VALUE k 0 1\nx\nSERVER_ERROR out of memory\n", StatusError},
	{"client error", newMemcached, "CLIENT_ERROR bad command line format\n", StatusError},
	{"unknown", newMemcached, "ERROR\n", StatusError},
	{"version", newMemcached, "VERSION 1.6.18\n", StatusReply},
}

func TestReplyParserValid(t *testing.T) {
	for _, test := range validReplies {
		t.Run(test.name, func(t *testing.T) {
			text := []byte(crlf(test.text))
			// "\n" inside data became two bytes: its length is made to fit.
			text = bytes.Replace(text, []byte("5\r\nab\r\ncd"), []byte("6\r\nab\r\ncd"), 1)
			want := outcome{status: test.status, body: string(text), done: true}
			p := test.reader()
			for cut := range len(text) + 1 {
				p.Reset()
				if !p.Untouched() {
					t.Fatal("not untouched after Reset")
				}
				if got := parse(p, text[:cut]); cut < len(text) && (got.done || got.err != nil || p.Untouched() != (cut == 0)) {
					t.Fatalf("the first %d of %d bytes: %+v, untouched %v", cut, len(text), got, p.Untouched())
				}
				p.Reset()
				if got := parse(p, text[:cut], text[cut:]); got != want {
					t.Fatalf("cut at %d: got %+v, want %+v", cut, got, want)
				}
			}
			p.Reset()
			want.rest = "+"
			if got := parse(p, append(text, '+')); got != want {
				t.Fatalf("with a byte behind: got %+v, want %+v", got, want)
			}
			if p.Close() || p.Finish() {
				t.Error("a reply does not end with the connection")
			}
		})
	}
}

func TestReplyParserMalformed(t *testing.T) {
	for _, test := range []struct {
		name   string
		reader func() Reader
		text   string
		want   error
	}{
		{"empty line", newRESP, "\n", ErrMalformed},
		{"other protocol", newRESP, "HTTP/1.1 200 OK\n", ErrMalformed},
		{"type of version 3", newRESP, "_\n", ErrMalformed},
		{"CR in a line", newRESP, "+a\rb\n", ErrMalformed},
		{"integer with a plus", newRESP, ":+1\n", ErrMalformed},
		{"integer with a zero in front", newRESP, ":01\n", ErrMalformed},
		{"minus zero", newRESP, ":-0\n", ErrMalformed},
		{"no integer", newRESP, ":\n", ErrMalformed},
		{"length below -1", newRESP, "$-2\n", ErrMalformed},
		{"no length", newRESP, "$x\n", ErrMalformed},
		{"data too long", newRESP, "$1\nab\n", ErrMalformed},
		{"huge data", newRESP, "$999999999999999999\n", ErrBodyTooLarge},
		{"huge array", newRESP, "*999999999999999999\n", ErrBodyTooLarge},
		{"arrays without end", newRESP, strings.Repeat("*1048576\n", 3), ErrBodyTooLarge},
		{"line without end", newRESP, "+" + strings.Repeat("x", DefaultMaxHeader), ErrHeaderTooLarge},
		{"what is not asked for", newMemcached, "STAT pid 1\n", ErrMalformed},
		{"no END", newMemcached, "VALUE k 0 1\nx\nSTORED\n", ErrMalformed},
		{"more behind END", newMemcached, "END x\n", ErrMalformed},
		{"more behind STORED", newMemcached, "STORED x\n", ErrMalformed},
		{"no length of a value", newMemcached, "VALUE k 0\n", ErrMalformed},
		{"negative length", newMemcached, "VALUE k 0 -1\n", ErrMalformed},
		{"no key", newMemcached, "VALUE  0 1\n", ErrMalformed},
		{"key too long", newMemcached, "VALUE " + strings.Repeat("k", 251) + " 0 1\n", ErrMalformed},
		{"five fields", newMemcached, "VALUE k 0 1 2 3\n", ErrMalformed},
		{"version among values", newMemcached, "VALUE k 0 1\nx\nVERSION 1\n", ErrMalformed},
	} {
		if got := parse(test.reader(), []byte(crlf(test.text))); !errors.Is(got.err, test.want) || got.done {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
	if got := parse(newRESP(), []byte("+OK\n")); !errors.Is(got.err, ErrMalformed) {
		t.Errorf("LF alone: %+v", got)
	}
}

// However the bytes of a reply are cut, the same is found in them; what is found is
// one whole reply to a second reading of it, which looks at all bytes at once.
func fuzzReplies(f *testing.F, reader func() Reader, whole func(string) (n int, ok bool)) {
	for _, test := range validReplies {
		f.Add([]byte(crlf(test.text)), uint16(7))
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		p := reader()
		want := parse(p, text)
		step := int(cut)%64 + 1
		var pieces [][]byte
		for i := 0; i < len(text); i += step {
			pieces = append(pieces, text[i:min(i+step, len(text))])
		}
		p.Reset()
		got := parse(p, pieces...)
		if (got.err == nil) != (want.err == nil) {
			t.Fatalf("in steps of %d: %v; whole: %v", step, got.err, want.err)
		}
		if want.err == nil && got != want {
			t.Fatalf("in steps of %d: %+v; whole: %+v", step, got, want)
		}
		if want.done && want.body+want.rest != string(text) {
			t.Fatalf("%q and %q are not %q", want.body, want.rest, text)
		}
		if n, ok := whole(string(text)); want.done != ok || ok && n != len(want.body) {
			t.Fatalf("%q: a reply of %d bytes (%v), want %d (%v)", text, len(want.body), want.done, n, ok)
		}
	})
}

func FuzzRESP(f *testing.F) {
	fuzzReplies(f, newRESP, func(text string) (int, bool) {
		values := 0
		var value func(from int) (int, bool)
		value = func(from int) (int, bool) {
			line, _, found := strings.Cut(text[from:], "\r\n")
			// A line ends at its first LF, and is bounded.
			if values++; !found || line == "" || strings.Contains(line, "\n") || len(line)+2 > DefaultMaxHeader {
				return 0, false
			}
			next := from + len(line) + 2
			n, err := strconv.ParseInt(line[1:], 10, 64)
			number := err == nil && strconv.FormatInt(n, 10) == line[1:] && n < 1e18 && n > -1e18
			switch line[0] {
			case '+', '-':
				return next, !strings.Contains(line, "\r")
			case ':':
				return next, number
			case '$':
				if !number || n < -1 || n > int64(len(text)) || n >= 0 && !strings.HasPrefix(text[min(next+int(n), len(text)):], "\r\n") {
					return 0, false
				}
				if n >= 0 {
					next += int(n) + 2
				}
				return next, true
			case '*':
				if !number || n < -1 || n > int64(len(text)) {
					return 0, false
				}
				ok := true
				for i := int64(0); i < n && ok; i++ {
					next, ok = value(next)
				}
				return next, ok
			}
			return 0, false
		}
		return value(0)
	})
}

func FuzzMemcached(f *testing.F) {
	fuzzReplies(f, newMemcached, func(text string) (int, bool) {
		for from, values := 0, false; ; values = true {
			line, _, found := strings.Cut(text[from:], "\r\n")
			if !found || strings.Contains(line, "\n") || len(line)+2 > DefaultMaxHeader {
				return 0, false
			}
			from += len(line) + 2
			word, rest, spaced := strings.Cut(line, " ")
			switch {
			case line == "END", word == "ERROR", word == "CLIENT_ERROR", word == "SERVER_ERROR":
				return from, true
			case word == "VALUE" && spaced:
				fields := strings.Split(rest, " ")
				if len(fields) < 3 || len(fields) > 4 || fields[0] == "" || len(fields[0]) > 250 {
					return 0, false
				}
				var size uint64
				for i, field := range fields[1:] {
					n, err := strconv.ParseUint(field, 10, 63)
					if err != nil || strconv.FormatUint(n, 10) != field || n >= 1e18 {
						return 0, false
					}
					if i == 1 {
						size = n
					}
				}
				if size > uint64(len(text)) || !strings.HasPrefix(text[min(from+int(size), len(text)):], "\r\n") {
					return 0, false
				}
				from += int(size) + 2
			case !values && word == "VERSION":
				return from, true
			case !values && (line == "STORED" || line == "NOT_STORED" || line == "EXISTS" || line == "NOT_FOUND"):
				return from, true
			default:
				return 0, false
			}
		}
	})
}
