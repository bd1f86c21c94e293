package hold

import (
	"math"
	"slices"
	"time"
)

// This file moves entries from the source of an import to its importer.

// pull asks for the batch that is next, which acknowledges those before it.
func (m *Machine) pull(n Slot, s *slot, im *imported) {
	if m.cfg.Rate > 0 && m.budget <= 0 {
		im.asked = 0 // a later tick does it
		return
	}
	if im.asked = m.now; im.first == 0 {
		im.first = m.now
	}
	m.send(im.from.ID, &Message{Kind: MsgPull, Slot: n, Term: s.term, Seq: im.seq})
}

func (m *Machine) tickImports(n Slot, s *slot) {
	all := true
	for _, im := range s.imports {
		switch {
		case im.done:
		case !im.from.alive:
			// A source that is dead has taken what it had with it.
			im.done, s.broken = true, true
		case im.asked == 0 || m.now-im.asked >= retry:
			m.pull(n, s, im)
			all = false
		default:
			all = false
		}
	}
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
		case m.unsettled(s, key) == 0:
			m.settle(s, key)
		case m.now-f.asked >= retry:
			m.askSources(n, s, key, f)
		}
	}
	if all && !m.nextImport(n, s) {
		s.imports = nil
		m.setRole(n, s, roleHolding)
	}
}

// tickSource repeats a grant until the importer has it, and offers what is left of
// a slot to whoever holds it.
func (m *Machine) tickSource(n Slot, s *slot) {
	src := s.source
	switch {
	case src.doubt && m.disowned() && m.cfg.off != returnKeeps:
		m.dropSource(n, s)
	case src.to == nil:
		// In doubt, or refused: whoever holds the slot now may want it.
		to := m.holderOf(s, n)
		if to != nil && to != m.me && to.alive && m.offered < 4*m.cfg.Window && (!src.doubt || m.vouched()) {
			m.offered++
			m.send(to.ID, &Message{Kind: MsgOffer, Slot: n, Term: src.term, Elder: src.since, Done: true})
		}
	case !src.started && src.to.alive:
		m.send(src.to.ID, &Message{
			Kind: MsgGrant, Slot: n, Term: src.term, Elder: src.elder,
		})
	}
}

// doubt turns what a returning node holds into a source without an importer.
func (m *Machine) doubt(n Slot, s *slot) {
	m.setRole(n, s, roleNone)
	m.setSource(n, s, &source{
		term: s.term, since: s.holderTerm, elder: max(s.elder, m.d.Floor(n)), doubt: true, handed: map[string]bool{},
	})
	s.imports, s.pending, s.holder, s.holderTerm = nil, nil, nil, 0
	m.refuseWaiting(s)
}

// rebind makes a source that of another importer. What the one before may have
// had, it may have changed: that is lost with it, and must not come back.
func (m *Machine) rebind(n Slot, s *slot, to *node, term uint32) {
	src := s.source
	if src.to != to && src.to != nil && m.cfg.off != keepHanded {
		m.d.Remove(n, sortedKeys(src.handed))
		m.stats.Dropped.Add(uint64(len(src.handed)))
	}
	if src.to != to {
		src.handed = map[string]bool{}
	}
	src.to, src.term, src.started = to, term, false
	src.seq, src.sent, src.entries = 0, nil, 0
	src.listed, src.queue = false, nil
	m.mark(n)
}

// dropUnvouched drops what is in doubt and stays so, when the slot finds a holder
// without it.
func (m *Machine) dropUnvouched(n Slot, s *slot) {
	if s.source != nil && s.source.doubt && !m.vouched() {
		m.dropSource(n, s)
	}
}

// dropSource drops what is left of a slot.
func (m *Machine) dropSource(n Slot, s *slot) {
	m.stats.Dropped.Add(uint64(m.d.Drop(n)))
	m.setSource(n, s, nil)
}

func (m *Machine) onTaken(msg *Message) {
	s := &m.slots[msg.Slot]
	if src := s.source; src != nil && src.to == m.node(msg.From.ID) && src.term == msg.Term {
		m.setSource(msg.Slot, s, nil) // there was nothing, and nothing has come since
	}
}

// open gives the source that msg, from its importer, is for.
func (m *Machine) open(msg *Message) *source {
	src := m.slots[msg.Slot].source
	if src != nil && src.to == m.node(msg.From.ID) && src.term <= msg.Term {
		src.started = true
		return src
	}
	m.send(msg.From.ID, &Message{Kind: MsgStale, Slot: msg.Slot, Term: msg.Term})
	return nil
}

// onPull drops what was acknowledged, and sends the next batch (rule 6).
func (m *Machine) onPull(msg *Message) {
	s := &m.slots[msg.Slot]
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
		}
		src.sent, limit = src.queue, m.cfg.Batch
	}
	items, took := m.d.Items(msg.Slot, src.sent, limit)
	if limit != math.MaxInt {
		src.sent, src.queue = src.queue[:took:took], src.queue[took:]
	}
	src.entries = 0
	for i := range items {
		if !items[i].Gone {
			src.entries++
		}
	}
	for _, key := range src.sent {
		src.handed[key] = true
	}
	last := len(src.sent) == 0
	m.send(msg.From.ID, &Message{
		Kind: MsgBatch, Slot: msg.Slot, Term: msg.Term, Seq: src.seq, Items: items, Done: last,
	})
	if m.cfg.off == dropUnacknowledged {
		m.d.Remove(msg.Slot, src.sent)
	}
	if last { // if the answer is lost, the importer is told that the source is closed
		m.setSource(msg.Slot, s, nil)
		m.d.Drop(msg.Slot)
	}
}

// acknowledged drops what the importer has.
func (m *Machine) acknowledged(n Slot, src *source) {
	m.d.Remove(n, src.sent)
	m.stats.Sent.Add(uint64(src.entries))
	src.sent, src.entries = nil, 0
}

func (m *Machine) onBatch(msg *Message) {
	s := &m.slots[msg.Slot]
	for _, im := range s.imports {
		if im.from.ID != msg.From.ID || im.done || im.seq != msg.Seq || msg.Term != s.term {
			continue
		}
		m.take(msg, im.first)
		for i := range msg.Items {
			im.settled[string(msg.Items[i].Key)] = true
		}
		im.seq++
		im.first = 0
		if msg.Done {
			im.done = true
		} else {
			m.pull(msg.Slot, s, im)
		}
		m.tickImports(msg.Slot, s)
		return
	}
}

// take puts the items of a message in. What they have left to live counts from
// when they were first asked for: the source has said it after that, so they never
// live too long.
func (m *Machine) take(msg *Message, asked time.Duration) {
	entries := 0
	for i := range msg.Items {
		it := &msg.Items[i]
		m.budget -= len(it.Key) + len(it.Value)
		if it.Gone {
			continue
		}
		entries++
		if it.Meta.Remaining == Forever {
			continue
		}
		if it.Meta.Remaining -= m.now - asked; it.Meta.Remaining <= 0 {
			*it = Entry{Key: it.Key, Gone: true, Meta: Meta{Version: it.Meta.Version}}
		}
	}
	m.stats.Received.Add(uint64(entries))
	if msg.Flushes < m.flushes {
		m.stats.Older.Add(uint64(entries))
		return // from before the flush
	}
	got := m.d.Merge(msg.Slot, msg.Items)
	m.stats.Applied.Add(uint64(got.Applied))
	m.stats.Older.Add(uint64(got.Older))
	m.stats.Failed.Add(uint64(got.Failed))
	m.stats.Expired.Add(uint64(max(entries-got.Applied-got.Older-got.Failed, 0)))
}

// unsettled counts the sources that must be asked before this node may say that
// it knows all there is of a key (rule 3).
func (m *Machine) unsettled(s *slot, key string) (n int) {
	if s.role != roleImporting || m.cfg.off == noReadThrough {
		return 0
	}
	for _, im := range s.imports {
		if im.lacks(key) {
			n++
		}
	}
	return n
}

// lacks reports whether a source may have a key that this node has not heard of.
func (im *imported) lacks(key string) bool { return !im.done && !im.settled[key] && im.from.alive }

func (m *Machine) askSources(n Slot, s *slot, key string, f *fetching) {
	if f.asked = m.now; f.first == 0 {
		f.first = m.now
	}
	for _, im := range s.imports {
		if im.lacks(key) {
			m.send(im.from.ID, &Message{Kind: MsgFetch, Slot: n, Term: s.term, Key: key})
		}
	}
}

// onFetch gives the importer one key ahead of its turn. From here on the importer
// may change it, so it is handed.
func (m *Machine) onFetch(msg *Message) {
	src := m.open(msg)
	if src == nil {
		return
	}
	answer := &Message{Kind: MsgFetched, Slot: msg.Slot, Term: msg.Term, Key: msg.Key}
	answer.Items, _ = m.d.Items(msg.Slot, []string{msg.Key}, m.cfg.Batch)
	answer.Found = len(answer.Items) > 0
	src.handed[msg.Key] = true
	m.send(msg.From.ID, answer)
}

func (m *Machine) onFetched(msg *Message) {
	s := &m.slots[msg.Slot]
	if s.role != roleImporting || msg.Term != s.term {
		return
	}
	f := s.fetches[msg.Key]
	for _, im := range s.imports {
		if f == nil || im.from.ID != msg.From.ID || im.settled[msg.Key] {
			continue
		}
		im.settled[msg.Key] = true
		m.stats.Fetches.Add(1)
		if msg.Found {
			m.take(msg, f.first)
		}
	}
	if f != nil && m.unsettled(s, msg.Key) == 0 {
		m.settle(s, msg.Key)
	}
}

// onStale ends an import whose source has nothing more to say, or a source that
// nobody wants.
func (m *Machine) onStale(msg *Message) {
	s := &m.slots[msg.Slot]
	from := m.node(msg.From.ID)
	for _, im := range s.imports {
		if im.from == from && msg.Term == s.term {
			im.done = true
		}
	}
	if src := s.source; src != nil && src.term == msg.Term && !src.started && (src.to == from || src.to == nil) {
		if src.to = nil; msg.Done {
			m.dropSource(msg.Slot, s)
		}
	}
	if s.role == roleHolding && msg.Term == s.term && msg.Done {
		// The owner holds the slot too, and what this node has is overtaken.
		m.setRole(msg.Slot, s, roleNone)
		m.dropSource(msg.Slot, s)
	}
}
