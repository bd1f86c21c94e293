package hold

import (
	"slices"
	"time"
)

// This file is what a node sets aside of a slot that it holds: what it is left with from
// before, and may not serve, since a member that is silent may have overtaken it. Were
// it dropped, a key that was on its way from here when the network was cut would be lost
// for good, for its receiver may not have got it (rule 4).

// maxAside bounds the bytes that a node sets aside, of all slots: enough for one batch
// of each slot on its way where entries are small. What does not fit is dropped, and
// counted.
const maxAside = 2 << 20

// aside is what is set aside of a slot. It is not in the store, which would serve it.
type aside struct {
	span
	by    *node // who may have overtaken it; nil: nobody in particular
	items []Entry
	at    time.Duration // when: their time to live goes on
	bytes int
}

// setAside takes keys of an import, which came from this node itself, out of the store.
func (m *Machine) setAside(n Slot, s *slot, im *imported) {
	keys := sortedKeys(im.settled)
	dropped := len(keys)
	if m.silent() && s.aside == nil && m.aside < maxAside && len(keys) > 0 {
		items, took := m.d.Items(n, keys, maxAside-m.aside)
		dropped -= took
		a := &aside{span: im.span, by: im.by, at: m.now}
		for _, it := range items { // they are the store's
			it.Key, it.Value = slices.Clone(it.Key), slices.Clone(it.Value)
			a.items = append(a.items, it)
			a.bytes += len(it.Key) + len(it.Value)
		}
		m.aside += a.bytes
		s.aside = a
	}
	m.stats.Dropped.Add(uint64(dropped))
	m.d.Remove(n, keys)
}

// putBack puts what was set aside of a slot that is held no more into src, behind what
// is there. What has become newer since stays as it is.
func (m *Machine) putBack(n Slot, s *slot, src *source) {
	a := s.aside
	if a == nil || a.by != nil && m.gone(a.by) {
		m.dropAside(s)
		return
	}
	keys := make([]string, len(a.items))
	for i := range a.items {
		keys[i] = string(a.items[i].Key)
		age(&a.items[i], m.now-a.at)
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return m.d.Knows(n, key) })
	m.d.Merge(n, a.items)
	src.keep(keys, a.span, a.by)
	m.aside -= a.bytes
	s.aside = nil
}

// dropAside drops what was set aside of a slot.
func (m *Machine) dropAside(s *slot) {
	if s.aside != nil {
		m.stats.Dropped.Add(uint64(len(s.aside.items)))
		m.aside -= s.aside.bytes
		s.aside = nil
	}
}

// silent reports whether a member is silent, and may come back with entries of its own.
func (m *Machine) silent() bool {
	return slices.ContainsFunc(m.list, func(o Member) bool { return o.State == StateSilent })
}
