package httpapi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// The files in testdata/api are conversations: requests as they go over the wire
// and the answers to them, over one connection to a fresh server.
//
//	= title          a new exchange
//	@setting value   a setting of the server, before the first exchange, or of the cache
//	> line           a line of the request; lines end in CRLF. Behind the empty
//	                 line comes the body, joined by LF. {len} is its length.
//	< line           the status, then headers, then, behind an empty line, the body
//
// In an answer … stands for any text, and "Name: (none)" for a header that is
// not there. Headers that are not listed are not looked at.
type exchange struct {
	place    string
	title    string
	settings [][2]string
	request  []string
	answer   []string
}

func TestConformance(t *testing.T) {
	files, err := filepath.Glob("testdata/api/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			converse(t, parseConversation(t, file))
		})
	}
}

func parseConversation(t *testing.T, file string) []exchange {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		place := fmt.Sprintf("%s:%d", filepath.Base(file), i+1)
		if kind == "=" {
			all = append(all, exchange{place: place, title: rest})
			continue
		}
		if kind == "" || kind == "#" {
			continue
		}
		if len(all) == 0 {
			all = append(all, exchange{place: place, title: "settings"})
		}
		last := &all[len(all)-1]
		switch {
		case kind[0] == '@':
			last.settings = append(last.settings, [2]string{kind[1:], rest})
		case kind == ">":
			last.request = append(last.request, rest)
		case kind == "<":
			last.answer = append(last.answer, rest)
		default:
			t.Fatalf("%s: %q", place, line)
		}
	}
	return all
}

func converse(t *testing.T, all []exchange) {
	cache := newFake()
	ready := true
	s := newServer(t, cache, func(c *Config) {
		c.Ready = func() bool { return ready }
		for _, set := range all[0].settings {
			configure(t, c, set[0], set[1])
		}
	})
	address := serve(t, s)
	c := dial(t, address)
	for i, x := range all {
		for _, set := range x.settings {
			if i > 0 {
				adjustCache(t, cache, &ready, set[0], set[1])
			}
		}
		if len(x.request) == 0 {
			continue
		}
		got := c.send(requestText(x.request))
		for _, problem := range compareAnswer(got, x.answer) {
			t.Errorf("%s %s: %s", x.place, x.title, problem)
		}
		cache.mu.Lock()
		cache.override = nil
		cache.mu.Unlock()
		if got.close {
			c = dial(t, address)
		}
	}
}

func requestText(lines []string) string {
	head := len(lines)
	for i, line := range lines {
		if line == "" {
			head = i
			break
		}
	}
	body := ""
	if head < len(lines) {
		body = strings.Join(lines[head+1:], "\n")
	}
	body = strings.ReplaceAll(body, "␍", "\r")
	text := strings.Join(lines[:head], "\r\n")
	return strings.ReplaceAll(text, "{len}", strconv.Itoa(len(body))) + "\r\n\r\n" + body
}

func compareAnswer(got answerText, want []string) (problems []string) {
	if status := strconv.Itoa(got.status); status != want[0] {
		problems = append(problems, fmt.Sprintf("status %s, should be %s", status, want[0]))
	}
	body, inBody := []string(nil), false
	for _, line := range want[1:] {
		switch {
		case inBody:
			body = append(body, line)
		case line == "":
			inBody = true
		default:
			name, value, _ := strings.Cut(line, ": ")
			have, ok := got.header[httpName(name)]
			switch {
			case value == "(none)" && ok:
				problems = append(problems, fmt.Sprintf("%s is %q, should not be there", name, have))
			case value != "(none)" && (len(have) != 1 || !matches(have[0], value)):
				problems = append(problems, fmt.Sprintf("%s is %q, should be %q", name, have, value))
			}
		}
	}
	if inBody && !matches(got.body, strings.Join(body, "\n")) {
		problems = append(problems, fmt.Sprintf("body is\n\t%s\nshould be\n\t%s", got.body, strings.Join(body, "\n")))
	}
	return problems
}

// matches reports whether text is what pattern says, in which … is any text.
func matches(text, pattern string) bool {
	parts := strings.Split(pattern, "…")
	if len(parts) == 1 {
		return text == pattern
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

// httpName is the form in which net/http keeps a header's name.
func httpName(name string) string {
	parts := strings.Split(strings.ToLower(name), "-")
	for i, p := range parts {
		parts[i] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "-")
}

func configure(t *testing.T, c *Config, name, value string) {
	t.Helper()
	number, _ := strconv.Atoi(value)
	switch name {
	case "max-value":
		c.MaxValue = number
	case "max-batch":
		c.MaxBatch = number
	case "max-body":
		c.MaxBody = number
	case "max-answer":
		c.MaxAnswer = number
	case "cors":
		c.CORSOrigins = strings.Fields(value)
	case "allowed-host":
		c.AllowedHosts = strings.Fields(value)
	case "default-ttl":
		c.DefaultTTL = time.Duration(number) * time.Second
	default:
		t.Fatalf("no setting %q", name)
	}
}

// statusNames are the statuses that a cache can be made to answer with.
var statusNames = map[string]proto.Status{
	"queue-full": proto.StatusQueueFull, "not-holder": proto.StatusNotHolder, "unreachable": proto.StatusUnreachable,
	"closed": proto.StatusClosed, "too-large": proto.StatusTooLarge, "stale": proto.StatusStale, "unknown": 200,
}

// adjustCache changes the cache for the exchange that follows.
func adjustCache(t *testing.T, cache *fake, ready *bool, name, value string) {
	t.Helper()
	cache.mu.Lock()
	defer cache.mu.Unlock()
	switch name {
	case "advance":
		d, err := time.ParseDuration(value)
		if err != nil {
			t.Fatal(err)
		}
		cache.now = cache.now.Add(d)
	case "late":
		cache.late = value == "true"
	case "ready":
		*ready = value == "true"
	case "flush-error":
		cache.flushErr = errors.New("fake: " + value)
	case "status":
		status, ok := statusNames[value]
		if !ok {
			t.Fatalf("no status %q", value)
		}
		cache.override = func(op *proto.Op) bool {
			op.Status = status
			return true
		}
	default:
		t.Fatalf("no setting %q", name)
	}
}

// TestEveryFailureIsProvoked looks for each code of the failure table in the
// conversations, and in the list of those that other tests provoke.
func TestEveryFailureIsProvoked(t *testing.T) {
	elsewhere := map[string]string{
		"request_timeout":      "TestSlowRequests",
		"too_many_connections": "TestConnectionLimits",
		"too_many_requests":    "TestConnectionLimits",
		"overloaded":           "TestBudget",
		"internal":             "TestPanic",
		"body_too_large":       "TestBodyLimit",
		"key_too_long":         "TestKeyLimit",
		"header_too_large":     "TestHeaderLimit",
		"answer_too_large":     "TestAnswerLimit",
	}
	files, err := filepath.Glob("testdata/api/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, f := range proto.Failures() {
		if !strings.Contains(all.String(), `"code":"`+f.Code+`"`) && elsewhere[f.Code] == "" {
			t.Errorf("nothing provokes %s", f.Code)
		}
	}
}
