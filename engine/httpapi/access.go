package httpapi

import (
	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// access is what a request needs the right to, or what a client has it to. A
// client that may do one thing may do those with higher numbers, too.
type access uint8

const (
	// accessWrite is everything. It is the zero value: a route is closed to all
	// but those who may do everything unless it says otherwise.
	accessWrite access = 0
	// accessRead is what changes nothing.
	accessRead access = 1
	// accessOpen is what anybody may ask: the probes of load balancers and
	// supervisors, which have no token, the preflights of browsers, which may not
	// send one, and the page at /ui, which asks for it.
	accessOpen access = 2
)

// accessNames name the rights of tokens.
var accessNames = [...]string{accessWrite: "all", accessRead: "read"}

var (
	refuseUnauthorized = refusal{fail: proto.FailUnauthorized}
	refuseReadOnly     = refusal{fail: proto.FailReadOnly}

	headerAuthenticate = []byte("WWW-Authenticate")
	// What a client is told (RFC 6750, section 3): that a token is needed, that the
	// one it sent is not known, and that it does not suffice.
	challengeNone  = []byte(`Bearer realm="smache"`)
	challengeWrong = []byte(`Bearer realm="smache", error="invalid_token"`)
	challengeScope = []byte(`Bearer realm="smache", error="insufficient_scope"`)
)

// accessOf gives what a request needs the right to. A path that leads nowhere
// needs what reading needs, so that a stranger does not learn which paths there are.
func (s *Server) accessOf(r *request, path, method []byte) access {
	isRead := string(method) == fasthttp.MethodGet || string(method) == fasthttp.MethodHead
	if string(method) == fasthttp.MethodOptions {
		return accessOpen
	}
	if string(path) == "/api" || string(path) == "/api/" {
		if isRead {
			return accessRead
		}
		return accessWrite
	}
	rt, _ := s.routeOf(r, path)
	return routes[rt].access
}

// authorize refuses a request that needs a token and does not carry the right one.
func (s *Server) authorize(ctx *fasthttp.RequestCtx, r *request) refusal {
	tokens := s.guard.tokens.Load()
	if tokens == nil {
		return refusal{}
	}
	needs := s.accessOf(r, ctx.Path(), ctx.Method())
	if needs == accessOpen {
		return refusal{}
	}
	if r.conn != nil && r.conn.trusted {
		return refusal{}
	}
	h := &ctx.Response.Header
	if r.headers.given&givenAuthorization == 0 {
		h.SetCanonical(headerAuthenticate, challengeNone)
		return refuseUnauthorized
	}
	who := tokens.find(bearer(r.headers.authorization))
	if who.may != accessOpen {
		r.stats.tokens[who.may][who.place].Add(1)
	}
	switch {
	case who.may == accessOpen:
		h.SetCanonical(headerAuthenticate, challengeWrong)
		return refuseUnauthorized
	case who.may > needs:
		h.SetCanonical(headerAuthenticate, challengeScope)
		return refuseReadOnly
	default:
		return refusal{}
	}
}

// SetTokens replaces the tokens that are accepted, for all requests from now on;
// none at all opens the API to everybody. The errors are those of Config.Tokens;
// the old ones then stay.
func (s *Server) SetTokens(t Tokens) error {
	if err := t.check(); err != nil {
		return err
	}
	if len(t.All) == 0 {
		s.guard.tokens.Store(nil)
		return nil
	}
	s.guard.tokens.Store(&t)
	return nil
}
