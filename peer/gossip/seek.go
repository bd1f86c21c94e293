package gossip

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// seeker tries the join list, again and again; see the package comment. Its rounds
// run on one goroutine; what takes long in them goes on in others.
type seeker struct {
	g     *Gossip
	kick  chan struct{} // the pause is over
	began time.Time
	wg    sync.WaitGroup

	mu       sync.Mutex
	entries  []*entry
	joining  map[netip.AddrPort]bool
	met      map[netip.AddrPort]bool    // joined while this node was new
	outcomes map[netip.AddrPort]outcome // the last of each address

	joins      [len(outcomeNames)]atomic.Uint64
	resolved   atomic.Uint64
	unresolved atomic.Uint64
}

// outcome is what became of the attempt to join an address.
type outcome uint8

const (
	outcomeNone    outcome = 0 // not tried yet
	outcomeJoined  outcome = 1
	outcomeRefused outcome = 2 // no process listens there
	outcomeSilent  outcome = 3 // nothing came back
	outcomeStrange outcome = 4 // something did, but not from this cluster
)

var outcomeNames = [...]string{"", "joined", "refused", "silent", "strange"}

func newSeeker(g *Gossip, entries []*entry) *seeker {
	return &seeker{
		g: g, kick: make(chan struct{}, 1), entries: entries,
		joining: map[netip.AddrPort]bool{}, outcomes: map[netip.AddrPort]outcome{},
		met: map[netip.AddrPort]bool{}, began: time.Now(),
	}
}

// hurry ends a pause: the node is alone again.
func (s *seeker) hurry() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// run goes through rounds until the context ends, and then waits for what is under
// way.
func (s *seeker) run(ctx context.Context) {
	defer s.wg.Wait()
	pace := &s.g.cfg.pace
	timer := time.NewTimer(0)
	defer timer.Stop()
	for pause := pace.first; ; {
		missing := s.round(ctx)
		members, _ := s.g.roster.addresses()
		alone := len(members) == 0
		if !alone || len(s.entries) == 0 || s.onlySelf() || time.Since(s.began) >= pace.settle {
			s.g.mayName()
		}
		limit := pace.joined
		if alone {
			limit = pace.alone
		} else if !missing {
			pause = limit
		}
		pause = min(pause, limit)
		timer.Reset(jitter(pause))
		pause += pause / 2
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
			pause = pace.first
		case <-timer.C:
		}
	}
}

// jitter gives d, a quarter more or less.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

// round resolves all entries and joins all addresses that are nobody's yet. It
// waits a little for both, and says whether anything is left to do.
func (s *seeker) round(ctx context.Context) (missing bool) {
	s.phase(ctx, s.startResolving)
	s.phase(ctx, func(ctx context.Context, done func()) (started int) {
		started, missing = s.startJoining(ctx, done)
		return started
	})
	if s.onlySelf() {
		s.g.aloneForSure()
	}
	return missing
}

// phase starts what takes long, and waits until all of it has called done, but no
// longer than pace says: the rest goes on while the next rounds begin.
func (s *seeker) phase(ctx context.Context, start func(ctx context.Context, done func()) int) {
	finished := make(chan struct{}, len(s.entries)+maxFound)
	started := start(ctx, func() { finished <- struct{}{} })
	deadline := time.NewTimer(s.g.cfg.pace.patient)
	defer deadline.Stop()
	for range started {
		select {
		case <-finished:
		case <-ctx.Done():
			return
		case <-deadline.C:
			return
		}
	}
}

func (s *seeker) startResolving(ctx context.Context, done func()) (started int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if !e.resolving {
			e.resolving = true
			started++
			s.wg.Go(func() { s.resolve(ctx, e); done() })
		}
	}
	return started
}

func (s *seeker) startJoining(ctx context.Context, done func()) (started int, missing bool) {
	here := s.g.transport.hereabouts()
	members, targets := s.g.roster.addresses()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh() {
		targets = slices.AppendSeq(targets, maps.Keys(members))
	}
	for _, e := range s.entries {
		missing = missing || !e.known
		targets = append(targets, e.found...)
	}
	s.forget(targets)
	rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	for _, at := range targets {
		if here.self(at) || members[at] && (s.met[at] || !s.fresh()) {
			continue
		}
		missing = true
		if !s.joining[at] && started < maxFound {
			s.joining[at] = true
			started++
			s.wg.Go(func() { s.join(ctx, at); done() })
		}
	}
	return started, missing
}

// fresh says that this node has begun lately. It then joins members, too, once each:
// gossip picks at random whom it tells of a new node, and may miss somebody in a
// small cluster. s.mu is held.
func (s *seeker) fresh() bool {
	return time.Since(s.began) < s.g.cfg.pace.greet && len(s.met) < maxMet
}

// forget drops the outcomes of addresses that nobody names any more. s.mu is held.
func (s *seeker) forget(targets []netip.AddrPort) {
	for at := range s.outcomes {
		if !slices.Contains(targets, at) {
			delete(s.outcomes, at)
		}
	}
}

// resolve looks an entry up. A failure leaves the last good answer.
func (s *seeker) resolve(ctx context.Context, e *entry) {
	limited, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := e.resolve(limited, &s.g.cfg)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.resolving = false
	if ctx.Err() != nil {
		return
	}
	e.known = err == nil
	if err == nil {
		s.resolved.Add(1)
		e.found, e.failed = found, ""
		return
	}
	s.unresolved.Add(1)
	level := slog.LevelDebug
	if e.failed != err.Error() {
		e.failed, level = err.Error(), slog.LevelWarn
	}
	s.g.logs.put(level, "gossip: an entry of --join cannot be resolved", "entry", e.text, "error", err)
}

// join exchanges states with whoever is at an address.
func (s *seeker) join(ctx context.Context, at netip.AddrPort) {
	_, err := s.g.list.Join([]string{at.String()})
	dialed := s.g.transport.dialed(at)
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // memberlist makes a list of one error, in several lines
	}
	if ctx.Err() != nil {
		err = nil // closing; not the other's fault
	}
	result := outcomeStrange
	switch {
	case err == nil:
		result = outcomeJoined
	case nobodyAt(at, dialed):
		result = outcomeRefused
	case dialed != nil:
		result = outcomeSilent
	}
	s.joins[result].Add(1)
	s.mu.Lock()
	before := s.outcomes[at]
	s.outcomes[at] = result
	delete(s.joining, at)
	if result == outcomeJoined && s.fresh() {
		s.met[at] = true
	}
	s.mu.Unlock()
	if result == outcomeJoined && ctx.Err() == nil {
		s.g.mayName()
	}

	level := slog.LevelDebug
	if before != result {
		level = slog.LevelInfo
	}
	switch result {
	case outcomeStrange:
		if before != result {
			level = slog.LevelWarn
		}
		s.g.logs.put(level, "gossip: who answers at an address to join is not of this cluster; are --cluster and --secret the same there?",
			"address", at, "error", err)
	case outcomeRefused, outcomeSilent:
		s.g.logs.put(level, "gossip: nobody answers at an address to join; it will be tried again", "address", at, "error", dialed)
	}
}

// nobodyAt says that a failed dial proves that nobody listens at an address: it was
// refused, or it is a loopback address of a kind that this machine does not have.
func nobodyAt(at netip.AddrPort, err error) bool {
	if at.Addr().IsLoopback() && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EAFNOSUPPORT)) {
		return true
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// onlySelf says that there is nobody to wait for: the list is empty, or all of it
// was resolved and every address is this node's. A name such as localhost stands
// for this node if one of its addresses does and nobody listens at the others, as
// long as these too are this machine's, with this node's port.
func (s *seeker) onlySelf() bool {
	here := s.g.transport.hereabouts()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if !e.known || !slices.ContainsFunc(e.found, here.self) {
			return false
		}
		for _, at := range e.found {
			if !here.self(at) && (!here.machine(at) || s.outcomes[at] != outcomeRefused) {
				return false
			}
		}
	}
	return true
}

// hereabouts knows which addresses are this node's.
type hereabouts struct {
	bound, advertise netip.AddrPort
	interfaces       []netip.Addr
}

func (t *transport) hereabouts() hereabouts {
	h := hereabouts{bound: t.bound, advertise: t.advertise}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return h // the machine hides its interfaces: loopback and Advertise are sure
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			h.interfaces = append(h.interfaces, prefix.Addr().Unmap().WithZone(""))
		}
	}
	return h
}

// machine says that an address is one of this machine, with this node's port.
func (h *hereabouts) machine(at netip.AddrPort) bool {
	return at.Port() == h.bound.Port() && (at.Addr().IsLoopback() || slices.Contains(h.interfaces, at.Addr()))
}

// self says that an address is this node's.
func (h *hereabouts) self(at netip.AddrPort) bool {
	if at == h.advertise || at == h.bound {
		return true
	}
	return h.bound.Addr().IsUnspecified() && h.machine(at)
}
