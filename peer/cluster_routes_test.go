package peer

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// Nodes come and go for as long as this one runs; those that no route names any more
// take no room.
func TestTargetsAreUsedAgain(t *testing.T) {
	n := start(t, "a", nil)
	k := &keeper{
		cfg: &ClusterConfig{Name: "a"}, links: n.Links, book: map[string]*contact{}, byName: map[hold.ID]uint32{},
		routes: make([]atomic.Uint64, proto.Slots),
	}
	k.targets.Store(&[]*target{{}})
	run := func(i int) hold.ID { return hold.ID{Name: "a", Incarnation: uint64(i)} }
	for i := range 2 * keepTargets {
		k.Route(proto.Slot(i), run(i), uint32(i+1))
	}
	for i := range 10 * keepTargets { // these are named by one route, one after the other
		k.Route(proto.Slots-1, run(10_000+i), 1)
	}
	if n := len(*k.targets.Load()); n > 2*keepTargets+4 {
		t.Errorf("there are %d targets", n)
	}
	if len(k.byName) >= len(*k.targets.Load()) {
		t.Errorf("%d names for %d targets", len(k.byName), len(*k.targets.Load()))
	}
	for i := range 2 * keepTargets {
		if at, term := k.target(proto.Slot(i)); at.id != run(i) || term != uint32(i+1) {
			t.Fatal(fmt.Sprint("slot ", i, " goes to ", at.id, " under ", term))
		}
	}
}
