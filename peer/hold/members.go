package hold

import (
	"cmp"
	"hash/fnv"
	"math/bits"
	"slices"
	"time"
)

// The member list is the same on every node once each has seen the others': of
// two reports of a node the later wins, and reports only get later.

func (m *Machine) setSelf(s State) {
	m.self.State = s
	m.merge([]Member{m.self})
	m.spreadMembers()
}

// merge takes reports in. A node that finds itself counted dead comes back as a
// new incarnation.
func (m *Machine) merge(reports []Member) {
	list := slices.Clone(m.list)
	for _, r := range reports {
		if r.Name == m.self.Name {
			if r.newer(&m.self) && !(r.Incarnation == m.self.Incarnation && r.Alive()) {
				m.comeBack(r.Incarnation)
			}
			continue
		}
		i := slices.IndexFunc(list, func(o Member) bool { return o.Name == r.Name })
		switch {
		case i < 0 && r.State == StateGone && m.peers[r.Name] == nil:
			// Nothing that this node knows of has to do with it.
		case i < 0:
			list = append(list, r)
		case r.newer(&list[i]):
			list[i] = r
		}
	}
	i := slices.IndexFunc(list, func(o Member) bool { return o.Name == m.self.Name })
	list[i] = m.self
	m.setList(list)
}

// setList makes list the member list, and its hash the epoch. Claims under way
// were made under another epoch, and are over.
func (m *Machine) setList(list []Member) {
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	if slices.Equal(list, m.list) {
		return
	}
	served := m.mayServe()
	m.list, m.made = list, 0
	m.epoch = m.epochOf(list)
	for _, o := range list {
		if o.Name == m.self.Name {
			continue
		}
		p := m.peers[o.Name]
		if p == nil || p.id != o.ID {
			// A peer just met has as good as answered, and been answered: both
			// sides count from here. But nobody is told that it has answered.
			was := p
			p = &peer{id: o.ID, answered: m.now, reached: m.now - silence, heard: m.terms}
			p.spoken = was != nil && was.spoken && was.id.sameRun(o.ID)
			if o.State == StateSilent { // this node has never answered that one
				if p.answered = -fence; was != nil {
					p.answered = was.answered
				}
			}
			if was == nil && o.Alive() && served {
				m.lease = max(m.lease, m.now+lease)
			}
			m.peers[o.Name] = p
		}
		if !o.Alive() && p.since == 0 {
			if p.since = m.now; m.cfg.off != nextTerm {
				m.terms = max(m.terms, p.heard+unheardTerms)
			}
		}
	}
	m.me = m.node(m.self.ID)
	changed := false // for slots: who is alive, or who they belong to
	for _, n := range m.nodes {
		o := m.member(n.Name)
		alive := o != nil && o.Incarnation == n.Incarnation && o.Alive()
		changed = changed || alive != n.alive
		if n.alive && !alive {
			m.died = m.terms
		}
		n.alive = alive
	}
	m.alive = nil // whoever goes through the former list goes on
	for i := range list {
		if list[i].Alive() && list[i].Name != m.self.Name {
			m.alive = append(m.alive, list[i])
		}
	}
	m.dropClaims()
	ownedBy, placed := m.ownership(), m.place()
	switch {
	case changed:
		m.markAll()
	case placed: // all others have what they had to do before, and no more
		m.walkAnew()
		for n := range m.slots {
			if m.owner(Slot(n)) != ownedBy(Slot(n)) {
				m.mark(Slot(n))
			}
		}
	}
	if changed || placed {
		m.changed = m.now
		// What there is to do will be known at the next tick; until then it is not
		// nothing.
		m.stats.Misplaced.CompareAndSwap(0, 1)
	}
	m.spreadMembers()
}

// dropClaims ends all claims that are under way. Their slots are active.
func (m *Machine) dropClaims() {
	for i, word := range m.active {
		for ; word != 0; word &= word - 1 {
			m.slots[i*64+bits.TrailingZeros64(word)].claim = nil
		}
	}
}

// epochOf hashes a member list. Nodes that have left are no part of it: they are
// forgotten some time, not everywhere at once.
func (m *Machine) epochOf(list []Member) uint64 {
	h := fnv.New64a()
	for _, o := range list {
		if o.State == StateGone && m.cfg.off != goneCounts {
			continue
		}
		_, _ = h.Write([]byte(o.Name))
		_, _ = h.Write([]byte{
			0, byte(o.Incarnation), byte(o.Incarnation >> 8), byte(o.Incarnation >> 16), byte(o.Incarnation >> 24),
			byte(o.Incarnation >> 32), byte(o.Incarnation >> 40), byte(o.Incarnation >> 48), byte(o.Incarnation >> 56),
			byte(o.State), byte(o.Weight), byte(o.Weight >> 8), byte(o.Weight >> 16), byte(o.Weight >> 24),
		})
	}
	return h.Sum64()
}

// place computes which member each slot belongs to, if those that serve have
// changed, and reports whether they have.
func (m *Machine) place() bool {
	var serving []Member
	for _, o := range m.list {
		if o.State == StateServing {
			serving = append(serving, o)
		}
	}
	if slices.Equal(serving, m.serving) {
		return false
	}
	same := slices.EqualFunc(serving, m.serving, func(a, b Member) bool {
		return a.Name == b.Name && a.Weight == b.Weight
	})
	m.serving = serving
	m.owning = make([]*node, len(serving)) // ownership goes on with the former one
	for i := range serving {
		m.owning[i] = m.node(serving[i].ID)
	}
	if !same {
		m.owners = m.cfg.Place(serving)
	}
	return true
}

// owner gives the member that a slot belongs to: placement over those that serve.
func (m *Machine) owner(s Slot) *node { return ownerIn(m.owners, m.owning, s) }

func ownerIn(owners func(Slot) int, owning []*node, s Slot) *node {
	if len(owning) == 0 {
		return nil
	}
	if i := owners(s); i >= 0 {
		return owning[i]
	}
	return nil
}

// ownership gives the function that owner is now, whatever is placed later.
func (m *Machine) ownership() func(Slot) *node {
	owners, owning := m.owners, m.owning
	return func(s Slot) *node { return ownerIn(owners, owning, s) }
}

// agreed reports whether all members in reach have the same list as this node, or have had
// it. Who has not may not know of the one that is to get a slot, and would claim it when
// this node dies (rule 2).
func (m *Machine) agreed() bool {
	if m.shared == m.epoch || m.cfg.off == grantEarly {
		return true
	}
	for _, o := range m.alive {
		if p := m.peers[o.Name]; p.epoch != m.epoch && p.quiet <= asks {
			return false
		}
	}
	m.shared = m.epoch
	return true
}

// comeBack is what a node does that was counted dead and is not: it takes a new
// incarnation, and no longer trusts what it holds. Others may hold it by now, so
// it keeps the entries only to offer them to whoever does (rule 10).
func (m *Machine) comeBack(dead uint64) {
	m.self.Incarnation = max(m.self.Incarnation, dead) + 1
	m.me = m.node(m.self.ID)
	m.lease, m.pinged = 0, m.now-pingEvery // ask at the next tick
	m.back = m.now
	if m.before == nil {
		m.before = slices.Clone(m.list)
	}
	for i := range m.slots {
		s := &m.slots[i]
		s.claim = nil
		if m.cfg.off == returnKeeps {
			continue
		}
		for a := s.aside; a != nil; a = a.next {
			a.doubt = true
		}
		if s.source != nil && m.cfg.off == dropDoubt {
			m.dropSource(Slot(i), s)
		} else if s.source != nil {
			m.doubtSource(s.source)
			m.mark(Slot(i))
		}
		if s.role != roleNone {
			if m.doubt(Slot(i), s); m.cfg.off == dropDoubt {
				m.dropSource(Slot(i), s)
			}
		}
	}
}

// undoubt drops all that is in doubt, when it has been for too long: nobody keeps
// records for it any more.
func (m *Machine) undoubt() {
	for i := range m.slots {
		if s := &m.slots[i]; s.source != nil && s.source.doubt {
			m.dropSource(Slot(i), s)
		}
		m.dropAside(&m.slots[i])
	}
	m.before = nil
}

// vouched reports whether everybody who may have held what this node holds, while
// it was counted dead, is there to say so. Only then what it has is worth
// anything: somebody may have changed it, and died since (rule 10).
func (m *Machine) vouched() bool {
	if m.cfg.off == vouchless {
		return true
	}
	for _, o := range m.list {
		if o.Alive() || m.cfg.off == returnKeeps {
			continue
		}
		i := slices.IndexFunc(m.before, func(b Member) bool { return b.Name == o.Name })
		if i < 0 || m.before[i].Alive() || !m.before[i].sameRun(o.ID) {
			return false
		}
	}
	for _, b := range m.before {
		if o := m.member(b.Name); b.Alive() && (o == nil || !o.sameRun(b.ID)) && m.cfg.off != returnKeeps {
			return false
		}
	}
	return true
}

// disowned reports whether what this node holds can never be vouched for any more:
// one of those who may have held it has gone.
func (m *Machine) disowned() bool {
	return m.cfg.off != vouchless && m.cfg.off != keepDisowned && slices.ContainsFunc(m.before, func(b Member) bool {
		o := m.member(b.Name)
		return b.Alive() && (o == nil || !o.sameRun(b.ID) || o.State == StateGone)
	})
}

// hopes reports whether what this node holds in doubt may soon be vouched for: after
// a partition the nodes of both sides come back, each when it hears of it.
func (m *Machine) hopes() bool {
	return m.before != nil && m.now-m.back < grace && !m.vouched() && !m.disowned() && m.cfg.off != hopeless
}

// watchPeers asks all live peers whether they are there, and counts as dead who
// does not answer.
func (m *Machine) watchPeers() {
	for _, o := range m.alive {
		p := m.peers[o.Name]
		limit := silence
		if !p.spoken && m.cfg.off != noStrangers {
			limit = strange
		}
		if p.quiet > limit && (m.now-p.reached > silence || m.cfg.off == ownEars) && m.cfg.off != neverSilent {
			o.State = StateSilent
			m.merge([]Member{o})
		}
	}
	if m.now-m.pinged < pingEvery && !m.early {
		return
	}
	m.pinged, m.asked, m.early = m.now, len(m.alive), false
	for _, o := range m.alive {
		m.send(o.ID, Message{Kind: MsgPing, Time: m.now, Done: m.before != nil || m.left > 0 || m.asides > 0, Found: m.provided})
	}
	m.askAround()
	// Whoever fell silent may be back, and a lost list must get there some time.
	if m.now-m.spread > 5*pingEvery {
		m.spreadMembers()
		for _, o := range m.list {
			if o.State == StateSilent {
				m.sendMembers(o.ID)
			}
		}
	}
}

// askAround asks the peers that answer about those that do not: one that answers
// somebody is cut off from this node only, and no reason to take its slots (rule 16).
func (m *Machine) askAround() {
	for _, o := range m.alive {
		if m.peers[o.Name].quiet <= asks {
			continue
		}
		for _, by := range m.alive {
			if m.peers[by.Name].quiet <= asks {
				m.send(by.ID, Message{Kind: MsgAsk, Node: o.ID, Time: m.now})
			}
		}
	}
}

// hear answers what a peer asks about another, or takes such an answer. When others
// heard of that one counts too, so that it goes on from node to node; it never gets
// younger on the way, for it is taken from when the question was sent.
func (m *Machine) hear(msg *Message) {
	p := m.peers[msg.Node.Name]
	switch {
	case p == nil || p.id != msg.Node || p.since != 0: // dead, or another run
	case msg.Kind == MsgAsk:
		m.send(msg.From.ID, Message{Kind: MsgHeard, Node: msg.Node, Time: msg.Time, Age: m.now - p.reached})
	case msg.Time <= m.now && msg.Age >= 0:
		p.reached = max(p.reached, msg.Time-msg.Age)
	}
}

// pruneMembers forgets nodes that have been gone for so long that nobody can ask
// for them any more; one that was silent for that long is gone. A node that is in
// doubt needs the list as it was.
func (m *Machine) pruneMembers() {
	patience := healTime
	if m.cfg.off == forgetSoon {
		patience = time.Second
	}
	for _, o := range m.list {
		p := m.peers[o.Name]
		if o.Alive() || p == nil || m.now-p.since < patience || m.before != nil || m.cfg.off == silentOn {
			continue
		}
		if o.State == StateSilent {
			o.State = StateGone
			p.since = m.now
			m.merge([]Member{o})
		} else {
			delete(m.peers, o.Name)
			delete(m.nodes, o.ID)
			m.setList(slices.DeleteFunc(slices.Clone(m.list), func(x Member) bool { return x.Name == o.Name }))
		}
		return // one at a time: the list has changed
	}
}

func (m *Machine) spreadMembers() {
	m.spread = m.now
	for _, o := range m.alive {
		m.sendMembers(o.ID)
	}
}

// sendMembers tells a node of the member list, but not of the same one again and
// again: many messages that were sent under another epoch may come at once.
func (m *Machine) sendMembers(to ID) {
	if p := m.peers[to.Name]; p != nil {
		if p.told == m.epoch && m.now-p.toldAt < retry/2 && p.toldID == to {
			return
		}
		p.told, p.toldAt, p.toldID = m.epoch, m.now, to
	}
	m.send(to, Message{Kind: MsgMembers, Members: m.list})
}

// fenced reports whether no silent member can still be serving on the strength
// of an answer of this node's (rule 9).
func (m *Machine) fenced() bool {
	if m.cfg.off == noFence {
		return true
	}
	wait := fence
	if m.cfg.off == noMargin {
		wait = lease
	}
	for _, o := range m.list {
		if o.State == StateSilent && m.now-m.peers[o.Name].answered < wait {
			return false
		}
	}
	return true
}

// keepsRecords reports whether a member has fallen silent that may come back
// with entries of its own.
func (m *Machine) keepsRecords() bool {
	patience := healTime
	if m.cfg.off == fadeRecords {
		patience = time.Minute
	}
	for _, o := range m.list {
		if p := m.peers[o.Name]; o.State == StateSilent && m.now-p.since < patience {
			return true
		}
	}
	return false
}
