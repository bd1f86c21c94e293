package hold

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/smache/smache/proto"
)

// sim is a cluster in one goroutine: machines, a network that delays, loses,
// doubles, reorders and cuts, clocks that are wrong, and clients. Everything
// follows from its seed.
type sim struct {
	rng    *rand.Rand
	now    time.Duration
	queue  queue
	serial uint64
	nodes  map[string]*node
	off    mutant
	slots  int
	watch  Slot // the slot whose messages are traced

	lastFault    time.Duration
	loss, double float64
	cut          map[[2]string]bool
	check        *checker
	trace        func(format string, args ...any)
}

// node is one run of one node in a sim.
type node struct {
	sim     *sim
	id      ID
	m       *Machine
	data    map[Slot]map[string]Entry
	skew    time.Duration // of its wall clock
	started time.Duration
	up      bool
	leaving bool
	emptied time.Duration
	frozen  time.Duration // until then; 0: not
	held    []func()      // what arrives while it is frozen
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
		rng: rand.New(rand.NewPCG(seed, 77)), nodes: map[string]*node{}, off: off, slots: slots,
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
func (s *sim) start(name string) *node {
	incarnation := uint64(runStep)
	if old := s.nodes[name]; old != nil {
		incarnation = (old.m.self.Incarnation/runStep + 1) * runStep
	}
	n := &node{
		sim: s, id: ID{name, incarnation}, data: map[Slot]map[string]Entry{}, up: true, started: s.now,
		skew: time.Duration(s.rng.Int64N(int64(60*time.Second))) - 30*time.Second,
	}
	cfg := Config{Self: n.id, Weight: 1, Slots: s.slots, Owner: owner, Batch: 1 + s.rng.IntN(2), off: s.off}
	if len(s.nodes) > 0 {
		cfg.Alone = 5 * time.Second
	}
	n.m = New(cfg, n, s.now)
	s.nodes[name] = n
	s.trace("%v start %v", s.now, n.id)
	s.tick(n)
	s.meet(n)
	return n
}

// meet is what finds members: now and then each node is told of another.
func (s *sim) meet(n *node) {
	if !n.up {
		return
	}
	var up []*node
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

// owner is rendezvous hashing without weights.
func owner(slot Slot, members []Member) string {
	best, name := uint64(0), ""
	for _, m := range members {
		h := fnv.New64a()
		fmt.Fprintf(h, "%s/%d", m.Name, slot)
		x := h.Sum64()
		x ^= x >> 33
		x *= 0xff51afd7ed558ccd
		x ^= x >> 33
		if name == "" || x > best {
			best, name = x, m.Name
		}
	}
	return name
}

func (s *sim) tick(n *node) {
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

// event gives a node something to do: now, or when it thaws.
func (n *node) event(do func()) {
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
func (s *sim) freeze(n *node, d time.Duration) {
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

func (s *sim) kill(n *node) {
	s.trace("%v kill %v", s.now, n.id)
	s.check.fault(n)
	n.up = false
}

func (s *sim) leave(n *node) {
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

// Send is Driver's.
func (n *node) Send(to ID, msg *Message) {
	s := n.sim
	m := *msg
	copies := 1
	if s.rng.Float64() < s.loss {
		copies = 0
	} else if s.rng.Float64() < s.double && m.Kind != MsgOp && m.Kind != MsgAnswer && m.Kind != MsgRefused {
		copies = 2 // but for requests of clients: links number those
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
			if s.cut[pair(from.Name, to.Name)] {
				return
			}
			if dst == nil {
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
			if m.Kind != MsgPing && m.Kind != MsgPong && m.Kind != MsgMembers && m.Slot == s.watch {
				s.trace("%v %v->%v kind %d term %d seq %d key %s items %v done %v op %v elder %d empty %v", s.now, m.From.ID, to, m.Kind, m.Term, m.Seq, m.Key, m.Items, m.Done, m.Op.Action, m.Elder, m.Empty)
			}
			dst.event(func() { dst.m.Receive(s.now, &copied) })
		})
	}
}

// Answer is Driver's.
func (n *node) Answer(op *Op) { n.sim.check.answered(n, op) }

// Wall is Driver's.
func (n *node) Wall() uint64 {
	return uint64((n.sim.now + n.skew + 1000*time.Hour).Microseconds())
}

// Get is Driver's.
func (n *node) Get(slot Slot, key string) (Entry, bool) {
	e, ok := n.data[slot][key]
	return e, ok
}

// Put is Driver's.
func (n *node) Put(slot Slot, key string, e Entry) {
	if n.data[slot] == nil {
		n.data[slot] = map[string]Entry{}
	}
	n.data[slot][key] = e
}

// Remove is Driver's.
func (n *node) Remove(slot Slot, key string) { delete(n.data[slot], key) }

// Keys is Driver's.
func (n *node) Keys(slot Slot) []string {
	var keys []string
	for key := range n.data[slot] {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		x, y := n.data[slot][a].Version, n.data[slot][b].Version
		if x == y {
			if a < b {
				return -1
			}
			return 1
		}
		if y.Less(x) {
			return -1
		}
		return 1
	})
	return keys
}

var _ Driver = (*node)(nil)
var _ = proto.Slots
