package httpapi

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

var refuseNotReady = refusal{fail: proto.FailDraining, text: "the node is not ready: it is joining, or shutting down"}

// empty answers {}: GET /, /healthcheck and /livez.
func (s *Server) empty(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	setBody(ctx, append(bodyBuffer(ctx), "{}"...))
}

// ready answers GET /readyz: {}, or 503 if a load balancer should go elsewhere.
func (s *Server) ready(ctx *fasthttp.RequestCtx, r *request) {
	if s.stopping.Load() || s.config.Ready != nil && !s.config.Ready() {
		s.fail(ctx, r, refuseNotReady)
		return
	}
	s.empty(ctx)
	ctx.Response.Header.SetCanonical(headerCacheControl, valueNoStore)
}

// metrics answers GET /metrics.
func (s *Server) metrics(ctx *fasthttp.RequestCtx, r *request) {
	h := &ctx.Response.Header
	h.SetContentTypeBytes(typeMetrics)
	h.SetCanonical(headerCacheControl, valueNoStore)
	gather := s.config.Metrics
	if gather == nil {
		gather = s.AppendMetrics
	}
	s.setChargedBody(ctx, r, gather(bodyBuffer(ctx)))
}

// clusterStatus answers GET /cluster.
func (s *Server) clusterStatus(ctx *fasthttp.RequestCtx, r *request) {
	cluster := Cluster{
		Node: s.config.Node, Epoch: "0",
		Members: []Member{{Name: s.config.Node, State: "serving", Slots: proto.Slots, Version: s.config.Version}},
	}
	if s.config.Cluster != nil {
		cluster = s.config.Cluster()
	}
	h := &ctx.Response.Header
	h.SetContentTypeBytes(typeJSON)
	h.SetCanonical(headerCacheControl, valueNoStore)
	s.setChargedBody(ctx, r, appendCluster(bodyBuffer(ctx), &cluster))
}

func appendCluster(dst []byte, c *Cluster) []byte {
	dst = appendQuotedString(append(dst, `{"node":`...), c.Node)
	dst = appendQuotedString(append(dst, `,"epoch":`...), c.Epoch)
	dst = append(dst, `,"members":[`...)
	for i := range c.Members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMember(dst, &c.Members[i])
	}
	dst = strconv.AppendInt(append(dst, `],"moving":`...), int64(c.Moving), 10)
	return append(dst, '}')
}

func appendMember(dst []byte, m *Member) []byte {
	dst = appendQuotedString(append(dst, `{"name":`...), m.Name)
	dst = appendQuotedString(append(dst, `,"state":`...), m.State)
	dst = strconv.AppendInt(append(dst, `,"slots":`...), int64(m.Slots), 10)
	dst = appendQuotedString(append(dst, `,"http":`...), m.HTTP)
	dst = appendQuotedString(append(dst, `,"peer":`...), m.Peer)
	dst = appendQuotedString(append(dst, `,"version":`...), m.Version)
	return append(dst, '}')
}

// flush answers POST /api/flush. A body is not needed; one that is sent is held
// to the rules for bodies.
func (s *Server) flush(ctx *fasthttp.RequestCtx, r *request) {
	if r.conditional() {
		s.fail(ctx, r, refuseManyCond)
		return
	}
	contentType := ctx.Request.Header.ContentType()
	if ctx.Request.Header.ContentLength() != 0 || len(contentType) > 0 && !isJSON(contentType) {
		body, why := s.readJSON(ctx, r)
		if !why.refused() && !isObject(body) {
			why = refuseNotObject
		}
		if why.refused() {
			s.fail(ctx, r, why)
			return
		}
	}
	applied, members, err := s.config.Cache.Flush()
	if err != nil {
		s.config.Logger.Error("httpapi: flush failed", "applied", applied, "members", members, "error", err)
		s.fail(ctx, r, refusal{fail: proto.FailUnreachable, text: "flush was applied by " + strconv.Itoa(applied) +
			" of " + strconv.Itoa(members) + " members; send it again"})
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	answer := append(bodyBuffer(ctx), `{"flushed":true,"applied":`...)
	answer = strconv.AppendInt(answer, int64(applied), 10)
	answer = strconv.AppendInt(append(answer, `,"members":`...), int64(members), 10)
	setBody(ctx, append(answer, '}'))
}

// isObject reports whether body, which is JSON, is an object.
func isObject(body []byte) bool {
	c := cursor{b: body}
	c.skipSpace()
	return body[c.i] == '{'
}
