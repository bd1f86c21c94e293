package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smache/smache/engine/httpapi"
	"github.com/smache/smache/engine/internal/accesslog"
	"github.com/smache/smache/engine/store"
	"github.com/smache/smache/proto"
)

// The states of a node, in their order. A node never goes back.
const (
	stateNew     uint32 = 0 // built, not serving
	stateServing uint32 = 1
	stateLeaving uint32 = 2 // draining: /readyz is false
	stateClosed  uint32 = 3
)

// Node is one node of Smache.
type Node struct {
	cfg         Config
	plan        MemoryPlan
	build       Build
	started     time.Time
	incarnation uint64

	store   *store.Store
	api     *httpapi.Server
	members members // nil: the node is alone
	history *history
	access  *accesslog.Log // nil: there is none
	looking chan struct{}  // a place for each who asks the members for their samples

	state   atomic.Uint32
	address atomic.Pointer[string] // advertised, once it serves
	reloads [2]atomic.Uint64       // of what the process reads again: done, failed
	failed  chan error             // takes what ends Serve before Drain does

	sampling time.Duration // from one sample to the next
	sampler  sync.WaitGroup
	serving  sync.WaitGroup // of listeners
	enough   chan struct{}  // closed to end the sampler

	turnsLock sync.Mutex
	turns     chan struct{} // closed when the turns that Alive asks for are over; nil: none are

	drainOnce sync.Once
	drained   chan struct{} // closed when the drain is over
	drainErr  error         // readable once drained is closed
}

// New builds a node: it plans the memory, checks it against what is left, and
// touches the arena, which takes a moment for each GiB; then, in a cluster, it
// opens the peer port. The node does not serve before Start. The errors name the
// flag to turn.
func New(cfg Config) (*Node, error) { return build(cfg, newMembers) }

// build is New with a cluster of the caller's making.
func build(cfg Config, join joining) (*Node, error) {
	if err := proto.CheckName(cfg.Name); err != nil {
		return nil, fmt.Errorf("%w: it is %q", ErrName, cfg.Name)
	}
	if cfg.Cluster != nil {
		if err := cfg.Cluster.check(); err != nil {
			return nil, err
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	plan, large, medium, err := cfg.plan(available(&cfg))
	if err != nil {
		return nil, err
	}
	if plan.MaxConnections, err = cfg.connections(plan); err != nil {
		return nil, err
	}

	n := &Node{
		cfg:     cfg,
		plan:    plan,
		build:   ReadBuild(cfg.Version),
		started: time.Now(),
		failed:  make(chan error, 1),
		drained: make(chan struct{}),
		looking: make(chan struct{}, maxLooking),
		enough:  make(chan struct{}),

		sampling: sampleEvery,
	}
	n.incarnation = uint64(n.started.UnixNano())
	n.history = &history{run: n.incarnation}

	n.store, err = store.New(store.Config{
		ArenaBytes: plan.Arena,
		MaxEntries: plan.MaxEntries,
		MaxValue:   cfg.MaxValue,
		QueueLen:   cfg.Queue,
		Writers:    cfg.Writers,
		Clock:      cfg.Clock,
		Node:       cfg.Name,

		Cluster:     cfg.Cluster != nil,
		RecordBytes: plan.Records,
		Panicked: func(reason any) {
			cfg.Logger.Error("engine: a bug in the store; what it has left half done is dropped",
				"panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
		},
	})
	switch {
	case errors.Is(err, store.ErrArena):
		return nil, fmt.Errorf("engine: lower --writers or raise --memory: %w", err)
	case errors.Is(err, store.ErrMaxValue):
		return nil, fmt.Errorf("engine: lower --max-value or raise --memory: %w", err)
	case errors.Is(err, store.ErrMemory):
		return nil, fmt.Errorf("engine: lower --memory: %w", err)
	case err != nil:
		return nil, fmt.Errorf("engine: building the store: %w", err)
	}
	if cfg.AccessLog != nil {
		n.access = accesslog.New(cfg.AccessLog, cfg.AccessShare)
	}
	var cache httpapi.Cache = alone{n.store}
	if cfg.Cluster != nil {
		if n.members, err = join(&cfg, n.store, told{n.history.last, n.forwarded()}, n.build.Version); err != nil {
			n.closeAccess()
			return nil, errors.Join(err, n.store.Close())
		}
		cache = n.members
	}
	n.api, err = httpapi.New(httpapi.Config{
		Cache:                    cache,
		Node:                     cfg.Name,
		Cluster:                  n.Cluster,
		Stats:                    n.Stats,
		Metrics:                  n.AppendMetrics,
		Ready:                    n.Ready,
		Logger:                   cfg.Logger,
		DefaultTTL:               cfg.DefaultTTL,
		MaxValue:                 n.store.MaxValue(),
		MaxBatch:                 cfg.MaxBatch,
		MaxBody:                  cfg.MaxBody,
		MaxAnswer:                cfg.MaxAnswer,
		MaxHeader:                cfg.MaxHeader,
		LargeBudget:              large,
		MediumBudget:             medium,
		MaxConnections:           plan.MaxConnections,
		MaxConnectionsPerAddress: cfg.MaxConnectionsPerAddress,
		ReadTimeout:              cfg.ReadTimeout,
		WriteTimeout:             cfg.WriteTimeout,
		IdleTimeout:              cfg.IdleTimeout,
		CORSOrigins:              cfg.CORSOrigins,
		AllowedHosts:             cfg.AllowedHosts,
		Tokens:                   cfg.Tokens,
		TLS:                      cfg.TLS,
		RateLimit:                cfg.RateLimit,
		RateBurst:                cfg.RateBurst,
		TrustedProxies:           cfg.TrustedProxies,
		Admin:                    cfg.Admin,
		AccessLog:                n.access,
		Version:                  n.build.Version,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("engine: building the API: %w", err), n.closeParts())
	}
	return n, nil
}

// available gives the memory that is left; 0, after a warning, where the system
// does not tell. The check is then the touching of the arena alone.
func available(cfg *Config) int64 {
	if cfg.Available > 0 {
		return cfg.Available
	}
	left, source, err := AvailableMemory()
	if err != nil {
		cfg.Logger.Warn("--memory could not be compared with what is left", "error", err)
		return 0
	}
	cfg.Logger.Debug("memory left", "bytes", left, "says", source)
	return left
}

// Plan gives how the memory is divided. Whoever owns the process is to set the
// limit of the Go heap to its GoLimit.
func (n *Node) Plan() MemoryPlan { return n.plan }

// MaxValue gives the longest value in bytes that the node takes.
func (n *Node) MaxValue() int { return n.store.MaxValue() }

// Limits gives the longest body and the longest answer in bytes: what the Config
// says, or what the memory for large bodies and answers leaves of that.
func (n *Node) Limits() (body, answer int) { return n.api.Limits() }

// SetTokens replaces the tokens that the API takes. The errors are those of
// httpapi's Server.SetTokens; the old ones then stay.
func (n *Node) SetTokens(t httpapi.Tokens) error { return n.api.SetTokens(t) }

// SetTLS replaces the certificates of the API, for connections from now on; those
// that are there go on.
func (n *Node) SetTLS(c *tls.Config) { n.api.SetTLS(c) }

// CountReload counts that something of the node's configuration was read again, or
// could not be.
func (n *Node) CountReload(err error) {
	if err != nil {
		n.reloads[1].Add(1)
		return
	}
	n.reloads[0].Add(1)
}

// Start looks for the cluster, if there is one, and serves the API on l, which the
// node owns from then on. It returns at once: until the node has joined, requests
// for keys are answered 503 and /readyz is false. An error that ends the serving
// before Drain arrives on Failed. It may be called once; when it fails, Drain is
// all that is left to do.
func (n *Node) Start(l net.Listener) error {
	if !n.state.CompareAndSwap(stateNew, stateServing) {
		panic("BUG: engine: Start on a node that was started or drained before")
	}
	address := Advertised(l.Addr(), n.cfg.Advertise)
	n.address.Store(&address)
	n.sampler.Go(func() { n.sample(n.enough) })
	if n.members != nil {
		if err := n.members.Start(); err != nil {
			n.state.Store(stateLeaving)
			return errors.Join(fmt.Errorf("engine: starting the cluster (see --gossip-listen and --join): %w", err), l.Close())
		}
	}
	n.serving.Go(func() { n.serve(n.api.Serve, l) })
	return nil
}

// StartAdmin serves the address for administration on l, which the node owns from then
// on, until the end of Drain: so metrics tell of a node that looks for its cluster, and
// of one that leaves. It may be called once, if Config.Admin says so, before Start; it
// returns at once, and an error that ends it arrives on Failed.
func (n *Node) StartAdmin(l net.Listener) {
	n.serving.Go(func() { n.serve(n.api.ServeAdmin, l) })
}

// serve tells Failed what ends the serving of a listener before Drain does.
func (n *Node) serve(serve func(net.Listener) error, l net.Listener) {
	err := serve(l)
	if n.state.Load() >= stateLeaving {
		return
	}
	if err == nil {
		err = errors.New("engine: a listener was closed")
	}
	select {
	case n.failed <- err:
	default: // the other listener has failed before
	}
}

// Failed carries the error that ended the serving, if one does.
func (n *Node) Failed() <-chan error { return n.failed }

// Ready reports whether the node serves, has joined its cluster if it has one, and
// is not about to leave.
func (n *Node) Ready() bool {
	return n.state.Load() == stateServing && (n.members == nil || n.members.Ready())
}

// Drain takes the node out of service: /readyz turns false; after
// Config.DrainDelay a node of a cluster hands over what it holds, and goes on
// serving meanwhile; then the listener closes; requests under way are finished, and
// their answers sent whole; then the store closes. It returns when that is done, or
// with ctx's error as soon as ctx ends, with requests possibly cut short and
// entries not handed over. A second call waits for the first one's end.
func (n *Node) Drain(ctx context.Context) error {
	n.drainOnce.Do(func() {
		go func() {
			n.drainErr = n.drain(ctx)
			close(n.drained)
		}()
	})
	select {
	case <-n.drained:
		return n.drainErr
	case <-ctx.Done():
		return fmt.Errorf("engine: the drain was cut short: %w", ctx.Err())
	}
}

func (n *Node) drain(ctx context.Context) (err error) {
	serving := n.state.Swap(stateLeaving) == stateServing
	if serving && n.cfg.DrainDelay > 0 {
		timer := time.NewTimer(n.cfg.DrainDelay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if serving && n.members != nil {
		err = n.leave(ctx)
	}
	// A listener that failed before is closed already, which is as good.
	if shut := n.api.Shutdown(ctx); shut != nil && !errors.Is(shut, net.ErrClosed) {
		// Requests may still be running: the store stays open under them.
		return errors.Join(err, fmt.Errorf("engine: shutting down the API: %w", shut))
	}
	n.serving.Wait() // a listener whose serving had only just begun is closed by it
	if err = errors.Join(err, n.closeParts()); err == nil {
		n.state.Store(stateClosed)
	}
	return err
}

// closeParts ends the sampler, and closes what is below the API, the store last: the
// cluster works on it.
func (n *Node) closeParts() (err error) {
	close(n.enough)
	n.sampler.Wait()
	if n.members != nil {
		if err = n.members.Close(); err != nil {
			err = fmt.Errorf("engine: closing the cluster: %w", err)
		}
	}
	n.closeAccess()
	if closing := n.store.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("engine: closing the store: %w", closing))
	}
	return err
}

// Len gives the number of entries that the node holds.
func (n *Node) Len() int { return n.store.Len() }
