package httpapi

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/smache/smache/engine/internal/accesslog"
	"github.com/smache/smache/proto"
)

const aTraceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestTraceparent: what the standard calls valid, and what it does not.
func TestTraceparent(t *testing.T) {
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for text, flags := range map[string]int{
		aTraceparent:                           1,
		"00-" + id + "-" + parent + "-00":      0,
		"00-" + id + "-" + parent + "-03":      3,
		"00-" + id + "-" + parent + "-ff":      3, // flags of later versions are not passed on
		"01-" + id + "-" + parent + "-01":      1, // a later version
		"cc-" + id + "-" + parent + "-01-what": 1,

		"": -1, "00": -1,
		"ff-" + id + "-" + parent + "-01":                      -1,
		"00-" + id + "-" + parent + "-01-what":                 -1,
		"cc-" + id + "-" + parent + "-01.what":                 -1,
		"00-" + strings.ToUpper(id) + "-" + parent + "-01":     -1,
		"00-" + id + "-" + strings.ToUpper(parent) + "-01":     -1,
		"00-" + strings.Repeat("0", 32) + "-" + parent + "-01": -1,
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01":     -1,
		"00-" + id + "-" + parent + "-0g":                      -1,
		"0 -" + id + "-" + parent + "-01":                      -1,
		"00_" + id + "-" + parent + "-01":                      -1,
		"00-" + id + "_" + parent + "-01":                      -1,
		"00-" + id + "-" + parent + "_01":                      -1,
		"00-" + id + "-" + parent:                              -1,
		aTraceparent + ", " + aTraceparent:                     -1,
		"00-" + id[:31] + "-" + parent + "-01":                 -1,
		"00-" + id[:30] + "\x00\xff" + "-" + parent + "-01":    -1,
	} {
		got, ok := parseTraceparent([]byte(text))
		if ok != (flags >= 0) {
			t.Errorf("%q is taken: %t", text, ok)
			continue
		}
		if ok && (hex.EncodeToString(got.ID[:]) != id || hex.EncodeToString(got.Span[:]) != parent || int(got.Flags) != flags) {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add([]byte(aTraceparent))
	f.Add([]byte("cc" + aTraceparent[2:] + "-more"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := parseTraceparent(b)
		if !ok {
			return
		}
		if !got.Valid() || got.Flags&^proto.TraceFlags != 0 {
			t.Fatalf("%q is %+v", b, got)
		}
		if text := hex.EncodeToString(got.ID[:]) + "-" + hex.EncodeToString(got.Span[:]); text != string(b[3:52]) {
			t.Fatalf("%q is %s", b, text)
		}
	})
}

// traceCache notes the traces of operations.
type traceCache struct {
	*fake
	mu   sync.Mutex
	seen []*proto.Trace // copies; nil for none
}

func (c *traceCache) Submit(op *proto.Op) bool {
	c.mu.Lock()
	var seen *proto.Trace
	if op.Trace != nil {
		copied := *op.Trace
		seen = &copied
	}
	c.seen = append(c.seen, seen)
	c.mu.Unlock()
	return c.fake.Submit(op)
}

func (c *traceCache) take() []*proto.Trace {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// TestTraceGoesOn: every operation of a request goes on with its trace, under a span of
// this node's own; a request without one, or with a wrong one, goes on without.
func TestTraceGoesOn(t *testing.T) {
	cache := &traceCache{fake: newFake()}
	c := dial(t, serve(t, newServer(t, cache, nil)))
	with := func(header, text string) string { return strings.Replace(text, "Host:", header+"Host:", 1) }
	const good = "traceparent: " + aTraceparent + "\r\n"
	for _, header := range []string{good, "", good + good, "Traceparent: 00-zz\r\n", good} {
		for _, r := range []struct {
			text string
			ops  int
		}{
			{"GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 1},
			{postText("/api", `{"key":1,"data":{}}`), 1},
			{"DELETE /api?key=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 1},
			{postText("/api/mget", `{"keys":[1,2,3]}`), 3},
			{postText("/api/mset", `{"entries":[{"key":1,"data":{}},{"key":2,"data":{}}]}`), 2},
			{postText("/api/mdel", `{"keys":[1,2]}`), 2},
			{postText("/api/touch", `{"keys":[1,2],"ttl":5}`), 2},
		} {
			if got := c.send(with(header, r.text)); got.status != 200 {
				t.Fatal(got.body)
			}
			seen := cache.take()
			if len(seen) != r.ops {
				t.Fatalf("%d operations", len(seen))
			}
			for _, trace := range seen {
				switch {
				case (trace != nil) != (header == good):
					t.Errorf("with %q a trace goes on: %t", header, trace != nil)
				case trace == nil:
				case hex.EncodeToString(trace.ID[:]) != aTraceparent[3:35] || trace.Span == [8]byte{} ||
					hex.EncodeToString(trace.Span[:]) == aTraceparent[36:52] || trace.Flags != proto.TraceSampled || *trace != *seen[0]:
					t.Errorf("it goes on as %+v", trace)
				}
			}
		}
	}
}

// TestAccessLog: what the lines say of requests, and what they never say.
func TestAccessLog(t *testing.T) {
	var out bytes.Buffer
	log := accesslog.New(&out, 1)
	cache := newFake()
	cache.override = func(op *proto.Op) bool {
		if string(op.Key) == "selsewhere" {
			op.Node, op.Status = "smache@other", proto.StatusUnreachable
			return true
		}
		return false
	}
	s := newServer(t, cache, func(c *Config) {
		c.AccessLog = log
		c.Tokens = Tokens{All: parsedTokens(t, writeToken)}
	})
	c := dial(t, serve(t, s))
	const authorized = "Authorization: Bearer " + writeToken + "\r\n"
	for _, text := range []string{
		"GET /api?key=secretkey HTTP/1.1\r\nHost: localhost\r\n\r\n",
		strings.Replace(postText("/api", `{"key":"secretkey","data":{"secret":"value"}}`), "Host:", authorized+"traceparent: "+aTraceparent+"\r\nHost:", 1),
		"GET /api?key=elsewhere HTTP/1.1\r\n" + authorized + "Host: localhost\r\n\r\n",
		strings.Replace(postText("/api/mget", `{"keys":["secretkey",2,3]}`), "Host:", authorized+"Host:", 1),
		"GET /secretpath HTTP/1.1\r\n" + authorized + "Host: localhost\r\n\r\n",
	} {
		c.send(text)
	}
	eventually(t, "the requests are over", func() bool {
		return s.sum(func(m *shard) *atomic.Uint64 { return &m.ended }) == 5
	})
	endLog(t, log, 5)
	if text := out.String(); strings.Contains(text, "secret") || strings.Contains(text, writeToken) {
		t.Errorf("the log tells too much: %s", text)
	}
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	if len(lines) != 5 {
		t.Fatalf("%d lines: %s", len(lines), out.String())
	}
	for i, want := range []map[string]any{
		{"route": "other", "status": 401.0, "outcome": "unauthorized", "client": "127.0.0.1", "trace_id": nil},
		{"route": "post", "status": 200.0, "received": 45.0, "sent": 27.0, "trace_id": aTraceparent[3:35], "parent_id": aTraceparent[36:52], "holder": nil},
		{"route": "get", "status": 503.0, "outcome": "unreachable", "holder": "smache@other"},
		{"route": "mget", "status": 200.0, "items": 3.0, "span_id": nil},
		{"route": "other", "status": 404.0, "outcome": "not_found"},
	} {
		for name, value := range want {
			if got := lines[i][name]; got != value {
				t.Errorf("line %d: %s is %v, want %v", i, name, got, value)
			}
		}
	}
	if span, _ := lines[1]["span_id"].(string); len(span) != 16 || span == aTraceparent[36:52] {
		t.Errorf("the span is %q", span)
	}
}

// endLog ends a log once so many lines are written: Close waits for them for a second only.
func endLog(t *testing.T, log *accesslog.Log, lines int) {
	t.Helper()
	eventually(t, "the lines are written", func() bool {
		return strings.Contains(string(log.AppendMetrics(nil)), `{result="written"} `+itoa(lines)+"\n")
	})
	log.Close()
}

// TestAccessLogOfTraces: a recorded trace is logged whatever the share; what is logged
// by chance is recorded from here on.
func TestAccessLogOfTraces(t *testing.T) {
	for _, c := range []struct {
		share        float64
		header       string
		lines, flags int
	}{
		{1e-12, aTraceparent, 1, 1},
		{1e-12, aTraceparent[:53] + "00", 0, 0},
		{1, aTraceparent[:53] + "00", 1, 1},
		{1, "", 1, 0},
		{1e-12, "", 0, 0},
	} {
		var out bytes.Buffer
		log := accesslog.New(&out, c.share)
		cache := &traceCache{fake: newFake()}
		s := newServer(t, cache, func(config *Config) { config.AccessLog = log })
		ctx := getContext("/api?key=1")
		if c.header != "" {
			ctx.Request.Header.Set("traceparent", c.header)
		}
		s.Handler()(ctx)
		endLog(t, log, c.lines)
		if n := strings.Count(out.String(), "\n"); n != c.lines {
			t.Errorf("share %v, %q: %d lines", c.share, c.header, n)
		}
		if trace := cache.take()[0]; trace != nil && int(trace.Flags) != c.flags {
			t.Errorf("share %v, %q: goes on with flags %d", c.share, c.header, trace.Flags)
		}
	}
}

// TestTraceAllocatesNothing: nor does the line of the access log.
func TestTraceAllocatesNothing(t *testing.T) {
	log := accesslog.New(blackHole{}, 1e-12)
	defer log.Close()
	s := newServer(t, &still{value: []byte(seedValue), ttl: proto.Forever}, func(c *Config) { c.AccessLog = log })
	handler, ctx := s.Handler(), getContext("/api?key=1042")
	ctx.Request.Header.Set("traceparent", aTraceparent[:53]+"00")
	ctx.Response.KeepBodyBuffer = true
	n := testing.AllocsPerRun(1000, func() {
		ctx.Response.Reset()
		handler(ctx)
	})
	if n > poolMisses {
		t.Errorf("a traced GET allocates %v times", n)
	}
}

type blackHole struct{}

func (blackHole) Write(p []byte) (int, error) { return len(p), nil }
