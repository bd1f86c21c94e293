// Package accesslog writes a line for some of a node's requests, or for all.
//
// A line says what was asked for, by whom, how it ended and how long it took. It has
// no key, no value and no token. Lines are JSON, one object each, as slog writes them.
//
// Whoever logs a request never waits: lines go through a queue of fixed length to one
// goroutine, which alone writes. A line that finds the queue full is dropped, and
// counted. All methods may be called from any goroutine.
package accesslog

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/smache/smache/proto"
)

// queueLen is how many lines may wait to be written; they take less than 256 KiB.
const queueLen = 1024

// bufferLen is how much text is written at once.
const bufferLen = 32 << 10

// closeWithin bounds how long Close waits for lines to be written: whoever reads them
// may have stopped.
const closeWithin = time.Second

// Line is one request. Fields that are zero are left out, but for Status and Took.
type Line struct {
	// Message is "request" for a client's, "forwarded" for one that another node has
	// sent here. It and the other texts must not change afterwards.
	Message string
	// Route is the route of the API, or the opcode of the frame.
	Route string
	// Status is the HTTP status; Outcome is that of the frame, or the code of a failure.
	Status  int
	Outcome string
	// Took is the time from the request's headers, or its frame, to its answer.
	Took time.Duration
	// Received and Sent are the bytes of the bodies.
	Received, Sent int
	// Client is who asked; From is the node that sent the request here.
	Client netip.Addr
	From   string
	// Holder is the node that holds the key, Items the number of keys of a batch.
	Holder string
	Items  int
	// Trace is where the request stands in a trace, if it is part of one: Parent is the
	// span of who asked. Trace.Span is this node's own, or zero.
	Trace  proto.Trace
	Parent [8]byte
}

// Log is an access log.
type Log struct {
	share   float64
	queue   chan Line
	stop    chan struct{}
	stopped chan struct{}

	// Of the goroutine that writes.
	w       io.Writer
	buffer  bytes.Buffer
	held    uint64 // lines in buffer
	handler slog.Handler

	written, dropped, failed atomic.Uint64
}

// New makes a log of a share of the requests, above 0 and at most 1, which goes to w.
// Close ends it.
func New(w io.Writer, share float64) *Log {
	l := &Log{share: share, w: w, queue: make(chan Line, queueLen), stop: make(chan struct{}), stopped: make(chan struct{})}
	l.handler = slog.NewJSONHandler(&l.buffer, nil)
	go l.run()
	return l
}

// Wants draws whether a request is one of the share.
func (l *Log) Wants() bool { return l.share >= 1 || rand.Float64() < l.share } // no secret

// Add writes a line, or drops it. It never blocks, and keeps nothing of line.
func (l *Log) Add(line *Line) {
	select {
	case l.queue <- *line:
	default:
		l.dropped.Add(1)
	}
}

// Close writes what waits, within a second, and ends the log. Lines that are added
// afterwards are lost. It may be called once.
func (l *Log) Close() {
	close(l.stop)
	timer := time.NewTimer(closeWithin)
	defer timer.Stop()
	select {
	case <-l.stopped:
	case <-timer.C:
	}
}

func (l *Log) run() {
	defer close(l.stopped)
	for {
		select {
		case line := <-l.queue:
			l.put(&line)
			continue
		default: // nothing waits
		}
		l.flush()
		select {
		case line := <-l.queue:
			l.put(&line)
		case <-l.stop:
			for len(l.queue) > 0 {
				line := <-l.queue
				l.put(&line)
			}
			l.flush()
			return
		}
	}
}

// put makes a line text.
func (l *Log) put(line *Line) {
	_ = l.handler.Handle(context.Background(), line.record()) // to a buffer, which takes all
	if l.held++; l.buffer.Len() >= bufferLen {
		l.flush()
	}
}

// flush writes the text that there is, whole lines at once.
func (l *Log) flush() {
	if l.held == 0 {
		return
	}
	if _, err := l.w.Write(l.buffer.Bytes()); err != nil {
		l.failed.Add(l.held)
	} else {
		l.written.Add(l.held)
	}
	l.buffer.Reset()
	l.held = 0
}

// record makes the line one of slog's.
func (line *Line) record() slog.Record {
	r := slog.NewRecord(time.Now(), slog.LevelInfo, line.Message, 0)
	var attrs [14]slog.Attr
	a := append(attrs[:0], slog.String("route", line.Route))
	if line.Status != 0 {
		a = append(a, slog.Int("status", line.Status))
	}
	a = appendText(a, "outcome", line.Outcome)
	a = append(a, slog.Float64("ms", math.Round(float64(line.Took)/1e3)/1e3))
	a = appendCount(a, "items", line.Items)
	a = appendCount(a, "received", line.Received)
	a = appendCount(a, "sent", line.Sent)
	if line.Client.IsValid() {
		a = append(a, slog.String("client", line.Client.String()))
	}
	a = appendText(a, "from", line.From)
	a = appendText(a, "holder", line.Holder)
	if line.Trace.Valid() || line.Parent != [8]byte{} {
		a = append(a, slog.String("trace_id", hex.EncodeToString(line.Trace.ID[:])))
		a = appendSpan(a, "span_id", line.Trace.Span)
		a = appendSpan(a, "parent_id", line.Parent)
	}
	r.AddAttrs(a...)
	return r
}

func appendText(a []slog.Attr, name, text string) []slog.Attr {
	if text == "" {
		return a
	}
	return append(a, slog.String(name, text))
}

func appendCount(a []slog.Attr, name string, n int) []slog.Attr {
	if n <= 0 {
		return a
	}
	return append(a, slog.Int(name, n))
}

func appendSpan(a []slog.Attr, name string, span [8]byte) []slog.Attr {
	if span == [8]byte{} {
		return a
	}
	return append(a, slog.String(name, hex.EncodeToString(span[:])))
}

// AppendMetrics appends what became of the lines, as Prometheus text.
func (l *Log) AppendMetrics(dst []byte) []byte {
	const name = "smache_access_log_lines_total"
	dst = append(dst, "# HELP "+name+" Lines of the access log: written, dropped because the queue was full, and failed, as their reader was gone.\n# TYPE "+name+" counter\n"...)
	for _, r := range []struct {
		result string
		n      uint64
	}{{"written", l.written.Load()}, {"dropped", l.dropped.Load()}, {"failed", l.failed.Load()}} {
		dst = append(append(append(dst, name+`{result="`...), r.result...), `"} `...)
		dst = append(strconv.AppendUint(dst, r.n, 10), '\n')
	}
	return dst
}
