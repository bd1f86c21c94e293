package hold

import (
	"cmp"
	"math"
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
	below   uint32 // what elder were if those who are silent had not held the slot
	known   knowledge
}

// nothing is the elder of a source that has no entries to give: it says until when its node
// has held the slot, or which terms it knows of.
const nothing = math.MaxUint32

// knowledge is what each node says of a slot: the highest term under which somebody may
// have held it, as far as that one knows; and if it has some of the slot itself, up to
// which term that is right, and the highest before all that.
type knowledge []said

type said struct{ term, second, since, below uint32 }

// bridge gives the term from which on somebody has all of a slot, if that is known from
// elder on: nobody has held it between the two. What each node knows from before elder
// counts. Who knows of a later term, and has not what was written under it, does not say;
// nor does nobody.
func (all knowledge) bridge(elder uint32) uint32 {
	if len(all) == 0 {
		return elder
	}
	below := uint32(0)
	for _, of := range all {
		switch {
		case of.term < elder:
			below = max(below, of.term)
		case of.second < elder:
			below = max(below, of.second)
		case of.term < of.since && of.below < elder:
			below = max(below, of.below)
		default:
			return elder
		}
	}
	return min(below+1, elder)
}

// between gives the highest term between two of a holder, under the latter of which it has
// claimed the slot when nobody knew of one in between: somebody may say now that there was
// one, and then it has not all that was written since the former. None: 0.
func (all knowledge) between(base, tenure uint32) (last uint32) {
	for _, of := range all {
		for _, term := range [...]uint32{of.term, max(of.since, 1) - 1} {
			if base < term && term < tenure {
				last = max(last, term)
			}
		}
	}
	return last
}

// learn adds what a node says, which has src of the slot, if anything.
func (c *claim) learn(elder, below uint32, src []Source) {
	c.elder, c.below = max(c.elder, elder), max(c.below, below)
	of := said{term: elder, second: elder}
	for _, has := range src {
		if has.Elder == nothing && has.Since == elder+1 {
			of.second = has.Below
		} else {
			of.since, of.below = has.Since, has.Below
		}
	}
	c.known = append(c.known, of)
}

// claimFactor is how many more slots a node claims at a time than it takes: nobody
// serves them meanwhile. Each costs a message to every member, so that in a larger
// cluster it is fewer.
const claimFactor = 8

// knows says that of the terms under which others may have held a slot second is the next
// to elder, as far as this node knows: by a source that has nothing.
func (m *Machine) knows(elder, second uint32) []Source {
	if !m.recording || m.cfg.off == topTerm {
		return nil
	}
	return []Source{{m.self.ID, elder + 1, nothing, second}}
}

// pressClaim asks every live member that has not agreed yet (rule 8).
func (m *Machine) pressClaim(n Slot, s *slot) {
	if s.claim == nil {
		term := m.newTerm(s)
		if term == 0 {
			return
		}
		s.claim = &claim{term: term}
		m.promise(s, m.me, term)
		var own []Source
		if s.role == roleHolding { // from here on under this term
			m.hold(n, s)
			has := m.spanOf(n, s, term+1)
			own = append(own, Source{m.self.ID, has.since, has.elder, m.belowOf(&has)})
		} else if src := s.source; src != nil && (!src.doubt || m.vouched()) {
			m.shrink(n, src)
			own = append(own, Source{m.self.ID, src.since, src.elder, m.belowOf(&src.span)})
		}
		elder, second, below := m.elderOf(s)
		s.claim.learn(elder, below, append(own, m.knows(elder, second)...))
		for _, o := range m.alive {
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
		m.send(id, Message{Kind: MsgClaim, Slot: n, Term: s.claim.term})
	}
	m.finishClaim(n, s)
}

func (m *Machine) onClaim(msg *Message) {
	s := &m.slots[msg.Slot]
	from := m.node(msg.From.ID)
	if msg.Epoch != m.epoch && m.cfg.off != anyList || m.owner(msg.Slot) != from || !m.fenced() ||
		s.source != nil && s.source.doubt && m.hopes() {
		m.send(msg.From.ID, Message{Kind: MsgClaimNo, Slot: msg.Slot, Term: s.term})
		return
	}
	if s.role != roleNone {
		// The claimer has promised itself this term. A grant under the same, which this node
		// may have made at the same time, it would not take; and nobody held the slot then.
		if msg.Term == m.made {
			m.made = 0
		}
		m.send(msg.From.ID, Message{Kind: MsgMoved, Slot: msg.Slot, Node: m.self.ID, Term: s.term})
		return
	}
	if src := s.source; src != nil && src.to != nil && src.to != from && src.to.alive && m.cfg.off != letClaimed {
		// What is here is for a node that lives: if it has asked, it is the holder.
		answer := Message{Kind: MsgClaimNo, Slot: msg.Slot, Term: s.term}
		if src.started {
			answer = Message{Kind: MsgMoved, Slot: msg.Slot, Node: src.to.ID, Term: src.term}
		}
		m.send(msg.From.ID, answer)
		return
	}
	if src := s.source; src != nil && src.to == from && src.granted && !src.started && src.term == msg.Term && m.cfg.off != grantSame {
		m.regrant(msg.Slot, s)
	}
	repeated := s.term == msg.Term && s.holder == from && s.holderTerm == 0
	if msg.Term <= s.term && !repeated && m.cfg.off != forgetTerms {
		m.send(msg.From.ID, Message{Kind: MsgClaimNo, Slot: msg.Slot, Term: s.term})
		return
	}
	elder, second, below := m.elderOf(s)
	answer := Message{Kind: MsgClaimOK, Slot: msg.Slot, Term: msg.Term, Clock: m.d.Clock(), Elder: elder, Below: below}
	m.promise(s, from, msg.Term)
	s.holder, s.holderTerm = from, 0 // promised, not known to hold
	s.claim = nil
	if src := s.source; src != nil && (!src.doubt || m.vouched()) {
		if src.to != from || src.term != msg.Term { // else it was given to this claim: the claimer may be importing it
			m.rebind(msg.Slot, s, from, msg.Term)
		}
		m.shrink(msg.Slot, src)
		answer.Sources = []Source{{m.self.ID, src.since, src.elder, m.belowOf(&src.span)}}
	} else if src != nil { // it waits until somebody can vouch for it
		answer.Sources = []Source{{m.self.ID, src.since, nothing, max(src.since, 1) - 1}}
	}
	answer.Sources = append(answer.Sources, m.knows(elder, second)...)
	m.send(msg.From.ID, answer)
}

// regrant grants a slot anew, under another term, to a node that has claimed it under the
// same at the same time: it would refuse that, and nobody hold the slot until it has claimed
// again.
func (m *Machine) regrant(n Slot, s *slot) {
	term := m.newTerm(s)
	if term == 0 {
		return
	}
	src := s.source
	if src.since == src.term { // else the other has held the slot as well
		src.since = term
	}
	src.term, s.holderTerm = term, term
	m.promise(s, src.to, term)
	m.tickSource(n, s)
}

// promise notes that a node may hold the slot under term, from now on.
func (m *Machine) promise(s *slot, to *node, term uint32) {
	s.term = term
	if to != m.me { // whether this node has held the slot it knows
		s.expect(to, term)
	}
}

// expect notes that a node may hold the slot under term, or has: it says so itself for as
// long as it lives.
func (s *slot) expect(to *node, term uint32) {
	if term <= s.seen || slices.ContainsFunc(s.promises, func(p promise) bool { return p.to.sameRun(to.ID) && p.term >= term }) {
		return
	}
	s.promises = slices.DeleteFunc(s.promises, func(p promise) bool { return p.to.sameRun(to.ID) || p.term <= s.seen })
	if s.promises = append(s.promises, promise{to, term}); len(s.promises) > maxPromises {
		s.see(s.promises[0].term)
		s.promises = slices.Delete(s.promises, 0, 1)
	}
}

// see notes that somebody has held a slot under term.
func (s *slot) see(term uint32) {
	s.seen, s.second = topTwo(s.seen, s.second, term)
}

// topTwo gives the two highest of three terms, of which the first is above the second.
func topTwo(first, second, term uint32) (uint32, uint32) {
	switch {
	case term > first:
		return term, first
	case term == first:
		return first, second
	default:
		return first, max(second, term)
	}
}

// elderOf gives the highest term that somebody may have held a slot under, as far
// as this node can say. Whoever was promised one and lives says for itself whether
// anything came of it: it is asked for the same claim.
// Whoever is silent may come back, and say so: below is without them. second is the
// highest such term before elder.
func (m *Machine) elderOf(s *slot) (elder, second, below uint32) {
	elder, second, below = s.seen, s.second, s.seen
	for _, p := range s.promises {
		o := m.member(p.to.Name)
		if o != nil && o.Alive() && o.sameRun(p.to.ID) && m.cfg.off != countPromises {
			continue
		}
		if elder, second = topTwo(elder, second, p.term); o == nil || o.State == StateGone || !o.sameRun(p.to.ID) {
			below = max(below, p.term)
		}
	}
	return elder, second, below
}

func (m *Machine) onClaimAnswer(msg *Message) {
	s := &m.slots[msg.Slot]
	if s.claim == nil || msg.Epoch != m.epoch && m.cfg.off != anyList {
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
	s.claim.learn(msg.Elder, msg.Below, msg.Sources)
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
	c := s.claim
	sources, elder := c.sources, c.elder+1
	if m.cfg.off == dropGaps {
		c.known = nil
	}
	s.claim, s.below = nil, nil
	var chain []*imported
	s.asked = uint32(m.epoch)
	if s.role == roleHolding { // what it has is later than what others are left with
		if last := c.known.between(s.base, s.tenure); last > 0 {
			// What it has from before that still goes together.
			chain = append(chain, &imported{from: m.me, span: span{since: s.base + 1, elder: s.elder}})
			s.elder, s.base = max(s.elder, last+1), last
		}
		elder, s.ahead = c.known.bridge(m.completeFrom(n, s)), true
	} else {
		s.base, s.tenure = c.elder, c.term
		if c.below < c.elder {
			s.below = &bound{term: c.below, list: m.list}
		}
		chain = m.leftovers(n, s)
		m.hold(n, s)
		m.stats.Claimed.Add(1)
	}
	for _, src := range sources {
		if src.Elder == nothing {
			continue
		}
		chain = append(chain, &imported{from: m.node(src.ID), span: span{since: src.Since, elder: src.Elder}})
	}
	slices.SortStableFunc(chain, func(a, b *imported) int { return cmp.Compare(b.since, a.since) })
	m.openImports(n, s, elder, chain, c.known)
}
