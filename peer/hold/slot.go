package hold

import (
	"slices"
	"time"
)

// role is what a node is to a slot.
type role uint8

const (
	roleNone      role = 0
	roleHolding   role = 1 // serves it, and has all there is
	roleImporting role = 2 // serves it, and asks the sources for what it has not
)

// slot is what a node knows of one slot.
type slot struct {
	role role
	// term is the highest term that this node has held, granted, or agreed to.
	term uint32
	// holder is who holds the slot under holderTerm, as far as this node knows.
	holder     ID
	holderTerm uint32

	claim   *claim
	imports []*imported
	source  *source
	fetches map[string]*fetching
	records map[string]record
	next    time.Duration // when to ask again
}

// claim is the attempt to hold a slot whose holder is dead.
type claim struct {
	term    uint32
	waiting []ID // who has not agreed yet
	sources []ID
}

// imported is one source of an import, at the importer.
type imported struct {
	from    ID
	seq     uint32 // the batch that is asked for
	asked   time.Duration
	done    bool
	settled map[string]bool // keys that this source was asked for, and answered
}

// source is what is left at a node that has handed a slot over: entries which the
// importer has not acknowledged.
type source struct {
	to   ID // the importer; no name: nobody has asked yet
	term uint32
	// started says that the importer has the grant.
	started bool
	seq     uint32          // the batch that was sent last
	sent    []string        // the keys in it
	last    bool            // it was the last
	handed  map[string]bool // keys that the importer may have: it was sent them
	records map[string]record
	asked   time.Duration
}

// record says that a key of a slot went, and under which version (rule 3).
type record struct {
	version Version
	at      time.Duration
}

// fetching is a read through to the sources, and who waits for it.
type fetching struct {
	asked   time.Duration
	waiting []*Op
}

func (m *Machine) tickSlot(n Slot, s *slot) {
	m.expireRecords(s)
	if s.role == roleImporting {
		m.tickImports(n, s)
	}
	if m.now < s.next {
		return
	}
	s.next = m.now + retry
	if s.source != nil {
		m.tickSource(n, s)
	}
	owner := m.owner(n)
	switch {
	case s.role == roleNone && owner == m.self.Name:
		m.acquire(n, s)
	case s.role == roleHolding && owner != m.self.Name && owner != "":
		m.send(m.member(owner).ID, &Message{Kind: MsgOffer, Slot: n, Term: s.term})
	}
}

// acquire is the next step of an owner towards holding its slot: take it from
// the holder, or claim it if that is dead or there is none.
func (m *Machine) acquire(n Slot, s *slot) {
	if s.holder.Name != "" && s.holder != m.self.ID && m.isAlive(s.holder) {
		s.claim = nil
		m.send(s.holder, &Message{Kind: MsgTake, Slot: n})
		return
	}
	m.pressClaim(n, s)
}

// pressClaim asks every live member that has not agreed yet (rule 6).
func (m *Machine) pressClaim(n Slot, s *slot) {
	if !m.mayServe() && m.cfg.off != noLease {
		return
	}
	if s.claim == nil {
		s.term = m.newTerm()
		s.claim = &claim{term: s.term}
		if s.source != nil {
			s.claim.sources = append(s.claim.sources, m.self.ID)
		}
		for _, o := range m.alivePeers() {
			s.claim.waiting = append(s.claim.waiting, o.ID)
		}
		if m.cfg.off == claimAlone {
			s.claim.waiting = nil
		}
	}
	if s.claim.term != s.term {
		s.claim = nil // somebody has claimed, or granted, in between
		return
	}
	for _, id := range s.claim.waiting {
		m.send(id, &Message{Kind: MsgClaim, Slot: n, Term: s.claim.term})
	}
	m.finishClaim(n, s)
}

func (m *Machine) onClaim(msg *Message) {
	s := &m.slots[msg.Slot]
	if msg.Epoch != m.epoch || m.owner(msg.Slot) != msg.From.Name || !m.fenced() {
		m.send(msg.From.ID, &Message{Kind: MsgClaimNo, Slot: msg.Slot, Term: s.term})
		return
	}
	if s.role != roleNone {
		m.send(msg.From.ID, &Message{Kind: MsgMoved, Slot: msg.Slot, Node: m.self.ID, Term: s.term})
		return
	}
	repeated := s.term == msg.Term && s.holder == msg.From.ID && s.holderTerm == 0
	if msg.Term <= s.term && !repeated && m.cfg.off != forgetTerms {
		m.send(msg.From.ID, &Message{Kind: MsgClaimNo, Slot: msg.Slot, Term: s.term})
		return
	}
	s.term = msg.Term
	s.holder, s.holderTerm = msg.From.ID, 0 // promised, not known to hold
	s.claim = nil
	answer := &Message{Kind: MsgClaimOK, Slot: msg.Slot, Term: msg.Term, Clock: m.clock}
	if s.source != nil {
		m.rebind(msg.Slot, s, msg.From.ID, msg.Term)
		answer.Sources = []ID{m.self.ID}
	}
	m.send(msg.From.ID, answer)
}

func (m *Machine) onClaimAnswer(msg *Message) {
	s := &m.slots[msg.Slot]
	if s.claim == nil || msg.Epoch != m.epoch {
		return
	}
	if msg.Kind == MsgClaimNo {
		if msg.Term >= s.claim.term {
			s.claim = nil
		}
		return
	}
	if msg.Term != s.claim.term || s.term != s.claim.term {
		return
	}
	m.clock = max(m.clock, msg.Clock)
	s.claim.waiting = slices.DeleteFunc(s.claim.waiting, func(id ID) bool { return id == msg.From.ID })
	for _, id := range msg.Sources {
		if !slices.Contains(s.claim.sources, id) {
			s.claim.sources = append(s.claim.sources, id)
		}
	}
	m.finishClaim(msg.Slot, s)
}

// finishClaim makes this node the holder once everybody has agreed, itself
// included: it, too, may have answered who is silent now.
func (m *Machine) finishClaim(n Slot, s *slot) {
	if len(s.claim.waiting) > 0 || !m.fenced() {
		return
	}
	sources := s.claim.sources
	s.claim = nil
	if s.source != nil { // this node's own leftovers are where they belong
		m.rebind(n, s, m.self.ID, s.term)
		for key, r := range s.source.records {
			s.record(key, r)
		}
		s.source = nil
	}
	m.hold(n, s)
	for _, id := range sources {
		if id != m.self.ID {
			m.openImport(n, s, id)
		}
	}
}

// hold makes this node the holder under s.term.
func (m *Machine) hold(_ Slot, s *slot) {
	s.role = roleHolding
	s.holder, s.holderTerm = m.self.ID, s.term
	s.next = 0
}

func (m *Machine) openImport(n Slot, s *slot, from ID) {
	for _, im := range s.imports {
		if im.from == from && !im.done {
			return
		}
	}
	s.role = roleImporting
	im := &imported{from: from, seq: 1, settled: map[string]bool{}}
	s.imports = append(s.imports, im)
	m.pull(n, s, im)
}

// onTake hands the slot over, once, if it is this node's to give (rules 1, 5).
func (m *Machine) onTake(msg *Message) {
	s := &m.slots[msg.Slot]
	if msg.Epoch != m.epoch || m.owner(msg.Slot) != msg.From.Name {
		return // their lists differ: they are being exchanged
	}
	if s.source != nil && s.source.to == msg.From.ID {
		m.tickSource(msg.Slot, s) // the grant was lost
		return
	}
	switch {
	case s.role == roleImporting && m.cfg.off != grantImporting:
		return // not before the import is complete
	case s.role == roleNone:
		if s.holder.Name != "" && s.holderTerm > 0 {
			m.send(msg.From.ID, &Message{Kind: MsgMoved, Slot: msg.Slot, Node: s.holder, Term: s.holderTerm})
		} else {
			m.send(msg.From.ID, &Message{Kind: MsgMoved, Slot: msg.Slot, Term: s.term})
		}
		return
	}
	if !m.mayServe() {
		return
	}
	term := m.newTerm()
	s.source = &source{to: msg.From.ID, term: term, handed: map[string]bool{}, records: s.records}
	s.records, s.imports = nil, nil
	s.term, s.holder, s.holderTerm = term, msg.From.ID, term
	if m.cfg.off != grantKeeps {
		s.role = roleNone
	}
	m.failWaiting(s)
	m.tickSource(msg.Slot, s)
}

// onGrant makes this node the holder of what it was handed.
func (m *Machine) onGrant(msg *Message) {
	s := &m.slots[msg.Slot]
	if msg.Term <= s.term && m.cfg.off != forgetTerms {
		if s.role != roleNone && s.holderTerm == msg.Term {
			m.started(msg, s) // a repetition
		} else {
			m.send(msg.From.ID, &Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term})
		}
		return
	}
	m.clock = max(m.clock, msg.Clock)
	s.term, s.claim = msg.Term, nil
	if s.source != nil {
		m.dropSource(msg.Slot, s)
	}
	if s.role == roleNone {
		m.hold(msg.Slot, s)
	}
	s.holder, s.holderTerm = m.self.ID, msg.Term
	if !msg.Empty {
		m.openImport(msg.Slot, s, msg.From.ID)
	}
	m.started(msg, s)
}

// started tells the source of a grant that it has arrived.
func (m *Machine) started(msg *Message, _ *slot) {
	if msg.Empty {
		m.send(msg.From.ID, &Message{Kind: MsgTaken, Slot: msg.Slot, Term: msg.Term})
	}
}

// onMoved learns who holds a slot. Terms only grow, so the highest is right.
func (m *Machine) onMoved(msg *Message) {
	s := &m.slots[msg.Slot]
	if msg.Node.Name == "" {
		// Nobody that the sender knows of.
		if s.role == roleNone && s.holder == msg.From.ID {
			s.holder, s.holderTerm = ID{}, 0
		}
		s.term = max(s.term, msg.Term)
		return
	}
	if msg.Node == m.self.ID {
		return // granted, and the grant is still on its way
	}
	if msg.Term > s.holderTerm && s.role == roleNone {
		s.holder, s.holderTerm, s.claim = msg.Node, msg.Term, nil
		s.term = max(s.term, msg.Term)
	}
}

// onOffer answers a node that holds a slot which belongs here.
func (m *Machine) onOffer(msg *Message) {
	s := &m.slots[msg.Slot]
	switch {
	case msg.Epoch != m.epoch || m.owner(msg.Slot) != m.self.Name:
	case s.role == roleNone:
		if msg.Term >= s.holderTerm {
			s.holder, s.holderTerm = msg.From.ID, max(msg.Term, 1)
			s.term = max(s.term, msg.Term)
			s.next = 0
		}
	case s.role == roleHolding && m.mayServe():
		// Two holders: each side of a partition went on. This one takes the
		// other's in, under a term above both.
		m.send(msg.From.ID, &Message{Kind: MsgTake, Slot: msg.Slot})
	}
}
