package hold

import "time"

// This file is who holds a slot, and whom operations go to, as far as a node knows.

// holderOf gives the node to ask about a slot: its holder, as far as this node
// knows; else its owner; else who was promised it last.
func (m *Machine) holderOf(s *slot, n Slot) *node {
	switch owner := m.owner(n); {
	case s.role != roleNone:
		return m.me
	case s.holderTerm > 0 && s.holder != nil && s.holder.alive:
		return s.holder
	case owner != nil && owner != m.me:
		return owner
	case s.holder != nil && s.holder.alive && s.holder != m.me:
		return s.holder
	}
	return nil
}

// routeOf gives the node to send operations on a slot to. Where the holder is not
// known, it most likely still is whom the slot belonged to before the member list
// changed.
func (m *Machine) routeOf(s *slot, n Slot) *node {
	if s.holderTerm == 0 && s.role == roleNone && s.route != nil && s.route.alive && s.route != m.me {
		return s.route
	}
	return m.holderOf(s, n)
}

// unroute forgets that operations on a slot go to a node, which does not hold it.
func (s *slot) unroute(from ID) {
	if s.holder != nil && s.holder.sameRun(from) {
		s.holder, s.holderTerm = nil, 0
	}
	if s.route != nil && s.route.sameRun(from) {
		s.route = nil
	}
}

// Moved learns from a peer's answer to an operation that it does not hold a slot,
// and who does under which term, as far as it knows.
func (m *Machine) Moved(now time.Duration, slot Slot, from, holder ID, term uint32) {
	m.now = now
	defer m.settleUp()
	if int(slot) >= len(m.slots) {
		return
	}
	m.mark(slot)
	s := &m.slots[slot]
	if s.role == roleNone && !m.granted(s, from, term) { // it is not the holder; the owner will know
		s.unroute(from)
	}
	if holder.Name != "" && holder.Name != m.self.Name {
		m.learn(s, holder, term)
	}
}

// granted reports whether a node that says that it does not hold a slot, and knows
// of no higher term than this one, only has not been reached by its grant yet. If
// anybody was counted dead since, it may have been who granted it.
func (m *Machine) granted(s *slot, id ID, known uint32) bool {
	return s.holder != nil && s.holder.ID == id && s.holderTerm > max(known, m.died)
}

// onMoved learns who holds a slot. Terms only grow, so the highest is right.
func (m *Machine) onMoved(msg *Message) {
	s := &m.slots[msg.Slot]
	if msg.Node.Name == "" {
		// Nobody that the sender knows of.
		if s.role == roleNone && !m.granted(s, msg.From.ID, msg.Term) {
			s.unroute(msg.From.ID)
		}
		s.term, s.next = max(s.term, msg.Term), 0
		m.taking = max(m.taking-1, 0)
		return
	}
	if msg.Node == m.self.ID {
		if s.role == roleNone && msg.Term <= s.term && msg.Term >= s.holderTerm {
			// This node has turned the grant away, for a claim of its own under the
			// same term that came to nothing. It has to claim again.
			s.unroute(msg.From.ID)
			s.holder, s.holderTerm, s.next = nil, 0, 0
		}
		return // else the grant is still on its way, or the slot was given away since
	}
	m.learn(s, msg.Node, msg.Term)
}

func (m *Machine) learn(s *slot, holder ID, term uint32) {
	m.terms = max(m.terms, term)
	if s.role != roleNone {
		s.see(term)
		return
	}
	s.expect(m.node(holder), term) // its grant may still be on the way, or have got lost
	if term > s.holderTerm {
		s.holder, s.holderTerm, s.claim = m.node(holder), term, nil
		s.term = max(s.term, term)
	}
}
