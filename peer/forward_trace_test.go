package peer

import (
	"bytes"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

var aTrace = proto.Trace{ID: [16]byte{1, 2, 3}, Span: [8]byte{4, 5}, Flags: proto.TraceSampled}

// tell makes n tell of traced requests.
func tell(n *forwardNode) <-chan Traced {
	told := make(chan Traced, 100)
	n.f.traced = func(t *Traced) { told <- *t }
	return told
}

// The holder is told of a traced request, alone or in a batch, whatever becomes of it.
func TestTraced(t *testing.T) {
	for _, late := range []bool{false, true} {
		nodes := patient(forwardNodes(t, "a", "b"))
		a, b := nodes[0], nodes[1]
		a.store.late, b.store.late = late, late
		told := tell(b)
		expect := func(op proto.FrameOp, status proto.Status, items int) {
			t.Helper()
			select {
			case got := <-told:
				if got.Took < 0 {
					t.Errorf("it took %v", got.Took)
				}
				got.Took = 0
				if want := (Traced{Trace: aTrace, From: "a", Op: op, Status: status, Items: items}); got != want {
					t.Errorf("told of %+v, want %+v", got, want)
				}
			case <-time.After(ample):
				t.Fatalf("nobody is told of %v", op)
			}
		}
		for _, traced := range []bool{true, false} {
			for _, code := range []proto.Opcode{proto.OpSet, proto.OpGet, proto.OpTouch, proto.OpDelete, proto.OpGet} {
				op := newOp(code, testKey(1), "v")
				give(nodes, op.Slot, b, 1)
				if traced {
					op.Trace = &aTrace
				}
				carry(t, a.f, op)
				if traced {
					expect(proto.FrameOpOf(code, false), op.Status, 1)
				}
			}
			var ops []*proto.Op
			for i := range 20 {
				op := newOp(proto.OpSet, testKey(i), "v")
				give(nodes, op.Slot, b, 1)
				if traced {
					op.Trace = &aTrace
				}
				ops = append(ops, op)
			}
			submitBatch(t, a.f, ops)
			if traced {
				expect(proto.FrameMultiSet, proto.StatusOK, 20)
			}
		}
		if len(told) > 0 {
			t.Errorf("told of a request that has no trace: %+v", <-told)
		}
	}
}

// A client's request keeps its trace when it is sent on to the holder.
func TestTracedOnward(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b"))
	a, b := nodes[0], nodes[1]
	told := tell(b)
	for i := range 3 {
		give(nodes, proto.SlotOf(testKey(i)), b, 1)
	}
	c := &raw{t: t, c: dialTo(t, a.links)}
	c.greet("tool", proto.RoleClient)
	single := newOp(proto.OpGet, testKey(0), "")
	c.frame(proto.Header{Op: proto.FrameGet, ID: 1, Slot: single.Slot, Flags: proto.FlagTraced},
		proto.AppendRequest(proto.AppendTrace(nil, &aTrace), single))
	many := multiBody([]*proto.Op{newOp(proto.OpGet, testKey(1), ""), newOp(proto.OpGet, testKey(2), "")}, 0)
	c.frame(proto.Header{Op: proto.FrameMultiGet, ID: 2, Flags: proto.FlagTraced}, append(proto.AppendTrace(nil, &aTrace), many...))
	for range 3 { // the items of a client's batch go on one by one
		if got := <-told; got.Trace != aTrace || got.From != "a" || got.Op != proto.FrameGet {
			t.Errorf("told of %+v", got)
		}
	}
	// A trace that cannot be ends the link.
	bad := aTrace
	bad.Span = [8]byte{}
	c.frame(proto.Header{Op: proto.FrameGet, ID: 3, Slot: single.Slot, Flags: proto.FlagTraced},
		proto.AppendRequest(proto.AppendTrace(nil, &bad), single))
	if reason := c.goodbye(); reason != proto.CloseReasonOf(proto.ErrBody) {
		t.Errorf("the link is closed with %v", reason)
	}
}

// A node that does not know the feature is sent none of it.
func TestTracedToOld(t *testing.T) {
	for name, features := range map[string]uint64{"old": proto.FeatureStats, "new": proto.FeatureTrace} {
		a := forwardNodes(t, "a")[0]
		r := &raw{t: t, c: dialTo(t, a.links)}
		r.shake(testKeys(t))
		r.frame(proto.Header{Op: proto.FrameHello, ID: 7}, rawHello(name, proto.RoleNode, func(h *proto.Hello) { h.Features = features }))
		eventually(t, "it is connected", func() bool { l := a.links.Link(name); return l != nil && l.Connected() })
		var ops []*proto.Op
		for i := range 5 {
			op := newOp(proto.OpGet, testKey(i), "")
			op.Trace = &aTrace
			a.dir.set(op.Slot, name, 1)
			ops = append(ops, op)
		}
		one := begin(a.f, ops[0])
		landed := make(chan struct{}, len(ops))
		for _, op := range ops[1:] {
			op.Done = func(*proto.Op) { landed <- struct{}{} }
		}
		a.f.SubmitAll(ops[1:])
		for seen := 0; seen < 2; {
			h, body, err := r.next()
			if err != nil {
				t.Fatal(err)
			}
			if _, multi, ok := h.Op.Opcode(); ok {
				seen++
				traced := h.Flags&proto.FlagTraced != 0 && bytes.HasPrefix(body, proto.AppendTrace(nil, &aTrace))
				if traced != (name == "new") {
					t.Errorf("to the %s one: multi %t, flags %d, traced %t", name, multi, h.Flags, traced)
				}
			}
		}
		_ = r.c.Close()
		one.wait(t)
		for range ops[1:] {
			<-landed
		}
	}
}

// To send a trace, and to take one that nobody wants to be told of, allocates nothing.
func TestTracedNoAllocations(t *testing.T) {
	if raceEnabled {
		return // sync.Pool drops things at random then
	}
	f, run := memoryForwarders(t, make([]byte, 100))
	op := newOp(proto.OpGet, testKey(1), "")
	op.Done = func(*proto.Op) {}
	buffer := make([]byte, 0, 1024)
	n := testing.AllocsPerRun(1000, func() {
		op.Out, op.Trace = buffer, &aTrace
		if !f.Submit(op) {
			run()
		}
	})
	if op.Status != proto.StatusOK || n > 0.1 {
		t.Errorf("%v, %v allocations", op.Status, n)
	}
}
