package hold

import (
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"time"
)

// sim is a cluster in one goroutine: machines, a network that delays, loses,
// doubles, reorders and cuts, clocks that are wrong, and clients. Everything
// follows from its seed.
type sim struct {
	rng    *rand.Rand
	now    time.Duration
	queue  queue
	serial uint64
	nodes  map[string]*simNode
	sorted []string // their names
	free   []*Message
	off    mutant
	slots  int
	watch  int // the slot whose messages are traced, below zero for none

	lastFault    time.Duration
	handled      time.Duration // when the message was sent that is being handled
	loss, double float64
	quiet        bool               // clients do nothing
	together     bool               // the first node waits for others, too
	pace         *rand.Rand         // says who is slow, and how; nil: nobody
	drift        *rand.Rand         // says how fast monotonic clocks run; nil: they are right
	jumps        *rand.Rand         // says how wall clocks jump; nil: they do not
	cramped      bool               // some nodes have too little memory
	scant        bool               // there is room for few records
	aside        int                // how much nodes set aside, once at least; 0: as much as nodes do
	cold         int                // a bit for each last digit of the keys that are only read
	side         map[string]int     // of a cut; names that are not in it reach everybody
	severed      map[[2]string]bool // pairs that do not reach each other
	fading       *simNode
	dark         map[*simNode]bool                          // those that do not hear it, nor it them
	lose         func(from, to *simNode, msg *Message) bool // which messages get lost, in a scenario
	granted      map[string]bool                            // of grantOnce: the grants that were sent
	check        *checker
	trace        func(format string, args ...any)
	sum          hash.Hash64 // of all that has happened; nil: nobody asks
	tally        tally
	counted      bool // the sums of all counts were looked at
}

// simNode is one run of one node in a sim.
type simNode struct {
	sim        *sim
	id         ID
	m          *Machine
	data       []shelf
	clock      uint64
	until      time.Duration // may serve until then
	routes     []ID
	routeTerms []uint32
	ops        []*clientOp
	spare      []*clientOp
	ticking    bool          // tickOps is to come
	skew       time.Duration // of its wall clock
	drift      time.Duration // of its monotonic clock, in each 10,000
	started    time.Duration
	up         bool
	leaving    bool
	ready      bool // it has said so
	emptied    time.Duration
	frozen     time.Duration // until then; 0: not
	held       []func()      // what arrives while it is frozen
	arriving   *event        // the message that is being handled
	room       int           // how many entries fit; 0: all
	records    int           // how many records fit; 0: all
	slow       bool          // it sees to few slots at a time
}

// event is something that happens at a time: do, or that msg arrives.
type event struct {
	at       time.Duration
	serial   uint64
	do       func()
	msg      *Message
	from, to *simNode
	// Of msg: when it was sent, when the one that it answers was, and its items as they
	// were sent.
	sent, asked time.Duration
	items       []Entry
}

// queue is a heap of events, the next one first.
type queue []event

func (q queue) before(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].serial < q[j].serial
}

func (q *queue) push(e event) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 4
		if !h.before(i, parent) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (q *queue) pop() event {
	h := *q
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	*q = h
	for i := 0; ; {
		least := i
		for child := 4*i + 1; child <= 4*i+4 && child < last; child++ {
			if h.before(child, least) {
				least = child
			}
		}
		if least == i {
			return first
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

func newSim(seed uint64, slots int, off mutant) *sim {
	s := &sim{
		rng: rand.New(rand.NewPCG(seed, 77)), nodes: map[string]*simNode{}, off: off, slots: slots, watch: -1,
		granted: map[string]bool{}, tally: tally{first: map[batchName]int{}}, trace: func(string, ...any) {},
	}
	s.check = newChecker(s)
	return s
}

func (s *sim) after(d time.Duration, do func()) {
	s.serial++
	s.queue.push(event{at: s.now + d, serial: s.serial, do: do})
}

// run lets d pass.
func (s *sim) run(d time.Duration) {
	end := s.now + d
	for len(s.queue) > 0 && s.queue[0].at <= end && s.check.err == nil {
		e := s.queue.pop()
		s.now = e.at
		if s.sum != nil {
			s.add(&e)
		}
		if e.msg != nil {
			s.arrive(&e)
		} else {
			e.do()
		}
	}
	s.now = end
}

// maxDrift bounds drift: two clocks that differ by so much on either side differ by a
// fiftieth, which is what rule 9 allows for.
const maxDrift = 99

// now is the time by a node's monotonic clock.
func (n *simNode) now() time.Duration {
	now := n.sim.now
	return now + (now-n.started)*n.drift/10000
}

// drifted bounds by how much clocks may differ on what d is.
func (s *sim) drifted(d time.Duration) time.Duration {
	if s.drift == nil {
		return 0
	}
	return d / 50
}

// jump sets the wall clock of some node, forwards or back, and does so again later.
func (s *sim) jump() {
	up := s.upNames()
	n := s.nodes[up[s.jumps.IntN(len(up))]]
	n.skew = time.Duration(s.jumps.Int64N(int64(2*time.Minute))) - time.Minute
	s.trace("%v the wall clock of %v is %v off", s.now, n.id, n.skew)
	s.after(time.Duration(s.jumps.Int64N(int64(2*time.Second))), s.jump)
}

// add adds an event to the sum of all that has happened.
func (s *sim) add(e *event) {
	_, _ = fmt.Fprintln(s.sum, e.at, e.serial)
	if e.msg != nil {
		_, _ = fmt.Fprintln(s.sum, e.from.id, e.to.id, *e.msg)
	}
}

// start starts a node, which knows the others that are up.
func (s *sim) start(name string) *simNode {
	incarnation := uint64(RunStep)
	if old := s.nodes[name]; old != nil {
		incarnation = (old.m.self.Incarnation/RunStep + 1) * RunStep
	}
	n := &simNode{
		sim: s, id: ID{name, incarnation}, data: newShelves(s.slots), up: true, started: s.now,
		routes: make([]ID, s.slots), routeTerms: make([]uint32, s.slots),
		skew: time.Duration(s.rng.Int64N(int64(60*time.Second))) - 30*time.Second,
	}
	if s.cramped && s.rng.IntN(2) == 0 {
		n.room = s.slots*keysOfSlot/4 + s.rng.IntN(s.slots*keysOfSlot/2)
	}
	cfg := Config{
		Self: n.id, Weight: uint32(s.rng.IntN(3) + 1), Slots: s.slots, Place: place, Batch: 1 + s.rng.IntN(2), Window: 1 + s.rng.IntN(s.slots),
		MaxWaiting: 1000, aside: s.aside, off: s.off,
	}
	if s.rng.IntN(4) == 0 { // a few dozen entries a second, and more
		cfg.Rate = 200 + s.rng.IntN(2000)
	}
	if len(s.nodes) > 0 || s.together {
		cfg.Alone = 5 * time.Second
	}
	if n.slow = s.pace != nil && s.pace.IntN(4) == 0; n.slow {
		cfg.many, cfg.portion = 1+s.pace.IntN(s.slots), 1+s.pace.IntN(2)
	}
	if s.scant {
		n.records = 1 + s.rng.IntN(s.slots)
	}
	if s.drift != nil {
		n.drift = time.Duration(s.drift.IntN(2*maxDrift+1) - maxDrift)
		if s.drift.IntN(2) == 0 {
			n.drift = maxDrift - 2*maxDrift*time.Duration(s.drift.IntN(2))
		}
	}
	n.m = New(cfg, n, n.now())
	if s.nodes[name] == nil {
		s.sorted = append(slices.Clone(s.sorted), name)
		slices.Sort(s.sorted)
	}
	if s.side != nil { // whoever never met the others is no part of the cluster
		others := s.upNames()
		s.side[name] = s.side[others[s.rng.IntN(len(others))]]
	}
	s.nodes[name] = n
	s.check.steady = nil // it takes what belongs to it
	s.trace("%v start %v", s.now, n.id)
	s.tick(n)
	s.meet(n)
	return n
}

// lonely is how long a node that starts may be told of nobody that it reaches.
const lonely = 3 * time.Second

// meet is what finds members: now and then each node is told of another.
func (s *sim) meet(n *simNode) {
	if !n.up {
		return
	}
	var up []*simNode
	for _, name := range s.names() {
		if o := s.nodes[name]; o.up && o != n {
			up = append(up, o)
		}
	}
	if len(up) > 0 && !n.leaving {
		other := up[s.rng.IntN(len(up))]
		if n.m.self.State == StateJoining && s.now-n.started > lonely {
			for _, o := range up { // or by bad luck alone it would begin a cluster of its own
				if o.m.self.State == StateServing && !s.apart(n, o) {
					other = o
				}
			}
		}
		n.event(func() { n.m.Met(n.now(), ID{other.id.Name, other.m.self.Incarnation}) })
	}
	s.after(100*time.Millisecond+time.Duration(s.rng.IntN(400))*time.Millisecond, func() { s.meet(n) })
}

// names are those of all nodes that ever were, in order.
func (s *sim) names() []string { return s.sorted }

// upNames are those of the nodes that are up.
func (s *sim) upNames() []string {
	return slices.DeleteFunc(slices.Clone(s.sorted), func(name string) bool { return s.nodes[name] == nil || !s.nodes[name].up })
}

func (s *sim) tick(n *simNode) {
	if !n.up {
		return
	}
	n.event(func() {
		if n.now() >= n.m.Next() {
			s.walk(n, n.m.Tick(n.now()))
			s.check.idle(n)
		}
		n.lookReady()
		if n.leaving && n.m.Left() {
			if n.emptied == 0 {
				n.emptied = s.now
			}
			if s.now-n.emptied > 300*time.Millisecond { // long enough to say where things went
				s.trace("%v left %v", s.now, n.id)
				n.m.Farewell(n.now())
				n.up = false
			}
		}
	})
	s.after(50*time.Millisecond+time.Duration(s.rng.IntN(10))*time.Millisecond, func() { s.tick(n) })
}

// walk goes on with what a tick has left, at once or a while later: a slow node gets only
// so far at a time.
func (s *sim) walk(n *simNode, more bool) {
	for more && !n.slow {
		more = n.m.Walk(n.now())
	}
	if !more {
		return
	}
	s.after(time.Duration(2+s.pace.IntN(8))*time.Millisecond, func() {
		if n.up {
			n.event(func() { s.walk(n, n.m.Walk(n.now())) })
		}
	})
}

// tickOps lets forwarding at a node try again, as often as it does.
func (s *sim) tickOps(n *simNode) {
	if !n.up {
		return
	}
	n.event(func() {
		n.tickOps()
		if n.ticking = len(n.ops) > 0; n.ticking {
			s.after(10*time.Millisecond, func() { s.tickOps(n) })
		}
	})
}

// event gives a node something to do: now, or when it thaws.
func (n *simNode) event(do func()) {
	if !n.up {
		return
	}
	if n.sim.now < n.frozen {
		n.held = append(n.held, do)
		return
	}
	do()
}

// freeze stops a node for d. What arrives meanwhile it gets when it resumes,
// directly asked operations first or last, as chance has it.
func (s *sim) freeze(n *simNode, d time.Duration) {
	s.trace("%v freeze %v for %v", s.now, n.id, d)
	n.frozen = s.now + d
	s.check.fault(n)
	s.after(d, func() {
		s.trace("%v thaw %v", s.now, n.id)
		s.check.fault(n)
		held := n.held
		n.held = nil
		if s.rng.IntN(2) == 0 {
			s.rng.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		}
		for _, do := range held {
			if n.up {
				do()
			}
		}
	})
}

// fade cuts a node off from another, then from the rest, and ends that before it can
// count them dead: it serves until its lease ends, while the others, who do not tell
// it, take its slots.
func (s *sim) fade(n *simNode) {
	const dark = silence + 1700*time.Millisecond
	s.trace("%v fade %v", s.now, n.id)
	s.fading, s.dark = n, map[*simNode]bool{}
	for _, name := range s.names() {
		if o := s.nodes[name]; o != n && o.up && len(s.dark) == 0 {
			s.dark[o] = true
		}
	}
	s.check.fault(n)
	for i := range s.slots { // everybody is needed to claim what it has, and to tell where it is
		s.check.busyUntil[Slot(i)] = s.now + dark + 5*time.Second
	}
	s.run(silence - 400*time.Millisecond)
	s.trace("%v faded %v", s.now, n.id)
	s.check.fault(n)
	for _, name := range s.names() {
		s.dark[s.nodes[name]] = true
	}
	s.run(dark - silence + 400*time.Millisecond)
	s.trace("%v bright %v", s.now, n.id)
	s.check.fault(n)
	if n.aboutToBlame() {
		for _, name := range s.upNames() {
			s.check.fault(s.nodes[name])
		}
	}
	s.fading, s.dark = nil, nil
	s.run(5 * time.Second)
}

// aboutToBlame reports whether a node will soon count another dead: what others have told it
// of that one may be older than what it has heard itself.
func (n *simNode) aboutToBlame() bool {
	return slices.ContainsFunc(n.m.alive, func(o Member) bool {
		p := n.m.peers[o.Name]
		return min(p.quiet, n.m.now-p.reached) > silence-300*time.Millisecond
	})
}

// flush has a node begin a flush of the cluster.
func (s *sim) flush(n *simNode) {
	s.trace("%v flush through %v", s.now, n.id)
	f := s.check.flush()
	for _, o := range n.m.list {
		if !o.Alive() {
			return // nobody says that it is done
		}
	}
	number, waiting, peers := n.m.Flush(n.now(), 0), 0, n.m.alive
	var round func()
	round = func() {
		waiting = len(peers)
		again := false
		for _, o := range peers {
			dst := s.nodes[o.Name]
			s.deliver(n, dst, func() {
				got := dst.m.Flush(dst.now(), number)
				s.deliver(dst, n, func() {
					if got > number {
						number, again = got, true
					}
					if waiting--; waiting > 0 {
						return
					}
					if again {
						n.m.Flush(n.now(), number)
						round()
					} else {
						s.check.flushed(f)
					}
				})
			})
		}
		if len(peers) == 0 {
			s.check.flushed(f)
		}
	}
	round()
}

func (s *sim) kill(n *simNode) {
	s.trace("%v kill %v", s.now, n.id)
	s.check.fault(n)
	n.up = false
}

func (s *sim) leave(n *simNode) {
	s.trace("%v leave %v", s.now, n.id)
	n.leaving = true
	n.event(func() { n.m.Leave(n.now()) })
}

// apart reports whether a cut keeps two nodes from each other.
func (s *sim) apart(a, b *simNode) bool {
	x, y := s.side[a.id.Name], s.side[b.id.Name]
	return x != y && x != 0 && y != 0 || s.severed[[2]string{a.id.Name, b.id.Name}] || s.dark[a] && b == s.fading || s.dark[b] && a == s.fading
}

// deliver takes something from one process to another, which does it. It is lost
// with the process.
func (s *sim) deliver(from, to *simNode, do func()) {
	delay := time.Duration(1+s.rng.IntN(5)) * time.Millisecond
	s.after(delay, func() {
		if to.up && !s.apart(from, to) {
			to.event(do)
		}
	})
}

// Route is Driver's.
func (n *simNode) Route(slot Slot, to ID, term uint32) { n.routes[slot], n.routeTerms[slot] = to, term }

// Serve is Driver's.
func (n *simNode) Serve(until time.Duration) { n.until = until }

// Send is Driver's.
func (n *simNode) Send(to ID, msg *Message) {
	s := n.sim
	copies := 1
	if s.rng.Float64() < s.loss {
		copies = 0
	} else if s.rng.Float64() < s.double {
		copies = 2
	}
	if msg.Kind == MsgGrant && s.off == grantOnce {
		once := fmt.Sprint(to, msg.Slot, msg.Term)
		if s.granted[once] {
			return
		}
		s.granted[once] = true
	}
	dst := s.nodes[to.Name] // a link is to a process, not to a name
	if dst == nil || s.lose != nil && s.lose(n, dst, msg) {
		return
	}
	s.tally.leaves(n, dst, msg)
	for range copies {
		delay := time.Duration(1+s.rng.IntN(5)) * time.Millisecond
		if msg.Kind == MsgBatch { // moves are rate-limited: much can happen in one
			delay += time.Duration(s.rng.IntN(150)) * time.Millisecond
		}
		if s.loss > 0 && s.rng.IntN(50) == 0 {
			delay += time.Duration(s.rng.IntN(400)) * time.Millisecond
		}
		m := s.copy(msg)
		if m.Kind == MsgGrant {
			m.Clock, m.Empty = n.clock, n.empty(m.Slot)
		}
		s.serial++
		s.queue.push(event{
			at: s.now + delay, serial: s.serial, msg: m, from: n, to: dst,
			sent: s.now, asked: s.handled, items: slices.Clone(m.Items),
		})
	}
}

// copy copies a message: neither end may see what the other makes of it. Member
// lists are never changed.
func (s *sim) copy(msg *Message) *Message {
	var m *Message
	if last := len(s.free) - 1; last >= 0 {
		m, s.free = s.free[last], s.free[:last]
	} else {
		m = new(Message)
	}
	*m = *msg
	m.Items, m.Sources = slices.Clone(m.Items), slices.Clone(m.Sources)
	return m
}

// arrive is what happens when a message comes to where it was sent.
func (s *sim) arrive(e *event) {
	m, n, dst := e.msg, e.from, e.to
	switch {
	case s.apart(n, dst):
	case !dst.up:
		// The machine is there and the process is not. Whether another has taken its
		// place is for the member list to say.
		if s.nodes[dst.id.Name] == dst && n.up {
			id := ID{dst.id.Name, dst.m.self.Incarnation}
			n.event(func() { n.m.Refused(n.now(), id) })
		}
	default:
		if m.Kind > MsgMembers && int(m.Slot) == s.watch {
			s.trace("%v %v->%v kind %d term %d seq %d key %s items %v done %v elder %d empty %v sources %v",
				s.now, m.From.ID, m.To, m.Kind, m.Term, m.Seq, m.Key, m.Items, m.Done, m.Elder, m.Empty, m.Sources)
		}
		if s.now < dst.frozen {
			later := *e
			dst.held = append(dst.held, func() { dst.receive(&later) })
			return
		}
		dst.receive(e)
	}
	*m = Message{}
	s.free = append(s.free, m)
}

func (n *simNode) receive(e *event) {
	if e.msg.From.State == StateGone {
		n.farewell(e.msg.From.ID)
	}
	n.arriving, n.sim.handled = e, e.sent
	n.m.Receive(n.now(), e.msg)
	n.arriving = nil
	if e.msg.Kind == MsgBatch || e.msg.Kind == MsgFetched {
		n.sim.tally.comes(e)
		if err := n.counts(); err != nil {
			n.sim.check.fail("%v", err)
		}
	}
	n.lookReady()
}

// lookReady has the checker look when a node says for the first time that it is ready.
func (n *simNode) lookReady() {
	if !n.ready && n.m.Ready() {
		n.ready = true
		n.sim.check.ready(n)
	}
}

var _ Driver = (*simNode)(nil)
