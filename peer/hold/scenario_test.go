package hold

import (
	"fmt"
	"testing"
	"time"
)

// A scenario is a history that is written down, for a rule that random ones hardly ever
// need. The checker must find nothing in it, and a broken promise without the rule.
type scenario struct {
	off  mutant
	name string
	play func(t *testing.T, s *sim)
}

var scenarios = []scenario{
	{breakSoon, "breakSoon", cutOffImporter},
}

func TestScenarios(t *testing.T) {
	for _, c := range scenarios {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(1, historySlots, whole)
			if c.play(t, s); s.check.err != nil {
				t.Errorf("with all rules: %v", s.check.err)
			}
			s = newSim(1, historySlots, c.off)
			if c.play(t, s); s.check.err == nil {
				t.Error("not caught")
			} else {
				t.Logf("caught: %.150v", s.check.err)
			}
		})
	}
}

// ask has a node do something with a key, and gives the operation, which may not be
// answered yet.
func (s *sim) ask(n *simNode, action action, key string) *clientOp {
	op := &clientOp{action: action, key: key, slot: slotOf(key, s.slots)}
	if action == actSet {
		s.serial++
		op.value = fmt.Sprint(key, "#", s.serial)
		s.check.made[op.value] = &made{key: key, at: s.now}
	}
	op.asked = s.check.begin(n, op)
	n.event(func() { n.do(op) })
	return op
}

// until lets time pass until something is so, at most ten seconds.
func (s *sim) until(t *testing.T, so func() bool) {
	t.Helper()
	for end := s.now + 10*time.Second; !so(); s.run(time.Millisecond) {
		if s.check.err != nil {
			return
		}
		if s.now > end {
			t.Fatal("the scenario does not come about")
		}
	}
}

// An importer is cut off from its source, then from the rest, who have told it by then
// that they hear the source, but that was lost. It serves until its lease ends: what its
// source has it must not change meanwhile, for that takes the slot back, with them.
func cutOffImporter(t *testing.T, s *sim) {
	s.start("n0")
	s.start("n1")
	s.run(8 * time.Second)
	for i := range s.slots {
		s.ask(s.nodes["n1"], actSet, fmt.Sprintf("%c0", 'a'+i))
	}
	s.run(time.Second)
	importer := s.start("n2")
	s.lose = func(_, to *simNode, msg *Message) bool {
		return to == importer && (msg.Kind == MsgBatch || msg.Kind == MsgHeard)
	}
	var source *simNode
	key := ""
	s.until(t, func() bool {
		for i := range importer.m.slots {
			for _, im := range importer.m.slots[i].imports {
				source, key = s.nodes[im.from.Name], fmt.Sprintf("%c0", 'a'+i)
			}
		}
		return source != nil
	})
	s.fading, s.dark = importer, map[*simNode]bool{source: true}
	s.run(silence - 400*time.Millisecond)
	s.dark = map[*simNode]bool{s.nodes["n0"]: true, s.nodes["n1"]: true}
	s.run(time.Second)
	s.ask(importer, actSet, key)
	s.run(4 * time.Second)
	s.ask(source, actGet, key)
	s.run(time.Second)
}
