package hold

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Machine is one node's part in deciding who holds which slot.
type Machine struct {
	cfg   Config
	d     Driver
	stats Stats
	now   time.Duration
	last  time.Duration // of the last tick
	start time.Duration
	self  Member
	me    *node    // self
	list  []Member // all known, self included, by name
	epoch uint64
	// shared is the epoch of the last list that all members in reach were known to have.
	shared uint64
	nodes  map[ID]*node
	peers  map[string]*peer
	lease  time.Duration // may serve until then, while there are live peers
	alone  time.Duration // may serve without peers from then on
	until  time.Duration // what Driver.Serve was told last

	serving []Member // those that slots are placed on
	owners  func(slot Slot) int
	owning  []*node // of serving

	slots  []slot
	active []uint64 // a bit for each slot that Tick has to look at
	dirty  []Slot   // those that the driver has to be told of
	// terms is the highest term that this node has heard of, of any slot: every
	// message carries it, as a Lamport clock. So a term that is new here is above
	// all that were in use anywhere a moment ago, that of a holder who has just
	// died included.
	terms uint32
	// made is the term that this node made last, under this member list.
	made uint32
	// died is terms as it was when a member was last counted dead.
	died uint32
	// flushes is the number of the latest flush that this node has carried out.
	// What comes from a node that has not carried it out is from before.
	flushes uint32
	// before is the member list as it was when this node was counted dead, until
	// everything that it held then is in good hands.
	before []Member
	// back is when this node came back last.
	back time.Duration
	// changed is when it last became another who is alive; leaving, when this node
	// began to leave.
	changed, leaving time.Duration
	// unheard is when a member was last silent that may come back with entries of
	// its own: records are kept for it, and a while longer.
	unheard   time.Duration
	recording bool
	// provided says that each slot that belongs to this node is held, by it or by somebody
	// it knows of, as of the last walk; covered, that once all were, whomever they belong to.
	provided, covered bool
	pinged            time.Duration
	asked             int  // peers that have not answered the pings of pinged
	early             bool // it is time to ping, for somebody else did
	spread            time.Duration
	busy              bool // slots are active, or may be: see Next
	marked            bool // some were marked since the last walk

	taking   int // slots that were asked for since round began
	claiming int // slots that were claimed since
	offered  int // slots that were offered since
	aside    int // bytes that are set aside
	asides   int // parts that are
	left     int // sources without an importer, as of the last tick
	round    time.Duration
	from     Slot          // that the walk comes to next
	due      int           // slots that it has yet to pass, by the time that has gone by
	stepped  time.Duration // when it did so last
	walk     walk
	found    int           // active slots, at the last walk
	many     bool          // they are more than manySlots
	late     bool          // slots had to be postponed in it
	pace     int           // slots that may be taken in a second
	may      time.Duration // time at that pace that has not been used
	// postponed says that there was no room for something in this round, of first before
	// all others.
	postponed bool
	first     Slot
	budget    int      // bytes that may be imported
	waiting   int      // operations that wait for keys
	alive     []Member // live peers, by name: replaced with the list
	out       Message  // the one that is being sent
}

// peer is what a node keeps of another run of a node.
type peer struct {
	id       ID
	quiet    time.Duration // since it was sent the ping that it answered last; see blame
	reached  time.Duration // when a ping was sent, by anybody that this node hears of, which it answered
	spoken   bool          // something has come from this run of it
	answered time.Duration // our last answer to a ping of its; kept when it falls silent
	since    time.Duration // silent, or gone, since
	// It was sent the list of the epoch told, at toldAt, when it was toldID.
	told   uint64
	toldAt time.Duration
	toldID ID
	heard  uint32 // the highest term known when it was heard of last
	epoch  uint64 // of its member list, as of the last message
	// provided is the epoch for which its last ping said that all of its slots are held.
	provided uint64
}

// New makes a machine. It does nothing before the first Tick.
func New(cfg Config, d Driver, now time.Duration) *Machine {
	cfg.many, cfg.portion, cfg.aside = cmp.Or(cfg.many, manySlots), cmp.Or(cfg.portion, walkPortion), cmp.Or(cfg.aside, maxAside)
	m := &Machine{
		cfg: cfg, d: d, now: now, start: now, last: now - TickEvery, round: now, pace: takePace,
		nodes: map[ID]*node{}, peers: map[string]*peer{},
		slots: make([]slot, cfg.Slots), active: make([]uint64, (cfg.Slots+63)/64),
		self: Member{ID: cfg.Self, State: StateJoining, Weight: cfg.Weight},
	}
	m.me = m.node(m.self.ID)
	m.setList([]Member{m.self})
	return m
}

// Ready reports whether this node takes part, and all slots have had a holder since the
// cluster began: an operation on any key is carried out, unless a node has failed. Once it
// is so it remains so until Leave.
func (m *Machine) Ready() bool { return m.self.State == StateServing && m.covered }

// Stats gives the counts, which go on.
func (m *Machine) Stats() *Stats { return &m.stats }

// Self is this node, as it sees itself.
func (m *Machine) Self() Member { return m.self }

// Members are all nodes that this one knows of, by name. The caller may not change
// them.
func (m *Machine) Members() []Member { return m.list }

// Quiet gives how long a peer has left pings unanswered, of the time in which this node
// was awake.
func (m *Machine) Quiet(name string) time.Duration {
	if p := m.peers[name]; p != nil {
		return p.quiet
	}
	return 0
}

// Epoch is a hash of the member list.
func (m *Machine) Epoch() uint64 { return m.epoch }

// Owner names the member that a slot belongs to, by placement; none: no name.
func (m *Machine) Owner(s Slot) ID {
	if o := m.owner(s); o != nil {
		return o.ID
	}
	return ID{}
}

// Receive takes a message from a peer.
func (m *Machine) Receive(now time.Duration, msg *Message) {
	m.now = now
	defer m.settleUp()
	if msg.From.Name == m.self.Name || int(msg.Slot) >= len(m.slots) {
		return
	}
	m.terms = max(m.terms, msg.Terms, msg.Term)
	if msg.Flushes > m.flushes && m.cfg.off != flushOnce {
		m.flush(msg.Flushes)
	}
	if old := m.member(msg.From.Name); old == nil || msg.From.newer(old) {
		m.merge([]Member{msg.From})
	}
	// A frame from a run that is over, or that is counted dead, is not applied;
	// its sender is told, so that it can come back as a new one.
	from := m.member(msg.From.Name)
	if from == nil { // it has left, before it was known here
		return
	}
	if from.Incarnation != msg.From.Incarnation || !from.Alive() {
		if msg.Kind == MsgMembers {
			m.merge(msg.Members)
		}
		m.sendMembers(msg.From.ID)
		return
	}
	if msg.Epoch != m.epoch && msg.Kind != MsgMembers {
		m.sendMembers(msg.From.ID)
	}
	p := m.peers[msg.From.Name]
	p.heard, p.spoken, p.epoch = m.terms, true, msg.Epoch
	m.receive(msg)
}

func (m *Machine) receive(msg *Message) {
	switch msg.Kind {
	case MsgPing:
		m.peers[msg.From.Name].answered = m.now
		if msg.Done { // it has entries from before it was counted dead
			m.unheard = m.now
		}
		if m.peers[msg.From.Name].provided = 0; msg.Found {
			m.peers[msg.From.Name].provided = msg.Epoch
		}
		m.send(msg.From.ID, Message{Kind: MsgPong, Time: msg.Time, Found: m.covered})
		if m.now-m.pinged >= pingEvery/2 {
			m.early = true // nodes come to ping together, and wake each other less often
		}
	case MsgPong:
		p := m.peers[msg.From.Name]
		if msg.Time > m.now || msg.To != m.self.ID {
			return // not what this node has sent, as what it is now
		}
		p.quiet = min(p.quiet, m.now-msg.Time)
		m.covered = m.covered || msg.Found
		if msg.Time == m.pinged && m.asked > 0 {
			m.asked--
		}
		m.lease = max(m.lease, msg.Time+lease)
		p.reached = max(p.reached, msg.Time)
	case MsgAsk, MsgHeard:
		m.hear(msg)
	case MsgMembers:
		m.merge(msg.Members)
		if msg.Epoch != m.epoch {
			m.sendMembers(msg.From.ID)
		}
	default:
		if msg.To != m.self.ID && m.cfg.off != anyIncarnation {
			// For what this node was before it was counted dead, or will be once the
			// sender has heard that it is not.
			m.sendMembers(msg.From.ID)
			return
		}
		m.mark(msg.Slot)
		m.receiveSlot(msg)
	}
}

// receiveSlot takes a message that is about a slot.
func (m *Machine) receiveSlot(msg *Message) {
	switch msg.Kind {
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
	case MsgPing, MsgPong, MsgMembers, MsgAsk, MsgHeard:
	}
}

// GoAlone tells a node that waits for others that there are none to wait for.
func (m *Machine) GoAlone() { m.cfg.Alone = 0 }

// Refused is told that a peer's machine has refused a connection: the process is
// gone.
func (m *Machine) Refused(now time.Duration, id ID) {
	m.now = now
	defer m.settleUp()
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
	defer m.settleUp()
	if m.self.State < StateLeaving {
		m.leaving = now
		m.setSelf(StateLeaving)
	}
}

// Left reports whether a leaving node has nothing left to hand over, or nobody to
// hand it over to.
func (m *Machine) Left() bool {
	if m.self.State != StateLeaving {
		return false
	}
	if m.stats.Held.Load() > 0 || m.stats.Sources.Load() > 0 || m.asides > 0 {
		return !slices.ContainsFunc(m.alive, func(o Member) bool { return o.State < StateLeaving })
	}
	return true
}

// Farewell announces that this node has left. The last call.
func (m *Machine) Farewell(now time.Duration) {
	m.now = now
	m.setSelf(StateGone)
}

// Flush drops what there is at this node, as its part of a flush of the cluster,
// and gives the number of the latest flush here. number is that which the flush
// was given by the node that began it, 0 at that node. Peers that carry the flush
// out, or hear of it by any message, refuse what is from before.
//
// If the answer is above number, another flush has overtaken this one: who began
// it has to repeat it with the answer, so that what came in between goes too.
func (m *Machine) Flush(now time.Duration, number uint32) uint32 {
	m.now = now
	defer m.settleUp()
	switch {
	case number == 0 && m.cfg.off == sameFlush:
		m.flush((m.flushes | 0xff) + 1)
	case number == 0: // the low bits keep apart those that begin at the same time
		m.flush((m.flushes | 0xff) + 1 + uint32(m.epoch^m.self.Incarnation^uint64(now))&0xff)
	case number > m.flushes:
		m.flush(number)
	case m.cfg.off == forgoFlush:
		return number
	case number < m.flushes:
		m.flush(m.flushes + 1)
	}
	return m.flushes
}

func (m *Machine) flush(number uint32) {
	m.flushes = number
	for i := range m.slots {
		m.dropAside(&m.slots[i])
	}
	m.d.Flush()
}

// mayServe reports whether this node may serve what it holds: some peer has
// answered within the lease; or it counts no peer alive, and has not stood still
// since it last could have heard from one (rule 9).
func (m *Machine) mayServe() bool { return m.now < m.servesUntil() }

func (m *Machine) servesUntil() time.Duration {
	if m.cfg.off == noLease {
		return m.now + time.Hour
	}
	if len(m.list) == 1 {
		// Nobody has this node in its list without being in this node's own.
		return math.MaxInt64
	}
	if m.now >= m.alone && len(m.alive) == 0 {
		return max(m.lease, m.last+frozen)
	}
	return m.lease
}

// settleUp tells the driver of everything that an event has changed.
func (m *Machine) settleUp() {
	for _, n := range m.dirty {
		m.publish(n, &m.slots[n])
	}
	m.dirty = m.dirty[:0]
	if until := m.servesUntil(); until != m.until {
		m.until = until
		m.d.Serve(until)
	}
}

// mark notes that a slot may have changed, for the driver and for the next tick.
func (m *Machine) mark(n Slot) {
	m.active[n/64] |= 1 << (n % 64)
	m.busy, m.marked = true, true
	if s := &m.slots[n]; !s.dirty {
		s.dirty = true
		m.dirty = append(m.dirty, n)
	}
}

func (m *Machine) markAll() {
	m.walkAnew()
	for n := range m.slots {
		m.mark(Slot(n))
	}
}

// walkAnew begins a walk anew: what this one has found is not so any more.
func (m *Machine) walkAnew() {
	m.walk, m.found, m.many = walk{}, 0, len(m.slots) > m.cfg.many
	m.provided = false
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

// node gives the one node of an ID; nil for none.
func (m *Machine) node(id ID) *node {
	if id.Name == "" {
		return nil
	}
	n := m.nodes[id]
	if n == nil {
		n = &node{ID: id}
		o := m.member(id.Name)
		n.alive = o != nil && o.Incarnation == id.Incarnation && o.Alive()
		m.nodes[id] = n
	}
	return n
}

// send sends a message. There is only one at a time, so that none is allocated.
func (m *Machine) send(to ID, msg Message) {
	m.out = msg
	m.out.From, m.out.To = m.self, to
	m.out.Epoch, m.out.Terms, m.out.Flushes = m.epoch, m.terms, m.flushes
	m.d.Send(to, &m.out)
}

// newTerm gives a term for a slot, above all that anybody has used for that slot: the
// one that this node made last, if it has heard of none since and the slot has not had
// it, or one above all that it has heard of. So slots that change hands together use up
// one term, not one each. One that another has claimed under meanwhile it gives up, see
// onClaim. There is none, 0, when all are used up.
func (m *Machine) newTerm(s *slot) uint32 {
	had := max(s.term, s.seen, s.holderTerm)
	if m.cfg.off == slotTerms {
		return had + 1
	}
	if m.made == m.terms && m.made > 0 && (m.made > had || m.cfg.off == shareAny) {
		return m.made
	}
	if m.terms == MaxTerm {
		return 0
	}
	m.terms++
	m.made = m.terms
	return m.made
}
