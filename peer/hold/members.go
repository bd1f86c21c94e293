package hold

import (
	"cmp"
	"hash/fnv"
	"slices"
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
			if r.newer(&m.self) && !(r.Incarnation == m.self.Incarnation && r.alive()) {
				m.comeBack(r.Incarnation)
			}
			continue
		}
		i := slices.IndexFunc(list, func(o Member) bool { return o.Name == r.Name })
		if i < 0 {
			list = append(list, r)
		} else if r.newer(&list[i]) {
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
	m.list = list
	h := fnv.New64a()
	for _, o := range list {
		_, _ = h.Write([]byte(o.Name))
		_, _ = h.Write([]byte{0, byte(o.Incarnation), byte(o.Incarnation >> 8), byte(o.Incarnation >> 16),
			byte(o.Incarnation >> 24), byte(o.State), byte(o.Weight), byte(o.Weight >> 8)})
	}
	m.epoch = h.Sum64()
	for _, o := range list {
		if o.Name == m.self.Name {
			continue
		}
		p := m.peers[o.Name]
		if p == nil || p.id != o.ID {
			// A peer just met has as good as answered, and been answered: both
			// sides count from here.
			was := p
			p = &peer{id: o.ID, heard: m.now, answered: m.now}
			if was == nil && o.alive() && served {
				m.lease = max(m.lease, m.now+lease)
			}
			m.peers[o.Name] = p
		}
		if o.State == StateSilent && p.since == 0 {
			p.since = m.now
		}
	}
	for i := range m.slots {
		m.slots[i].claim = nil
	}
	m.spreadMembers()
}

// comeBack is what a node does that was counted dead and is not: it takes a new
// incarnation, and no longer trusts what it holds. Others may hold it by now, so
// it keeps the entries only to offer them to whoever does (rule 10).
func (m *Machine) comeBack(dead uint64) {
	m.self.Incarnation = max(m.self.Incarnation, dead) + 1
	m.lease = 0
	if m.before == nil {
		m.before = slices.Clone(m.list)
	}
	for i := range m.slots {
		s := &m.slots[i]
		s.claim = nil
		if m.cfg.off == returnKeeps {
			continue
		}
		if s.source != nil {
			m.dropSource(Slot(i), s)
		}
		if s.role != roleNone {
			m.doubt(Slot(i), s)
		}
	}
}

// vouched reports whether everybody who may have held what this node holds, while
// it was counted dead, is there to say so. Only then what it has is worth
// anything: somebody may have changed it, and died since (rule 10).
func (m *Machine) vouched() bool {
	for _, o := range m.list {
		if o.alive() || m.cfg.off == returnKeeps {
			continue
		}
		i := slices.IndexFunc(m.before, func(b Member) bool { return b.Name == o.Name })
		if i < 0 || m.before[i].alive() || !m.before[i].sameRun(o.ID) {
			return false
		}
	}
	for _, b := range m.before {
		if o := m.member(b.Name); b.alive() && !o.sameRun(b.ID) && m.cfg.off != returnKeeps {
			return false
		}
	}
	return true
}

// watchPeers asks all live peers whether they are there, and counts as dead who
// does not answer.
func (m *Machine) watchPeers() {
	for _, o := range m.alivePeers() {
		if p := m.peers[o.Name]; m.now-p.heard > silence {
			o.State = StateSilent
			m.merge([]Member{o})
		}
	}
	if m.now-m.pinged < pingEvery {
		return
	}
	m.pinged = m.now
	for _, o := range m.alivePeers() {
		m.send(o.ID, &Message{Kind: MsgPing, Time: m.now})
	}
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

func (m *Machine) spreadMembers() {
	m.spread = m.now
	for _, o := range m.alivePeers() {
		m.sendMembers(o.ID)
	}
}

func (m *Machine) sendMembers(to ID) {
	m.send(to, &Message{Kind: MsgMembers, Members: slices.Clone(m.list)})
}

// fenced reports whether no silent member can still be serving on the strength
// of an answer of this node's (rule 9).
func (m *Machine) fenced() bool {
	if m.cfg.off == noFence {
		return true
	}
	for _, o := range m.list {
		if o.State == StateSilent && m.now-m.peers[o.Name].answered < fence {
			return false
		}
	}
	return true
}

// keepsRecords reports whether a member has fallen silent that may come back
// with entries of its own.
func (m *Machine) keepsRecords() bool {
	for _, o := range m.list {
		if p := m.peers[o.Name]; o.State == StateSilent && m.now-p.since < healTime {
			return true
		}
	}
	return false
}

// owner names the member that a slot belongs to: placement over those that serve.
func (m *Machine) owner(s Slot) string {
	var serving []Member
	for _, o := range m.list {
		if o.State == StateServing {
			serving = append(serving, o)
		}
	}
	if len(serving) == 0 {
		return ""
	}
	return m.cfg.Owner(s, serving)
}
