package engine

import (
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/engine/httpapi"
	"github.com/smache/smache/engine/internal/conversation"
)

// steppedClock is a clock that only a test moves.
type steppedClock struct{ now atomic.Int64 }

func (c *steppedClock) Now() int64  { return c.now.Load() }
func (c *steppedClock) Wall() int64 { return c.now.Load() / 1000 }

// The conversations of the API's own tests hold of a whole node as well. Left out
// are exchanges that need a cache which fails to order.
func TestConformanceOfNode(t *testing.T) {
	eachConversation(t, "*", func(t *testing.T, cfg *Config, _ []conversation.Exchange) string {
		_, url := run(t, *cfg)
		return url
	})
}

// eachConversation has the recorded conversations that a pattern names, each with a node of
// its own. serve starts it with a configuration, which has a clock that only the conversation moves, may change what it is
// to answer, and gives its URL.
func eachConversation(t *testing.T, names string, serve func(t *testing.T, cfg *Config, all []conversation.Exchange) string) {
	t.Helper()
	files, err := filepath.Glob("httpapi/testdata/api/" + names + ".txt")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			all, err := conversation.Parse(file)
			if err != nil {
				t.Fatal(err)
			}
			clock := &steppedClock{}
			clock.now.Store(int64(time.Hour))
			cfg := small("smache@test")
			cfg.Version, cfg.Clock = "test", clock
			for _, set := range all[0].Settings {
				configureNode(t, &cfg, set)
			}
			url := serve(t, &cfg, all[1:])
			played, ready := 0, true
			conversation.Play(t, strings.TrimPrefix(url, "http://"), all[1:], func(x *conversation.Exchange) bool {
				possible := true
				for _, set := range x.Settings {
					switch set.Name {
					case "advance":
						d, err := time.ParseDuration(set.Value)
						if err != nil {
							t.Fatal(err)
						}
						clock.now.Add(int64(d))
					case "ready":
						ready = set.Value == "true"
					case "late": // when an operation is complete is the node's affair
					default:
						possible = false
					}
				}
				if possible = possible && ready; possible {
					played++
				}
				return possible
			})
			if played*2 < len(all) {
				t.Errorf("only %d of %d exchanges", played, len(all)-1)
			}
		})
	}
}

// configureNode applies a setting of a conversation's server.
func configureNode(t *testing.T, cfg *Config, set conversation.Setting) {
	t.Helper()
	number, _ := strconv.Atoi(set.Value)
	switch set.Name {
	case "max-value":
		cfg.MaxValue = number
	case "max-batch":
		cfg.MaxBatch = number
	case "max-body":
		cfg.MaxBody = number
	case "max-answer":
		cfg.MaxAnswer = number
	case "cors":
		cfg.CORSOrigins = strings.Fields(set.Value)
	case "tokens":
		cfg.Tokens.All = conversationTokens(t, set.Value)
	case "read-tokens":
		cfg.Tokens.Read = conversationTokens(t, set.Value)
	case "allowed-host":
		cfg.AllowedHosts = strings.Fields(set.Value)
	case "default-ttl":
		cfg.DefaultTTL = time.Duration(number) * time.Second
	default:
		t.Fatalf("no setting %q", set.Name)
	}
}

// conversationTokens makes tokens of texts between spaces.
func conversationTokens(t *testing.T, texts string) []httpapi.Token {
	t.Helper()
	tokens, err := httpapi.ParseTokens([]byte(strings.Join(strings.Fields(texts), "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}
