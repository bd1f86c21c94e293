package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// writeBuffer is each connection's write buffer, which holds most answers whole.
const writeBuffer = 4 << 10

// quietGrace is how long Shutdown leaves, give or take a sweep, a connection on which nothing has been
// sent yet.
const quietGrace = 250 * time.Millisecond

// lookAgain is how often Shutdown looks for connections that it can close.
const lookAgain = 20 * time.Millisecond

// maxSweep is the longest time between two sweeps over the connections.
const maxSweep = 250 * time.Millisecond

// ErrServerClosed says that Serve was called after Shutdown.
var ErrServerClosed = errors.New("httpapi: the server is shut down")

// Server is the public API of one node. Its methods may be called from any
// goroutine.
type Server struct {
	config   Config
	http     *fasthttp.Server
	guard    *guard
	limiter  *limiter // nil: requests are not limited
	tls      atomic.Pointer[tls.Config]
	registry registry
	admin    *administration // nil: there is none
	loops    loops
	medium   budget
	large    budget

	requests  sync.Pool // of *request
	batches   sync.Pool // of *batch
	shards    []shard
	notices   notices
	lastPanic atomic.Int64 // when one was logged, on the registry's clock; 0 is never
	nextShard atomic.Uint32

	stopping atomic.Bool
	closing  chan struct{} // closed by Shutdown
	rejects  chan struct{}

	profiling  chan struct{} // a place for who takes a profile
	processors int           // that there were at the beginning: as many as there are loops

	serving   sync.Mutex
	listeners []net.Listener // of Serve; guarded by serving
	accepting sync.WaitGroup // calls of Serve
}

// bodyPoolOnce sets fasthttp's limit, which is one for the process, to the size
// that this package counts as part of a connection.
var bodyPoolOnce sync.Once

// New makes a Server. The error is ErrConfig. It is to serve with as many event loops as
// there are processors now (runtime.GOMAXPROCS).
func New(config Config) (*Server, error) {
	if err := config.fill(); err != nil {
		return nil, err
	}
	bodyPoolOnce.Do(func() { fasthttp.SetBodySizePoolLimit(mediumFrom, mediumFrom) })
	processors := runtime.GOMAXPROCS(0)
	s := &Server{
		config:  config,
		guard:   newGuard(config.CORSOrigins, config.AllowedHosts),
		medium:  budget{limit: config.MediumBudget},
		large:   budget{limit: config.LargeBudget},
		shards:  make([]shard, 2*processors),
		closing: make(chan struct{}),
		rejects: make(chan struct{}, maxRejects),

		profiling:  make(chan struct{}, 1),
		processors: processors,
		registry:   newRegistry(&config, config.MaxConnections, config.MaxConnectionsPerAddress),
	}
	if err := s.SetTokens(config.Tokens); err != nil {
		return nil, fmt.Errorf("%w: --token, --read-token: %w", ErrConfig, err)
	}
	if config.RateLimit > 0 {
		s.limiter = newLimiter(config.RateLimit, config.RateBurst)
	}
	s.SetTLS(config.TLS)
	s.registry.settle, s.registry.refused = s.settle, s.countRejection
	s.requests.New = s.newRequest
	s.batches.New = newBatch
	if g, ok := config.Cache.(Gatherer); ok {
		g.OnTogether(s.help)
	}
	s.http = s.newHTTP(s.handle, config.MaxConnections)
	if config.Admin {
		s.admin = s.newAdministration()
	}
	return s, nil
}

// newHTTP makes the part that speaks HTTP, for so many connections.
func (s *Server) newHTTP(handler fasthttp.RequestHandler, connections int) *fasthttp.Server {
	return &fasthttp.Server{
		Name:         serverName,
		Handler:      handler,
		ErrorHandler: s.failConnection,
		ConnState:    follow,
		Logger:       silence{},

		// The listener holds the limit; this one is never reached.
		Concurrency:     2*connections + 1024,
		ReadBufferSize:  s.config.MaxHeader,
		WriteBufferSize: writeBuffer,
		// The time-outs are kept by conn.

		MaxRequestBodySize:           s.config.MaxBody,
		StreamRequestBody:            true, // so that readBody can charge before it reads
		DisablePreParseMultipartForm: true,
		LazyRequestTime:              true,
		CloseOnShutdown:              true,
		SecureErrorLogMessage:        true,
		NoDefaultContentType:         true,
	}
}

// sweepInterval gives the precision of the time-outs.
func sweepInterval(c *Config) time.Duration {
	shortest := min(c.ReadTimeout, c.WriteTimeout, c.IdleTimeout)
	return min(max(shortest/8, time.Millisecond), maxSweep)
}

// silence is fasthttp's logger. What it would say is counted here already, and
// may hold parts of requests.
type silence struct{}

func (silence) Printf(string, ...any) {}

// Limits gives the longest body and the longest answer in bytes: what the Config
// says, or what its LargeBudget leaves of that.
func (s *Server) Limits() (body, answer int) { return s.config.MaxBody, s.config.MaxAnswer }

// Handler gives the handler of requests, for tests and benchmarks in process. The
// rules for connections do not apply there.
func (s *Server) Handler() fasthttp.RequestHandler { return s.handle }

// Serve answers requests on the connections that ln accepts, until Shutdown. It
// owns ln. The error is nil after Shutdown, ErrServerClosed if that came before,
// else what made ln fail for good.
func (s *Server) Serve(ln net.Listener) error {
	s.serving.Lock()
	if s.stopping.Load() {
		s.serving.Unlock()
		_ = ln.Close()
		return ErrServerClosed
	}
	if err := s.startLoops(); err != nil {
		s.serving.Unlock()
		return errors.Join(fmt.Errorf("httpapi: serve %s: %w", ln.Addr(), err), ln.Close())
	}
	s.listeners = append(s.listeners, ln)
	s.accepting.Add(1)
	s.serving.Unlock()
	defer s.accepting.Done()
	s.registry.sweep()
	admitting := s.admit(ln, &s.registry)
	admitting.wrap = s.wrap
	return s.accept(admitting, s.begin)
}

// accept begins the connections that ln admits, until Shutdown or until ln fails.
func (s *Server) accept(ln *listener, begin func(*conn)) error {
	for {
		c, err := ln.next()
		if err != nil {
			_ = ln.Close()
			if s.stopping.Load() {
				return nil
			}
			return fmt.Errorf("httpapi: serve %s: %w", ln.Addr(), err)
		}
		begin(c)
	}
}

// admit makes ln one that admits connections by r.
func (s *Server) admit(ln net.Listener, r *registry) *listener {
	return &listener{
		Listener: ln, registry: r, logger: s.config.Logger, loopback: isLoopback(ln.Addr()), tls: s.tls.Load,
		refused: s.countRejection, closing: s.closing, rejects: s.rejects,
	}
}

// countRejection counts a connection that was answered without a request.
func (s *Server) countRejection(fail *proto.Failure) {
	m := &s.shards[0]
	s.countFailure(m, fail)
	m.requests[routeNone][statusPlace(fail.HTTP)].Add(1)
}

// Shutdown stops listening, lets the requests under way finish, each answered
// whole and with Connection: close, and closes the connections that have none.
// When ctx ends first it closes what is left, and the error wraps ctx's. Only the
// first call does anything.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.stopping.Swap(true) {
		return nil
	}
	close(s.closing)
	err := errors.Join(s.closeListeners(), s.registry.drain(ctx))
	s.stopLoops(err == nil)
	if s.admin != nil { // last: an operator may watch
		err = errors.Join(err, s.shutdownAdmin(ctx))
	}
	if err != nil {
		return fmt.Errorf("httpapi: shutdown: %w", err)
	}
	return nil
}

// closeListeners ends Serve, wherever it is called.
func (s *Server) closeListeners() (err error) {
	s.serving.Lock()
	defer s.serving.Unlock()
	for _, ln := range s.listeners {
		if closing := ln.Close(); !errors.Is(closing, net.ErrClosed) { // Serve may have closed it
			err = errors.Join(err, closing)
		}
	}
	s.accepting.Wait()
	return err
}

// serveGoroutine serves c, to its end, in a goroutine.
func (s *Server) serveGoroutine(c *conn) {
	defer s.caught(c)
	_ = s.http.ServeConn(c) // what it says is counted elsewhere
}

// handle is fasthttp's handler.
func (s *Server) handle(ctx *fasthttp.RequestCtx) { s.perform(ctx, s.acquire(connOf(ctx.Conn()))) }

// perform carries out one request and counts it. True: it waits for its operation, and
// goes on with resume. Else r is released.
func (s *Server) perform(ctx *fasthttp.RequestCtx, r *request) (waits bool) {
	r.start = s.registry.now()
	r.stats.started.Add(1)
	defer func() { waits = s.finish(ctx, r, recover()) }()
	r.read(&ctx.Request.Header)
	s.trace(r)
	why := s.guard.judge(ctx, r)
	if !why.refused() {
		why = s.limit(ctx, r) // before tokens can be tried
	}
	if !why.refused() {
		why = s.authorize(ctx, r)
	}
	if why.refused() {
		s.fail(ctx, r, why)
		return false
	}
	s.dispatch(ctx, r)
	return false
}

// resume goes on with a request whose operation is complete. waits says that there is
// another to wait for.
func (s *Server) resume(ctx *fasthttp.RequestCtx, r *request) (waits bool) {
	then := r.then
	r.then = nil
	defer func() { waits = s.finish(ctx, r, recover()) }()
	then(s, ctx, r)
	return false
}

// finish ends what perform or resume has done. A panic, of which v is the value, is a
// bug, and costs one request.
func (s *Server) finish(ctx *fasthttp.RequestCtx, r *request, v any) (waits bool) {
	if v != nil {
		s.panicked(ctx, r, v)
	} else if r.then != nil {
		return true
	}
	if s.stopping.Load() {
		ctx.SetConnectionClose()
	}
	took := s.registry.now() - r.start
	r.stats.observe(r.route, ctx.Response.StatusCode(), took)
	if r.logged {
		s.log(ctx, r, took)
	}
	r.stats.ended.Add(1)
	if v == nil {
		s.release(r) // after a panic an operation may still point into it
	}
	return false
}
