package httpapi

import (
	"bytes"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// guard keeps web pages that a user's browser shows from using a node that only
// the user's machine or network can reach. A page can send requests anywhere; a
// browser says so in Origin and Sec-Fetch-Site. A page whose own name is made to
// resolve to this node's address shows up by its name in Host.
type guard struct {
	origins    []string // allowed, lower case
	allOrigins bool
	hosts      []string // allowed, lower case
	// tokens are those that let a request in; nil: none are needed.
	tokens atomic.Pointer[Tokens]
}

var (
	refuseOrigin = refusal{fail: proto.FailForeignOrigin}
	refuseHost   = refusal{fail: proto.FailMisdirected}

	corsAllowOrigin    = []byte("Access-Control-Allow-Origin")
	corsExposeHeaders  = []byte("Access-Control-Expose-Headers")
	corsAllowMethods   = []byte("Access-Control-Allow-Methods")
	corsAllowHeaders   = []byte("Access-Control-Allow-Headers")
	corsAllowPrivate   = []byte("Access-Control-Allow-Private-Network")
	corsMaxAge         = []byte("Access-Control-Max-Age")
	corsExposed        = []byte("ETag, Smache-TTL, Smache-Age, Cache-Status, Retry-After, Allow, WWW-Authenticate")
	corsMethods        = []byte("GET, HEAD, POST, DELETE")
	corsHeaders        = []byte("Authorization, Content-Type, If-Match, If-None-Match, Traceparent")
	corsPreflightValid = []byte("600")
	star               = []byte("*")
	yes                = []byte("true")
)

func newGuard(origins, hosts []string) *guard {
	g := &guard{}
	for _, o := range origins {
		if o == "*" {
			g.allOrigins = true
			continue
		}
		g.origins = append(g.origins, strings.TrimSuffix(strings.ToLower(o), "/"))
	}
	for _, h := range hosts {
		g.hosts = append(g.hosts, strings.ToLower(h))
	}
	return g
}

// judge refuses a request that is not meant for this node, or not allowed to
// ask it. It sets the headers that a page of another origin needs to see the
// answer, also one that tells of a failure.
func (g *guard) judge(ctx *fasthttp.RequestCtx, r *request) refusal {
	if r.conn != nil && r.conn.loopback && !g.knowsHost(ctx.Host(), r.conn) {
		return refuseHost
	}
	if len(g.origins) > 0 {
		ctx.Response.Header.SetCanonical(headerVary, headerOrigin)
	}
	if r.headers.given&givenOrigin != 0 {
		return g.judgeOrigin(ctx, r)
	}
	if r.crossSite() && !g.allOrigins && !followsLink(ctx) {
		return refuseOrigin
	}
	return refusal{}
}

// followsLink reports whether somebody goes to the page at /ui, from a runbook for
// one: it tells nothing of the node, and cannot be shown inside another page.
func followsLink(ctx *fasthttp.RequestCtx) bool {
	return string(ctx.Path()) == "/ui" && ctx.IsGet() && string(ctx.Request.Header.Peek("Sec-Fetch-Mode")) == "navigate"
}

// crossSite reports whether a browser says that a page of another site asks.
func (r *request) crossSite() bool { return string(r.headers.site) == "cross-site" }

func (g *guard) judgeOrigin(ctx *fasthttp.RequestCtx, r *request) refusal {
	h, origin := &ctx.Response.Header, r.headers.origin
	switch {
	case g.allOrigins:
		h.SetCanonical(corsAllowOrigin, star)
	case g.allows(origin):
		h.SetCanonical(corsAllowOrigin, origin)
	case sameOrigin(origin, ctx.Host()) && !r.crossSite():
		return refusal{}
	default:
		return refuseOrigin
	}
	h.SetCanonical(corsExposeHeaders, corsExposed)
	return refusal{}
}

func (g *guard) allows(origin []byte) bool {
	for _, o := range g.origins {
		if strings.EqualFold(o, string(origin)) {
			return true
		}
	}
	return false
}

// sameOrigin reports whether origin is where the request went: a page that this
// host itself serves.
func sameOrigin(origin, host []byte) bool {
	scheme, authority, ok := bytes.Cut(origin, []byte("://"))
	return ok && len(host) > 0 && bytes.EqualFold(authority, host) &&
		(bytes.EqualFold(scheme, []byte("http")) || bytes.EqualFold(scheme, []byte("https")))
}

// maxKnownHost is the longest Host value that a connection remembers.
const maxKnownHost = 64

// knowsHost reports whether a loopback listener is meant by host. The connection
// remembers the value found good: its next request mostly has the same.
func (g *guard) knowsHost(host []byte, c *conn) bool {
	if len(host) > 0 && string(host) == string(c.knownHost) {
		return true
	}
	if !g.knowsHostSlow(strings.ToLower(string(host))) {
		return false
	}
	if len(host) <= maxKnownHost {
		c.knownHost = append(c.knownHost[:0], host...)
	}
	return true
}

func (g *guard) knowsHostSlow(host string) bool {
	name := withoutPort(host)
	if name == "localhost" || loopbackAddress(strings.Trim(name, "[]")) {
		return true
	}
	for _, h := range g.hosts {
		if h == host || h == name {
			return true
		}
	}
	return false
}

// withoutPort cuts the port off a host.
func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i]
	}
	return host
}

// preflight answers the question of a browser whether a page may send what it
// wants to; judge has passed the page's origin.
func (s *Server) preflight(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	if len(h.PeekBytes(corsAllowOrigin)) == 0 {
		return
	}
	h.SetCanonical(corsAllowMethods, corsMethods)
	h.SetCanonical(corsAllowHeaders, corsHeaders)
	h.SetCanonical(corsMaxAge, corsPreflightValid)
	if bytes.EqualFold(ctx.Request.Header.Peek("Access-Control-Request-Private-Network"), yes) {
		h.SetCanonical(corsAllowPrivate, yes)
	}
}
