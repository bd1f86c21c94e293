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
	// told, toldTerm and remembers are what the store was told last; dirty says
	// that it has to be told again.
	told      role
	remembers bool
	dirty     bool
	toldTerm  uint32
	route     *node // what Driver.Route was told last
	routeTerm uint32

	// term is the highest term that this node has held, granted, or agreed to.
	term uint32
	// holder is who holds the slot under holderTerm, as far as this node knows.
	holder     *node
	holderTerm uint32
	// seen is the highest term that anybody is known to have held, second the one before
	// that. promises are terms that others may have held: this node has agreed to it.
	seen, second uint32
	promises     []promise
	// elder says, for the holder, that it has all that was written under that term
	// or a later one: entries, and the records of those that went. Who brings what is
	// right up to that term may be believed; what is older may have been overtaken by
	// something that is not here, and must not come back (rule 10).
	elder uint32
	below *bound
	// base and tenure say, for a holder that claimed the slot under the term tenure, that
	// nobody who was asked then knew of one between the two. asked is a hash of the member
	// list by which all were asked last.
	base, tenure, asked uint32
	// wanted is the term under which leftovers were asked for last.
	wanted uint32

	claim *claim
	// imports are what is imported, and what of it was here all along, the latest
	// first. ahead says that what this node had before is later than all of it; lost
	// that one of them broke off.
	imports []*imported
	ahead   bool
	lost    bool
	source  *source
	aside   *aside
	fetches map[string]*fetching
	next    time.Duration // when to ask again
	settled time.Duration // when the last import was complete
}

// imported is one source of an import, at the importer: see span.
type imported struct {
	from  *node // this node itself: what it was left with, see leftovers
	by    *node // then: see source.by, source.doubt
	doubt bool
	span
	seq   uint32 // the batch that is asked for
	asked time.Duration
	done  bool
	// settled are the keys of which this source has said all that it has to say, and
	// whether it had an entry or a record of them.
	settled map[string]bool
}

// span is what a node knows of a slot: all that was written under the terms from
// elder on, and before since. Two of them make a longer one if they touch: what is
// right up to since goes together with what is complete from since on.
type span struct {
	since, elder uint32
	below        *bound // nil: not known
}

// bound says that nobody has held a slot above term and before the elder of a span, as
// far as its node knew when it claimed the slot, unless it was somebody who was silent, by
// list. That one had been promised it, and could not be asked what came of that.
type bound struct {
	term uint32
	list []Member
}

// source is what is left at a node that has handed a slot over: entries which the
// importer has not acknowledged.
type source struct {
	to   *node // the importer; nil: nobody has asked yet
	term uint32
	span
	// doubt says that this node was counted dead while it had what is here.
	doubt bool
	// started says that the importer has the grant.
	started bool
	left    bool            // the importer held the slot before it asked for this
	granted bool            // this node has let the slot go for it
	offers  int             // how often it was offered since to is nil
	listed  bool            // queue was filled
	over    bool            // the last batch was sent: what is left is for the importer to say so
	short   bool            // what is here does not reach as far back as the importer was told
	queue   []string        // keys that were not sent yet
	seq     uint32          // the batch that was sent last
	sent    []string        // the keys in it
	entries int             // of them, entries, when they were sent first
	handed  map[string]bool // keys that the importer may have: it was sent them
	kept    *kept
	by      *node // this was kept for that one's return: see kept
}

// kept are keys of a source that are right only up to an earlier term than its
// others: its former importer, which fell silent, may have changed them since. They
// are given away by themselves, and last.
type kept struct {
	span
	keys map[string]bool
	by   *node // that importer; nil: it was this node
}

// fetching is a read through to the sources, and who waits for it.
type fetching struct {
	asked   time.Duration
	waiting []*Op
}

// setRole changes what this node is to a slot. It stops serving at once; that it
// begins to, or how, is published at the end of the event.
func (m *Machine) setRole(n Slot, s *slot, r role) {
	if s.role == r {
		return
	}
	held, importing := int64(0), int64(0)
	if r != roleNone {
		held++
	}
	if s.role != roleNone {
		held--
	}
	if r == roleImporting {
		importing++
	}
	if s.role == roleImporting {
		importing--
		s.settled = m.now
	}
	m.stats.Held.Add(held)
	m.stats.Importing.Add(importing)
	s.role = r
	m.mark(n)
	if r == roleNone && s.told != roleNone {
		s.told = roleNone
		m.d.Release(n)
	}
}

func (m *Machine) setSource(n Slot, s *slot, src *source) {
	if s.source == nil && src != nil {
		m.stats.Sources.Add(1)
	}
	if s.source != nil && src == nil {
		m.stats.Sources.Add(-1)
	}
	s.source = src
	m.mark(n)
}

// remember reports whether records of a slot have to be kept (rule 5).
func (m *Machine) remember(s *slot) bool {
	switch {
	case s.role == roleImporting || s.source != nil && m.cfg.off != sourceForgets || s.aside != nil:
		return true
	case s.role == roleHolding:
		return m.recording || s.settled > 0 && m.now-s.settled < recordTime && m.cfg.off != settleSoon
	}
	return false
}

// publish tells the driver what has become of a slot.
func (m *Machine) publish(n Slot, s *slot) {
	s.dirty = false
	if m.remember(s) && !s.remembers {
		s.remembers = true
		m.d.Remember(n, true)
	}
	if s.role != roleNone && (s.told != s.role || s.toldTerm != s.term) {
		s.told, s.toldTerm = s.role, s.term
		m.d.Hold(n, s.term, s.role == roleImporting)
	}
	if to := m.routeOf(s, n); to != s.route || s.routeTerm != s.holderTerm {
		s.route, s.routeTerm = to, s.holderTerm
		switch {
		case to == nil:
			m.d.Route(n, ID{}, 0)
		case to == s.holder:
			m.d.Route(n, to.ID, s.holderTerm)
		default:
			m.d.Route(n, to.ID, 0)
		}
	}
}

// tickSlot does what is due, and reports whether there is more to come, and
// whether the slot is where it belongs, as far as this node has to do with it.
func (m *Machine) tickSlot(n Slot, s *slot) (more, placed bool) {
	if s.remembers && !m.remember(s) {
		s.remembers = false
		m.d.Remember(n, false)
	}
	if s.role == roleImporting {
		m.tickImports(n, s)
	}
	m.tickAside(n, s)
	owner := m.owner(n)
	wanted := s.role == roleNone && owner == m.me
	unwanted := s.role == roleHolding && owner != nil && owner != m.me
	if m.now >= s.next {
		s.next = m.now + retry
		if s.source != nil {
			m.tickSource(n, s)
		}
		switch {
		case wanted:
			m.acquire(n, s)
		case s.role == roleHolding && s.claim != nil:
			m.pressClaim(n, s)
		case unwanted && m.offered < 4*m.cfg.Window:
			m.offered++
			m.send(owner.ID, Message{Kind: MsgOffer, Slot: n, Term: s.term, Elder: s.holderTerm + 1})
		}
	}
	placed = !wanted && !unwanted && s.role != roleImporting && s.source == nil
	return !placed || s.remembers || s.aside != nil || s.claim != nil, placed
}

// parted reports whether what is right up to since does not reach what a holder has only
// because somebody who was silent may have held the slot in between, and can be asked now.
func (m *Machine) parted(s *slot, since uint32) bool {
	return s.below != nil && since > s.below.term && since < s.elder && m.heard(s.below) && m.cfg.off != holdOn
}

// allAsked reports whether everybody who is alive was asked, when this slot was claimed, or
// since. Who has come back since may have held it.
func (m *Machine) allAsked(s *slot) bool {
	return s.asked == uint32(m.epoch) || m.cfg.off == takeUnasked
}

// inquire has everybody asked what became of the terms that were promised to those who were
// silent (rule 8). A holder to which the slot belongs claims it, and serves it meanwhile. Any
// other lets it go, so that its owner does. Who may not serve does neither: it may have been
// counted dead, and by a new term it would say that it has held the slot until now.
func (m *Machine) inquire(n Slot, s *slot) {
	switch {
	case s.claim != nil || !m.mayServe() && m.cfg.off != claimUnleased || !m.mayClaim():
	case m.owner(n) == m.me:
		m.claiming++
		m.pressClaim(n, s)
	case m.attentive():
		m.claiming++
		src := &source{term: s.term, span: m.spanOf(n, s, s.holderTerm+1), handed: map[string]bool{}}
		m.setRole(n, s, roleNone)
		m.setSource(n, s, src)
		s.holder, s.holderTerm, s.next = nil, 0, 0
	}
}

// attentive reports whether all members have just answered.
func (m *Machine) attentive() bool {
	return !slices.ContainsFunc(m.alive, func(o Member) bool { return m.peers[o.Name].quiet > pingEvery+TickEvery })
}

// mayClaim reports whether there is room for another claim in this round.
func (m *Machine) mayClaim() bool {
	return len(m.alive) == 0 || m.claiming < claimFactor*m.cfg.Window*4/max(len(m.alive), 4)
}

// acquire is the next step of an owner towards holding its slot: take it from
// the holder, or claim it if that is dead or there is none.
func (m *Machine) acquire(n Slot, s *slot) {
	if !m.mayServe() && m.cfg.off != takeUnleased {
		s.next = 0 // at the next tick: whoever has it serves it meanwhile
		return
	}
	if s.source != nil && s.source.doubt && m.hopes() { // of no use yet, and lost if this node got the slot
		m.postpone(n, s)
		return
	}
	holder := s.holder
	if holder == nil && s.source == nil && s.claim == nil {
		// Whoever most likely holds it, until that one says that it does not: a claim
		// before the answer would make others refuse the grant that may be under way.
		holder = m.routeOf(s, n)
	}
	if holder != nil && holder != m.me && holder.alive {
		s.claim = nil
		if !m.takes(holder) {
			m.postpone(n, s)
			return
		}
		m.send(holder.ID, Message{Kind: MsgTake, Slot: n})
		return
	}
	if !m.mayClaim() {
		m.postpone(n, s)
		return
	}
	m.claiming++
	m.pressClaim(n, s)
}

// postpone leaves a slot to the next round, which begins with it.
func (m *Machine) postpone(n Slot, s *slot) {
	s.next = 0
	m.late, m.walk.late = true, true
	if !m.postponed {
		m.postponed, m.first = true, n
	}
}

// hold makes this node the holder under s.term.
func (m *Machine) hold(n Slot, s *slot) {
	m.setRole(n, s, roleHolding)
	s.holder, s.holderTerm = m.me, s.term
	s.see(s.term)
	s.next = 0
}

// onTake hands the slot over, once, if it is this node's to give (rules 2, 7).
func (m *Machine) onTake(msg *Message) {
	s := &m.slots[msg.Slot]
	from := m.node(msg.From.ID)
	if msg.Epoch != m.epoch || m.owner(msg.Slot) != from {
		return // their lists differ: they are being exchanged
	}
	if src := s.source; src != nil && src.to == from {
		m.tickSource(msg.Slot, s) // the grant was lost
		return
	}
	if src := s.source; src != nil && src.to == nil && msg.Done && (!src.doubt || m.vouched()) {
		// Leftovers go to a holder that wants them, and to no other: whoever does
		// not hold the slot must claim it, and hear what others know of it.
		term := m.newTerm(s)
		if term == 0 {
			return
		}
		m.rebind(msg.Slot, s, from, term)
		s.term, src.left = src.term, true
		m.tickSource(msg.Slot, s)
		return
	}
	switch {
	case s.role == roleImporting && m.cfg.off != grantImporting:
		return // not before the import is complete
	case s.role == roleNone:
		if s.holder != nil && s.holderTerm > 0 {
			m.send(msg.From.ID, Message{Kind: MsgMoved, Slot: msg.Slot, Node: s.holder.ID, Term: s.holderTerm})
		} else {
			m.send(msg.From.ID, Message{Kind: MsgMoved, Slot: msg.Slot, Term: s.term})
		}
		return
	}
	if !m.mayServe() || !m.agreed() {
		return // it is asked again
	}
	term := m.newTerm(s)
	if term == 0 {
		return
	}
	s.imports, s.claim, s.ahead, s.lost = nil, nil, false, false
	if m.cfg.off != grantKeeps {
		m.setRole(msg.Slot, s, roleNone)
	}
	since := term
	if msg.Done { // it holds the slot as well, and what it writes is not here
		since = s.term + 1
	}
	m.setSource(msg.Slot, s, &source{
		to: from, term: term, span: m.spanOf(msg.Slot, s, since), granted: true, handed: map[string]bool{},
	})
	m.stats.Granted.Add(1)
	m.promise(s, from, term) // that it has arrived, it says itself
	s.holder, s.holderTerm = from, term
	m.refuseWaiting(s)
	m.tickSource(msg.Slot, s)
}

// onGrant makes this node the holder of what it was handed.
func (m *Machine) onGrant(msg *Message) {
	s := &m.slots[msg.Slot]
	from := m.node(msg.From.ID)
	if msg.Term <= s.term && m.cfg.off != forgetTerms {
		switch {
		case s.claim != nil && s.claim.term == msg.Term:
			// Its sender has agreed to this claim, which may still come about.
		case s.role == roleNone || s.holderTerm != msg.Term:
			m.send(msg.From.ID, Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term})
		case slices.ContainsFunc(s.imports, func(im *imported) bool { return im.from == from && !im.done }):
			// It is asked already.
		case msg.Empty && !msg.Done:
			m.send(msg.From.ID, Message{Kind: MsgTaken, Slot: msg.Slot, Term: msg.Term})
		default:
			// Of two that were asked for what they are left with, both may have chosen this
			// term, and the other was first. Or it was named for a claim that what it has did
			// not reach: it keeps that, for others may bring what is missing in between.
			m.send(msg.From.ID, Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term})
		}
		return
	}
	if msg.Done && (s.role != roleHolding || s.term != s.wanted) || s.role == roleImporting {
		// Leftovers are for a holder. And of two other holders that were asked, one was
		// first: what comes from that must not be given up for this.
		m.send(msg.From.ID, Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term})
		return
	}
	if m.cfg.off != noAdopt {
		m.d.Adopt(msg.Clock)
	}
	s.term, s.claim = msg.Term, nil
	granted := &imported{from: from, span: span{since: msg.Term, elder: msg.Elder}, done: msg.Empty}
	chain := []*imported{granted}
	elder := msg.Term // it has nothing from before
	if s.role == roleNone {
		m.tookOne(msg.Empty)
		m.stats.Taken.Add(1)
		own := m.leftovers(msg.Slot, s)
		m.hold(msg.Slot, s)
		chain = append(chain, own...)
		s.below = nil
		s.base, s.tenure, s.asked = msg.Term, msg.Term, 0
	} else {
		elder, s.ahead = s.elder, true
	}
	s.holder, s.holderTerm = m.me, msg.Term
	s.see(msg.Term)
	if msg.Empty {
		m.send(msg.From.ID, Message{Kind: MsgTaken, Slot: msg.Slot, Term: msg.Term})
	}
	m.openImports(msg.Slot, s, elder, chain, nil)
}

// onOffer answers a node that has entries of a slot which belongs here: as its
// holder, or left from when it was.
func (m *Machine) onOffer(msg *Message) {
	s := &m.slots[msg.Slot]
	switch {
	case s.role == roleHolding && m.mayServe():
		if msg.Elder < s.elder && m.cfg.off != returnKeeps {
			if m.parted(s, msg.Elder) {
				m.inquire(msg.Slot, s)
			} else if !m.patient(s) {
				m.send(msg.From.ID, Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term, Done: true})
			}
			return
		}
		if msg.Done && !m.allAsked(s) {
			m.inquire(msg.Slot, s)
			return
		}
		// Two holders, for each side of a partition went on; or one that has
		// returned. This one takes the other's in, under a term above both.
		s.wanted = s.term
		m.send(msg.From.ID, Message{Kind: MsgTake, Slot: msg.Slot, Done: true})
	case s.role == roleNone && msg.Done:
		// It is left with entries, and does not hold the slot: it is not to be asked
		// for it.
		if msg.Term >= s.holderTerm {
			s.unroute(msg.From.ID)
			s.next = 0
		} else if s.holder != nil && s.holderTerm > 0 && s.holder.ID != msg.From.ID {
			m.send(msg.From.ID, Message{Kind: MsgMoved, Slot: msg.Slot, Node: s.holder.ID, Term: s.holderTerm})
		}
	case s.role == roleNone && m.owner(msg.Slot) == m.me && msg.Term >= s.holderTerm:
		s.holder, s.holderTerm, s.next = m.node(msg.From.ID), max(msg.Term, 1), 0
		s.see(msg.Term)
	case s.role == roleNone && s.holderTerm > 0:
		m.send(msg.From.ID, Message{Kind: MsgMoved, Slot: msg.Slot, Node: s.holder.ID, Term: s.holderTerm})
	}
}

// patient reports whether what cannot be believed now may be later, together with
// what somebody else has.
func (m *Machine) patient(s *slot) bool {
	return (m.now-max(s.settled, m.changed) < grace || m.silent()) && m.cfg.off != impatient
}
