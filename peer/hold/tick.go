package hold

import (
	"slices"
	"time"
)

// This file is how time passes for a machine.

// Next is when Tick is to be called again, as of the last event: every TickEvery, but
// while there is nothing to do only as often as peers are pinged; and soon, while it is
// behind with slots.
func (m *Machine) Next() time.Duration {
	if m.due > 0 {
		return min(m.nextTick(), m.stepped+walkPause)
	}
	return m.nextTick()
}

func (m *Machine) nextTick() time.Duration {
	switch {
	case m.busy && (m.many || m.late):
		return m.last + stepEvery
	case m.busy || m.early || m.recording || m.asked > 0 || m.before != nil || m.self.State != StateServing:
		return m.last + TickEvery
	case len(m.list) == 1:
		return m.last + 5*pingEvery
	default:
		return max(m.pinged+pingEvery, m.last+TickEvery)
	}
}

// Tick lets time pass; Next says when it is to be called. It does a portion of what there
// is to do for slots by now, and more says that there is more of it: Walk goes on with
// that, or the next Tick.
func (m *Machine) Tick(now time.Duration) (more bool) {
	if m.due > 0 && now < m.nextTick() {
		return m.Walk(now)
	}
	m.now = now
	defer m.settleUp()
	planned := m.nextTick() - m.last
	if now-m.last > planned-TickEvery+frozen {
		// It was this node that stood still. Nobody is to be blamed for that.
		for _, p := range m.peers {
			if m.cfg.off != blameOthers {
				p.quiet = 0
			}
		}
		if m.cfg.off != aloneAtOnce {
			m.alone = now + silence
		}
		if m.recording && m.cfg.off != stillRecords { // whoever has returned meanwhile could not say what it is left with
			m.unheard = now
		}
	}
	for _, p := range m.peers {
		past := now - m.last
		if m.cfg.off != blameOthers {
			past = min(past, planned-TickEvery+blame)
		}
		p.quiet += past
	}
	m.budget = min(m.budget+int(float64(m.cfg.Rate)*(now-m.last).Seconds()), m.cfg.Rate/8)
	passed := now - m.last
	m.last = now
	if now-m.round >= retry {
		m.round, m.taking, m.claiming, m.offered = now, 0, 0, 0
	}
	m.watchPeers()
	m.pruneMembers()
	if m.self.State == StateJoining && m.readyToServe() {
		m.setSelf(StateServing)
	}
	if m.keepsRecords() || m.asides > 0 {
		m.unheard = now
	}
	if m.stats.Sources.Load() == 0 && m.asides == 0 {
		m.before = nil
	} else if m.before != nil && now-m.back > healTime && m.cfg.off != doubtOn {
		m.undoubt()
	}
	if recording := m.unheard > 0 && now-m.unheard < recordTime && m.cfg.off != deafRecords; recording != m.recording {
		m.recording = recording
		m.markAll()
	}
	m.cover()
	m.owe(passed)
	m.stats.Terms.Store(int64(m.terms))
	return m.walkOn()
}

// cover notes that all slots are held: each by whom it belongs to, by one member list, or by
// somebody that one knows of. Who has noted that tells it in its pongs (rule 11).
func (m *Machine) cover() {
	m.covered = m.covered || m.provided && !slices.ContainsFunc(m.alive, func(o Member) bool {
		return o.State == StateServing && m.peers[o.Name].provided != m.epoch
	}) || m.cfg.off == readyAtOnce
}

// readyToServe reports whether a joining node may take slots: some member that
// does answers, and has told it of all others, or it has waited long enough. Nodes that
// have only met each other wait too: there may be a cluster that they have not found yet
// (rule 11).
func (m *Machine) readyToServe() bool {
	for i := range m.list {
		o := &m.list[i]
		if o.Name == m.self.Name || !o.Alive() || m.now >= m.lease || o.State == StateJoining && m.cfg.off != meetAlone {
			continue
		}
		if m.peers[o.Name].epoch == m.epoch || m.cfg.off == joinUntold {
			return true
		}
	}
	return m.now-m.start >= m.cfg.Alone || m.cfg.off == serveAtOnce
}
