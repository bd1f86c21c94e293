package httpapi

import (
	"bufio"
	"bytes"
	"io"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/engine/httpapi/loop"
)

// worker serves the connections of one loop, as its Handler: requests that came
// whole, for one key or for none, and reads of many. Whatever else comes leaves the loop for a goroutine
// with all bytes of it, and fasthttp's server has it from the start.
type worker struct {
	server *Server
	in     []byte // what was read
	header header
	reader *bufio.Reader // of header
	ctx    *fasthttp.RequestCtx
	out    []byte // answers
	large  []byte // the body of the last of them, if it is above flushFrom
	rooms  rooms
	plain  plain
	// gathered sends the operations that have waited for each other; nil: none do.
	gathered func()
}

// flushFrom is how long answers to pipelined requests get before they are written.
const flushFrom = 16 << 10

func newWorker(s *Server) *worker {
	w := &worker{server: s, in: make([]byte, s.config.MaxHeader), out: make([]byte, 0, 2*flushFrom)}
	w.reader = bufio.NewReaderSize(&w.header, s.config.MaxHeader)
	w.plain = newPlain(w)
	if g, ok := s.config.Cache.(Gatherer); ok {
		w.gathered = g.Gathered
	}
	return w
}

// context gives the context of the next request.
func (w *worker) context() *fasthttp.RequestCtx {
	if w.ctx == nil {
		w.ctx = w.server.loops.contexts.Get().(*fasthttp.RequestCtx) // nothing else is put there
	}
	return w.ctx
}

// newContext makes a context for requests on a loop.
func newContext() any {
	ctx := &fasthttp.RequestCtx{}
	ctx.Init2(nil, silence{}, false)
	return ctx
}

// header reads a header, once.
type header []byte

func (h *header) Read(p []byte) (int, error) {
	if len(*h) == 0 {
		return 0, io.EOF
	}
	n := copy(p, *h)
	*h = (*h)[n:]
	return n, nil
}

// Ready implements loop.Handler.
func (w *worker) Ready(lc *loop.Conn) {
	c := lc.Owner.(*conn) // begin put it there
	if c.closed.Load() {
		return // after a panic; the loop has still to hear of it
	}
	defer w.caught(c)
	n, more, err := lc.Receive(w.in)
	if n == 0 {
		if err != nil {
			_ = c.Close()
		}
		return
	}
	c.in.Add(uint64(n))
	w.serve(c, w.in[:n])
	if more {
		lc.Again()
	}
}

// Resumed implements loop.Handler.
func (w *worker) Resumed(lc *loop.Conn) {
	c := lc.Owner.(*conn) // begin put it there
	defer w.caught(c)
	o := &c.onLoop
	ctx, r := o.ctx, o.r
	o.ctx, o.r = nil, nil
	var closes bool
	if ctx == nil {
		closes = w.plain.answer(r, nil)
	} else {
		if w.server.resume(ctx, r) {
			o.ctx, o.r = ctx, r
			o.conn.Hold()
			return
		}
		closes = w.answer(ctx)
		w.server.loops.contexts.Put(ctx)
	}
	rest := c.rest
	c.rest = nil
	if closes || w.full() || len(o.unsent) > 0 {
		if !w.flush(c, rest, closes) {
			return
		}
	}
	w.serve(c, rest)
}

// Cut implements loop.Handler.
func (w *worker) Cut(lc *loop.Conn) {
	c := lc.Owner.(*conn) // begin put it there
	defer w.caught(c)
	if c.registry.passed(c.readBy.Load()) {
		_ = c.Close()
		return
	}
	// It was for an earlier deadline.
	_ = c.rearm(lc.SetReadDeadline, &c.readBy)
}

// Rest implements loop.Handler.
func (w *worker) Rest() {
	if w.gathered != nil {
		w.gathered()
	}
}

// caught ends a panic of Ready, Resumed or Cut, which defer it: c is closed.
func (w *worker) caught(c *conn) {
	v := recover()
	if v == nil {
		return
	}
	// It may have left anything half done: nothing of it is used again.
	w.ctx, w.out, w.large = nil, make([]byte, 0, 2*flushFrom), nil
	if c.onLoop.r != nil {
		c.onLoop.conn.Hold() // for an operation that is under way, and will want to go on
	}
	w.server.dropInPanic(c, v)
}

// serve answers the requests in in, as far as it can.
func (w *worker) serve(c *conn, in []byte) {
	s := w.server
	for len(in) > 0 {
		if n, closes, waits := w.plain.serve(c, in); n > 0 {
			in = in[n:]
			if waits {
				w.hold(c, in)
				return
			}
			if (closes || w.full()) && !w.flush(c, in, closes) {
				return
			}
			continue
		}
		ctx := w.context()
		n := w.parse(ctx, in)
		if n == 0 {
			ctx.Request.Reset()
			w.leave(c, in)
			return
		}
		w.plain.learn(c, &ctx.Request.Header, in[:n])
		in = in[n:]
		r := s.acquire(c)
		r.onLoop, r.rooms = true, &w.rooms
		if s.perform(ctx, r) {
			c.onLoop.ctx, c.onLoop.r, w.ctx = ctx, r, nil
			w.hold(c, in)
			return
		}
		closes := w.answer(ctx)
		if (closes || w.full()) && !w.flush(c, in, closes) {
			return
		}
	}
	w.flush(c, nil, false)
}

var headerEnd = []byte("\r\n\r\n")

// parse reads a whole request, of those that are served here, from the beginning of
// in, and gives its length; 0 if there is none.
func (w *worker) parse(ctx *fasthttp.RequestCtx, in []byte) int {
	n := bytes.Index(in, headerEnd) + len(headerEnd)
	if n < len(headerEnd) || bytes.Count(in[:n], headerEnd[1:2]) > maxHeaderLines {
		return 0
	}
	req := &ctx.Request
	w.header = in[:n]
	w.reader.Reset(&w.header)
	if req.Header.Read(w.reader) != nil || w.reader.Buffered() > 0 || req.MayContinue() {
		return 0
	}
	length := req.Header.ContentLength()
	switch string(req.Header.Method()) {
	case fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodDelete:
		if length != noBody {
			return 0
		}
	case fasthttp.MethodPost:
		if length < 0 || length > len(in)-n {
			return 0
		}
		req.SetBodyRaw(in[n : n+length : n+length])
		n += length
	default:
		return 0
	}
	if target := req.Header.RequestURI(); target[0] != '/' || len(req.URI().PathOriginal()) == 0 || !quick(ctx.Path()) {
		return 0
	}
	return n
}

// noBody is fasthttp's length of a body of which the header says nothing.
const noBody = -2

// quick reports whether what is at a path takes about as long as an operation on one key,
// or goes on elsewhere where it takes longer.
func quick(path []byte) bool {
	switch string(path) {
	case "/api", "/api/", "/api/mget", "/", "/healthcheck", "/livez", "/readyz":
		return true
	default:
		return false
	}
}

// answer appends the answer to what is to be written, as fasthttp's server would write
// it, and makes ctx ready for the next request. It reports whether the connection is to
// be closed behind it.
func (w *worker) answer(ctx *fasthttp.RequestCtx) (closes bool) {
	resp, h := &ctx.Response, &ctx.Response.Header
	closes = ctx.Request.Header.ConnectionClose() || h.ConnectionClose()
	switch {
	case closes:
		h.SetConnectionClose()
	case !ctx.Request.Header.IsHTTP11():
		h.SetCanonical(headerConnection, valueKeepAlive)
	}
	body := resp.Body()
	status := resp.StatusCode()
	skip := ctx.Request.Header.IsHead() || status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified
	if !skip || len(body) > 0 {
		h.SetContentLength(len(body))
	}
	h.SetNoDefaultContentType(true)
	h.SetServer(serverName)
	w.out = appendHeader(w.out, h)
	switch {
	case skip:
	case len(body) > flushFrom:
		w.large = resp.SwapBody(nil)
	default:
		w.out = append(w.out, body...)
		if cap(body) > mediumFrom { // else it stays with ctx
			w.rooms.put(resp.SwapBody(nil))
		}
	}
	ctx.Request.Reset()
	resp.Reset()
	return closes
}

// appendHeader appends a header. AppendBytes begins with an empty buffer.
func appendHeader(out []byte, h *fasthttp.ResponseHeader) []byte {
	n := len(out)
	text := h.AppendBytes(out[n:n])
	if n+len(text) <= cap(out) {
		return out[:n+len(text)] // it is there
	}
	return append(out, text...)
}

var (
	headerConnection = []byte("Connection")
	valueKeepAlive   = []byte("keep-alive")
)

// full reports whether the answers are to be written before there are more.
func (w *worker) full() bool { return len(w.out) >= flushFrom || w.large != nil }

// flush writes the answers. in is what was read beyond their requests. It reports
// whether c is still on the loop.
func (w *worker) flush(c *conn, in []byte, closes bool) bool {
	o := &c.onLoop
	all := len(o.unsent) == 0 && w.send(c)
	switch {
	case c.closed.Load():
		w.out, w.large = w.out[:0], nil
		return false
	case all && closes:
		_ = c.Close()
		return false
	case all:
		c.idle()
		return true
	}
	o.closes = closes
	w.leave(c, in)
	return false
}

// send writes as much of the answers as the socket takes, and keeps the rest. It
// reports whether that was all.
func (w *worker) send(c *conn) bool {
	if len(w.out) > 0 {
		n := w.sendSome(c, w.out)
		if n < len(w.out) {
			w.out = w.out[:copy(w.out, w.out[n:])]
			return false
		}
		w.out = w.out[:0]
	}
	if w.large != nil {
		n := w.sendSome(c, w.large)
		if n < len(w.large) {
			w.large = w.large[n:]
			return false
		}
		w.rooms.put(w.large)
		w.large = nil
	}
	return true
}

func (w *worker) sendSome(c *conn, p []byte) int {
	n, err := c.onLoop.conn.Send(p)
	if err != nil {
		_ = c.Close()
		return 0
	}
	c.out.Add(uint64(n))
	return n
}

// keep makes what the socket has not taken the connection's.
func (w *worker) keep(o *loopState) {
	o.unsent = append(o.unsent, w.out...)
	if len(o.unsent) == 0 {
		o.unsent = w.large
	} else {
		o.large = w.large
	}
	w.out, w.large = w.out[:0], nil
}

// hold writes the answers to the requests before one that waits, and keeps c until
// that is complete. rest is what was read behind it.
func (w *worker) hold(c *conn, rest []byte) {
	c.state.Store(connActive)
	c.readBy.Store(0)
	c.rest = append([]byte(nil), rest...)
	if !w.send(c) {
		w.keep(&c.onLoop)
	}
	c.onLoop.conn.Hold()
}

// leave has a goroutine go on with c, whose requests begin with in.
func (w *worker) leave(c *conn, in []byte) {
	w.keep(&c.onLoop)
	c.rest, c.header = append([]byte(nil), in...), headerLines{}
	c.begun()
	c.onLoop.conn.Leave()
	go w.server.visit(c)
}
