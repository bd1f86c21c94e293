package place

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/smache/smache/proto"
)

// TestChangeIsNew: a table does not depend on how it came about.
func TestChangeIsNew(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	weight := func() uint32 {
		return []uint32{0, 1, 50, 100, 100, 100, 200, math.MaxUint32}[r.IntN(8)]
	}
	var members []Member
	table := New(nil)
	for step := range 60 {
		for range 1 + r.IntN(3)*r.IntN(3) {
			name := fmt.Sprintf("node-%d", r.IntN(20))
			i := slices.IndexFunc(members, func(m Member) bool { return m.Name == name })
			switch {
			case i < 0 && len(members) < 12:
				members = append(members, Member{name, weight()})
			case i >= 0 && r.IntN(2) == 0:
				members = slices.Delete(members, i, i+1)
			case i >= 0:
				members[i].Weight = weight()
			}
		}
		r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		before, was := table, *table
		table = table.Change(members)
		if !same(before, &was) {
			t.Fatalf("step %d changed the table that it started from", step)
		}
		if fresh := New(members); !same(table, fresh) {
			t.Fatalf("step %d, %v: the table is not the one that New gives", step, members)
		}
	}
}

func same(a, b *Table) bool {
	return slices.Equal(a.members, b.members) && a.owner == b.owner
}

// TestSpread: the fullest member has little more than its share.
func TestSpread(t *testing.T) {
	for _, c := range []struct {
		members, sets int
		most          float64
	}{{2, 20, 1.02}, {4, 20, 1.05}, {50, 10, 1.15}, {1000, 3, 1.6}} {
		r := rand.New(rand.NewPCG(9, 10))
		worst := 0.0
		for set := range c.sets {
			members := addresses(c.members, equal)
			for i := range members {
				switch set % 3 {
				case 1:
					members[i].Name = fmt.Sprintf("smache@10.%d.0.7:%d", set, 4000+i)
				case 2:
					members[i].Name = fmt.Sprintf("node%x", r.Uint64())
				}
			}
			mean := float64(proto.Slots) / float64(c.members)
			got := float64(slices.Max(New(members).Counts())) / mean
			if got > c.most {
				t.Errorf("%d members, %s among them: the fullest has %.3f of its share", c.members, members[0].Name, got)
			}
			worst = max(worst, got)
		}
		t.Logf("%d members, %d sets of names: the fullest has %.3f of its share", c.members, c.sets, worst)
	}
}

// TestWeights: shares are in proportion to the weights, within five standard
// deviations.
func TestWeights(t *testing.T) {
	for _, weights := range [][]uint32{
		{100, 200},
		{1, 2, 3, 4, 0, 10},
		{50, 100, 100, 100, 100, 400},
		{1, 65535},
		{math.MaxUint32, math.MaxUint32, math.MaxUint32 / 2},
	} {
		sum := 0.0
		for _, w := range weights {
			sum += float64(w)
		}
		table := New(addresses(len(weights), func(i int) uint32 { return weights[i] }))
		for i, n := range table.Counts() {
			share := float64(weights[i]) / sum
			want := share * proto.Slots
			if math.Abs(float64(n)-want) > 5*math.Sqrt(want*(1-share)) {
				t.Errorf("%v: member %d has %d slots, not about %.0f", weights, i, n, want)
			}
		}
	}
}

// TestOnlyWhatMustMoves: who joins or gains weight takes about its share, from
// all, and nothing else changes hands; who leaves or loses weight gives up no more
// than that.
func TestOnlyWhatMustMoves(t *testing.T) {
	for _, n := range []int{1, 3, 10, 100} {
		few := New(addresses(n, equal))
		many := few.Change(addresses(n+1, equal))
		heavy := few.Change(addresses(n+1, func(i int) uint32 { return 100 + uint32(i/n)*50 }))
		newcomer := addresses(n+1, equal)[n].Name
		for _, c := range []struct {
			what     string
			from, to *Table
			share    float64
		}{
			{"joins", few, many, 1 / float64(n+1)},
			{"gains", many, heavy, 1.5/(float64(n)+1.5) - 1/float64(n+1)},
			{"loses", heavy, many, 1.5/(float64(n)+1.5) - 1/float64(n+1)},
			{"leaves", many, few, 1 / float64(n+1)},
		} {
			moved := 0
			for slot := range proto.Slots {
				from, to := c.from.name(slot), c.to.name(slot)
				if from == to {
					continue
				}
				moved++
				if gains := c.what == "joins" || c.what == "gains"; gains != (to == newcomer) || gains == (from == newcomer) {
					t.Fatalf("%d members and one that %s: slot %d goes from %s to %s", n, c.what, slot, from, to)
				}
			}
			want := c.share * proto.Slots
			if math.Abs(float64(moved)-want) > 5*math.Sqrt(want) {
				t.Errorf("%d members and one that %s: %d slots move, not about %.0f", n, c.what, moved, want)
			}
		}
	}
}

func (t *Table) name(slot int) string { return t.members[t.Owner(proto.Slot(slot))].Name }

func TestNobody(t *testing.T) {
	for _, members := range [][]Member{nil, {{"a", 0}}, {{"a", 0}, {"b", 0}}} {
		for _, table := range []*Table{New(members), New([]Member{{"a", 1}, {"c", 2}}).Change(members)} {
			if !slices.Equal(table.Members(), members) {
				t.Errorf("%v: the members are %v", members, table.Members())
			}
			if !slices.Equal(table.Counts(), make([]int, len(members))) {
				t.Errorf("%v: the counts are %v", members, table.Counts())
			}
			for slot := range proto.Slots {
				if i := table.Owner(proto.Slot(slot)); i != -1 {
					t.Fatalf("%v: slot %d is owned by %d", members, slot, i)
				}
			}
		}
	}
}

func TestMembers(t *testing.T) {
	given := []Member{{"b", 2}, {"a", 1}, {"b", 3}, {"b", 0}}
	table := New(given)
	want := []Member{{"a", 1}, {"b", 3}}
	if !slices.Equal(table.Members(), want) {
		t.Errorf("the members are %v, not %v", table.Members(), want)
	}
	if !same(table, New(want)) {
		t.Error("the heaviest of those with one name does not count")
	}
	given[0].Name = "z"
	if !slices.Equal(table.Members(), want) {
		t.Error("the table has kept the caller's list")
	}
	if table.Change([]Member{{"b", 3}, {"a", 1}}) != table {
		t.Error("the same members make another table")
	}
}

func TestTooManyMembers(t *testing.T) {
	members := addresses(proto.MaxMembers+1, func(int) uint32 { return 0 })
	if got := len(New(members[1:]).Members()); got != proto.MaxMembers {
		t.Errorf("%d members are left of %d", got, proto.MaxMembers)
	}
	defer func() {
		if recover() == nil {
			t.Error("more members than a list can have make a table")
		}
	}()
	New(members)
}

// TestCost: a table takes two bytes for each slot, and a lookup no memory.
func TestCost(t *testing.T) {
	if size := unsafe.Sizeof(Table{}); size > 2*proto.Slots+64 {
		t.Errorf("a table takes %d bytes", size)
	}
	table := New(addresses(3, equal))
	slot := proto.Slot(0)
	if n := testing.AllocsPerRun(1000, func() { table.Owner(slot); slot += 977 }); n != 0 {
		t.Errorf("a lookup allocates %v times", n)
	}
}
