package hold

import (
	"slices"
	"sync/atomic"
	"time"
)

// This file is the importer's side of a move (rules 3 and 6), and joins what several
// sources have of a slot (rule 10).

// openImports makes a chain of spans part of what this node holds: it has all from
// elder on, and each of them, the latest first, must reach back from where the one
// before it ends, or nobody has held the slot between the two, by what all say. What does
// not reach is left with its source: what is missing in between may yet turn up.
func (m *Machine) openImports(n Slot, s *slot, elder uint32, chain []*imported, all knowledge) {
	s.elder, s.imports, s.lost = elder, nil, false
	for _, im := range chain {
		switch {
		case im.since >= elder || m.cfg.off == returnKeeps:
			elder = min(elder, im.elder)
			elder = all.bridge(elder)
			im.elder = min(im.elder, elder)
			s.imports = append(s.imports, im)
			if im.seq = 1; im.settled == nil {
				im.settled = map[string]bool{}
			}
			if im.done { // there is nothing to it
				m.complete(s, im)
			}
		case m.own(im):
			m.setAside(n, s, sortedKeys(im.settled), aside{span: im.span, by: im.by, doubt: im.doubt})
		default:
			m.send(im.from.ID, Message{Kind: MsgStale, Slot: n, Term: s.term})
		}
	}
	if len(s.imports) > 0 {
		m.setRole(n, s, roleImporting)
		m.tickImports(n, s)
	} else {
		s.ahead = false
	}
}

// tickImports goes on with the first import that is not complete: those behind it are
// right only together with it.
func (m *Machine) tickImports(n Slot, s *slot) {
	all := true
	for i, im := range s.imports {
		if im.done {
			continue
		}
		if !m.own(im) && !im.from.alive && !s.lost && m.mayReturn(im.from) {
			all = false
			break
		}
		if !m.own(im) && (s.lost || !im.from.alive) {
			// A source that is dead has taken what it had with it.
			if im.from.alive {
				m.send(im.from.ID, Message{Kind: MsgStale, Slot: n, Term: s.term})
			}
			m.breakOff(n, s, i)
			continue
		}
		if m.own(im) {
			m.complete(s, im)
			continue
		}
		if im.asked == 0 || m.now-im.asked >= retry {
			m.pull(n, s, im)
		}
		all = false
		break
	}
	m.tickFetches(n, s)
	if all {
		s.imports, s.ahead, s.lost = nil, false, false
		m.setRole(n, s, roleHolding)
	}
}

// own reports whether an import is what this node was left with itself.
func (m *Machine) own(im *imported) bool { return im.from.Name == m.self.Name }

// mayReturn reports whether a source that has fallen silent is to be waited for. It may
// only be cut off from here, count this node dead, and take the slot for its own: what
// it was not asked for, it believes to be unchanged. By the time that it can, this
// node's lease must have ended, before anything is changed here without asking.
func (m *Machine) mayReturn(o *node) bool {
	now := m.member(o.Name)
	return now != nil && now.ID == o.ID && now.State == StateSilent && m.now-m.peers[o.Name].since < breakAfter && m.cfg.off != breakSoon
}

// complete notes that this node has all that an import had.
func (m *Machine) complete(s *slot, im *imported) {
	if im.done = true; !s.lost {
		s.lower(im.elder)
	}
}

// lower notes that a holder has all from a term on.
func (s *slot) lower(elder uint32) {
	s.elder = min(s.elder, elder)
	if s.below != nil && s.below.term >= s.elder {
		s.below = nil
	}
}

// breakOff gives an import up. What is here of keys that it did not speak of, from
// sources behind it, may be older than what is lost.
func (m *Machine) breakOff(n Slot, s *slot, at int) {
	s.imports[at].done, s.lost = true, true
	if m.cfg.off == keepUnsupported {
		return
	}
	for later := range s.imports[at+1:] {
		im := s.imports[at+1+later]
		keys := s.unsupported(at, im)
		for _, key := range keys {
			im.settled[key] = false
		}
		if m.own(im) {
			m.setAside(n, s, keys, aside{span: im.span, by: im.by, doubt: im.doubt})
		} else {
			m.d.Remove(n, keys) // it has them still
		}
	}
}

// unsupported gives the keys that came from an import behind that at a place, which
// has not spoken of them yet, nor has any before it had them.
func (s *slot) unsupported(at int, im *imported) (keys []string) {
	for _, key := range sortedKeys(im.settled) {
		_, spoken := s.imports[at].settled[key]
		if im.settled[key] && !spoken && !slices.ContainsFunc(s.imports[:at], func(o *imported) bool { return o.settled[key] }) {
			keys = append(keys, key)
		}
	}
	return keys
}

// pull asks for the batch that is next, which acknowledges those before it.
func (m *Machine) pull(n Slot, s *slot, im *imported) {
	if m.cfg.Rate > 0 && m.budget <= 0 {
		im.asked = 0 // a later tick does it
		return
	}
	im.asked = m.now
	m.send(im.from.ID, Message{Kind: MsgPull, Slot: n, Term: s.term, Time: m.now, Seq: im.seq})
}

func (m *Machine) onBatch(msg *Message) {
	s := &m.slots[msg.Slot]
	for i, im := range s.imports {
		if im.from.ID != msg.From.ID || im.done || im.seq != msg.Seq || msg.Term != s.term || msg.Time > m.now {
			continue
		}
		m.take(msg, &m.stats.Received)
		for i := range msg.Items {
			im.settled[string(msg.Items[i].Key)] = true
		}
		im.seq++
		if msg.Done {
			if msg.Empty {
				m.breakOff(msg.Slot, s, i)
			} else {
				m.complete(s, im)
			}
			m.send(msg.From.ID, Message{Kind: MsgTaken, Slot: msg.Slot, Term: s.term})
		} else {
			m.pull(msg.Slot, s, im)
		}
		m.tickImports(msg.Slot, s)
		return
	}
	open := slices.ContainsFunc(s.imports, func(im *imported) bool { return im.from.ID == msg.From.ID && !im.done })
	switch {
	case !msg.Done || open:
	case s.role == roleNone || msg.Term != s.term || s.lost:
		m.send(msg.From.ID, Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term})
	default: // it was not heard
		m.send(msg.From.ID, Message{Kind: MsgTaken, Slot: msg.Slot, Term: msg.Term})
	}
}

// take puts the items of a message in. What they have left to live counts from when
// the question was sent that msg answers: the source has said it after that, so they
// never live too long. Each entry is counted in received, and in one way that it
// ends: see Stats.
func (m *Machine) take(msg *Message, received *atomic.Uint64) {
	entries, expired := 0, 0
	for i := range msg.Items {
		it := &msg.Items[i]
		m.budget -= len(it.Key) + len(it.Value)
		if it.Gone {
			continue
		}
		entries++
		if age(it, m.now-msg.Time); it.Gone {
			expired++
		}
	}
	received.Add(uint64(entries))
	if msg.Flushes < m.flushes && m.cfg.off != takeFlushed {
		m.stats.Older.Add(uint64(entries))
		return // from before the flush
	}
	got := m.d.Merge(msg.Slot, msg.Items)
	m.stats.Applied.Add(uint64(got.Applied))
	m.stats.Older.Add(uint64(got.Older))
	m.stats.Aged.Add(uint64(got.Aged))
	m.stats.Failed.Add(uint64(got.Failed))
	m.stats.Expired.Add(uint64(expired))
}

// age lets d pass for an entry from elsewhere. If its time is up, it becomes a record.
func age(it *Entry, d time.Duration) {
	if it.Gone {
		return
	}
	if it.Meta.Age += d; it.Meta.Remaining == Forever {
		return
	}
	if it.Meta.Remaining -= d; it.Meta.Remaining <= 0 {
		*it = Entry{Key: it.Key, Gone: true, Meta: Meta{Version: it.Meta.Version}}
	}
}

// onImportStale ends an import whose source says that it is not open: it has lost it.
func (m *Machine) onImportStale(msg *Message, s *slot) {
	for i, im := range s.imports {
		switch {
		case im.from.ID != msg.From.ID || im.done || msg.Term != s.term:
		default:
			m.breakOff(msg.Slot, s, i)
		}
	}
}
