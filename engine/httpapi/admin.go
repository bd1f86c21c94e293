package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/valyala/fasthttp"
)

// adminConnections bounds the connections of the address for administration: some
// scrapers and people. They have a bound of their own, so that clients which take all
// of theirs do not keep an operator from looking.
const adminConnections = 64

// administration serves the address for administration: the same handlers with the
// same tokens and certificates, on connections of its own.
type administration struct {
	http     *fasthttp.Server
	registry registry
}

func (s *Server) newAdministration() *administration {
	a := &administration{http: s.newHTTP(s.handleAdmin, adminConnections), registry: newRegistry(&s.config, adminConnections, 0)}
	a.registry.settle, a.registry.refused = s.settle, s.countRejection
	return a
}

// handleAdmin is handle for the address for administration.
func (s *Server) handleAdmin(ctx *fasthttp.RequestCtx) {
	r := s.acquire(connOf(ctx.Conn()))
	r.admin = true
	s.perform(ctx, r)
}

// offers reports whether a route is there at the address that r came to. The one for
// administration has all, so that the page at /ui can look keys up; with it the public
// one has none that shows the cluster. Profiles are at the former alone.
func (s *Server) offers(r *request, rt route) bool {
	return r.admin || !routes[rt].admin || s.admin == nil && rt != routeProfile
}

// routeOf is routeAt for the address that r came to: what is not there is as a path
// that leads nowhere.
func (s *Server) routeOf(r *request, path []byte) (rt route, allow string) {
	if rt, allow = routeAt(path); !s.offers(r, rt) {
		return routeNone, ""
	}
	return rt, allow
}

// ServeAdmin is Serve for the address for administration, which Config.Admin allows
// for. It returns when Shutdown does.
func (s *Server) ServeAdmin(ln net.Listener) error {
	if s.admin == nil {
		panic("BUG: httpapi: ServeAdmin without Config.Admin")
	}
	if s.stopping.Load() {
		_ = ln.Close()
		return ErrServerClosed
	}
	s.admin.registry.sweep()
	if err := s.admin.http.Serve(s.admit(ln, &s.admin.registry)); err != nil && !s.stopping.Load() {
		return fmt.Errorf("httpapi: serve %s: %w", ln.Addr(), err)
	}
	return nil
}

// shutdown is Server.Shutdown for the address for administration.
func (a *administration) shutdown(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- a.http.ShutdownWithContext(ctx) }()
	return errors.Join(a.registry.drain(ctx), <-ended)
}

// appendAdminMetrics appends what concerns the address for administration. Its
// requests are counted with all others.
func (s *Server) appendAdminMetrics(dst []byte) []byte {
	if s.admin == nil {
		return dst
	}
	r := &s.admin.registry
	dst = appendMetric(dst, "smache_http_admin_connections", "gauge", "Connections open at the address for administration.", uint64(r.open()))
	return appendMetric(dst, "smache_http_admin_connections_rejected_total", "counter",
		"Connections refused there, because there were too many.", r.overLimit.Load())
}
