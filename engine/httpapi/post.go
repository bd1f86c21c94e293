package httpapi

import (
	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// post answers POST /api {"key":K,"data":{…},"ttl":S}. The value is a part of
// the body, as the client sent it, less insignificant white space.
func (s *Server) post(ctx *fasthttp.RequestCtx, r *request) {
	body, why := s.readJSON(ctx, r)
	if why.refused() {
		s.fail(ctx, r, why)
		return
	}
	if why = s.readPost(body, r); why.refused() {
		s.fail(ctx, r, why)
		return
	}
	if !s.charge(r.owes, postedSize(r)) { // before anything is done
		s.fail(ctx, r, refuseBudget)
		return
	}
	s.carryOut(ctx, r, (*Server).posted)
}

// postedSize is the length of the answer to a POST.
func postedSize(r *request) int { return len(`{"data":}`) + len(r.op.Value) }

// posted answers what post has asked for.
func (s *Server) posted(ctx *fasthttp.RequestCtx, r *request) {
	op := &r.op
	if op.Status != proto.StatusOK {
		s.fail(ctx, r, refuseStatus(op.Status))
		return
	}
	h := &ctx.Response.Header
	h.SetContentTypeBytes(typeJSON)
	r.setETag(h)
	answer := bodyBuffer(ctx)
	if size := postedSize(r); size > mediumFrom {
		answer = make([]byte, 0, size)
	}
	answer = append(append(answer, `{"data":`...), op.Value...)
	setBody(ctx, append(answer, '}'))
}

// readPost makes the operation of a POST's body and headers.
func (s *Server) readPost(body []byte, r *request) refusal {
	c := cursor{b: body}
	c.skipSpace()
	if body[c.i] != '{' {
		return refuseNotObject
	}
	e, why := c.readEntry(false)
	if why.refused() {
		return why
	}
	key, text, why := appendKeyJSON(r.key[:0], e.key, r.text)
	r.text = text
	if why.refused() {
		return why
	}
	r.setKey(key)
	if why := s.readSet(&r.op, &e); why.refused() {
		return why
	}
	return r.conditions()
}

// readSet makes op the write that e asks for, but for its key and conditions. The
// data is made compact where it stands.
func (s *Server) readSet(op *proto.Op, e *entry) (why refusal) {
	if e.data == nil || e.data[0] != '{' {
		return refuseData
	}
	op.Code, op.Value = proto.OpSet, e.data
	if e.loose {
		op.Value = compact(e.data)
	}
	if len(op.Value) > s.config.MaxValue {
		return refuseTooLarge(proto.FailValueTooLarge, len(op.Value), s.config.MaxValue)
	}
	op.TTL = s.config.defaultTTL()
	if e.ttl != nil {
		op.TTL, why = readTTL(e.ttl)
	}
	return why
}

// del answers DELETE /api?key=K.
func (s *Server) del(ctx *fasthttp.RequestCtx, r *request) {
	why := r.keyOfQuery(ctx)
	if !why.refused() {
		why = r.conditions()
	}
	if why.refused() {
		s.fail(ctx, r, why)
		return
	}
	r.op.Code = proto.OpDelete
	s.carryOut(ctx, r, (*Server).deleted)
}

// deleted answers what del has asked for.
func (s *Server) deleted(ctx *fasthttp.RequestCtx, r *request) {
	answer := append(bodyBuffer(ctx), `{"key":`...)
	answer = appendQuoted(answer, r.query.key)
	switch r.op.Status {
	case proto.StatusOK:
		answer = append(answer, `,"deleted":true}`...)
	case proto.StatusMiss:
		answer = append(answer, `,"deleted":false}`...)
	default:
		setBody(ctx, answer)
		s.fail(ctx, r, refuseStatus(r.op.Status))
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	setBody(ctx, answer)
}
