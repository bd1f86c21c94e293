package hold

import (
	"container/heap"
	"fmt"
	"hash/fnv"
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
	off    mutant
	slots  int
	watch  Slot // the slot whose messages are traced

	lastFault    time.Duration
	loss, double float64
	quiet        bool // clients do nothing
	cut          map[[2]string]bool
	check        *checker
	trace        func(format string, args ...any)
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
	skew       time.Duration // of its wall clock
	started    time.Duration
	up         bool
	leaving    bool
	emptied    time.Duration
	frozen     time.Duration // until then; 0: not
	held       []func()      // what arrives while it is frozen
}

// event is something that happens at a time.
type event struct {
	at     time.Duration
	serial uint64
	do     func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].serial < q[j].serial
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func newSim(seed uint64, slots int, off mutant) *sim {
	s := &sim{
		rng: rand.New(rand.NewPCG(seed, 77)), nodes: map[string]*simNode{}, off: off, slots: slots,
		cut: map[[2]string]bool{}, trace: func(string, ...any) {},
	}
	s.check = newChecker(s)
	return s
}

func (s *sim) after(d time.Duration, do func()) {
	s.serial++
	heap.Push(&s.queue, event{s.now + d, s.serial, do})
}

// run lets d pass.
func (s *sim) run(d time.Duration) {
	end := s.now + d
	for len(s.queue) > 0 && s.queue[0].at <= end && s.check.err == nil {
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.do()
	}
	s.now = end
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
	cfg := Config{
		Self: n.id, Weight: 1, Slots: s.slots, Place: place, Batch: 1 + s.rng.IntN(2), Window: 1 + s.rng.IntN(s.slots),
		MaxWaiting: 1000, off: s.off,
	}
	if len(s.nodes) > 0 {
		cfg.Alone = 5 * time.Second
	}
	n.m = New(cfg, n, s.now)
	s.nodes[name] = n
	s.trace("%v start %v", s.now, n.id)
	s.tick(n)
	s.tickOps(n)
	s.meet(n)
	return n
}

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
		n.event(func() { n.m.Met(s.now, ID{other.id.Name, other.m.self.Incarnation}) })
	}
	s.after(100*time.Millisecond+time.Duration(s.rng.IntN(400))*time.Millisecond, func() { s.meet(n) })
}

func (s *sim) names() []string {
	var names []string
	for name := range s.nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// place is rendezvous hashing without weights.
func place(members []Member) func(slot Slot) int {
	return func(slot Slot) int {
		best, at := uint64(0), -1
		for i, m := range members {
			h := fnv.New64a()
			fmt.Fprintf(h, "%s/%d", m.Name, slot)
			x := h.Sum64()
			x ^= x >> 33
			x *= 0xff51afd7ed558ccd
			x ^= x >> 33
			if at < 0 || x > best {
				best, at = x, i
			}
		}
		return at
	}
}

func (s *sim) tick(n *simNode) {
	if !n.up {
		return
	}
	n.event(func() {
		n.m.Tick(s.now)
		if n.leaving && n.m.Left() {
			if n.emptied == 0 {
				n.emptied = s.now
			}
			if s.now-n.emptied > 300*time.Millisecond { // long enough to say where things went
				s.trace("%v left %v", s.now, n.id)
				n.m.Farewell(s.now)
				n.up = false
			}
		}
	})
	s.after(50*time.Millisecond+time.Duration(s.rng.IntN(10))*time.Millisecond, func() { s.tick(n) })
}

// tickOps lets forwarding at a node try again, as often as it does.
func (s *sim) tickOps(n *simNode) {
	if !n.up {
		return
	}
	n.event(n.tickOps)
	s.after(10*time.Millisecond, func() { s.tickOps(n) })
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

func (s *sim) kill(n *simNode) {
	s.trace("%v kill %v", s.now, n.id)
	s.check.fault(n)
	n.up = false
}

func (s *sim) leave(n *simNode) {
	s.trace("%v leave %v", s.now, n.id)
	n.leaving = true
	n.event(func() { n.m.Leave(s.now) })
}

func pair(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}

// deliver takes something from one process to another, which does it. It is lost
// with the process.
func (s *sim) deliver(from, to *simNode, do func()) {
	delay := time.Duration(1+s.rng.IntN(5)) * time.Millisecond
	s.after(delay, func() {
		if to.up && !s.cut[pair(from.id.Name, to.id.Name)] {
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
	m := *msg
	m.Members, m.Items = slices.Clone(m.Members), slices.Clone(m.Items)
	if m.Kind == MsgGrant {
		m.Clock, m.Empty = n.clock, n.empty(m.Slot)
	}
	copies := 1
	if s.rng.Float64() < s.loss {
		copies = 0
	} else if s.rng.Float64() < s.double {
		copies = 2
	}
	from, dst := n.id, s.nodes[to.Name] // a link is to a process, not to a name
	for range copies {
		delay := time.Duration(1+s.rng.IntN(5)) * time.Millisecond
		if m.Kind == MsgBatch { // moves are rate-limited: much can happen in one
			delay += time.Duration(s.rng.IntN(150)) * time.Millisecond
		}
		if s.loss > 0 && s.rng.IntN(50) == 0 {
			delay += time.Duration(s.rng.IntN(400)) * time.Millisecond
		}
		s.after(delay, func() {
			if s.cut[pair(from.Name, to.Name)] || dst == nil {
				return
			}
			if !dst.up {
				// The machine is there and the process is not. Whether another has
				// taken its place is for the member list to say.
				if s.nodes[to.Name] == dst {
					n.event(func() { n.m.Refused(s.now, ID{to.Name, dst.m.self.Incarnation}) })
				}
				return
			}
			copied := m
			copied.Items = slices.Clone(m.Items) // the machine may change them
			if m.Kind > MsgMembers && m.Slot == s.watch {
				s.trace("%v %v->%v kind %d term %d seq %d key %s items %v done %v elder %d empty %v",
					s.now, m.From.ID, to, m.Kind, m.Term, m.Seq, m.Key, m.Items, m.Done, m.Elder, m.Empty)
			}
			dst.event(func() {
				if m.From.State == StateGone {
					dst.farewell(m.From.ID)
				}
				dst.m.Receive(s.now, &copied)
			})
		})
	}
}

var _ Driver = (*simNode)(nil)
