package httpapi

import (
	"context"
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
	http      *fasthttp.Server
	registry  registry
	listeners []net.Listener // guarded by Server.serving
	closing   chan struct{}  // closed by Shutdown, when the public address is shut down
}

func (s *Server) newAdministration() *administration {
	a := &administration{http: s.newHTTP(s.handleAdmin, adminConnections), registry: newRegistry(&s.config, adminConnections, 0), closing: make(chan struct{})}
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
	s.serving.Lock()
	if s.stopping.Load() {
		s.serving.Unlock()
		_ = ln.Close()
		return ErrServerClosed
	}
	a := s.admin
	a.listeners = append(a.listeners, ln)
	s.serving.Unlock()
	a.registry.sweep()
	return s.accept(s.admit(ln, &a.registry), func(c *conn) {
		go func() {
			defer s.caught(c)
			_ = a.http.ServeConn(c)
		}()
	})
}

// shutdownAdmin is Shutdown for the address for administration.
func (s *Server) shutdownAdmin(ctx context.Context) error {
	s.serving.Lock()
	for _, ln := range s.admin.listeners {
		_ = ln.Close() // accept may have done so
	}
	s.serving.Unlock()
	close(s.admin.closing)
	return s.admin.registry.drain(ctx)
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
		"Connections refused at the address for administration, because there were too many.", r.overLimit.Load())
}
