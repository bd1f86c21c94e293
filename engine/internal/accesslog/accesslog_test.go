package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// lockedBuffer is a writer that a test may read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func metrics(t *testing.T, l *Log, written, dropped, failed string) {
	t.Helper()
	text := string(l.AppendMetrics(nil))
	for result, n := range map[string]string{"written": written, "dropped": dropped, "failed": failed} {
		if !strings.Contains(text, `smache_access_log_lines_total{result="`+result+`"} `+n+"\n") {
			t.Errorf("not %s lines %s:\n%s", n, result, text)
		}
	}
}

// TestLines: what is given is there, and nothing else.
func TestLines(t *testing.T) {
	var out lockedBuffer
	l := New(&out, 1)
	l.Add(&Line{Message: "request", Route: "get", Status: 200})
	l.Add(&Line{
		Message: "request", Route: "mget", Status: 503, Outcome: "busy", Took: 1234567 * time.Nanosecond, Received: 1, Sent: 2, Items: 3,
		Client: netip.MustParseAddr("192.0.2.1"), Holder: "smache@b", From: "smache@a",
		Trace: proto.Trace{ID: [16]byte{0xab}, Span: [8]byte{0xcd}, Flags: 1}, Parent: [8]byte{0xef},
	})
	l.Close()
	<-l.stopped // within a second, unless the machine is busy
	var lines []map[string]any
	for line := range strings.Lines(out.b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if at, err := time.Parse(time.RFC3339Nano, m["time"].(string)); err != nil || time.Since(at) > time.Hour {
			t.Errorf("time %v", m["time"])
		}
		delete(m, "time")
		lines = append(lines, m)
	}
	want := []map[string]any{
		{"level": "INFO", "msg": "request", "route": "get", "status": 200.0, "ms": 0.0},
		{
			"level": "INFO", "msg": "request", "route": "mget", "status": 503.0, "outcome": "busy", "ms": 1.235, "received": 1.0, "sent": 2.0, "items": 3.0,
			"client": "192.0.2.1", "holder": "smache@b", "from": "smache@a",
			"trace_id": "ab" + strings.Repeat("0", 30), "span_id": "cd" + strings.Repeat("0", 14), "parent_id": "ef" + strings.Repeat("0", 14),
		},
	}
	if !slices.EqualFunc(lines, want, func(a, b map[string]any) bool { return maps.Equal(a, b) }) {
		t.Errorf("the lines are\n%v, want\n%v", lines, want)
	}
	metrics(t, l, "2", "0", "0")
}

// stuck is a writer that takes nothing until it is let go.
type stuck struct{ begun, goOn chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	s.begun <- struct{}{}
	<-s.goOn
	return len(p), nil
}

// TestNobodyWaits: a reader that stops costs lines, which are counted, and no time; nor
// does it hold up the end.
func TestNobodyWaits(t *testing.T) {
	w := stuck{make(chan struct{}), make(chan struct{})}
	l := New(w, 1)
	l.Add(&Line{Route: "get"})
	<-w.begun // the writer is stuck with the first line
	for range queueLen + 7 {
		l.Add(&Line{Route: "get"})
	}
	metrics(t, l, "0", "7", "0")
	l.Close()
	go func() {
		for range w.begun {
		}
	}()
	close(w.goOn)
	<-l.stopped
	close(w.begun)
	metrics(t, l, "1025", "7", "0")
}

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, errors.New("nobody reads this") }

func TestReaderGone(t *testing.T) {
	l := New(gone{}, 1)
	l.Add(&Line{})
	l.Add(&Line{})
	l.Close()
	<-l.stopped
	metrics(t, l, "0", "0", "2")
}

// TestShare: a share is about that, and all is all.
func TestShare(t *testing.T) {
	for share, want := range map[float64][2]int{1: {100000, 100000}, 0.1: {9000, 11000}, 1e-9: {0, 2}} {
		l, n := New(io.Discard, share), 0
		for range 100000 {
			if l.Wants() {
				n++
			}
		}
		l.Close()
		if n < want[0] || n > want[1] {
			t.Errorf("a share of %v is %d of 100000", share, n)
		}
	}
}
