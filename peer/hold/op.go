package hold

import (
	"cmp"
	"slices"
	"time"

	"github.com/smache/smache/proto"
)

// Meta is proto's.
type Meta = proto.Meta

// Forever is proto's.
const Forever = proto.Forever

// Op is an operation on a key of a slot that this node imports, or did a moment
// ago. It belongs to the machine from Machine.Do until Driver.Do or Driver.Refuse.
type Op struct {
	Slot Slot
	Key  string // canonical
	// Within is how long it may wait for its key; 0: 240 ms.
	Within time.Duration
	// Ref is the caller's own.
	Ref any

	deadline time.Duration
}

// Do carries an operation out as soon as all there is to know of its key is here:
// at once if there is an entry or a record, else when the sources were asked
// (rule 3). Driver.Do or Driver.Refuse is called, now or later.
func (m *Machine) Do(now time.Duration, op *Op) {
	m.now = now
	defer m.settleUp()
	op.deadline = now + opTime
	if op.Within > 0 {
		op.deadline = now + op.Within
	}
	m.serve(op)
}

func (m *Machine) serve(op *Op) {
	s := &m.slots[op.Slot]
	switch {
	case s.role == roleNone || !m.mayServe(): // rule 9
		m.d.Refuse(op)
	case m.known(op.Slot, s, op.Key):
		m.d.Do(op)
	case m.waiting >= m.cfg.MaxWaiting:
		m.stats.Crowded.Add(1)
		m.d.Refuse(op)
	default:
		m.fetch(op, s)
	}
}

// fetch makes op wait for the sources.
func (m *Machine) fetch(op *Op, s *slot) {
	if s.fetches == nil {
		s.fetches = map[string]*fetching{}
	}
	f := s.fetches[op.Key]
	if f == nil {
		f = &fetching{}
		s.fetches[op.Key] = f
		m.askSources(op.Slot, s, op.Key, f)
	}
	m.waiting++
	f.waiting = append(f.waiting, op)
}

// settle carries out what waited for a key.
func (m *Machine) settle(s *slot, key string) {
	f := s.fetches[key]
	delete(s.fetches, key)
	for _, op := range f.waiting {
		m.waiting--
		m.serve(op)
	}
}

// refuseWaiting gives back the operations that wait for a slot that is this node's
// no more.
func (m *Machine) refuseWaiting(s *slot) {
	for _, key := range sortedKeys(s.fetches) {
		for _, op := range s.fetches[key].waiting {
			m.waiting--
			m.d.Refuse(op)
		}
	}
	s.fetches = nil
}

// sortedKeys gives the keys of m in order: what a machine does follows from what
// it is told alone.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	if len(m) == 0 {
		return nil
	}
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
