package httpapi

import (
	"slices"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// request is what carrying out one request needs beside fasthttp's context. They
// are pooled; one belongs to the goroutine of its request, from acquire to
// release, and its operation to the Cache while it is submitted.
type request struct {
	op    proto.Op
	done  chan struct{} // op.Done sends
	stats *shard
	conn  *conn // nil if the listener is not ours
	// then goes on when the operation of a request on a loop is complete; nil: there is
	// nothing to wait for.
	then   func(*Server, *fasthttp.RequestCtx, *request)
	onLoop bool   // the request must not wait: op.Done resumes its connection
	rooms  *rooms // of its loop, on one
	batch  *batch // of an mget that then goes on with
	// owes is the connection's account at the budgets, or own without one, which
	// is settled when the request ends.
	owes *charges
	own  charges

	route   route
	logged  bool  // it goes into the access log
	admin   bool  // it came to the address for administration
	start   int64 // on the registry's clock
	headers headers
	query   query // of a request for a key

	// Buffers. Each is empty between requests and keeps its capacity.
	key   []byte       // the canonical key
	out   []byte       // the body of a plain answer
	text  []byte       // decoded text, of the query or of a JSON string
	body  []byte       // the request's body, if it is small
	value []byte       // a header's value
	tags  []proto.ETag // of the conditions

	// Of a request that is logged.
	items   int // of a batch
	failure *proto.Failure
	// Of one with traceparent.
	header []byte
	trace  proto.Trace // zero: it is part of none
	parent [8]byte     // the span that asks
}

// headers are the request's headers that matter here, as fasthttp keeps them. They are
// cleared for each request: above 192 bytes that costs 12 ns more, so what is rare is
// elsewhere.
type headers struct {
	origin, site, encoding []byte
	ifMatch, ifNoneMatch   []byte
	authorization          []byte
	forwarded              []byte
	given                  uint8 // of the bits below, those that are there
}

const (
	givenOrigin        uint8 = 1
	givenEncoding      uint8 = 2
	givenIfMatch       uint8 = 4
	givenIfNoneMatch   uint8 = 8
	givenAuthorization uint8 = 16
	givenForwarded     uint8 = 32
	givenTraceparent   uint8 = 64
)

// acquire gives a request on c, which is nil if it came on none of ours.
func (s *Server) acquire(c *conn) *request {
	r := s.requests.Get().(*request) // nothing else is put there
	r.begin(c)
	return r
}

// begin makes r, which is clear, one on c.
func (r *request) begin(c *conn) {
	r.owes = &r.own
	if c != nil {
		r.conn, r.owes = c, &c.owes
		c.header.lines = noHeader
		if c.writeBy.Load() != 0 { // the time for 100 Continue is not the answer's
			c.writeBy.Store(0)
		}
	}
}

func (s *Server) newRequest() any {
	n := s.nextShard.Add(1)
	r := &request{done: make(chan struct{}, 1), stats: &s.shards[int(n)%len(s.shards)]}
	r.op.Done = func(op *proto.Op) {
		if r.onLoop {
			r.conn.resume(op.Together)
			return
		}
		r.done <- struct{}{}
	}
	return r
}

// release gives r back. What has grown beyond the usual is dropped.
func (s *Server) release(r *request) {
	s.settle(&r.own)
	if r.headers.given&givenTraceparent != 0 {
		r.trace, r.parent, r.header = proto.Trace{}, [8]byte{}, nil
	}
	r.op.Reset()
	if r.logged {
		r.logged, r.items, r.failure = false, 0, nil
	}
	r.conn, r.owes, r.onLoop, r.rooms = nil, nil, false, nil
	r.route, r.admin, r.headers, r.query = routeNone, false, headers{}, query{}
	if cap(r.body) > mediumFrom {
		r.body = nil
	}
	if cap(r.out) > mediumFrom {
		r.out = nil
	}
	if cap(r.text) > mediumFrom {
		r.text = nil
	}
	if cap(r.tags) > mediumFrom/8 {
		r.tags = nil
	}
	s.requests.Put(r)
}

// carryOut submits the request's operation, and goes on with then when it is complete:
// later, if that takes a while and the request is on a loop.
func (s *Server) carryOut(ctx *fasthttp.RequestCtx, r *request, then func(*Server, *fasthttp.RequestCtx, *request)) {
	r.op.Gather = r.onLoop
	if !s.config.Cache.Submit(&r.op) {
		if r.onLoop {
			r.then = then
			return
		}
		<-r.done
	}
	then(s, ctx, r)
}

// read picks the headers that matter out of h in one pass; fasthttp's look-ups
// by name cost about as much each.
func (r *request) read(h *fasthttp.RequestHeader) {
	for name, value := range h.All() {
		switch len(name) {
		case len("Origin"):
			if string(name) == "Origin" {
				r.headers.take(&r.headers.origin, value, givenOrigin)
			}
		case len("If-Match"):
			if string(name) == "If-Match" {
				r.headers.take(&r.headers.ifMatch, value, givenIfMatch)
			}
		case len("Traceparent"):
			if string(name) == "Traceparent" {
				r.headers.take(&r.header, value, givenTraceparent)
			}
		case len("If-None-Match"): // and of Authorization
			if string(name) == "If-None-Match" {
				r.headers.take(&r.headers.ifNoneMatch, value, givenIfNoneMatch)
			} else if string(name) == "Authorization" {
				r.headers.take(&r.headers.authorization, value, givenAuthorization)
			}
		case len("X-Forwarded-For"):
			if string(name) == "X-Forwarded-For" {
				r.headers.take(&r.headers.forwarded, value, givenForwarded)
			}
		case len("Sec-Fetch-Site"):
			if string(name) == "Sec-Fetch-Site" {
				r.headers.site = value
			}
		case len("Content-Encoding"):
			if string(name) == "Content-Encoding" {
				r.headers.take(&r.headers.encoding, value, givenEncoding)
			}
		}
	}
}

// take notes one line of a header; a further line of the same joins the list.
func (h *headers) take(field *[]byte, value []byte, bit uint8) {
	if h.given&bit == 0 {
		h.given |= bit
		*field = value
		return
	}
	*field = slices.Concat(*field, []byte(", "), value)
}

// conditional reports whether there is a condition in the headers.
func (r *request) conditional() bool {
	return r.headers.given&(givenIfMatch|givenIfNoneMatch) != 0
}

// conditions puts If-Match and If-None-Match into the operation.
func (r *request) conditions() refusal {
	if !r.conditional() {
		return refusal{}
	}
	r.tags = r.tags[:0]
	ok := true
	if r.headers.given&givenIfMatch != 0 {
		r.op.IfMatch, r.tags, ok = readETags(r.tags, r.headers.ifMatch, false, false)
	}
	if ok && r.headers.given&givenIfNoneMatch != 0 {
		r.op.IfNoneMatch, r.tags, ok = readETags(r.tags, r.headers.ifNoneMatch, true, false)
	}
	if !ok {
		return refuseCondition
	}
	return refusal{}
}

// keyOfQuery reads the query and puts the key into the operation.
func (r *request) keyOfQuery(ctx *fasthttp.RequestCtx) (why refusal) {
	r.query, r.text, why = readQuery(ctx.URI().QueryString(), r.text)
	if why.refused() {
		return why
	}
	key, err := proto.AppendKey(r.key[:0], r.query.key)
	if err != nil {
		return refusal{fail: proto.FailureOfKey(err)}
	}
	r.setKey(key)
	return refusal{}
}

// setKey makes key, canonical, the operation's.
func (r *request) setKey(key []byte) {
	r.key = key
	r.op.Key, r.op.Slot = key, proto.SlotOf(key)
}

// bodyBuffer takes the buffer of the response's body, empty; setBody gives it
// back with the answer. In between it belongs to the handler, or to an operation.
func bodyBuffer(ctx *fasthttp.RequestCtx) []byte { return ctx.Response.SwapBody(nil)[:0] }

func setBody(ctx *fasthttp.RequestCtx, body []byte) { ctx.Response.SwapBody(body) }

// setChargedBody is setBody for what may be large: it is charged now that its
// size is known, or given up.
func (s *Server) setChargedBody(ctx *fasthttp.RequestCtx, r *request, body []byte) {
	if !s.charge(r.owes, cap(body)) {
		s.fail(ctx, r, refuseBudget)
		return
	}
	setBody(ctx, body)
}

// rooms are the buffers for long answers that a loop keeps. They belong to it.
type rooms struct{ free [][]byte }

const (
	maxRooms    = 4
	maxRoomSize = largeFrom / 2
)

// take gives an empty buffer, perhaps nil.
func (s *rooms) take() []byte {
	last := len(s.free) - 1
	if last < 0 {
		return nil
	}
	b := s.free[last]
	s.free = s.free[:last]
	return b
}

// put gives a buffer back, or any other that is as good.
func (s *rooms) put(b []byte) {
	if cap(b) > mediumFrom && cap(b) <= maxRoomSize && len(s.free) < maxRooms {
		s.free = append(s.free, b[:0])
	}
}
