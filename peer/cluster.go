package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smache/smache/peer/gossip"
	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// ClusterConfig says how a node is part of a cluster. The zero value of a field is
// its default, unless it is required.
type ClusterConfig struct {
	// Name is this node's name, unique in the cluster. Required.
	Name string
	// Cluster is the cluster's name; nodes of others are not spoken to.
	Cluster string
	// Secrets authenticate nodes to one another, and encrypt what passes between
	// them: the first is used, all are accepted. Required, unless Insecure.
	Secrets [][]byte
	// Insecure does without: whoever reaches the ports is trusted, and can read.
	Insecure bool

	// Peer is where other nodes connect; the Cluster closes it. Required.
	Peer net.Listener
	// Advertise is the host:port at which they reach it. Required.
	Advertise string
	// Gossip is the host:port, TCP and UDP, by which nodes find each other.
	// Required.
	Gossip string
	// GossipAdvertise is the host:port at which others reach it. Default: Gossip.
	GossipAdvertise string
	// HTTP is the host:port of the API, as clients and others reach it.
	HTTP string
	// Version is this node's build.
	Version string
	// Join names nodes to join: see package gossip. None: the node begins alone.
	Join []string

	// Weight is this node's share of the slots, in proportion to the others'.
	// 100 is usual; a node with 0 holds nothing.
	Weight uint32
	// Outbox bounds the bytes that wait to be sent to a peer. Default: DefaultOutbox; at
	// least LeastOutbox.
	Outbox int
	// MoveRate bounds the bytes of entries that this node takes over in a second.
	// Default 64 MiB.
	MoveRate int
	// Wait is how long an operation waits for a node that does not answer. Nodes of one
	// cluster should agree on it. Default and least: DefaultWait.
	Wait time.Duration
	// Stats gives the last samples of this node's figures, for others to show. It is
	// called on an event loop and must not block. Nil: they are told to come again.
	Stats func(last int) proto.Stats
	// Traced is told of each traced request of another node, once it is answered. It
	// is called on any goroutine, event loops among them, and must not block. Nil:
	// nobody is told.
	Traced func(*Traced)
	// Store is what this node keeps. Required; it is not closed.
	Store Store
	// Logger gets a line for what an operator should know. Default: none.
	Logger *slog.Logger
}

// Store is what a cluster asks of a node's store: *store.Store is one. See there.
type Store interface {
	Submit(op *proto.Op) bool
	Flush() error
	Now() time.Duration
	ServeUntil(t time.Duration)
	SetRoles(changes []proto.SlotRole)
	Serves(slot proto.Slot) (term uint32, importing, held bool)
	Holds(slot proto.Slot) bool
	Warm(slots []proto.Slot, keys [][]byte)
	Remember(slot proto.Slot, on bool)
	Knows(slot proto.Slot, key []byte) bool
	SlotKeys(slot proto.Slot) []string
	Items(slot proto.Slot, keys []string, limit int, buf []byte, items []proto.Entry) ([]byte, []proto.Entry, int)
	MergeAll(slot proto.Slot, entries []proto.Entry, statuses []proto.Status) (_ []proto.Status, aged int)
	RemoveKeys(slot proto.Slot, keys []string) int
	DropSlot(slot proto.Slot) int
	SlotLen(slot proto.Slot) int
	Floor(slot proto.Slot) proto.Version
	Clock(slot proto.Slot) uint64
	Adopt(clock uint64)
	TooOld() uint64
}

// The defaults of ClusterConfig, and what machines are told.
const (
	defaultMoveRate = 64 << 20
	// aloneAfter is how long a node waits for those that it is to join.
	aloneAfter = 5 * time.Second
	// moveBatch bounds the bytes of a slot's entries that travel at once.
	moveBatch = 128 << 10
	// moveWindow is how many slots a node takes over at a time.
	moveWindow = 256
	// maxFetching bounds the operations that wait for keys from a slot's source.
	maxFetching = 4096
	// lastWords is how long a node that has handed over everything stays to say
	// where it went.
	lastWords = 300 * time.Millisecond
	// flushWithin is how long a flush waits for a member's answer.
	flushWithin = 2 * time.Second
)

// Cluster is a node's part in a cluster: it finds the other nodes, settles with
// them who holds which slot, moves the entries, and carries operations to their
// holders.
type Cluster struct {
	cfg    ClusterConfig
	keeper *keeper
	links  *Links
	gossip *gossip.Gossip
	*forwarder

	together func() // see OnTogether

	closing sync.Once
	failed  atomic.Pointer[error]
}

// NewCluster makes a node's part in a cluster. Start begins it. The errors say what
// to change.
func NewCluster(cfg ClusterConfig) (*Cluster, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MoveRate == 0 {
		cfg.MoveRate = defaultMoveRate
	}
	cfg.Wait = max(cfg.Wait, DefaultWait)
	var keys *secure.Keys
	switch {
	case len(cfg.Secrets) > 0:
		var err error
		if keys, err = secure.NewKeys(cfg.Cluster, cfg.Secrets...); err != nil {
			return nil, err
		}
	case cfg.Insecure:
		keys = secure.Plaintext(cfg.Cluster)
	default:
		return nil, fmt.Errorf("%w: a cluster needs a secret; see --secret", ErrConfig)
	}
	c := &Cluster{cfg: cfg, together: func() {}}
	incarnation := uint64(time.Now().UnixMilli()) * hold.RunStep
	c.keeper = newKeeper(&cfg, incarnation)
	var err error
	c.links, err = NewLinks(Config{
		Node: cfg.Name, Incarnation: incarnation, Cluster: cfg.Cluster, Keys: keys,
		Handler: c.keeper, Notify: c.keeper.linkEvent, Logger: cfg.Logger, Listener: cfg.Peer,
		Answered: func() { c.together() }, OutboxBytes: cfg.Outbox,
	})
	if err != nil {
		return nil, err
	}
	c.keeper.links = c.links
	c.forwarder = newForwarder(cfg.Store, c.keeper, c.links.now)
	c.forwarder.linked = true
	c.forwarder.traced = cfg.Traced
	c.forwarder.waitFor(cfg.Wait)
	c.keeper.forwarder = c.forwarder
	return c, nil
}

// Start begins to find others and to take slots.
func (c *Cluster) Start() error {
	if err := c.links.Start(); err != nil {
		return err
	}
	c.keeper.start()
	var err error
	c.gossip, err = gossip.Start(gossip.Config{
		Name: c.cfg.Name, Incarnation: c.keeper.incarnation, Cluster: c.cfg.Cluster, Keys: c.gossipKeys(),
		Self: gossip.Info{Peer: c.cfg.Advertise, HTTP: c.cfg.HTTP, Version: c.cfg.Version},
		Bind: c.cfg.Gossip, Advertise: c.cfg.GossipAdvertise, Join: c.cfg.Join,
		Found: c.keeper.found, OnlySelf: c.keeper.onlySelf, Refused: c.refused, Logger: c.cfg.Logger,
	})
	if err != nil {
		return errors.Join(err, c.Close())
	}
	c.keeper.gossip.Store(c.gossip)
	return nil
}

// Gathered sends the operations with Op.Gather that have waited for each other. Any
// goroutine.
func (c *Cluster) Gathered() { c.links.Gathered() }

// OnTogether has f called on a link's event loop, behind operations that were completed
// there with Op.Together. f must not block. It is called before Start.
func (c *Cluster) OnTogether(f func()) { c.together = f }

func (c *Cluster) gossipKeys() [][]byte { return c.links.cfg.Keys.Gossip() }

// refused is told that another node has this one's name.
func (c *Cluster) refused(err error) {
	c.failed.Store(&err)
	c.cfg.Logger.Error("cluster: another node has this name; give each its own, see --name",
		"name", c.cfg.Name, "error", err)
}

// Ready reports whether the node is a serving member, and every slot has had a holder since
// the cluster began: before that an operation may come to nothing.
func (c *Cluster) Ready() bool { return c.keeper.ready.Load() && c.failed.Load() == nil }

// Leave hands over everything that this node holds, and says farewell. Operations
// are carried out meanwhile, and passed on afterwards. ctx ends it early, with
// entries lost; the error says how many slots were left.
func (c *Cluster) Leave(ctx context.Context) error {
	k := c.keeper
	k.do(func(now time.Duration) { k.m.Leave(now) })
	var since time.Time
	for {
		left := false
		if !k.wait(func(time.Duration) { left = k.m.Left() }) {
			return nil // closed
		}
		if !left {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		if left && time.Since(since) >= lastWords {
			break
		}
		select {
		case <-ctx.Done():
			s := k.m.Stats()
			c.farewell()
			return fmt.Errorf("cluster: %d slots were not handed over: %w", s.Held.Load()+s.Sources.Load(), ctx.Err())
		case <-time.After(hold.TickEvery / 2):
		}
	}
	c.farewell()
	return nil
}

// farewell says that this node is gone, on the links and to the gossip. Whoever does
// not hear of it there looks for this node in vain for some seconds.
func (c *Cluster) farewell() {
	c.keeper.wait(func(now time.Duration) { c.keeper.m.Farewell(now) })
	if c.gossip == nil {
		return // not started
	}
	if err := c.gossip.Leave(lastWords); err != nil && !errors.Is(err, gossip.ErrClosed) {
		c.cfg.Logger.Debug("cluster: leaving the gossip", "error", err)
	}
}

// Close ends everything. Operations under way are answered.
func (c *Cluster) Close() (err error) {
	c.closing.Do(func() {
		if c.gossip != nil {
			err = c.gossip.Close()
		}
		c.keeper.close()
		err = errors.Join(err, c.links.Close())
		c.forwarder.close()
	})
	return err
}

// Owner names the member that a slot belongs to; it may still be on its way there.
// Empty: nobody, yet.
func (c *Cluster) Owner(slot proto.Slot) (name string) {
	table := c.keeper.table.Load()
	if owner := table.Owner(slot); owner >= 0 {
		name = table.Members()[owner].Name
	}
	return name
}
