package hold

import "slices"

// This file reads through to the sources of an import (rule 3).

// known reports whether this node has all that matters of a key: the latest source
// that has it has said so, or all have said that they have not. Nobody writes a key
// before that.
func (m *Machine) known(n Slot, s *slot, key string) bool {
	if s.role != roleImporting || m.cfg.off == noReadThrough || s.ahead && m.d.Knows(n, key) {
		return true
	}
	if m.cfg.off == ownFirst && m.d.Knows(n, key) {
		return true
	}
	if m.cfg.off == anySource && slices.ContainsFunc(s.imports, func(im *imported) bool { return im.settled[key] }) {
		return true
	}
	for _, im := range s.imports {
		if found, spoken := im.settled[key]; found {
			return true
		} else if !spoken && m.lacks(im, key) {
			return false // if it has died, the next tick sees to what is behind it
		}
	}
	return true
}

// lacks reports whether a source may have, or have had, a key of which it has not
// spoken.
func (m *Machine) lacks(im *imported, key string) bool {
	_, spoken := im.settled[key]
	return !im.done && !spoken && !m.own(im)
}

// tickFetches asks again for keys, and gives up what has waited for too long.
func (m *Machine) tickFetches(n Slot, s *slot) {
	for _, key := range sortedKeys(s.fetches) {
		f := s.fetches[key]
		f.waiting = slices.DeleteFunc(f.waiting, func(op *Op) bool {
			if m.now < op.deadline {
				return false
			}
			m.waiting--
			m.d.Refuse(op)
			return true
		})
		switch {
		case len(f.waiting) == 0:
			delete(s.fetches, key)
		case m.known(n, s, key):
			m.settle(s, key)
		case m.now-f.asked >= retry:
			m.askSources(n, s, key, f)
		}
	}
}

func (m *Machine) askSources(n Slot, s *slot, key string, f *fetching) {
	f.asked = m.now
	for _, im := range s.imports {
		if m.lacks(im, key) && im.from.alive {
			m.send(im.from.ID, Message{Kind: MsgFetch, Slot: n, Term: s.term, Time: m.now, Key: key})
		}
	}
}

func (m *Machine) onFetched(msg *Message) {
	s := &m.slots[msg.Slot]
	if s.fetches[msg.Key] == nil || s.role != roleImporting || msg.Term != s.term || msg.Time > m.now {
		m.refuseLate(msg)
		return
	}
	late := true
	for _, im := range s.imports {
		if im.from.ID != msg.From.ID || !m.lacks(im, msg.Key) {
			continue
		}
		late = false
		im.settled[msg.Key] = msg.Found
		m.stats.Fetches.Add(1)
		if msg.Found {
			m.take(msg, &m.stats.FetchReceived)
		}
	}
	if late {
		m.refuseLate(msg)
	}
	if m.known(msg.Slot, s, msg.Key) {
		m.settle(s, msg.Key)
	}
}

// refuseLate counts an answer that nobody waits for any more: it was asked for twice, or the
// key has come with its batch.
func (m *Machine) refuseLate(msg *Message) {
	entries := uint64(countEntries(msg.Items))
	m.stats.FetchReceived.Add(entries)
	m.stats.Older.Add(entries)
}
