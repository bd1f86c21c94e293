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
	// seen is the highest term that anybody is known to have held, or may have:
	// was promised, but not to promised, who was promised last, promisedTerm.
	seen         uint32
	promised     ID
	promisedTerm uint32
	// elder is, for the holder, the highest term that what it has may not
	// include: entries, and the records of those that went. Whoever held the slot
	// under that term or later may bring what it has; what is older has been
	// overtaken by something that is lost, and must not come back (rule 10).
	elder uint32

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
	sources []Source
	elder   uint32
}

// imported is one source of an import, at the importer.
type imported struct {
	from    ID
	seq     uint32 // the batch that is asked for
	asked   time.Duration
	first   time.Duration // when it was asked for first
	done    bool
	settled map[string]bool // keys that this source was asked for, and answered
}

// source is what is left at a node that has handed a slot over: entries which the
// importer has not acknowledged.
type source struct {
	to   ID // the importer; no name: nobody has asked yet
	term uint32
	// since is the term up to which the entries are right.
	since uint32
	elder uint32 // see slot.elder
	// doubt says that this node was counted dead while it held the slot.
	doubt bool
	// started says that the importer has the grant.
	started bool
	seq     uint32          // the batch that was sent last
	sent    []string        // the keys in it
	last    bool            // it was the last
	handed  map[string]bool // keys that the importer may have: it was sent them
	records map[string]record
}

// record says that a key of a slot went, and under which version (rule 5).
type record struct {
	version Version
	at      time.Duration
}

// fetching is a read through to the sources, and who waits for it.
type fetching struct {
	asked   time.Duration
	first   time.Duration
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
		m.send(m.member(owner).ID, &Message{Kind: MsgOffer, Slot: n, Term: s.term, Elder: s.holderTerm})
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

// pressClaim asks every live member that has not agreed yet (rule 8).
func (m *Machine) pressClaim(n Slot, s *slot) {
	if !m.mayServe() && m.cfg.off != noLease {
		return
	}
	if s.claim == nil {
		s.term = m.newTerm()
		s.claim = &claim{term: s.term}
		m.promise(s, m.self.ID, s.term)
		if m.dropUnvouched(n, s); s.source != nil {
			s.claim.sources = append(s.claim.sources, Source{m.self.ID, s.source.since})
		}
		s.claim.elder = s.seen
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
	if src := s.source; src != nil && src.to != msg.From.ID && m.isAlive(src.to) {
		// What is here is for a holder that lives.
		m.send(msg.From.ID, &Message{Kind: MsgMoved, Slot: msg.Slot, Node: src.to, Term: src.term})
		return
	}
	repeated := s.term == msg.Term && s.holder == msg.From.ID && s.holderTerm == 0
	if msg.Term <= s.term && !repeated && m.cfg.off != forgetTerms {
		m.send(msg.From.ID, &Message{Kind: MsgClaimNo, Slot: msg.Slot, Term: s.term})
		return
	}
	m.promise(s, msg.From.ID, msg.Term)
	s.holder, s.holderTerm = msg.From.ID, 0 // promised, not known to hold
	s.claim = nil
	answer := &Message{Kind: MsgClaimOK, Slot: msg.Slot, Term: msg.Term, Clock: m.clock, Elder: s.seen}
	if m.dropUnvouched(msg.Slot, s); s.source != nil {
		m.rebind(msg.Slot, s, msg.From.ID, msg.Term)
		answer.Sources = []Source{{m.self.ID, s.source.since}}
	}
	m.send(msg.From.ID, answer)
}

// promise notes that id may hold the slot under term, from now on.
func (m *Machine) promise(s *slot, id ID, term uint32) {
	// What this node has promised itself it knows to have come to nothing, unless
	// it has held the slot; then it is in seen.
	if s.promised != id && !s.promised.sameRun(m.self.ID) {
		s.seen = max(s.seen, s.promisedTerm)
	}
	s.term, s.promised, s.promisedTerm = term, id, term
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
	s.claim.elder = max(s.claim.elder, msg.Elder)
	for _, src := range msg.Sources {
		if !slices.Contains(s.claim.sources, src) {
			s.claim.sources = append(s.claim.sources, src)
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
	sources, elder := s.claim.sources, s.claim.elder
	s.claim = nil
	m.hold(n, s)
	s.elder = elder
	if s.source != nil { // this node's own leftovers are where they belong
		m.rebind(n, s, m.self.ID, s.term)
		if s.source.since < elder && m.cfg.off != returnKeeps {
			m.dropSource(n, s)
		} else {
			for key, r := range s.source.records {
				s.record(key, r)
			}
			s.source = nil
		}
	}
	for _, src := range sources {
		if src.ID == m.self.ID {
			continue
		}
		if src.Since < elder && m.cfg.off != returnKeeps {
			m.send(src.ID, &Message{Kind: MsgStale, Slot: n, Term: s.term, Done: true})
		} else {
			m.openImport(n, s, src.ID)
		}
	}
}

// hold makes this node the holder under s.term.
func (m *Machine) hold(_ Slot, s *slot) {
	s.role = roleHolding
	s.holder, s.holderTerm = m.self.ID, s.term
	s.seen = max(s.seen, s.term)
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

// onTake hands the slot over, once, if it is this node's to give (rules 2, 7).
func (m *Machine) onTake(msg *Message) {
	s := &m.slots[msg.Slot]
	if msg.Epoch != m.epoch || m.owner(msg.Slot) != msg.From.Name {
		return // their lists differ: they are being exchanged
	}
	if src := s.source; src != nil && src.to == msg.From.ID {
		m.tickSource(msg.Slot, s) // the grant was lost
		return
	}
	if src := s.source; src != nil && src.to.Name == "" && msg.Done && (!src.doubt || m.vouched()) {
		// Leftovers go to a holder that wants them, and to no other: whoever does
		// not hold the slot must claim it, and hear what others know of it.
		m.rebind(msg.Slot, s, msg.From.ID, m.newTerm())
		s.term = src.term
		m.tickSource(msg.Slot, s)
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
	s.source = &source{
		to: msg.From.ID, term: term, since: term, elder: s.elder, handed: map[string]bool{}, records: s.records,
	}
	s.records, s.imports = nil, nil
	s.term, s.holder, s.holderTerm, s.seen = term, msg.From.ID, term, max(s.seen, term)
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
		switch {
		case s.role == roleNone || s.holderTerm != msg.Term:
			m.send(msg.From.ID, &Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term})
		case msg.Empty:
			m.send(msg.From.ID, &Message{Kind: MsgTaken, Slot: msg.Slot, Term: msg.Term})
		case !slices.ContainsFunc(s.imports, func(im *imported) bool { return im.from == msg.From.ID && !im.done }):
			m.send(msg.From.ID, &Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term, Done: true})
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
		s.elder = msg.Elder
	}
	s.holder, s.holderTerm, s.seen = m.self.ID, msg.Term, max(s.seen, msg.Term)
	if msg.Empty {
		m.send(msg.From.ID, &Message{Kind: MsgTaken, Slot: msg.Slot, Term: msg.Term})
	} else {
		m.openImport(msg.Slot, s, msg.From.ID)
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
	s.seen = max(s.seen, msg.Term)
	if msg.Term > s.holderTerm && s.role == roleNone {
		s.holder, s.holderTerm, s.claim = msg.Node, msg.Term, nil
		s.term = max(s.term, msg.Term)
	}
}

// onOffer answers a node that has entries of a slot which belongs here: as its
// holder, or left from when it was.
func (m *Machine) onOffer(msg *Message) {
	s := &m.slots[msg.Slot]
	switch {
	case s.role == roleHolding && m.mayServe():
		if msg.Elder < s.elder && m.cfg.off != returnKeeps {
			m.send(msg.From.ID, &Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term, Done: true})
			return
		}
		// Two holders, for each side of a partition went on; or one that has
		// returned. This one takes the other's in, under a term above both.
		m.send(msg.From.ID, &Message{Kind: MsgTake, Slot: msg.Slot, Done: true})
	case s.role == roleNone && msg.Done: // in doubt: it claims nothing
	case s.role == roleNone && m.owner(msg.Slot) == m.self.Name && msg.Term >= s.holderTerm:
		s.holder, s.holderTerm, s.next = msg.From.ID, max(msg.Term, 1), 0
		s.seen = max(s.seen, msg.Term)
	case s.role == roleNone && s.holderTerm > 0:
		m.send(msg.From.ID, &Message{Kind: MsgMoved, Slot: msg.Slot, Node: s.holder, Term: s.holderTerm})
	}
}
