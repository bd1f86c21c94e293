package hold

import (
	"math"
	"slices"
	"time"
)

// This file is the source's side of a move: what is left at a node of slots that it
// held.

// tickSource repeats a grant until the importer has it, and offers what is left of
// a slot to whoever holds it.
func (m *Machine) tickSource(n Slot, s *slot) {
	src := s.source
	if k := src.kept; k != nil && k.by != nil && m.gone(k.by) {
		m.stats.Dropped.Add(uint64(m.d.Remove(n, sortedKeys(k.keys)))) // with what has become of them
		src.kept = nil
	}
	switch {
	case src.doubt && m.disowned() && m.cfg.off != returnKeeps, src.by != nil && m.gone(src.by):
		m.dropSource(n, s)
	case src.to == nil && m.self.State == StateLeaving && m.now-m.leaving > grace:
		m.dropSource(n, s) // nobody wants it
	case src.to == nil:
		m.offerLeft(n, s)
	case src.over && src.to.alive:
		m.send(src.to.ID, Message{Kind: MsgBatch, Slot: n, Term: src.term, Seq: src.seq, Done: true, Empty: src.short})
	case !src.started && src.to.alive:
		m.shrink(n, src)
		m.send(src.to.ID, Message{
			Kind: MsgGrant, Slot: n, Term: src.term, Elder: src.elder, Done: src.left,
		})
	}
}

// offerLeft offers what is left of a slot to whoever holds it: less often when that
// does not want it, for it may later.
func (m *Machine) offerLeft(n Slot, s *slot) {
	src := s.source
	to := m.holderOf(s, n)
	if to == nil || to == m.me || !to.alive || m.offered >= 4*m.cfg.Window || src.doubt && !m.vouched() {
		return
	}
	m.offered++
	src.offers = min(src.offers+1, 20)
	s.next = m.now + retry*time.Duration(max(src.offers/2, 1))
	m.send(to.ID, Message{Kind: MsgOffer, Slot: n, Term: src.term, Elder: src.since, Done: true})
}

// gone reports whether a run of a node is over.
func (m *Machine) gone(o *node) bool {
	now := m.member(o.Name)
	return now == nil || !now.sameRun(o.ID) || now.State == StateGone
}

// completeFrom gives the term from which on a holder has all of a slot.
func (m *Machine) completeFrom(n Slot, s *slot) uint32 {
	if floor := m.d.Floor(n).Term; floor > 0 {
		return max(s.elder, floor+1)
	}
	return s.elder
}

// spanOf gives the span of what a holder has, that is right up to since.
func (m *Machine) spanOf(n Slot, s *slot, since uint32) span {
	of := span{since: since, elder: m.completeFrom(n, s)}
	if of.elder == s.elder {
		of.below = s.below
	}
	return of
}

// shrink notes that a source does not know any more of all that went from it, for want of
// room for a record: its span begins after that. Whoever imports it already counts on more.
// It gives the highest version of what went so.
func (m *Machine) shrink(n Slot, src *source) (floor Version) {
	floor = m.d.Floor(n)
	if floor.Term == 0 || floor.Term < src.elder || m.cfg.off == forgetSpan {
		return floor
	}
	src.short = src.started
	src.elder, src.below = floor.Term+1, nil
	if k := src.kept; k != nil {
		k.elder, k.below = max(k.elder, floor.Term+1), nil
	}
	return floor
}

// belowOf gives the highest term before the elder of a span under which somebody may
// have held the slot, as far as this node knows. Those who were silent can be asked now,
// or it is not known.
func (m *Machine) belowOf(of *span) uint32 {
	if of.below == nil || !m.heard(of.below) {
		return of.elder - 1
	}
	return of.below.term
}

// heard reports whether all who were silent by a bound's list can be asked now.
func (m *Machine) heard(b *bound) bool {
	return !slices.ContainsFunc(b.list, func(b Member) bool {
		o := m.member(b.Name)
		return b.State == StateSilent && (o == nil || !o.Alive() || !o.sameRun(b.ID))
	})
}

// doubt turns what a returning node holds into a source without an importer. What
// was here of a slot that it was still importing stays behind what is later.
func (m *Machine) doubt(n Slot, s *slot) {
	src := &source{
		term: s.term, span: m.spanOf(n, s, s.holderTerm+1), doubt: true, handed: map[string]bool{},
	}
	for behind, im := range s.imports {
		keys, missing := []string(nil), false
		for at, before := range s.imports[:behind] {
			if !before.done && !m.own(before) {
				keys, missing = append(keys, s.unsupported(at, im)...), true
			}
		}
		slices.Sort(keys)
		keys = slices.Compact(keys)
		switch {
		case !missing:
		case !m.own(im):
			m.d.Remove(n, keys) // it has them still
		case len(keys) > 0 && src.kept == nil:
			src.keep(keys, im.span, im.by)
		default:
			m.setAside(n, s, keys, aside{span: im.span, by: im.by, doubt: true})
		}
	}
	m.setRole(n, s, roleNone)
	m.setSource(n, s, src)
	s.imports, s.ahead, s.lost, s.holder, s.holderTerm = nil, false, false, nil, 0
	m.refuseWaiting(s)
}

// doubtSource takes a source back from its importer, which counts this node dead, and
// may have changed anything since it was given the slot.
func (m *Machine) doubtSource(src *source) {
	if src.to != nil {
		src.since = min(src.since, src.term)
	}
	src.doubt, src.handed = true, map[string]bool{}
	src.bind(nil, src.term)
}

// bind makes a source that of an importer, from the beginning.
func (src *source) bind(to *node, term uint32) {
	src.to, src.term, src.started, src.left, src.granted = to, term, false, false, false
	src.seq, src.sent, src.entries = 0, nil, 0
	src.listed, src.over, src.short, src.queue, src.offers = false, false, false, nil, 0
}

// rebind makes a source that of another importer.
func (m *Machine) rebind(n Slot, s *slot, to *node, term uint32) {
	src := s.source
	if src.to != to {
		m.unbind(n, src)
	} else { // whoever claims what it was granted has not got the grant, and never will
		src.outlast()
	}
	src.bind(to, term)
	m.mark(n)
}

// unbind takes a source from an importer that is dead or does not want it. What that
// may have had, it may have changed. If it is lost with it, it must not come back;
// if it may return, the keys wait for it (rule 4).
func (m *Machine) unbind(n Slot, src *source) {
	if src.to == nil {
		return
	}
	if len(src.handed) > 0 && m.cfg.off != keepHanded {
		keys := sortedKeys(src.handed)
		of := span{since: min(src.since, src.term), elder: src.elder}
		switch {
		case m.gone(src.to) || m.cfg.off == dropHanded:
			m.stats.Dropped.Add(uint64(m.d.Remove(n, keys)))
		case src.kept != nil && src.kept.by != src.to:
			m.setAside(n, &m.slots[n], keys, aside{span: of, by: src.to, doubt: src.doubt})
		default:
			src.keep(keys, of, src.to)
		}
		src.elder, src.below = max(src.elder, src.term+1), nil
	}
	src.outlast()
	src.handed = map[string]bool{}
}

// outlast says that a source has seen its importer's term out: what that did not ask
// for, it has not changed. A source that was in doubt when it was given cannot say
// so: another may have held the slot in between.
func (src *source) outlast() {
	if src.since >= src.term {
		src.since = src.term + 1
	}
}

// keep sets keys aside that are right for less long than the others.
func (src *source) keep(keys []string, of span, by *node) {
	if src.kept == nil {
		src.kept = &kept{span: of, keys: map[string]bool{}, by: by}
	}
	if src.kept.by == nil {
		src.kept.by = by
	}
	src.kept.since, src.kept.elder, src.kept.below = min(src.kept.since, of.since), max(src.kept.elder, of.elder), nil
	for _, key := range keys {
		src.kept.keys[key] = true
	}
}

// leftovers takes what this node is left with of a slot that it is about to hold: the
// entries stay, and become part of what it imports.
func (m *Machine) leftovers(n Slot, s *slot) (own []*imported) {
	src := s.source
	if src == nil {
		return nil
	}
	m.unbind(n, src)
	m.shrink(n, src)
	m.setSource(n, s, nil)
	if src.by != nil && m.gone(src.by) {
		m.stats.Dropped.Add(uint64(m.d.Drop(n)))
		return nil
	}
	first := &imported{from: m.me, by: src.by, doubt: src.doubt, span: src.span, settled: map[string]bool{}}
	own = append(own, first)
	var last *imported
	if src.kept != nil {
		last = &imported{from: m.me, by: src.kept.by, doubt: src.doubt, span: src.kept.span, settled: map[string]bool{}}
		own = append(own, last)
	}
	for _, key := range m.d.Keys(n) {
		if last != nil && src.kept.keys[key] {
			last.settled[key] = true
		} else {
			first.settled[key] = true
		}
	}
	if src.doubt && !m.vouched() { // it would be served
		for _, im := range own {
			m.setAside(n, s, sortedKeys(im.settled), aside{span: im.span, by: im.by, doubt: true})
		}
		return nil
	}
	return own
}

// dropSource drops what is left of a slot.
func (m *Machine) dropSource(n Slot, s *slot) {
	m.stats.Dropped.Add(uint64(m.d.Drop(n)))
	m.setSource(n, s, nil)
}

func (m *Machine) onTaken(msg *Message) {
	s := &m.slots[msg.Slot]
	src := s.source
	if src == nil || src.to != m.node(msg.From.ID) || src.term != msg.Term {
		return
	}
	if k := src.kept; k != nil {
		m.setSource(msg.Slot, s, &source{term: src.term, span: k.span, by: k.by, doubt: src.doubt, handed: map[string]bool{}})
		return
	}
	m.setSource(msg.Slot, s, nil)
	m.stats.Dropped.Add(uint64(m.d.Drop(msg.Slot))) // none: these are what has become records since
}

// open gives the source that msg, from its importer, is for.
func (m *Machine) open(msg *Message) *source {
	src := m.slots[msg.Slot].source
	if src != nil && src.to == m.node(msg.From.ID) && src.term <= msg.Term {
		src.started = true
		return src
	}
	m.send(msg.From.ID, Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term})
	return nil
}

// onPull drops what was acknowledged, and sends the next batch (rule 6).
func (m *Machine) onPull(msg *Message) {
	src := m.open(msg)
	if src == nil {
		return
	}
	if msg.Seq == src.seq+1 {
		m.acknowledged(msg.Slot, src)
		src.seq = msg.Seq
	} else if msg.Seq != src.seq {
		return // an old question, come late
	}
	limit := math.MaxInt
	if src.sent == nil { // else it is asked for again
		if !src.listed {
			src.listed, src.queue = true, m.d.Keys(msg.Slot)
			if src.kept != nil {
				src.queue = slices.DeleteFunc(src.queue, func(key string) bool { return src.kept.keys[key] })
			}
		}
		src.sent, limit = src.queue, m.cfg.Batch
	}
	items, took := m.d.Items(msg.Slot, src.sent, limit)
	if limit != math.MaxInt {
		src.sent, src.queue = src.queue[:took:took], src.queue[took:]
		src.entries = countEntries(items)
	}
	for _, key := range src.sent {
		src.handed[key] = true
	}
	if m.cfg.off == closeSoon && len(src.sent) == 0 {
		defer m.setSource(msg.Slot, &m.slots[msg.Slot], nil)
	}
	if !src.over && len(src.sent) == 0 {
		m.shrink(msg.Slot, src)
		src.over = true
	}
	m.send(msg.From.ID, Message{
		Kind: MsgBatch, Slot: msg.Slot, Term: msg.Term, Time: msg.Time, Seq: src.seq, Items: items,
		Done: src.over, Empty: src.over && src.short,
	})
	if m.cfg.off == dropUnacknowledged {
		m.d.Remove(msg.Slot, src.sent)
	}
}

// countEntries gives how many of items are no records.
func countEntries(items []Entry) (n int) {
	for i := range items {
		if !items[i].Gone {
			n++
		}
	}
	return n
}

// acknowledged drops what the importer has.
func (m *Machine) acknowledged(n Slot, src *source) {
	m.d.Remove(n, src.sent)
	m.stats.Sent.Add(uint64(src.entries))
	src.sent, src.entries = nil, 0
}

// onFetch gives the importer one key ahead of its turn. From here on the importer
// may change it, so it is handed.
func (m *Machine) onFetch(msg *Message) {
	src := m.open(msg)
	if src == nil {
		return
	}
	answer := Message{Kind: MsgFetched, Slot: msg.Slot, Term: msg.Term, Time: msg.Time, Key: msg.Key}
	if src.kept == nil || !src.kept.keys[msg.Key] {
		answer.Items, _ = m.d.Items(msg.Slot, []string{msg.Key}, m.cfg.Batch)
		if floor := m.shrink(msg.Slot, src); src.short && floor.Term > 0 && len(answer.Items) == 0 { // it may have been here
			answer.Items = []Entry{{Key: []byte(msg.Key), Gone: true, Meta: Meta{Version: floor}}}
		}
		answer.Found = len(answer.Items) > 0
		m.stats.FetchSent.Add(uint64(countEntries(answer.Items)))
		src.handed[msg.Key] = true
	}
	m.send(msg.From.ID, answer)
}

// onStale ends an import whose source has nothing more to say, or a source that
// nobody wants.
func (m *Machine) onStale(msg *Message) {
	s := &m.slots[msg.Slot]
	from := m.node(msg.From.ID)
	m.onImportStale(msg, s)
	if src := s.source; src != nil && src.term == msg.Term && (src.to == from || src.to == nil) {
		started := src.started
		if src.to != nil && started {
			m.unbind(msg.Slot, src)
		} else if src.to != nil { // it has not held the slot under this term, and never will
			src.outlast()
		}
		if src.bind(nil, src.term); (msg.Done || m.cfg.off == dropRefused) && !started {
			m.dropSource(msg.Slot, s)
		}
	}
	if s.role == roleHolding && msg.Term == s.term && msg.Done {
		// The owner holds the slot too, and what this node has is overtaken.
		m.setRole(msg.Slot, s, roleNone)
		m.dropSource(msg.Slot, s)
		s.holder, s.holderTerm = from, 0 // no longer this node: operations would come to nothing
		m.dropAside(s)
	}
}
