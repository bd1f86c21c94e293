package hold

import (
	"slices"
	"time"
)

// This file is what a node sets aside of a slot: what it is left with, and may not serve
// while it holds the slot, since others may have overtaken it. Were it dropped, a key
// whose only copy this is would be lost for good (rules 4 and 10).

// maxAside bounds what a node sets aside, of all slots: enough for one batch of each slot
// on its way where entries are small. What does not fit is dropped, and counted.
const maxAside = 2 << 20

// asideCost is what an entry that is set aside takes besides its key and value.
const asideCost = 96

// aside is one part of what is set aside of a slot. It is not in the store, which would
// serve it.
type aside struct {
	span
	by    *node // who may have overtaken it; nil: nobody in particular
	doubt bool  // see source.doubt
	items []Entry
	at    time.Duration // when: their time to live goes on
	bytes int
	// entries is how many of the items are no records.
	entries int
	next    *aside // of the same slot, right up to an earlier term
}

// setAside takes keys, which are right as far as of says, out of the store. If there are
// none, that it is so may still be what joins the parts of others.
func (m *Machine) setAside(n Slot, s *slot, keys []string, of aside) {
	if m.aside < m.cfg.aside && m.cfg.off != dropAside && (len(keys) > 0 || m.cfg.off != dropEmpty) {
		items, took := m.d.Items(n, keys, m.cfg.aside-m.aside)
		a := &of
		a.at, a.bytes = m.now, asideCost
		for _, it := range items { // they are the store's
			it.Key, it.Value = slices.Clone(it.Key), slices.Clone(it.Value)
			a.items = append(a.items, it)
			a.bytes += len(it.Key) + len(it.Value) + asideCost
			if !it.Gone {
				a.entries++
			}
		}
		m.stats.Aside.Add(uint64(a.entries))
		m.d.Remove(n, keys[:took])
		keys = keys[took:]
		at := &s.aside
		for *at != nil && (*at).since >= a.since {
			at = &(*at).next
		}
		a.next, *at = *at, a
		m.aside += a.bytes
		m.asides++
		m.mark(n)
	}
	m.stats.Dropped.Add(uint64(m.d.Remove(n, keys)))
}

// tickAside takes back what can be believed by now: a holder serves it, and who does not
// hold the slot offers it, one part after the other. What never can be is dropped.
func (m *Machine) tickAside(n Slot, s *slot) {
	for at := &s.aside; *at != nil; {
		a := *at
		if s.role == roleHolding && m.parted(s, a.since) {
			m.inquire(n, s)
		}
		believed := !a.doubt || m.vouched()
		joins := s.role == roleHolding && (a.since >= m.completeFrom(n, s) || m.cfg.off == returnKeeps)
		switch {
		case a.by != nil && m.gone(a.by), a.doubt && m.disowned(), s.role == roleHolding && !joins && !m.patient(s):
			m.stats.AsideDropped.Add(uint64(a.entries))
		case joins && a.doubt && believed && !m.allAsked(s):
			m.inquire(n, s)
			if s.role == roleNone {
				continue // it offers this
			}
			at = &a.next
			continue
		case joins && believed:
			m.putBack(n, a)
			s.lower(a.elder)
		case s.role == roleNone && s.source == nil:
			m.putBack(n, a)
			m.setSource(n, s, &source{term: s.term, span: a.span, by: a.by, doubt: a.doubt, handed: map[string]bool{}})
		default:
			at = &a.next
			continue
		}
		*at = a.next
		m.aside -= a.bytes
		m.asides--
	}
}

// putBack gives what was set aside back to the store. What is newer there stays as it is;
// what has expired, or does not fit, is dropped.
func (m *Machine) putBack(n Slot, a *aside) {
	for i := range a.items {
		age(&a.items[i], m.now-a.at)
	}
	got := m.d.Merge(n, a.items)
	m.stats.Restored.Add(uint64(got.Applied))
	m.stats.AsideDropped.Add(uint64(a.entries - got.Applied))
}

// dropAside drops what was set aside of a slot.
func (m *Machine) dropAside(s *slot) {
	for ; s.aside != nil; s.aside = s.aside.next {
		m.stats.AsideDropped.Add(uint64(s.aside.entries))
		m.aside -= s.aside.bytes
		m.asides--
	}
}

// silent reports whether a member is silent, and may come back with entries of its own.
func (m *Machine) silent() bool {
	return slices.ContainsFunc(m.list, func(o Member) bool { return o.State == StateSilent })
}
