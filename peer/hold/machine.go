package hold

import (
	"slices"
	"time"
)

// Config is what a machine is told once.
type Config struct {
	// Self is this run of this node.
	Self ID
	// Weight is this node's share of the slots, in proportion.
	Weight uint32
	// Slots is how many slots there are: proto.Slots, fewer in tests.
	Slots int
	// Alone is how long a node that was told to join others waits for them
	// before it goes on alone. Zero: it was told of none.
	Alone time.Duration
	// Owner names the member that a slot belongs to, by placement.
	Owner func(slot Slot, members []Member) string
	// Batch bounds the items that a source sends at once.
	Batch int
	// off switches rules off, to show that the tests would notice.
	off mutant
}

// The times of the protocol. docs/CLUSTER.md derives P5's five seconds from them.
const (
	// pingEvery is how often each peer is asked.
	pingEvery = 200 * time.Millisecond
	// silence is how long a peer may leave pings unanswered before it is counted
	// dead.
	silence = 1200 * time.Millisecond
	// lease is how long after a ping was sent its answer lets a node serve.
	lease = 1500 * time.Millisecond
	// fence is how long after a node's last answer to a silent member nobody
	// serves on the strength of that answer: the lease, and one part in fifty for
	// clocks that run at different speeds.
	fence = lease + lease/50
	// frozen is a gap between two ticks after which this node, not its peers,
	// must have been the silent one.
	frozen = 500 * time.Millisecond
	// retry is how often what was not answered is asked again.
	retry = 100 * time.Millisecond
	// opTime is how long a client waits, at the most.
	opTime = 240 * time.Millisecond
	// recordTime is how long the record of a key that went is kept at least: more
	// than it takes to find out that a peer is cut off.
	recordTime = 5 * time.Second
	// healTime is how long records are kept for a silent member; one that comes
	// back later brings nothing with it.
	healTime = 10 * time.Minute
)

// Driver carries out what a machine decides. Its methods must not call back.
type Driver interface {
	// Send sends m to a peer. It may be lost, late or doubled; a refused
	// connection comes back as Machine.Refused.
	Send(to ID, m *Message)
	// Answer completes an operation that Do was given.
	Answer(op *Op)
	// Wall is the wall clock in microseconds; it may be wrong.
	Wall() uint64

	// Get, Put and Remove are the store. Keys lists a slot, the newest first.
	Get(slot Slot, key string) (Entry, bool)
	Put(slot Slot, key string, e Entry)
	Remove(slot Slot, key string)
	Keys(slot Slot) []string
}

// Machine is one node's part in deciding who holds which slot.
type Machine struct {
	cfg   Config
	d     Driver
	now   time.Duration
	last  time.Duration // of the last tick
	start time.Duration
	self  Member
	list  []Member // all known, self included, by name
	epoch uint64
	peers map[string]*peer
	lease time.Duration // may serve until then, while there are live peers
	alone time.Duration // may serve without peers from then on
	slots []slot
	clock uint64
	// terms is the highest term that this node has heard of, of any slot: every
	// message carries it, as a Lamport clock. So a term that is new here is above
	// all that were in use anywhere a moment ago, that of a holder who has just
	// died included.
	terms  uint32
	ops    map[uint64]*Op
	nextOp uint64
	// before is the member list as it was when this node was counted dead, until
	// everything that it held then is in good hands.
	before []Member
	// unheard is when a member was last silent that may come back with entries of
	// its own: records are kept for it, and a while longer.
	unheard time.Duration
	pinged  time.Duration
	spread  time.Duration
}

// peer is what a node keeps of another run of a node.
type peer struct {
	id       ID
	heard    time.Duration // its last answer to a ping of ours
	answered time.Duration // our last answer to a ping of its; kept when it falls silent
	since    time.Duration // silent since
}

// New makes a machine. It does nothing before the first Tick.
func New(cfg Config, d Driver, now time.Duration) *Machine {
	m := &Machine{
		cfg: cfg, d: d, now: now, start: now, last: now, peers: map[string]*peer{},
		slots: make([]slot, cfg.Slots), ops: map[uint64]*Op{},
		self: Member{ID: cfg.Self, State: StateJoining, Weight: cfg.Weight},
	}
	m.setList([]Member{m.self})
	return m
}

// Receive takes a message from a peer.
func (m *Machine) Receive(now time.Duration, msg *Message) {
	m.now = now
	if msg.From.Name == m.self.Name {
		return
	}
	m.terms = max(m.terms, msg.Terms, msg.Term)
	if old := m.member(msg.From.Name); old == nil || msg.From.newer(old) {
		m.merge([]Member{msg.From})
	}
	if msg.From.State == StateGone {
		m.farewell(msg.From.ID)
	}
	// A frame from a run that is over, or that is counted dead, is not applied;
	// its sender is told, so that it can come back as a new one.
	if from := m.member(msg.From.Name); from.Incarnation != msg.From.Incarnation || !from.alive() {
		if msg.Kind == MsgMembers {
			m.merge(msg.Members)
		}
		m.sendMembers(msg.From.ID)
		return
	}
	if msg.Epoch != m.epoch && msg.Kind != MsgMembers {
		m.sendMembers(msg.From.ID)
	}
	m.receive(msg)
}

func (m *Machine) receive(msg *Message) {
	switch msg.Kind {
	case MsgPing:
		m.peers[msg.From.Name].answered = m.now
		m.send(msg.From.ID, &Message{Kind: MsgPong, Time: msg.Time})
	case MsgPong:
		p := m.peers[msg.From.Name]
		p.heard = max(p.heard, msg.Time)
		m.lease = max(m.lease, msg.Time+lease)
	case MsgMembers:
		m.merge(msg.Members)
		if msg.Epoch != m.epoch {
			m.sendMembers(msg.From.ID)
		}
	case MsgTake:
		m.onTake(msg)
	case MsgGrant:
		m.onGrant(msg)
	case MsgTaken:
		m.onTaken(msg)
	case MsgMoved:
		m.onMoved(msg)
	case MsgClaim:
		m.onClaim(msg)
	case MsgClaimOK, MsgClaimNo:
		m.onClaimAnswer(msg)
	case MsgPull:
		m.onPull(msg)
	case MsgBatch:
		m.onBatch(msg)
	case MsgFetch:
		m.onFetch(msg)
	case MsgFetched:
		m.onFetched(msg)
	case MsgOffer:
		m.onOffer(msg)
	case MsgStale:
		m.onStale(msg)
	case MsgOp:
		m.onOp(msg)
	case MsgAnswer:
		m.onAnswer(msg)
	case MsgRefused:
		m.onRefused(msg)
	}
}

// Tick lets time pass; it is to be called about every 50 ms.
func (m *Machine) Tick(now time.Duration) {
	m.now = now
	if now-m.last > frozen {
		// It was this node that stood still. Nobody is to be blamed for that.
		for _, p := range m.peers {
			p.heard = now
		}
		m.alone = now + silence
	}
	m.last = now
	m.watchPeers()
	if m.self.State == StateJoining && m.readyToServe() {
		m.setSelf(StateServing)
	}
	if m.keepsRecords() {
		m.unheard = now
	}
	for i := range m.slots {
		m.tickSlot(Slot(i), &m.slots[i])
	}
	m.tickOps()
}

// readyToServe reports whether a joining node may take slots: some member that
// does answers, or it has waited long enough. Nodes that have only met each other
// wait too: there may be a cluster that they have not found yet (rule 11).
func (m *Machine) readyToServe() bool {
	for _, o := range m.alivePeers() {
		if o.State != StateJoining && m.now < m.lease {
			return true
		}
	}
	return m.now-m.start >= m.cfg.Alone
}

// Refused is told that a peer's machine has refused a connection: the process is
// gone.
func (m *Machine) Refused(now time.Duration, id ID) {
	m.now = now
	if o := m.member(id.Name); o != nil && o.Incarnation == id.Incarnation && o.State < StateGone {
		m.merge([]Member{{ID: id, State: StateGone, Weight: o.Weight}})
	}
}

// Met is told of a node that may be a peer, by whoever finds them.
func (m *Machine) Met(now time.Duration, id ID) {
	m.now = now
	m.sendMembers(id)
}

// Leave begins to hand everything over. Left says when that is done.
func (m *Machine) Leave(now time.Duration) {
	m.now = now
	m.setSelf(StateLeaving)
}

// Left reports whether a leaving node has nothing left to hand over.
func (m *Machine) Left() bool {
	if m.self.State != StateLeaving {
		return false
	}
	for i := range m.slots {
		if s := &m.slots[i]; s.role != roleNone || s.source != nil {
			return len(m.alivePeers()) == 0
		}
	}
	return true
}

// Farewell announces that this node has left. The last call.
func (m *Machine) Farewell(now time.Duration) {
	m.now = now
	m.setSelf(StateGone)
}

// mayServe reports whether this node may serve what it holds: some peer has
// answered within the lease; or it counts no peer alive, and has not stood still
// since it last could have heard from one (rule 9).
func (m *Machine) mayServe() bool {
	if m.now < m.lease || m.cfg.off == noLease {
		return true
	}
	return len(m.alivePeers()) == 0 && m.now-m.last <= frozen && m.now >= m.alone
}

func (m *Machine) alivePeers() []Member {
	var out []Member
	for _, o := range m.list {
		if o.Name != m.self.Name && o.alive() {
			out = append(out, o)
		}
	}
	return out
}

func (m *Machine) member(name string) *Member {
	i, ok := slices.BinarySearchFunc(m.list, name, func(o Member, name string) int {
		if o.Name < name {
			return -1
		} else if o.Name > name {
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &m.list[i]
}

// isAlive reports whether exactly this run of a node counts as alive.
func (m *Machine) isAlive(id ID) bool {
	o := m.member(id.Name)
	return o != nil && o.Incarnation == id.Incarnation && o.alive()
}

func (m *Machine) send(to ID, msg *Message) {
	msg.From, msg.Epoch, msg.Terms = m.self, m.epoch, m.terms
	m.d.Send(to, msg)
}

// newTerm gives a term above all that this node has heard of.
func (m *Machine) newTerm() uint32 {
	m.terms++
	return m.terms
}
