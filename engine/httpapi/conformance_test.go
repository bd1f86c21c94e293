package httpapi

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/engine/internal/conversation"
	"github.com/smache/smache/proto"
)

func TestConformance(t *testing.T) {
	files, err := filepath.Glob("testdata/api/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			converse(t, file)
		})
	}
}

// converse plays a conversation with an API in front of a fake.
func converse(t *testing.T, file string) {
	all, err := conversation.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	cache := newFake()
	ready := true
	s := newServer(t, cache, func(c *Config) {
		c.Ready = func() bool { return ready }
		for _, set := range all[0].Settings {
			configure(t, c, set.Name, set.Value)
		}
	})
	conversation.Play(t, serve(t, s), all[1:], func(x *conversation.Exchange) bool {
		cache.mu.Lock()
		defer cache.mu.Unlock()
		cache.override = nil
		for _, set := range x.Settings {
			adjustCache(t, cache, &ready, set.Name, set.Value)
		}
		return true
	})
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
	case "tokens":
		c.Tokens.All = parsedTokens(t, strings.Fields(value)...)
	case "read-tokens":
		c.Tokens.Read = parsedTokens(t, strings.Fields(value)...)
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

// adjustCache changes the cache, whose lock is held, for the exchange that follows.
func adjustCache(t *testing.T, cache *fake, ready *bool, name, value string) {
	t.Helper()
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
		"rate_limited":         "TestRateLimit",
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
