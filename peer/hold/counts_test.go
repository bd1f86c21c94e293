package hold

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// This file holds the counts of what moves against what Stats says of them.

// batchName names a batch, however often it is sent.
type batchName struct {
	from, to *simNode
	slot     Slot
	term     uint32
	seq      uint32
}

func nameOf(from, to *simNode, msg *Message) batchName {
	return batchName{from, to, msg.Slot, msg.Term, msg.Seq}
}

// tally is what the network has seen of batches. Here one may overtake the same batch that
// was sent before it; then it may have fewer entries than that.
type tally struct {
	first map[batchName]int // entries, when it was sent first; below zero: it has come
	less  uint64            // entries that batches had when they were sent first, and not when they came first
}

func (t *tally) leaves(from, to *simNode, msg *Message) {
	if name := nameOf(from, to, msg); msg.Kind == MsgBatch {
		if _, again := t.first[name]; !again {
			t.first[name] = countEntries(msg.Items)
		}
	}
}

func (t *tally) comes(e *event) {
	if name := nameOf(e.from, e.to, e.msg); e.msg.Kind == MsgBatch && t.first[name] >= 0 {
		t.less += uint64(t.first[name] - countEntries(e.items))
		t.first[name] = -1
	}
}

// counts says what is wrong with the counts of a node, between two events.
func (n *simNode) counts() error {
	s := n.m.Stats()
	came := s.Received.Load() + s.FetchReceived.Load()
	ended := s.Applied.Load() + s.Older.Load() + s.Aged.Load() + s.Failed.Load() + s.Expired.Load()
	if came != ended {
		return fmt.Errorf("at %v %d entries have come, and what has become of %d is counted", n.id, came, ended)
	}
	aside := uint64(0)
	for i := range n.m.slots {
		for a := n.m.slots[i].aside; a != nil; a = a.next {
			aside += uint64(countEntries(a.items))
		}
	}
	if counted := s.Aside.Load() - s.Restored.Load() - s.AsideDropped.Load(); counted != aside {
		return fmt.Errorf("at %v %d entries are aside, and %d by the counts", n.id, aside, counted)
	}
	return nil
}

// sums says what is wrong with the sums of all nodes that ever were, where none has failed,
// no message was lost and nothing is on its way.
func (s *sim) sums() error {
	sum := func(count func(s *Stats) *atomic.Uint64) (n uint64) {
		for _, name := range s.names() {
			n += count(s.nodes[name].m.Stats()).Load()
		}
		return n
	}
	sent, received := sum(func(s *Stats) *atomic.Uint64 { return &s.Sent }), sum(func(s *Stats) *atomic.Uint64 { return &s.Received })
	if sent != received+s.tally.less {
		return fmt.Errorf("%d entries were sent in batches, %d received, and %d were gone before they came", sent, received, s.tally.less)
	}
	sent, received = sum(func(s *Stats) *atomic.Uint64 { return &s.FetchSent }), sum(func(s *Stats) *atomic.Uint64 { return &s.FetchReceived })
	if sent != received {
		return fmt.Errorf("%d copies were sent ahead of their turn, and %d received", sent, received)
	}
	lost := sum(func(s *Stats) *atomic.Uint64 { return &s.Dropped }) + sum(func(s *Stats) *atomic.Uint64 { return &s.AsideDropped })
	if lost != 0 {
		return fmt.Errorf("%d entries were dropped, and nothing has failed", lost)
	}
	return nil
}

// count holds the counts at the end of a history.
func (s *sim) count(kind int) {
	for _, name := range s.names() {
		if err := s.nodes[name].counts(); err != nil {
			s.check.fail("%v", err)
		}
	}
	if kind != planned {
		return
	}
	s.quiet = true
	s.run(time.Second) // answers that are on their way
	if s.rests() {
		s.counted = true
		if err := s.sums(); err != nil {
			s.check.fail("%v", err)
		}
	}
}

// rests reports whether nothing moves.
func (s *sim) rests() bool {
	for _, name := range s.names() {
		n := s.nodes[name]
		if st := n.m.Stats(); n.up && (n.leaving || st.Importing.Load() > 0 || st.Sources.Load() > 0) {
			return false
		}
	}
	return true
}

// Each count is part of what histories check: one more of it is noticed. And histories in
// which nothing fails come to rest, and move entries in batches and ahead of their turn.
func TestCountsAreChecked(t *testing.T) {
	rested, moved := 0, uint64(0)
	for seed := uint64(0); seed < 40*kinds; seed += kinds {
		s := newSim(seed, historySlots, whole)
		if err := s.play(seed, planned); err != nil {
			t.Fatal(err)
		}
		if !s.counted {
			continue
		}
		rested++
		n := s.nodes["n0"]
		st := n.m.Stats()
		for name, c := range map[string]*atomic.Uint64{
			"Sent": &st.Sent, "Received": &st.Received, "FetchSent": &st.FetchSent, "FetchReceived": &st.FetchReceived,
			"Applied": &st.Applied, "Older": &st.Older, "Aged": &st.Aged, "Failed": &st.Failed, "Expired": &st.Expired,
			"Dropped": &st.Dropped, "Aside": &st.Aside, "Restored": &st.Restored, "AsideDropped": &st.AsideDropped,
		} {
			c.Add(1)
			if n.counts() == nil && s.sums() == nil {
				t.Errorf("seed %d: one %s too many, and nobody notices", seed, name)
			}
			c.Store(c.Load() - 1)
		}
		for _, name := range s.names() {
			moved += min(s.nodes[name].m.Stats().Received.Load(), s.nodes[name].m.Stats().FetchReceived.Load())
		}
	}
	if rested < 30 || moved < 40 {
		t.Errorf("%d of 40 histories come to rest, with %d entries moved", rested, moved)
	}
}

// An operation for which there is no room among those that wait for their keys is refused,
// and counted.
func TestCrowdedFetches(t *testing.T) {
	s := newSim(1, historySlots, whole)
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	s.all(s.nodes["n1"], actSet)
	importer := s.start("n2")
	importer.m.cfg.MaxWaiting = 1
	s.lose = func(_, to *simNode, msg *Message) bool { return to == importer && msg.Kind == MsgBatch }
	s.until(func() bool { return importer.m.stats.Importing.Load() > 0 })
	for i := range importer.m.slots {
		if importer.m.slots[i].role == roleImporting {
			for digit := range 2 {
				importer.m.Do(importer.now(), &Op{
					Slot: Slot(i), Key: fmt.Sprintf("%c%d", 'a'+i, digit), Ref: &clientOp{slot: Slot(i)},
				})
			}
			break
		}
	}
	if n := importer.m.stats.Crowded.Load(); n != 1 || importer.m.waiting != 1 {
		t.Errorf("%d are refused, and %d wait", n, importer.m.waiting)
	}
	if s.check.err != nil {
		t.Error(s.check.err)
	}
}
