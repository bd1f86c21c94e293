package hold

import (
	"maps"
	"slices"
	"time"
)

// This file moves entries from the source of an import to its importer.

// pull asks for the batch that is next, which acknowledges those before it.
func (m *Machine) pull(n Slot, s *slot, im *imported) {
	if im.asked = m.now; im.first == 0 {
		im.first = m.now
	}
	m.send(im.from, &Message{Kind: MsgPull, Slot: n, Term: s.term, Seq: im.seq})
}

func (m *Machine) tickImports(n Slot, s *slot) {
	all := true
	for _, im := range s.imports {
		switch {
		case im.done:
		case !m.isAlive(im.from):
			// A source that is dead has taken what it had with it.
			im.done = true
		case m.now-im.asked >= retry:
			m.pull(n, s, im)
			all = false
		default:
			all = false
		}
	}
	for key, f := range s.fetches {
		if m.needsFetch(s, key) == nil {
			m.settle(n, s, key)
		} else if m.now-f.asked >= retry {
			m.askSources(n, s, key, f)
		}
	}
	if all {
		s.role, s.imports = roleHolding, nil
	}
}

// tickSource repeats a grant until the importer has it, and gives up what nobody
// will ask for again.
func (m *Machine) tickSource(n Slot, s *slot) {
	src := s.source
	switch {
	case src.to.Name == "":
		// In doubt, or refused: whoever holds the slot now may want it.
		if to := m.holderOf(n, s); to != m.self.ID && m.isAlive(to) && (!src.doubt || m.vouched()) {
			m.send(to, &Message{Kind: MsgOffer, Slot: n, Term: src.term, Elder: src.since, Done: true})
		}
	case !src.started && m.isAlive(src.to):
		empty := len(m.d.Keys(n)) == 0 && len(src.records) == 0
		m.send(src.to, &Message{Kind: MsgGrant, Slot: n, Term: src.term, Elder: src.elder, Clock: m.clock, Empty: empty})
	}
}

// holderOf names the node to ask about a slot: its holder, as far as this node
// knows; else its owner; else who was promised it last.
func (m *Machine) holderOf(n Slot, s *slot) ID {
	if s.holderTerm > 0 && m.isAlive(s.holder) {
		return s.holder
	}
	if o := m.member(m.owner(n)); o != nil && o.ID != m.self.ID {
		return o.ID
	}
	if m.isAlive(s.holder) {
		return s.holder
	}
	return m.self.ID
}

// doubt turns what a returning node holds into a source without an importer.
func (m *Machine) doubt(n Slot, s *slot) {
	s.source = &source{
		term: s.term, since: s.holderTerm, elder: s.elder, doubt: true, handed: map[string]bool{}, records: s.records,
	}
	s.role, s.imports, s.records = roleNone, nil, nil
	s.holder, s.holderTerm = ID{}, 0
	m.failWaiting(s)
	_ = n
}

// rebind makes a source that of another importer. What the one before may have
// had, it may have changed: that is lost with it, and must not come back.
func (m *Machine) rebind(n Slot, s *slot, to ID, term uint32) {
	src := s.source
	if src.to != to && src.to.Name != "" && m.cfg.off != keepHanded {
		for key := range src.handed {
			m.d.Remove(n, key)
		}
	}
	if src.to != to {
		src.handed = map[string]bool{}
	}
	src.to, src.term, src.started = to, term, false
	src.seq, src.sent, src.last = 0, nil, false
}

// dropUnvouched drops what is in doubt and stays so, when the slot finds a holder
// without it.
func (m *Machine) dropUnvouched(n Slot, s *slot) {
	if s.source != nil && s.source.doubt && !m.vouched() {
		m.dropSource(n, s)
	}
}

func (m *Machine) dropSource(n Slot, s *slot) {
	for _, key := range m.d.Keys(n) {
		m.d.Remove(n, key)
	}
	s.source = nil
}

func (m *Machine) onTaken(msg *Message) {
	s := &m.slots[msg.Slot]
	if src := s.source; src != nil && src.to == msg.From.ID && src.term == msg.Term {
		m.dropSource(msg.Slot, s)
	}
}

// open gives the source that msg, from its importer, is for.
func (m *Machine) open(msg *Message) *source {
	src := m.slots[msg.Slot].source
	if src != nil && src.to == msg.From.ID && src.term <= msg.Term {
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
		for _, key := range src.sent {
			m.d.Remove(msg.Slot, key)
			delete(src.records, key)
		}
		src.seq, src.sent = msg.Seq, nil
		if src.last {
			s.source = nil // all of it has arrived
			m.send(msg.From.ID, &Message{Kind: MsgBatch, Slot: msg.Slot, Term: msg.Term, Seq: msg.Seq, Done: true})
			return
		}
		src.sent = m.nextBatch(msg.Slot, src)
		src.last = len(src.sent) == 0
	} else if msg.Seq != src.seq {
		return // an old question, come late
	}
	answer := &Message{Kind: MsgBatch, Slot: msg.Slot, Term: msg.Term, Seq: src.seq}
	for _, key := range src.sent {
		if it, ok := m.item(msg.Slot, src, key); ok {
			answer.Items = append(answer.Items, it)
		}
		src.handed[key] = true
	}
	answer.Done = src.last
	m.send(msg.From.ID, answer)
	if m.cfg.off == dropUnacknowledged {
		for _, key := range src.sent {
			m.d.Remove(msg.Slot, key)
		}
	}
	if src.last {
		s.source = nil
	}
}

// nextBatch picks keys that are still to go: entries, the newest first, then
// records.
func (m *Machine) nextBatch(n Slot, src *source) []string {
	keys := m.d.Keys(n)
	for _, key := range slices.Sorted(maps.Keys(src.records)) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return slices.Clone(keys[:min(len(keys), m.cfg.Batch)])
}

// item is what a source knows of a key: an entry, with the time it has left, or a
// record.
func (m *Machine) item(n Slot, src *source, key string) (Item, bool) {
	if e, ok := m.d.Get(n, key); ok && !e.expired(m) {
		if e.Expiry != 0 {
			e.Expiry -= m.now
		}
		return Item{Key: key, Entry: e}, true
	}
	if r, ok := src.records[key]; ok {
		return Item{Key: key, Gone: true, Entry: Entry{Version: r.version}}, true
	}
	return Item{}, false
}

func (m *Machine) onBatch(msg *Message) {
	s := &m.slots[msg.Slot]
	for _, im := range s.imports {
		if im.from != msg.From.ID || im.done || im.seq != msg.Seq || msg.Term != s.term {
			continue
		}
		for _, it := range msg.Items {
			m.take(msg.Slot, s, &it, im.first)
			im.settled[it.Key] = true
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

// take puts an item in, unless this node knows something later of the key. What it
// has left to live counts from when it was first asked for: the source has said
// it after that, so it never lives too long.
func (m *Machine) take(n Slot, s *slot, it *Item, asked time.Duration) {
	m.clock = max(m.clock, it.Entry.Version.Clock)
	if r, ok := s.records[it.Key]; ok && !r.version.Less(it.Entry.Version) && m.cfg.off != noRecords {
		return
	}
	if have, ok := m.d.Get(n, it.Key); ok && !have.Version.Less(it.Entry.Version) && m.cfg.off != lastWins {
		return
	}
	if it.Gone {
		m.d.Remove(n, it.Key)
		s.record(it.Key, record{it.Entry.Version, m.now})
		return
	}
	e := it.Entry
	if e.Expiry != 0 {
		e.Expiry += asked
	}
	m.d.Put(n, it.Key, e)
}

// needsFetch gives the sources that must be asked before this node may say that
// it knows all there is of a key (rule 3).
func (m *Machine) needsFetch(s *slot, key string) []*imported {
	if s.role != roleImporting || m.cfg.off == noReadThrough {
		return nil
	}
	var ask []*imported
	for _, im := range s.imports {
		if !im.done && !im.settled[key] && m.isAlive(im.from) {
			ask = append(ask, im)
		}
	}
	return ask
}

func (m *Machine) askSources(n Slot, s *slot, key string, f *fetching) {
	if f.asked = m.now; f.first == 0 {
		f.first = m.now
	}
	for _, im := range m.needsFetch(s, key) {
		m.send(im.from, &Message{Kind: MsgFetch, Slot: n, Term: s.term, Key: key})
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
	if it, ok := m.item(msg.Slot, src, msg.Key); ok {
		answer.Found, answer.Items = true, []Item{it}
	}
	src.handed[msg.Key] = true
	m.send(msg.From.ID, answer)
}

func (m *Machine) onFetched(msg *Message) {
	s := &m.slots[msg.Slot]
	if s.role != roleImporting || msg.Term != s.term {
		return
	}
	for _, im := range s.imports {
		if im.from == msg.From.ID && !im.settled[msg.Key] {
			im.settled[msg.Key] = s.fetches[msg.Key] != nil
			if f := s.fetches[msg.Key]; msg.Found && f != nil {
				m.take(msg.Slot, s, &msg.Items[0], f.first)
			}
		}
	}
	if m.needsFetch(s, msg.Key) == nil {
		m.settle(msg.Slot, s, msg.Key)
	}
}

// onStale ends an import whose source has nothing more to say, or a source that
// nobody wants.
func (m *Machine) onStale(msg *Message) {
	s := &m.slots[msg.Slot]
	for _, im := range s.imports {
		if im.from == msg.From.ID && msg.Term == s.term {
			im.done = true
		}
	}
	if src := s.source; src != nil && src.term == msg.Term && !src.started && (src.to == msg.From.ID || src.to.Name == "") {
		if src.to = (ID{}); msg.Done {
			m.dropSource(msg.Slot, s)
		}
	}
	if s.role == roleHolding && msg.Term == s.term && msg.Done {
		// The owner holds the slot too, and what this node has is overtaken.
		s.role, s.records = roleNone, nil
		m.dropSource(msg.Slot, s)
	}
}

// record notes that a key went (rule 5).
func (s *slot) record(key string, r record) {
	if s.records == nil {
		s.records = map[string]record{}
	}
	if old, ok := s.records[key]; !ok || old.version.Less(r.version) {
		s.records[key] = r
	}
}

// expireRecords forgets records that nothing can contradict any more.
func (m *Machine) expireRecords(s *slot) {
	if s.role == roleImporting || len(s.records) == 0 || m.now-m.unheard < recordTime {
		return
	}
	for key, r := range s.records {
		if m.now-r.at > recordTime {
			delete(s.records, key)
		}
	}
}
