package httpapi

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// get answers GET and HEAD /api?key=K. The operation appends the value straight
// to the answer; nothing is allocated for a hit.
func (s *Server) get(ctx *fasthttp.RequestCtx, r *request) {
	if why := r.keyOfQuery(ctx); why.refused() {
		s.fail(ctx, r, why)
		return
	}
	if why := r.conditions(); why.refused() {
		s.fail(ctx, r, why)
		return
	}
	op := &r.op
	op.Code = proto.OpGet
	op.Out = append(bodyBuffer(ctx), `{"key":`...)
	op.Out = append(appendQuoted(op.Out, r.query.key), `,"data":`...)
	s.carryOut(ctx, r, (*Server).got)
}

// got answers what get has asked for.
func (s *Server) got(ctx *fasthttp.RequestCtx, r *request) {
	op, h := &r.op, &ctx.Response.Header
	switch op.Status {
	case proto.StatusOK:
		r.stats.hits.Add(1)
		if len(op.Out) > mediumFrom && !s.charge(r.owes, cap(op.Out)) {
			s.fail(ctx, r, refuseBudget)
			return
		}
		r.describeHit(h)
	case proto.StatusMiss:
		r.stats.misses.Add(1)
		h.SetCanonical(headerCacheStatus, valueFwdMiss)
		if op.IfMatch.Set { // nothing is what it names
			setBody(ctx, op.Out)
			s.fail(ctx, r, refuseStatus(proto.StatusPrecondition))
			return
		}
		if r.query.miss404 {
			setBody(ctx, op.Out)
			s.fail(ctx, r, refuseMiss)
			h.SetCanonical(headerCacheControl, valueRevalidate)
			return
		}
		op.Out = append(op.Out, "null"...)
	case proto.StatusNotModified:
		r.stats.hits.Add(1)
		r.describeHit(h)
		h.SetCanonical(headerCacheControl, valueRevalidate)
		setBody(ctx, op.Out[:0])
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return
	default:
		setBody(ctx, op.Out)
		s.fail(ctx, r, refuseStatus(op.Status))
		return
	}
	h.SetContentTypeBytes(typeJSON)
	h.SetCanonical(headerCacheControl, valueRevalidate)
	op.Out = append(op.Out, `,"node":`...)
	setBody(ctx, append(appendQuotedString(op.Out, s.nodeOf(op)), '}'))
}

// nodeOf names the node that holds the key of an operation.
func (s *Server) nodeOf(op *proto.Op) string {
	if op.Node != "" {
		return op.Node
	}
	return s.config.Node
}

// describeHit sets the headers that tell of the entry which was read.
func (r *request) describeHit(h *fasthttp.ResponseHeader) {
	op := &r.op
	r.setETag(h)
	r.value = appendSeconds(r.value[:0], op.Age)
	h.SetCanonical(headerAge, r.value)
	r.value = append(r.value[:0], "smache; hit"...)
	if op.Remaining == proto.Forever {
		h.SetCanonical(headerCacheStatus, r.value)
		return
	}
	r.value = append(r.value, "; ttl="...)
	r.value = strconv.AppendInt(r.value, int64(op.Remaining/time.Second), 10)
	h.SetCanonical(headerCacheStatus, r.value)
	r.value = appendSeconds(r.value[:0], op.Remaining)
	h.SetCanonical(headerTTL, r.value)
}

// setETag sets the header ETag to that of the operation.
func (r *request) setETag(h *fasthttp.ResponseHeader) {
	r.value = append(appendETag(append(r.value[:0], '"'), r.op.ETag), '"')
	h.SetCanonical(headerETag, r.value)
}

// appendSeconds appends d in seconds with three decimals, rounded down; what is
// below zero is zero.
func appendSeconds(dst []byte, d time.Duration) []byte {
	ms := int64(max(d, 0) / time.Millisecond)
	dst = append(strconv.AppendInt(dst, ms/1000, 10), '.')
	ms %= 1000
	return append(dst, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}
