package hold

import (
	"cmp"
	"slices"
)

// This file claims slots whose holder is dead, or that never had one (rule 8).

// promise is a term that a node was allowed to hold a slot under.
type promise struct {
	to   *node
	term uint32
}

// maxPromises bounds the promises of a slot that are kept apart.
const maxPromises = 8

// claim is the attempt to hold a slot whose holder is dead.
type claim struct {
	term    uint32
	waiting []ID // who has not agreed yet
	sources []Source
	elder   uint32
}

// claimFactor is how many more slots a node claims at a time than it takes: nobody
// serves them meanwhile. Each costs a message to every member, so that in a larger
// cluster it is fewer.
const claimFactor = 8

// pressClaim asks every live member that has not agreed yet (rule 8).
func (m *Machine) pressClaim(n Slot, s *slot) {
	if s.claim == nil {
		s.term = m.newTerm()
		s.claim = &claim{term: s.term}
		m.promise(s, m.me, s.term)
		if m.dropUnvouched(n, s); s.source != nil {
			s.claim.sources = append(s.claim.sources, Source{m.self.ID, s.source.since, s.source.elder})
		}
		s.claim.elder = m.elderOf(s)
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
	from := m.node(msg.From.ID)
	if msg.Epoch != m.epoch || m.owner(msg.Slot) != from || !m.fenced() ||
		s.source != nil && s.source.doubt && m.hopes() {
		m.send(msg.From.ID, &Message{Kind: MsgClaimNo, Slot: msg.Slot, Term: s.term})
		return
	}
	if s.role != roleNone {
		m.send(msg.From.ID, &Message{Kind: MsgMoved, Slot: msg.Slot, Node: m.self.ID, Term: s.term})
		return
	}
	if src := s.source; src != nil && src.to != nil && src.to != from && src.to.alive {
		// What is here is for a holder that lives.
		m.send(msg.From.ID, &Message{Kind: MsgMoved, Slot: msg.Slot, Node: src.to.ID, Term: src.term})
		return
	}
	repeated := s.term == msg.Term && s.holder == from && s.holderTerm == 0
	if msg.Term <= s.term && !repeated && m.cfg.off != forgetTerms {
		m.send(msg.From.ID, &Message{Kind: MsgClaimNo, Slot: msg.Slot, Term: s.term})
		return
	}
	answer := &Message{Kind: MsgClaimOK, Slot: msg.Slot, Term: msg.Term, Clock: m.d.Clock(), Elder: m.elderOf(s)}
	m.promise(s, from, msg.Term)
	s.holder, s.holderTerm = from, 0 // promised, not known to hold
	s.claim = nil
	if m.dropUnvouched(msg.Slot, s); s.source != nil {
		m.rebind(msg.Slot, s, from, msg.Term)
		answer.Sources = []Source{{m.self.ID, s.source.since, s.source.elder}}
	}
	m.send(msg.From.ID, answer)
}

// promise notes that a node may hold the slot under term, from now on.
func (m *Machine) promise(s *slot, to *node, term uint32) {
	s.term = term
	if to == m.me {
		return // whether this node has held the slot it knows
	}
	s.promises = slices.DeleteFunc(s.promises, func(p promise) bool { return p.to == to })
	if s.promises = append(s.promises, promise{to, term}); len(s.promises) > maxPromises {
		s.seen = max(s.seen, s.promises[0].term)
		s.promises = slices.Delete(s.promises, 0, 1)
	}
}

// elderOf gives the highest term that somebody may have held a slot under, as far
// as this node can say. Whoever was promised one and lives says for itself whether
// anything came of it: it is asked for the same claim.
func (m *Machine) elderOf(s *slot) uint32 {
	elder := s.seen
	for _, p := range s.promises {
		if o := m.member(p.to.Name); o == nil || !o.Alive() || !o.sameRun(p.to.ID) {
			elder = max(elder, p.term)
		}
	}
	return elder
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
	m.d.Adopt(msg.Clock)
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
	m.stats.Claimed.Add(1)
	slices.SortStableFunc(sources, func(a, b Source) int { return cmp.Compare(b.Since, a.Since) })
	own := s.source != nil // this node's own leftovers are where they belong
	if own {
		m.rebind(n, s, m.me, s.term)
	}
	for _, src := range sources {
		switch {
		case src.ID == m.self.ID && len(s.pending) > 0 && m.cfg.off != returnKeeps:
			// It is right only together with what is still to come, and this node
			// would serve it before.
			own = false
			m.dropSource(n, s)
		case src.Since >= elder || m.cfg.off == returnKeeps:
			// What came after it is all known: here, or at sources before it.
			elder = min(elder, src.Elder)
			if src.ID != m.self.ID {
				s.pending = append(s.pending, m.node(src.ID))
			}
		case src.ID == m.self.ID:
			own = false
			m.dropSource(n, s)
		default:
			m.send(src.ID, &Message{Kind: MsgStale, Slot: n, Term: s.term, Done: true})
		}
	}
	if own {
		m.setSource(n, s, nil)
	}
	s.elder, s.broken = elder, false
	m.nextImport(n, s)
}

// nextImport opens the import that is next: what a source has that is not the
// latest is only right together with all that is later. It reports whether there
// is one.
func (m *Machine) nextImport(n Slot, s *slot) bool {
	for len(s.pending) > 0 {
		from := s.pending[0]
		s.pending = s.pending[1:]
		if s.broken {
			m.send(from.ID, &Message{Kind: MsgStale, Slot: n, Term: s.term, Done: true})
			continue
		}
		if from.alive {
			m.openImport(n, s, from)
			return true
		}
		s.broken = true
	}
	s.pending = nil
	return false
}
