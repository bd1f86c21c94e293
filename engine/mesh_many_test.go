//go:build !race

package engine

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/smache/smache/proto"
)

// 32 nodes become one cluster, in which every slot is held once and every node answers for
// the keys of every other. They start eight at a time, as docs/CLUSTER.md advises, or as many
// as AT_ONCE says: all at once, on processors that have something else to do, they do not
// come to rest.
func TestMeshManyNodes(t *testing.T) {
	const nodes, keys = 32, 640
	atOnce, err := strconv.Atoi(cmp.Or(os.Getenv("AT_ONCE"), "8"))
	if err != nil || atOnce < 1 {
		t.Fatal("AT_ONCE is how many nodes start at the same moment")
	}
	m := startMesh(t, min(atOnce, nodes)) // settled: one epoch, all members, and slots held that sum up
	for len(m.nodes) < nodes {
		for range min(atOnce, nodes-len(m.nodes)) {
			m.start(fmt.Sprintf("n%02d", len(m.nodes)), 100, 0)
		}
		m.settle()
	}
	held := map[proto.Slot]string{}
	for _, n := range m.nodes {
		mine := 0
		for slot := range proto.Slots {
			mine += m.heldBy(n, proto.Slot(slot), held)
		}
		if mine < proto.Slots/nodes/2 || mine > proto.Slots/nodes*2 {
			t.Errorf("%s holds %d slots", n.name, mine)
		}
	}
	if len(held) != proto.Slots {
		t.Errorf("%d slots are held", len(held))
	}
	// A node of so many that stands still for a moment, or whose answer takes long, makes
	// others refuse: that is said to be safe to try again.
	patient := func(n *meshNode, code proto.Opcode, key, value string) (op *proto.Op) {
		await(t, "operation on "+key+" is carried out", func() bool {
			op = n.do(code, key, value)
			return op.Status != proto.StatusBusy && op.Status != proto.StatusUnreachable
		})
		return op
	}
	for i := range keys {
		key := fmt.Sprint("k", i)
		if op := patient(m.nodes[i%nodes], proto.OpSet, key, "v1"); op.Status != proto.StatusOK {
			t.Fatalf("key %s is not written: %v", key, op.Status)
		}
	}
	homes := map[string]int{} // keys by holder
	for i := range keys {
		key := fmt.Sprint("k", i)
		homes[held[proto.SlotOf([]byte("s"+key))]]++
		for _, n := range m.nodes {
			if op := patient(n, proto.OpGet, key, ""); op.Status != proto.StatusOK || string(op.Out) != "v1" {
				t.Fatalf("%s through %s is %q, %v", key, n.name, op.Out, op.Status)
			}
		}
	}
	if len(homes) != nodes {
		t.Errorf("the keys are on %d nodes", len(homes))
	}
}

// heldBy notes whether a node holds a slot, 1 or 0: nobody else may.
func (m *mesh) heldBy(n *meshNode, slot proto.Slot, held map[proto.Slot]string) int {
	_, importing, ok := n.store.Serves(slot)
	if !ok {
		return 0
	}
	if other := held[slot]; other != "" || importing {
		m.t.Errorf("slot %d is held by %s, importing: %v, and by %q", slot, n.name, importing, other)
	}
	held[slot] = n.name
	return 1
}
