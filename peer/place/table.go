package place

import (
	"cmp"
	"slices"

	"github.com/smache/smache/proto"
)

// Member is a node that slots can be placed on.
type Member struct {
	Name string
	// Weight is its share of the slots, in proportion to the others'. One of
	// weight 0 gets none.
	Weight uint32
}

// Table says who owns each slot.
type Table struct {
	members []Member            // by name
	owner   [proto.Slots]uint16 // indices of members, or nobody
}

// New gives the table of members, in any order: at most proto.MaxMembers. Of
// those that share a name, the heaviest counts.
func New(members []Member) *Table {
	t := new(Table)
	for slot := range t.owner {
		t.owner[slot] = nobody
	}
	return t.Change(members)
}

// Owner gives the index among Members of the slot's owner, or -1 if nobody is: no
// member has a weight.
func (t *Table) Owner(slot proto.Slot) int {
	if i := t.owner[slot]; i != nobody {
		return int(i)
	}
	return -1
}

// Members gives the members by ascending names. The caller must not change them.
func (t *Table) Members() []Member { return t.members }

// Counts gives the number of slots that each member owns, in the order of
// Members. It goes through the table.
func (t *Table) Counts() []int {
	counts := make([]int, len(t.members))
	for _, i := range &t.owner {
		if i != nobody {
			counts[i]++
		}
	}
	return counts
}

// Change gives the table of other members: the one that New would give, made from
// t, which stays as it is and is returned if nothing has changed. The more the
// members differ the longer it takes, and never longer than New.
//
// A slot whose owner is gone, or has become lighter, is raced for by all. The
// others' owners are challenged only by those who have come or become heavier.
func (t *Table) Change(members []Member) *Table {
	members = sorted(members)
	if slices.Equal(members, t.members) {
		return t
	}
	runners := make([]runner, len(members))
	for i, m := range members {
		runners[i] = runner{seed: seedOf(m.Name), weight: uint64(m.Weight), index: i}
	}
	moved, rivals := t.compare(members, runners)
	all, challengers := newField(slices.Clone(runners)), newField(rivals)

	next := &Table{members: members}
	for slot, i := range &t.owner {
		if i != nobody {
			i = moved[i]
		}
		switch {
		case i == nobody:
			i = uint16(all.race(proto.Slot(slot), nil))
		case len(challengers.runners) > 0:
			i = uint16(challengers.race(proto.Slot(slot), &runners[i]))
		}
		next.owner[slot] = i
	}
	return next
}

// compare gives the new index of each member of t, or nobody for one who cannot
// keep what it has; and those who may win what others keep.
func (t *Table) compare(members []Member, runners []runner) (moved []uint16, challengers []runner) {
	moved = make([]uint16, len(t.members))
	old := 0
	for i, m := range members {
		for ; old < len(t.members) && t.members[old].Name < m.Name; old++ {
			moved[old] = nobody
		}
		before := uint32(0)
		if old < len(t.members) && t.members[old].Name == m.Name {
			before = t.members[old].Weight
			moved[old] = uint16(i)
			if m.Weight < before {
				moved[old] = nobody
			}
			old++
		}
		if m.Weight > before {
			challengers = append(challengers, runners[i])
		}
	}
	for ; old < len(t.members); old++ {
		moved[old] = nobody
	}
	return moved, challengers
}

// sorted gives a copy of members by names, each once.
func sorted(members []Member) []Member {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(b.Weight, a.Weight))
	})
	members = slices.CompactFunc(members, func(a, b Member) bool { return a.Name == b.Name })
	if len(members) > proto.MaxMembers {
		panic("place: BUG: too many members")
	}
	return members
}
