package httpapi

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// plain serves, for a worker, the commonest request without fasthttp: GET /api?key=K
// with a key that needs no decoding, and headers that ask for nothing. It parses no
// header: it knows the text of the last few that were parsed and found to be such. A
// client sends the same one again and again.
type plain struct {
	worker *worker
	known  [4]plainHeader // the latest found first
	serves bool           // the server's settings leave nothing to look at
	date   int64          // the second, on the registry's clock, for which start is right
	start  []byte         // of an answer, up to the length
	end    []byte         // of the body, with this node's name
	free   []*request     // those of plain requests that are over
}

// What a loop keeps of plain requests that are over: as many as wait for other nodes at a
// time when it has many clients, and with each but the first few no long buffer.
const (
	maxPlainFree  = 1024
	maxPlainLong  = 32
	maxPlainShort = 1 << 10
)

// plainHeader is the text of a header, from behind the request line to its end.
type plainHeader struct {
	text     []byte
	loopback bool // it was found on a listener that looks at the host
}

// maxPlainHeader is the longest header that is worth knowing.
const maxPlainHeader = 2 << 10

const (
	plainBegin = "GET /api?key="
	plainEnd   = " HTTP/1.1\r\n"
)

// plainKey has the bytes of keys that stand for themselves wherever they are.
var plainKey = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '.' || c == ':'
	}
	return t
}()

func newPlain(w *worker) plain {
	config := &w.server.config
	return plain{
		worker: w, date: -1,
		serves: config.AccessLog == nil && w.server.limiter == nil && len(w.server.guard.origins) == 0,
		end:    append(appendQuotedString([]byte(`,"node":`), config.Node), '}'),
	}
}

// cut takes the key out of the request line that in begins with. rest begins behind
// the line; nil: it is another.
func (p *plain) cut(in []byte) (key, rest []byte) {
	if !p.serves || len(in) < len(plainBegin) || string(in[:len(plainBegin)]) != plainBegin {
		return nil, nil
	}
	key = in[len(plainBegin):]
	n := 0
	for n < len(key) && plainKey[key[n]] {
		n++
	}
	if n == 0 || len(key) < n+len(plainEnd) || string(key[n:n+len(plainEnd)]) != plainEnd {
		return nil, nil
	}
	return key[:n], key[n+len(plainEnd):]
}

// headerLen gives the length of the header that rest begins with, if it is known.
func (p *plain) headerLen(c *conn, rest []byte) int {
	for i := range p.known {
		k := &p.known[i]
		if len(k.text) > 0 && k.loopback == c.loopback && bytes.HasPrefix(rest, k.text) {
			return len(k.text)
		}
	}
	return 0
}

// learn looks at a request on c that was parsed, of which text is the whole, and knows
// its header from now on if it asks for nothing.
func (p *plain) learn(c *conn, h *fasthttp.RequestHeader, text []byte) {
	key, rest := p.cut(text)
	if key == nil || len(rest) > maxPlainHeader || !h.IsHTTP11() || h.ConnectionClose() {
		return
	}
	var r request
	r.read(h)
	if r.headers.given != 0 || r.headers.site != nil {
		return
	}
	if c.loopback && !p.worker.server.guard.knowsHost(h.Host(), c) {
		return
	}
	last := len(p.known) - 1
	room := p.known[last].text
	copy(p.known[1:], p.known[:last])
	p.known[0] = plainHeader{append(room[:0], rest...), c.loopback}
}

// serve answers the request that in begins with, if it is one that is served here, and
// gives its length, else 0. waits says that its operation is under way: it is c's.
func (p *plain) serve(c *conn, in []byte) (n int, closes, waits bool) {
	key, rest := p.cut(in)
	if key == nil {
		return 0, false, false
	}
	n = p.headerLen(c, rest)
	s := p.worker.server
	if n == 0 || s.stopping.Load() || s.guard.tokens.Load() != nil {
		return 0, false, false
	}
	r := p.acquire(c)
	canonical, err := proto.AppendKey(r.key[:0], key)
	if err != nil { // the parser's way has words for it
		p.release(r)
		return 0, false, false
	}
	r.setKey(canonical)
	r.onLoop, r.route = true, routeGet
	r.start = s.registry.now()
	r.stats.started.Add(1)
	op := &r.op
	op.Code, op.Gather = proto.OpGet, true
	op.Out = append(append(append(r.takeOut(), `{"key":"`...), key...), `","data":`...)
	complete, v := p.submit(op)
	if v == nil && !complete {
		c.onLoop.r = r
		return len(in) - len(rest) + n, false, true
	}
	return len(in) - len(rest) + n, p.answer(r, v), false
}

// takeOut takes the buffer for the body, empty: it may become a response's.
func (r *request) takeOut() []byte {
	out := r.out
	r.out = nil
	if out == nil {
		return make([]byte, 0, 512)
	}
	return out[:0]
}

// submit submits op. v is the value of a panic, or nil.
func (p *plain) submit(op *proto.Op) (complete bool, v any) {
	defer func() { v = recover() }()
	return p.worker.server.config.Cache.Submit(op), nil
}

// answer appends the answer to r, whose operation is complete or has met a panic of
// the value v, and releases it. closes says that it is the last one of the connection.
func (p *plain) answer(r *request, v any) (closes bool) {
	w, op := p.worker, &r.op
	s := w.server
	hit := op.Status == proto.StatusOK
	if v != nil || !hit && op.Status != proto.StatusMiss || len(op.Out) > mediumFrom || s.stopping.Load() {
		ctx := w.context()
		if v == nil {
			func() {
				defer func() { v = recover() }()
				s.got(ctx, r)
			}()
		}
		s.finish(ctx, r, v)
		return w.answer(ctx)
	}
	if hit {
		r.stats.hits.Add(1)
	} else {
		r.stats.misses.Add(1)
		op.Out = append(op.Out, "null"...)
	}
	if op.Node == "" || op.Node == s.config.Node {
		op.Out = append(op.Out, p.end...)
	} else {
		op.Out = append(appendQuotedString(append(op.Out, `,"node":`...), op.Node), '}')
	}
	now := s.registry.now()
	p.write(now, op, hit)
	r.stats.observe(routeGet, fasthttp.StatusOK, now-r.start)
	r.stats.ended.Add(1)
	r.out = op.Out
	p.release(r)
	return false
}

// acquire is Server.acquire for plain requests: those of the loop are next to it, and
// their operations' carriers with them.
func (p *plain) acquire(c *conn) *request {
	last := len(p.free) - 1
	if last < 0 {
		return p.worker.server.acquire(c)
	}
	r := p.free[last]
	p.free = p.free[:last]
	r.begin(c)
	return r
}

// release is Server.release for a request of which nothing but the operation was used.
func (p *plain) release(r *request) {
	if cap(r.out) > maxPlainShort && len(p.free) >= maxPlainLong {
		r.out = nil
	}
	if len(p.free) == maxPlainFree {
		p.worker.server.release(r)
		return
	}
	r.op.Reset()
	r.conn, r.owes, r.onLoop, r.route = nil, nil, false, routeNone
	p.free = append(p.free, r)
}

// write appends an answer as fasthttp would write it. op.Out is its body.
func (p *plain) write(now int64, op *proto.Op, hit bool) {
	if second := now / int64(time.Second); second != p.date {
		p.date = second
		p.start = append(p.start[:0], "HTTP/1.1 200 OK\r\nServer: "+serverName+"\r\nDate: "...)
		p.start = fasthttp.AppendHTTPDate(p.start, time.Now())
		p.start = append(p.start, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	}
	out := strconv.AppendUint(append(p.worker.out, p.start...), uint64(len(op.Out)), 10)
	if !hit {
		out = append(out, "\r\nCache-Status: smache; fwd=miss"...)
	} else {
		out = appendETag(append(out, "\r\nETag: \""...), op.ETag)
		out = appendSeconds(append(out, "\"\r\nSmache-Age: "...), op.Age)
		out = append(out, "\r\nCache-Status: smache; hit"...)
		if op.Remaining != proto.Forever {
			out = strconv.AppendInt(append(out, "; ttl="...), int64(op.Remaining/time.Second), 10)
			out = appendSeconds(append(out, "\r\nSmache-TTL: "...), op.Remaining)
		}
	}
	out = append(out, "\r\nCache-Control: private, no-cache\r\n\r\n"...)
	p.worker.out = append(out, op.Out...)
}
