package peer

import (
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smache/smache/peer/gossip"
	"github.com/smache/smache/peer/hold"
	placing "github.com/smache/smache/peer/place"
	"github.com/smache/smache/proto"
)

// keeper drives the state machine that decides who holds which slot: one goroutine
// owns it, and everybody else leaves events for it. It implements hold.Driver
// towards the machine (cluster_driver.go, cluster_store.go), Handler towards the
// links and directory towards the forwarder (cluster_routes.go).
type keeper struct {
	cfg         *ClusterConfig
	log         *slog.Logger
	store       Store
	links       *Links
	forwarder   *forwarder
	gossip      atomic.Pointer[gossip.Gossip]
	incarnation uint64 // of the run

	m        *hold.Machine // of the goroutine, as is what follows
	book     map[string]*contact
	mail     map[mailTo]*outbox
	next     []event       // the events that are being handled
	adopted  uint64        // the highest clock that the store was told of
	shown    []hold.Member // what was published last
	tell     teller
	item     []byte         // of Items
	items    []proto.Entry  // of Items
	received []proto.Entry  // of receiveSlots
	statuses []proto.Status // of Merge
	yielded  time.Duration  // when it last gave way

	// What is to be done before the next message leaves: see settleRoles.
	changes  []proto.SlotRole
	changed  map[hold.Slot]int // places in changes
	grants   []grant
	settling bool
	clock    uint64 // the highest of a slot that was released

	flushing sync.Mutex // one flush at a time begins here

	mu      sync.Mutex
	events  []event
	urgent  []event // what must not wait behind data, see event.urgent
	hurry   atomic.Bool
	roused  bool // handle is under way, or about to be
	bytes   int  // in events
	stopped bool
	wake    chan struct{}
	stop    chan struct{}
	done    sync.WaitGroup

	// What others may look at.
	state  atomic.Uint32 // hold.State
	ready  atomic.Bool   // hold.Machine.Ready
	epochs atomic.Uint64
	seen   atomic.Pointer[snapshot]
	// upsetUntil is until when the loss of a member is late, on the store's clock.
	upsetUntil atomic.Int64
	targets    atomic.Pointer[[]*target]
	byName     map[hold.ID]uint32 // places in targets; of the goroutine
	routes     []atomic.Uint64
	table      atomic.Pointer[placing.Table] // who ought to hold what
	calls      sync.Pool

	dropped atomic.Uint64 // frames that there was no room for
	unsent  atomic.Uint64 // messages that no link took
	bad     atomic.Uint64 // frames that could not be read
	warned  bool          // of terms that are used up
}

// snapshot is what was last published of the member list.
type snapshot struct {
	members []member
	frame   []byte // the body of a members frame
}

// member is a node, with where to find it.
type member struct {
	hold.Member
	contact
}

// contact is where a node is found.
type contact struct {
	incarnation                 uint64
	peer, gossip, http, version string
	wanted                      bool // the links keep a link to it
}

func newKeeper(cfg *ClusterConfig, incarnation uint64) *keeper {
	k := &keeper{
		cfg: cfg, log: cfg.Logger, store: cfg.Store, incarnation: incarnation,
		book: map[string]*contact{}, mail: map[mailTo]*outbox{}, changed: map[hold.Slot]int{}, byName: map[hold.ID]uint32{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
		routes: make([]atomic.Uint64, proto.Slots),
	}
	k.tell = teller{log: cfg.Logger, self: cfg.Name, since: map[string]time.Duration{}}
	k.targets.Store(&[]*target{{}}) // place 0: nobody
	k.seen.Store(&snapshot{})
	k.calls.New = k.newCall
	k.book[cfg.Name] = &contact{
		incarnation: math.MaxUint64, peer: cfg.Advertise, gossip: cfg.GossipAdvertise, http: cfg.HTTP, version: cfg.Version,
	}
	alone := aloneAfter
	if len(cfg.Join) == 0 {
		alone = 0
	}
	k.table.Store(placing.New(nil))
	k.m = hold.New(hold.Config{
		Self:   hold.ID{Name: cfg.Name, Incarnation: incarnation},
		Weight: cfg.Weight, Slots: proto.Slots, Alone: alone,
		Place: func(members []hold.Member) func(hold.Slot) int {
			list := make([]placing.Member, len(members))
			for i := range members {
				list[i] = placing.Member{Name: members[i].Name, Weight: members[i].Weight}
			}
			table := k.table.Load().Change(list)
			k.table.Store(table)
			return table.Owner
		},
		Batch: moveBatch, Window: moveWindow, Rate: cfg.MoveRate, MaxWaiting: maxFetching,
	}, k, k.store.Now())
	return k
}

func (k *keeper) start() {
	k.done.Add(1)
	go k.run()
}

func (k *keeper) close() {
	k.mu.Lock()
	first := !k.stopped
	k.stopped = true
	k.mu.Unlock()
	if first {
		close(k.stop)
	}
	k.done.Wait()
}

// run is the goroutine of the machine.
func (k *keeper) run() {
	defer k.done.Done()
	k.tick(k.store.Now())
	timer := time.NewTimer(hold.TickEvery)
	defer timer.Stop()
	for due := time.Duration(0); ; {
		k.settle()
		k.tell.counts(k.store.Now(), k.m.Stats(), k.store.TooOld())
		if next := min(k.m.Next(), k.tell.due()); next != due {
			due = next
			timer.Reset(due - k.store.Now())
		}
		select {
		case <-k.wake:
			k.handle()
			k.tickIfDue(k.store.Now())
		case <-timer.C:
			k.tickIfDue(k.store.Now())
			due = 0
		case <-k.stop:
			k.handle() // farewells that were begun
			k.settle()
			return
		}
	}
}

// walkFor is how long a tick may take: pings wait for it.
const walkFor = 2 * time.Millisecond

// tick lets time pass in the machine. It sees to slots until it is up to date, or
// walkFor has gone by.
func (k *keeper) tick(now time.Duration) {
	more := k.m.Tick(now)
	for until := now + walkFor; more && now < until; {
		now = k.store.Now()
		more = k.m.Walk(now)
	}
	k.tellMembers(now, cause{})
}

// tellMembers has the log told of what the machine has changed in its member list.
func (k *keeper) tellMembers(now time.Duration, why cause) {
	k.tell.members(now, k.m.Members(), why, k.m.Quiet)
}

// tickIfDue lets time pass in the machine, and reports whether it had to.
func (k *keeper) tickIfDue(now time.Duration) bool {
	if now < k.m.Next() {
		return false
	}
	k.tick(now)
	if terms := k.m.Stats().Terms.Load(); terms > hold.MaxTerm/4*3 && !k.warned {
		k.warned = true
		k.log.Warn("cluster: three quarters of the terms are used up, see smache_slots_terms_left; stop all nodes at the same time, some time, to begin anew")
	}
	return true
}

// settle sends what the machine has said, and publishes what it has become.
func (k *keeper) settle() {
	k.settleRoles()
	k.publish()
	k.ready.Store(k.m.Ready())
	k.sendMail()
}

// publish shows others the state, the epoch and the member list, if they have
// changed.
func (k *keeper) publish() {
	members := k.m.Members()
	if len(k.shown) > 0 && len(members) > 0 && &k.shown[0] == &members[0] && len(k.shown) == len(members) {
		return // a list is never changed, but replaced
	}
	if lost(k.shown, members) {
		k.upset()
	}
	k.shown = members
	s := &snapshot{}
	wire := make([]proto.Member, 0, len(members))
	for i := range members {
		o := member{Member: members[i]}
		if c := k.book[o.Name]; c != nil {
			o.contact = *c
			if gone := o.State == hold.StateGone; gone && c.wanted && o.Incarnation >= c.incarnation {
				c.wanted = false
				k.links.Forget(o.Name)
			}
		}
		s.members = append(s.members, o)
		wire = append(wire, proto.Member{
			Incarnation: o.Incarnation, Weight: o.Weight, State: proto.MemberState(o.State), Name: []byte(o.Name),
			Peer: []byte(o.peer), Gossip: []byte(o.gossip), HTTP: []byte(o.http), Version: []byte(o.version),
		})
	}
	s.frame = proto.AppendMembers(nil, wire)
	self := k.m.Self()
	if uint32(self.State) != k.state.Swap(uint32(self.State)) {
		k.log.Info("cluster: this node's state has changed", "state", stateName(self.State))
	}
	if self.Incarnation != k.links.incarnation.Load() {
		k.links.SetIncarnation(self.Incarnation)
		k.log.Warn("cluster: others had counted this node dead; it comes back", "incarnation", self.Incarnation)
	}
	k.seen.Store(s)
	k.epochs.Store(k.m.Epoch())
}

// ServeFrame is Handler's.
func (k *keeper) ServeFrame(r Request, reply Reply) {
	h := r.Header
	switch h.Op {
	case proto.FrameStats:
		k.serveStats(r, reply)
		return
	case proto.FrameSlots, proto.FrameFlush:
		if r.Role != proto.RoleNode {
			break
		}
		if h.Op == proto.FrameFlush {
			k.serveFlush(r, reply)
			return
		}
		if !k.post(event{header: h, body: append([]byte(nil), r.Body...), from: r.From, reply: reply}) {
			k.dropped.Add(1)
			reply.Send(h.Answer(proto.StatusBusy, k.epochs.Load()))
		}
		return
	case proto.FrameMembers:
		if r.Role == proto.RoleNode {
			k.post(event{header: h, body: append([]byte(nil), r.Body...), from: r.From})
		}
		reply.Send(h.Answer(proto.StatusOK, k.epochs.Load()), k.seen.Load().frame)
		return
	case proto.FramePing:
		reply.Send(h.Answer(proto.StatusOK, k.epochs.Load()), r.Body)
		return
	default:
		k.forwarder.serve(r, reply)
		return
	}
	reply.Send(h.Answer(proto.StatusClosed, k.epochs.Load()))
}

// linkEvent is Config.Notify's.
func (k *keeper) linkEvent(e Event) {
	switch {
	case e.Kind == LinkUp:
		k.do(func(now time.Duration) { k.m.Met(now, hold.ID{Name: e.Peer, Incarnation: e.Incarnation}) })
	case e.Kind == DialFailed && errors.Is(e.Err, ErrRefused):
		k.do(func(now time.Duration) { k.refused(now, e.Peer, e.Incarnation) })
	}
}

// refused tells the machine that nobody listens at a peer's port. A node that has
// come back since is another incarnation of the same run.
func (k *keeper) refused(now time.Duration, name string, incarnation uint64) {
	for _, o := range k.m.Members() {
		if o.Name == name && o.Alive() && (incarnation == 0 || incarnation/hold.RunStep == o.Incarnation/hold.RunStep) {
			k.upset() // it may have been leaving, and has not got done
			k.m.Refused(now, o.ID)
			k.tellMembers(now, cause{refused: true})
			return
		}
	}
}

// found is told of nodes by the gossip.
func (k *keeper) found(n gossip.Node) {
	k.do(func(now time.Duration) {
		k.learn(n.Name, contact{
			incarnation: n.Incarnation, peer: n.Peer, gossip: n.Gossip.String(), http: n.HTTP, version: n.Version,
		})
		k.m.Met(now, hold.ID{Name: n.Name, Incarnation: n.Incarnation})
	})
}

func (k *keeper) onlySelf() { k.do(func(time.Duration) { k.m.GoAlone() }) }

// learn notes where a node is found, and keeps a link to it.
func (k *keeper) learn(name string, c contact) {
	old := k.book[name]
	if name == k.cfg.Name || c.peer == "" {
		return
	}
	if old != nil && old.incarnation/hold.RunStep > c.incarnation/hold.RunStep {
		return // of an earlier run
	}
	if old != nil && old.wanted && old.peer == c.peer {
		c.wanted = true
	} else {
		k.links.Connect(name, c.peer)
		c.wanted = true
	}
	k.book[name] = &c
}

func stateName(s hold.State) string {
	switch s {
	case hold.StateJoining:
		return "joining"
	case hold.StateServing:
		return "serving"
	case hold.StateLeaving:
		return "leaving"
	case hold.StateSilent:
		return "silent"
	case hold.StateGone:
		return "gone"
	}
	return "unknown"
}
