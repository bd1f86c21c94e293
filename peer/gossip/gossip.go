package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Gossip finds the other nodes of a cluster, and lets them find this one, until it
// is closed.
type Gossip struct {
	cfg       Config
	key       string // this run, to memberlist
	list      *memberlist.Memberlist
	transport *transport
	roster    *roster
	seeker    *seeker
	logs      *logs

	ctx    context.Context // ends with Close: what reports to Config
	cancel context.CancelFunc
	seek   context.Context // ends with Leave, too: what joins
	halt   context.CancelFunc
	wg     sync.WaitGroup

	encoded  atomic.Pointer[[]byte] // this node's meta, for memberlist
	onlySelf atomic.Bool
	nameable atomic.Bool // the seeker sees no reason to wait for others

	mu   sync.Mutex // guards self, and that one tells it at a time
	self meta

	ending sync.Mutex // Leave and Shutdown of memberlist exclude each other
	ended  bool
}

// Start binds the gossip port and begins to look for others. It does not wait for
// any. The errors are ErrConfig, ErrJoin, ErrListen and ErrMeta.
func Start(cfg Config) (*Gossip, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	entries, err := parseJoin(cfg.Join, cfg.GossipPort)
	if err != nil {
		return nil, err
	}
	g := &Gossip{
		cfg: cfg, key: runKey(cfg.Name, cfg.Incarnation, rand.Uint32()), logs: newLogs(cfg.Logger),
		self: meta{incarnation: cfg.Incarnation, info: cfg.Self},
	}
	if err := g.encode(); err != nil {
		return nil, err
	}
	g.roster, g.seeker = newRoster(g.key, cfg.pace), newSeeker(g, entries)
	if g.transport, err = newTransport(cfg.Bind, cfg.label(), g.logs); err != nil {
		return nil, err
	}
	g.transport.cut = cfg.cut
	if err := g.advertise(); err != nil {
		_ = g.transport.Shutdown()
		return nil, err
	}
	library, err := g.library(g.transport.bound.Addr().IsLoopback())
	if err != nil {
		_ = g.transport.Shutdown()
		return nil, err
	}
	g.transport.start()
	if g.list, err = memberlist.Create(library); err != nil {
		_ = g.transport.Shutdown()
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.seek, g.halt = context.WithCancel(g.ctx)
	g.wg.Go(g.report)
	g.wg.Go(func() { g.seeker.run(g.seek) })
	return g, nil
}

// advertise settles the address that others are told.
func (g *Gossip) advertise() error {
	bound := g.transport.bound
	host, port := bound.Addr().String(), ""
	if g.cfg.Advertise != "" {
		var err error
		if host, port, err = net.SplitHostPort(g.cfg.Advertise); err != nil {
			return fmt.Errorf("%w: the advertised address %q must be host:port", ErrConfig, g.cfg.Advertise)
		}
	}
	number := uint64(bound.Port())
	if port != "" && port != "0" {
		var err error
		if number, err = strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("%w: the advertised port %q must be 1 to 65535", ErrConfig, port)
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
		defer cancel()
		addrs, err := g.cfg.Resolver.LookupNetIP(ctx, "ip", host)
		if len(addrs) == 0 {
			return fmt.Errorf("%w: the advertised address %q: %w", ErrConfig, host, cmpError(err, "the name has no addresses"))
		}
		addr = addrs[0]
		for _, one := range addrs {
			if !addr.Unmap().Is4() && one.Unmap().Is4() {
				addr = one
			}
		}
	}
	if addr = addr.Unmap(); addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "" {
		return fmt.Errorf("%w: others cannot reach this node at %s: an address to advertise is required", ErrConfig, addr)
	}
	g.transport.advertise = netip.AddrPortFrom(addr, uint16(number))
	return nil
}

// encode makes self what memberlist is given. g.mu is held, or nobody else has g.
func (g *Gossip) encode() error {
	b, err := g.self.encode()
	if err != nil {
		return err
	}
	g.encoded.Store(&b)
	return nil
}

// Update tells the others that this node has another incarnation, or that its
// addresses have changed. They hear of it within moments. The error is ErrMeta, and
// nothing has changed then.
func (g *Gossip) Update(incarnation uint64, self Info) error {
	return g.change(func(m *meta) { m.incarnation, m.info = incarnation, self })
}

func (g *Gossip) change(f func(*meta)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.self
	f(&g.self)
	if err := g.encode(); err != nil {
		g.self = before
		return err
	}
	// It queues the news, and then waits until they have been sent often enough,
	// which nobody here needs to know.
	_ = g.list.UpdateNode(time.Millisecond)
	return nil
}

// Members gives the other nodes that are there, by gossip's own view, by name.
func (g *Gossip) Members() []Node { return g.roster.nodes() }

// OnlySelf says whether the join list has turned out to name this node alone, or to
// be empty; see Config.OnlySelf.
func (g *Gossip) OnlySelf() bool { return g.onlySelf.Load() }

// Addr is the address that gossip is bound to.
func (g *Gossip) Addr() netip.AddrPort { return g.transport.bound }

// Advertised is the address that others are told.
func (g *Gossip) Advertised() netip.AddrPort { return g.transport.advertise }

// Leave tells the others that this node goes, and stops looking for them. It waits
// until they know, but no longer than timeout. The node goes on answering until it
// is closed. The error says that they may not all know; ErrClosed, that it is too
// late.
func (g *Gossip) Leave(timeout time.Duration) error {
	g.halt()
	g.ending.Lock()
	defer g.ending.Unlock()
	if g.ended {
		return ErrClosed
	}
	if err := g.list.Leave(max(timeout, time.Millisecond)); err != nil {
		return fmt.Errorf("gossip: not all may know that this node leaves: %w", err)
	}
	return nil
}

// Close ends everything, without telling others. No callback runs when it returns.
// Memberlist's last probe may take some seconds more to notice.
func (g *Gossip) Close() error {
	g.roster.close()
	g.cancel()
	g.end()
	g.wg.Wait()
	g.logs.closed.Store(true)
	return nil
}

// end shuts memberlist down.
func (g *Gossip) end() {
	g.ending.Lock()
	defer g.ending.Unlock()
	g.ended = true
	_ = g.list.Shutdown() // it always gives nil
}

// aloneForSure notes that there is nobody to wait for.
func (g *Gossip) aloneForSure() {
	if !g.onlySelf.Swap(true) {
		g.roster.wake()
	}
}

// mayName notes that the others, if any, have been met: if none of them has this
// node's name, it is this node's from now on. It comes after a whole exchange of
// states: in the middle of one, the other with this name may not have come up yet.
func (g *Gossip) mayName() {
	if !g.nameable.Swap(true) {
		g.roster.wake()
	}
}

// own is this node's run.
func (g *Gossip) own() run {
	g.mu.Lock()
	defer g.mu.Unlock()
	return run{key: g.key, settled: g.self.settled, node: Node{
		Name: g.cfg.Name, Incarnation: g.self.incarnation, Info: g.self.info, Gossip: g.transport.advertise,
	}}
}

// report calls Config's callbacks, all on this goroutine.
func (g *Gossip) report() {
	timer := time.NewTimer(longWait)
	defer timer.Stop()
	told := false
	for {
		own := g.own()
		d := g.roster.decide(time.Now(), own)
		if d.refused != nil {
			g.refuse(own, d.refused)
			return
		}
		if d.named && !own.settled && g.nameable.Load() {
			_ = g.change(func(m *meta) { m.settled = true }) // a flag is as long as none
			g.roster.wake()
		}
		for _, q := range d.checks {
			g.wg.Go(func() { g.roster.answer(q, g.ask(q.runs)) })
		}
		for _, live := range d.quarrels {
			g.quarrel(live)
		}
		if g.onlySelf.Load() && !told {
			told = true
			g.cfg.OnlySelf()
		}
		g.tell(&d)
		timer.Reset(d.wait)
		select {
		case <-g.ctx.Done():
			return
		case <-g.roster.kick:
		case <-timer.C:
		}
	}
}

// tell reports who was found and who is lost.
func (g *Gossip) tell(d *decision) {
	for _, n := range d.lost {
		g.cfg.Logger.Info("gossip: lost a node", "node", n.Name, "incarnation", n.Incarnation, "address", n.Gossip)
		g.cfg.Lost(n)
	}
	for _, n := range d.found {
		g.cfg.Logger.Info("gossip: found a node", "node", n.Name, "incarnation", n.Incarnation, "address", n.Gossip)
		g.cfg.Found(n)
	}
	if len(d.lost) > 0 && len(g.roster.nodes()) == 0 {
		g.seeker.hurry()
	}
}

// ask pings runs, and says which have answered. A ping names the run: no other
// process at that address answers.
func (g *Gossip) ask(runs []run) map[string]bool {
	const attempts = 2
	answers := make([]bool, len(runs))
	var wg sync.WaitGroup
	for i, one := range runs {
		wg.Go(func() {
			for range attempts {
				if g.ctx.Err() != nil {
					return
				}
				if _, err := g.list.Ping(one.key, net.UDPAddrFromAddrPort(one.node.Gossip)); err == nil {
					answers[i] = true
					return
				}
			}
		})
	}
	wg.Wait()
	answered := map[string]bool{}
	for i, one := range runs {
		answered[one.key] = answers[i]
	}
	return answered
}

// quarrel tells the operator that several live nodes have one name.
func (g *Gossip) quarrel(live []run) {
	level := slog.LevelWarn
	if live[0].node.Name == g.cfg.Name {
		level = slog.LevelError
	}
	addresses := make([]string, len(live))
	for i, one := range live {
		addresses[i] = one.node.Gossip.String()
	}
	g.cfg.Logger.Log(context.Background(), level, "gossip: several live nodes have the same name; give each its own with --name",
		"name", live[0].node.Name, "addresses", addresses)
}

// refuse gives up: another node has this node's name.
func (g *Gossip) refuse(own run, other *run) {
	err := fmt.Errorf("%w: %q is the name of the live node at %s, too; give each node its own with --name",
		ErrNameTaken, own.node.Name, other.node.Gossip)
	g.cfg.Logger.Error("gossip: this node is refused", "error", err)
	g.halt()
	g.wg.Go(func() {
		_ = g.Leave(time.Second) // they have not found it anyway
		g.end()
	})
	g.cfg.Refused(err)
}

// delegate is what memberlist asks for this node's data. Of what it could pass on
// for others nothing is used.
type delegate struct{ g *Gossip }

func (d delegate) NodeMeta(int) []byte             { return *d.g.encoded.Load() }
func (d delegate) NotifyMsg([]byte)                {}
func (d delegate) GetBroadcasts(_, _ int) [][]byte { return nil }
func (d delegate) LocalState(bool) []byte          { return nil }
func (d delegate) MergeRemoteState([]byte, bool)   {}
