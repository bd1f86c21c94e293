package httpapi

import (
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// writeBatch answers POST /api/mset, /api/mdel and /api/touch. Every item is
// carried out or fails for itself.
func (s *Server) writeBatch(ctx *fasthttp.RequestCtx, r *request) {
	listName := "keys"
	if r.route == routeMset {
		listName = "entries"
	}
	list, rawTTL, n, why := s.readBatch(ctx, r, listName)
	var ttl time.Duration
	if !why.refused() && r.route == routeTouch {
		if ttl, why = 0, refuseTTL; rawTTL != nil {
			ttl, why = readTTL(rawTTL)
		}
	}
	if why.refused() {
		s.fail(ctx, r, why)
		return
	}
	// The answer repeats the keys. It is charged before anything is done, for
	// afterwards it is too late to refuse.
	size := min(len(list), n*maxKeyText) + n*(answerBase+len(s.config.Node))
	if !s.charge(r.owes, n*itemBytes+size) {
		s.fail(ctx, r, refuseBudget)
		return
	}
	b := s.batches.Get().(*batch) // nothing else is put there
	b.take(r, n)
	c := cursor{b: list}
	for c.enter(); c.more(); {
		s.readItem(b, r.route, &c, ttl)
	}
	s.submit(b, b.items)
	answer := append(slices.Grow(bodyBuffer(ctx), s.writtenSize(b)), `{"results":[`...)
	for i := range b.items {
		if i > 0 {
			answer = append(answer, ',')
		}
		answer = s.appendWritten(answer, r, &b.items[i])
	}
	s.releaseBatch(b)
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	setBody(ctx, append(answer, "]}"...))
}

// writtenSize is about how long the answer is: one that grows with each result is copied
// a dozen times. That of keys which were all written is no longer, if their nodes' names are
// not, and none has more than was charged: a key that is too long is null there.
func (s *Server) writtenSize(b *batch) int {
	n := len(`{"results":[]}`)
	for i := range b.items {
		n += min(len(b.items[i].key), maxKeyText) + len(s.config.Node) + resultBase
	}
	return n
}

// resultBase is what a result of mset has beside key and node.
const resultBase = len(`{"key":,"node":"","etag":"0123456789abcdef"},`)

// readItem reads the item at the cursor and adds it to b.
func (s *Server) readItem(b *batch, rt route, c *cursor, ttl time.Duration) {
	it := b.add()
	switch rt {
	case routeMdel, routeTouch:
		raw, _ := c.value()
		b.setKey(it, raw)
		it.op.Code, it.op.TTL = proto.OpDelete, ttl
		if rt == routeTouch {
			it.op.Code = proto.OpTouch
		}
	default:
		s.readMsetItem(b, it, c)
	}
}

// readMsetItem reads one entry of mset.
func (s *Server) readMsetItem(b *batch, it *item, c *cursor) {
	if c.b[c.i] != '{' {
		c.value()
		it.why = refuseEntry
		return
	}
	e, why := c.readEntry(true)
	b.setKey(it, e.key)
	if why.refused() {
		it.why = why
	}
	if !it.why.refused() {
		it.why = s.readSet(&it.op, &e)
	}
	if !it.why.refused() {
		it.op.IfMatch, b.tags, it.why = readETagsJSON(b.tags, e.ifMatch, b.text, false)
	}
	if !it.why.refused() {
		it.op.IfNoneMatch, b.tags, it.why = readETagsJSON(b.tags, e.ifNoneMatch, b.text, true)
	}
}

// appendWritten appends the result of a write.
func (s *Server) appendWritten(dst []byte, r *request, it *item) []byte {
	dst = appendItemKey(dst, it)
	op := &it.op
	if it.why.refused() {
		return s.appendItemError(dst, r, &it.why)
	}
	if fail := proto.FailureOf(op.Status); fail != nil {
		return s.appendItemError(dst, r, &refusal{fail: fail})
	}
	done := op.Status == proto.StatusOK
	switch op.Code {
	case proto.OpSet:
		dst = appendQuotedString(append(dst, `,"node":`...), s.nodeOf(op))
		return append(appendETag(append(dst, `,"etag":"`...), op.ETag), `"}`...)
	case proto.OpTouch:
		return appendBool(append(dst, `,"touched":`...), done)
	default:
		return appendBool(append(dst, `,"deleted":`...), done)
	}
}

// appendBool appends a result's last member.
func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, "true}"...)
	}
	return append(dst, "false}"...)
}
