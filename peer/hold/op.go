package hold

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Action is what an operation does.
type Action uint8

const (
	ActGet    Action = 1
	ActSet    Action = 2 // whatever is there
	ActSetIf  Action = 3 // if the entry's version is Expect; zero: if there is none
	ActDelete Action = 4
)

// Result is what came of an operation.
type Result uint8

const (
	ResultNone   Result = 0
	ResultOK     Result = 1 // a hit, or done
	ResultMiss   Result = 2 // nothing was there
	ResultFailed Result = 3 // the condition does not hold; nothing was done
	ResultBusy   Result = 4 // 503: a write may have been applied
)

// Op is an operation of a client.
type Op struct {
	ID     uint64 // of the node that took it in
	Action Action
	Slot   Slot
	Key    string
	Value  string
	Expect Version
	TTL    time.Duration // 0: none

	Result Result
	Entry  Entry // what was read, or written

	origin   ID            // where the answer goes; no name: here
	deadline time.Duration // here
	tried    time.Duration // when it was tried last
	sent     bool          // a peer has it, and may carry it out
	to       ID            // that peer
	ref      any
}

// Ref is the caller's own, carried along.
func (op *Op) Ref() any { return op.ref }

func (e *Entry) expired(m *Machine) bool { return e.Expiry != 0 && m.now >= e.Expiry }

// Do takes an operation of a client in. Driver.Answer completes it.
func (m *Machine) Do(now time.Duration, op Op, ref any) {
	m.now = now
	m.nextOp++
	op.ID, op.origin, op.deadline, op.ref = m.nextOp, ID{}, now+opTime, ref
	m.ops[op.ID] = &op
	m.try(&op)
}

// try carries op out, or sends it to the holder. What a peer may have carried out
// is not tried again, unless it only reads.
func (m *Machine) try(op *Op) {
	op.tried = m.now
	s := &m.slots[op.Slot]
	if s.role != roleNone {
		m.serve(op)
		return
	}
	if to := m.holderOf(op.Slot, s); to.Name != "" && to != m.self.ID && m.isAlive(to) {
		forwarded := *op
		forwarded.ref = nil
		op.sent, op.to = op.Action != ActGet, to
		m.send(to, &Message{Kind: MsgOp, Slot: op.Slot, Op: forwarded})
	}
}

// serve carries out an operation on a slot that this node holds.
func (m *Machine) serve(op *Op) {
	s := &m.slots[op.Slot]
	if !m.mayServe() { // rule 9
		m.refuse(op)
		return
	}
	have, ok := m.d.Get(op.Slot, op.Key)
	if ok && have.expired(m) {
		m.d.Remove(op.Slot, op.Key)
		s.record(op.Key, record{have.Version, m.now})
		ok = false
	}
	if !ok || op.Action != ActGet {
		if _, recorded := s.records[op.Key]; !recorded && !ok && len(m.needsFetch(s, op.Key)) > 0 {
			m.fetch(op, s)
			return
		}
	}
	switch op.Action {
	case ActGet:
		if ok {
			op.Entry = have
		}
	case ActSetIf:
		if ok && have.Version != op.Expect || !ok && op.Expect != (Version{}) {
			op.Entry = have
			m.complete(op, ResultFailed)
			return
		}
		m.write(op, s)
		ok = true
	case ActSet:
		m.write(op, s)
		ok = true
	case ActDelete:
		version := Version{Term: s.term, Clock: m.tickClock()}
		m.d.Remove(op.Slot, op.Key)
		s.record(op.Key, record{version, m.now})
		op.Entry = Entry{Version: version}
	}
	if ok {
		m.complete(op, ResultOK)
	} else {
		m.complete(op, ResultMiss)
	}
}

func (m *Machine) write(op *Op, s *slot) {
	e := Entry{Value: op.Value, Version: Version{Term: s.term, Clock: m.tickClock()}}
	if op.TTL != 0 {
		e.Expiry = m.now + op.TTL
	}
	delete(s.records, op.Key)
	m.d.Put(op.Slot, op.Key, e)
	op.Entry = e
}

// tickClock gives the next value of the hybrid logical clock.
func (m *Machine) tickClock() uint64 {
	m.clock = max(m.clock+1, m.d.Wall()<<12)
	return m.clock
}

// fetch makes op wait for the sources.
func (m *Machine) fetch(op *Op, s *slot) {
	if s.fetches == nil {
		s.fetches = map[string]*fetching{}
	}
	f := s.fetches[op.Key]
	if f == nil {
		f = &fetching{}
		s.fetches[op.Key] = f
		m.askSources(op.Slot, s, op.Key, f)
	}
	if !slices.ContainsFunc(f.waiting, func(o *Op) bool { return o.ID == op.ID && o.origin == op.origin }) {
		f.waiting = append(f.waiting, op)
	}
}

// settle carries out what waited for a key.
func (m *Machine) settle(_ Slot, s *slot, key string) {
	f := s.fetches[key]
	if f == nil {
		return
	}
	delete(s.fetches, key)
	for _, op := range f.waiting {
		if m.now < op.deadline && (op.origin.Name != "" || m.ops[op.ID] == op) {
			m.serve(op)
		}
	}
}

// failWaiting refuses the operations that wait for a slot that is this node's no
// more.
func (m *Machine) failWaiting(s *slot) {
	for _, key := range slices.Sorted(maps.Keys(s.fetches)) {
		for _, op := range s.fetches[key].waiting {
			m.refuse(op)
		}
	}
	s.fetches = nil
}

// refuse leaves op to be tried again: here, or where it came from.
func (m *Machine) refuse(op *Op) {
	if op.origin.Name != "" {
		m.send(op.origin, &Message{Kind: MsgRefused, Slot: op.Slot, Op: Op{ID: op.ID}})
	}
}

func (m *Machine) onRefused(msg *Message) {
	if op := m.ops[msg.Op.ID]; op != nil {
		op.sent = false
	}
}

// complete answers op, here or where it came from.
func (m *Machine) complete(op *Op, r Result) {
	op.Result = r
	if op.origin.Name != "" {
		answer := *op
		if answer.Entry.Expiry != 0 {
			answer.Entry.Expiry -= m.now
		}
		m.send(op.origin, &Message{Kind: MsgAnswer, Slot: op.Slot, Op: answer})
		return
	}
	if m.ops[op.ID] == op {
		delete(m.ops, op.ID)
		m.d.Answer(op)
	}
}

// onOp carries out what another node has sent on; it is not sent on again.
func (m *Machine) onOp(msg *Message) {
	s := &m.slots[msg.Slot]
	op := msg.Op
	op.origin, op.deadline = msg.From.ID, m.now+opTime
	if s.role != roleNone {
		m.serve(&op)
		return
	}
	if s.holderTerm > 0 && s.holder != m.self.ID {
		m.send(msg.From.ID, &Message{Kind: MsgMoved, Slot: msg.Slot, Node: s.holder, Term: s.holderTerm})
	}
	m.refuse(&op)
}

// farewell takes note that a peer has left in good order: what it has not
// answered it has not carried out.
func (m *Machine) farewell(id ID) {
	for _, op := range m.ops {
		if op.sent && op.to == id {
			op.sent = false
		}
	}
}

func (m *Machine) onAnswer(msg *Message) {
	op := m.ops[msg.Op.ID]
	if op == nil {
		return
	}
	op.Entry = msg.Op.Entry
	if op.Entry.Expiry != 0 {
		op.Entry.Expiry += m.now
	}
	s := &m.slots[msg.Slot]
	if v := msg.Op.Entry.Version; v.Term > s.holderTerm && s.role == roleNone {
		s.holder, s.holderTerm = msg.From.ID, v.Term
	}
	m.complete(op, msg.Op.Result)
}

// tickOps tries again what was not answered, and gives up what took too long.
func (m *Machine) tickOps() {
	due := make([]*Op, 0, len(m.ops))
	for _, op := range m.ops {
		due = append(due, op)
	}
	slices.SortFunc(due, func(a, b *Op) int { return cmp.Compare(a.ID, b.ID) })
	for _, op := range due {
		switch {
		case m.ops[op.ID] != op:
		case m.now >= op.deadline:
			m.complete(op, ResultBusy)
		case !op.sent && m.now-op.tried >= retry/4:
			m.try(op)
		}
	}
}
