package peer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/smache/smache/proto"
)

// Links are a node's links to all other nodes. There may be any number of Links in
// a process.
type Links struct {
	cfg    Config
	base   time.Time
	awake  atomic.Int64 // the time that this node was awake, see look
	looked int64        // of the goroutine that ticks
	timer  *time.Timer  // when it looks next; pausing guards its Reset
	// resting says that nothing is under way: who begins something calls rouse.
	resting atomic.Bool
	pausing sync.Mutex
	engine  *gnet.Client
	ctx     context.Context // of dials
	cancel  context.CancelFunc
	stop    chan struct{} // ends the ticker

	incarnation atomic.Uint64

	strangers *Link         // counts for connections that have not said hello
	forgotten atomic.Uint64 // operations that were sent to peers since forgotten
	clients   *Link         // counts for clients

	working sync.WaitGroup // acceptor and dials
	ticking sync.WaitGroup
	pending atomic.Int32 // accepted connections that have not said hello
	panics  atomic.Uint64

	gathering gathering

	mu      sync.Mutex
	peers   map[string]*Link
	conns   map[*conn]struct{} // those that gnet has
	started bool
	closing bool
	empty   chan struct{} // closed when closing and there are no conns
	seq     uint64
}

// Link is what there is between this node and one peer, connected or not.
type Link struct {
	links *Links
	name  string
	conn  atomic.Pointer[conn]
	stats stats

	forward forwardStats

	// Links.mu guards the rest.
	address     string
	wanted      bool  // Connect was called
	dialling    *conn // a dial under way, up to its hello
	dialAt      int64 // not before
	failures    int   // in a row
	upAt        int64
	incarnation uint64
	ups         uint64
	closes      map[closeLabel]uint64
}

// NewLinks makes the links of a node. The error wraps ErrConfig.
func NewLinks(cfg Config) (*Links, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Links{
		cfg: cfg, base: time.Now(),
		stop:  make(chan struct{}),
		peers: map[string]*Link{}, conns: map[*conn]struct{}{},
		empty: make(chan struct{}),
	}
	l.incarnation.Store(cfg.Incarnation)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.strangers, l.clients = l.newLink(""), l.newLink("")
	l.engine, err = gnet.NewClient(&loops{links: l},
		gnet.WithNumEventLoop(cfg.Loops), gnet.WithReadBufferCap(readBuffer),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay), gnet.WithLogger(&gnetLogger{cfg.Logger}))
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Links) newLink(name string) *Link {
	return &Link{links: l, name: name, closes: map[closeLabel]uint64{}}
}

// Start begins to accept and to dial. It is called once.
func (l *Links) Start() error {
	if err := l.engine.Start(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started = true
	l.working.Add(1)
	go l.accept()
	l.timer = time.NewTimer(tickEvery)
	l.ticking.Add(1)
	go l.tick()
	return nil
}

// Close says goodbye to all peers, completes all calls with an error and ends all
// goroutines. What was answered before is sent as far as the kernel takes it. It
// must not be called on an event loop.
func (l *Links) Close() error {
	l.mu.Lock()
	if l.closing || !l.started {
		first := !l.closing
		l.closing = true
		l.mu.Unlock()
		if first { // it was never started
			l.cancel()
			return l.cfg.Listener.Close()
		}
		return nil
	}
	l.closing = true
	l.mu.Unlock()
	l.cancel()
	err := l.cfg.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	l.working.Wait() // no connection is on its way to gnet from here on
	l.mu.Lock()
	for k := range l.conns {
		k.kill(proto.ErrLinkDone)
	}
	l.checkEmpty()
	l.mu.Unlock()
	<-l.empty
	close(l.stop)
	l.ticking.Wait()
	if stopped := l.engine.Stop(); err == nil {
		err = stopped
	}
	return err
}

// Addr is where the links are accepted.
func (l *Links) Addr() net.Addr { return l.cfg.Listener.Addr() }

// SetIncarnation raises the incarnation that hellos carry from now on, for a node
// that begins anew without a restart. Links that there are stay.
func (l *Links) SetIncarnation(incarnation uint64) { l.incarnation.Store(incarnation) }

// now is the time since the links were made, in nanoseconds; never 0.
func (l *Links) now() int64 { return int64(time.Since(l.base)) + 1 }

// Connect keeps a link to the peer of this name, whose peer port is at address,
// until Forget. Called again it changes the address.
func (l *Links) Connect(name, address string) *Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peer(name)
	if !p.wanted || p.address != address {
		p.wanted, p.address, p.failures, p.dialAt = true, address, 0, 0
	}
	l.dialIfDue(p, l.now())
	l.rouse()
	return p
}

// Forget dials a peer no more. A connection that there is stays until the peer ends
// it, or falls silent: a node that leaves still sends on what its clients ask, and a
// request whose answer is cut off cannot be repeated. The peer may still connect.
func (l *Links) Forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[name]
	if p == nil {
		return
	}
	p.wanted = false
	if p.dialling != nil {
		p.dialling.kill(ErrForgotten)
	}
	l.dropIfIdle(p)
}

// Link gives the link to a peer that Connect was called for or that is connected,
// else nil.
func (l *Links) Link(name string) *Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peers[name]
}

// Name is the peer's name; of a client's link, empty.
func (p *Link) Name() string { return p.name }

// Has reports whether there is a connection to a peer that says in its hello that it
// has a feature.
func (p *Link) Has(feature uint64) bool {
	k := p.conn.Load()
	return k != nil && k.features&feature != 0
}

// Connected reports whether there is a connection.
func (p *Link) Connected() bool { return p.conn.Load() != nil }

// peer gives the link to a peer, and makes it if there is none. l.mu is held.
func (l *Links) peer(name string) *Link {
	p := l.peers[name]
	if p == nil {
		p = l.newLink(name)
		l.peers[name] = p
	}
	return p
}

// dropIfIdle forgets a peer that nobody wants and that is not connected. Why its
// connections were closed is still counted, among the strangers. l.mu is held.
func (l *Links) dropIfIdle(p *Link) {
	if p.wanted || p.conn.Load() != nil || p.dialling != nil || l.peers[p.name] != p {
		return
	}
	delete(l.peers, p.name)
	l.forgotten.Add(p.forward.sent.Load())
	for label, n := range p.closes {
		l.strangers.closes[label] += n
	}
}

// register notes a connection that gnet has taken.
func (l *Links) register(k *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[k] = struct{}{}
	l.rouse()
}

// retire is the last that is done about a connection.
func (l *Links) retire(k *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, k)
	l.checkEmpty()
}

// checkEmpty ends Close's wait. l.mu is held.
func (l *Links) checkEmpty() {
	if !l.closing || len(l.conns) > 0 {
		return
	}
	select {
	case <-l.empty:
	default:
		close(l.empty)
	}
}

// unregister takes a connection that has ended from its peer. What it returns
// tells Notify.
func (l *Links) unregister(k *conn) (notify func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.target == nil && !k.ready.Load() {
		l.pending.Add(-1)
	}
	p := k.target
	if k.ready.Load() {
		p = k.link
	}
	if p == nil {
		l.strangers.count(k.why)
		name, by := reasonOf(k.why)
		l.cfg.Logger.Debug("peer: a connection was closed before its hello", "reason", name, "by", by)
		return func() {}
	}
	if p.dialling == k {
		return l.dialOver(p, k.why)
	}
	p.count(k.why)
	if p.conn.Load() != k {
		return func() {} // replaced, or never more than a dial that was given up
	}
	p.conn.Store(nil)
	now := l.now()
	if p.failures++; now-p.upAt > int64(time.Second) {
		p.failures = 0
	}
	p.dialAt = now + l.backoff(p.failures, k.why)
	l.rouse()
	name, by := reasonOf(k.why)
	l.cfg.Logger.Info("peer: link down", "peer", p.name, "reason", name, "by", by)
	l.dropIfIdle(p)
	return l.event(LinkDown, p, k.why)
}

// event makes an event. l.mu is held.
func (l *Links) event(kind EventKind, p *Link, err error) (notify func()) {
	l.seq++
	e := Event{Kind: kind, Seq: l.seq, Peer: p.name, Incarnation: p.incarnation, Err: err}
	return func() {
		if l.cfg.Notify == nil {
			return
		}
		defer func() {
			if p := recover(); p != nil {
				l.panicked(p)
			}
		}()
		l.cfg.Notify(e)
	}
}

// backoff gives the time until the next dial: doubled with each failure, half of it
// random, so that nodes that failed together do not come back together.
func (l *Links) backoff(failures int, why error) int64 {
	d := l.cfg.MaxBackoff
	if failures < 20 && !lasting(why) {
		d = min(d, l.cfg.MinBackoff<<max(failures-1, 0))
	}
	return int64(d)/2 + rand.Int64N(int64(d)/2+1)
}
