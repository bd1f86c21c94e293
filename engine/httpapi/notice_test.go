package httpapi

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// TestOperatorIsTold: a limit that is reached is in the log, once, with the flag
// to turn and nothing of the request, and again after a while with the count.
func TestOperatorIsTold(t *testing.T) {
	cache := newFake()
	cache.override = func(op *proto.Op) bool {
		op.Status = proto.StatusQueueFull
		return true
	}
	var log bytes.Buffer
	s := newServer(t, cache, func(c *Config) {
		c.Logger, c.MaxValue, c.MaxBatch = slog.New(slog.NewJSONHandler(&log, nil)), 100, 2
	})
	send := func(path, body string) {
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetMethod("POST")
		ctx.Request.SetRequestURI("http://localhost" + path)
		ctx.Request.Header.SetContentType("application/json")
		ctx.Request.SetBodyString(body)
		s.Handler()(&ctx)
	}
	want := func(about, code, flag, total string) {
		t.Helper()
		text := log.String()
		log.Reset()
		if code == "" && text == "" {
			return
		}
		if strings.Count(text, "\n") != 1 || !strings.Contains(text, `"code":"`+code+`","refused_so_far":`+total+"}") || !strings.Contains(text, flag) {
			t.Errorf("%s: the log is %q", about, text)
		}
		if strings.Contains(text, "confidential") {
			t.Errorf("%s: the log shows the request: %q", about, text)
		}
	}
	const write = `{"key":"confidential","data":{}}`
	send("/api", write)
	want("the first refusal", "queue_full", "--queue", "1")
	send("/api", write)
	send("/api/mset", `{"entries":[`+write+`]}`)
	want("more of the same", "", "", "")
	s.registry.base = s.registry.base.Add(-noticePause)
	send("/api/mset", `{"entries":[`+write+`]}`)
	want("after a while, of an item", "queue_full", "--queue", "4")

	send("/api", `{"key":"confidential","data":{"x":"`+strings.Repeat("x", 100)+`"}}`)
	want("a value too large", "value_too_large", "--max-value", "1")
	send("/api/mget", `{"keys":[1,2,3]}`)
	want("a batch too large", "batch_too_large", "--max-batch", "1")
	send("/api", `{"key":"confidential"}`)
	want("a client's mistake", "", "", "")
	s.countRejection(proto.FailConnections)
	want("a connection too many", "too_many_connections", "--max-connections", "1")
}
