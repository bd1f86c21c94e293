package peer

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// submitBatch submits ops and waits until all are complete, each once.
func submitBatch(t testing.TB, f *forwarder, ops []*proto.Op) {
	t.Helper()
	done := make(chan struct{}, 2*len(ops))
	times := make([]atomic.Int32, len(ops))
	for i, op := range ops {
		op.Done = func(*proto.Op) {
			times[i].Add(1)
			done <- struct{}{}
		}
	}
	f.SubmitAll(ops)
	for range ops {
		select {
		case <-done:
		case <-time.After(2 * ample):
			t.Fatal("never complete")
		}
	}
	for i := range times {
		if n := times[i].Load(); n != 1 {
			t.Errorf("operation %d: Done %d times", i, n)
		}
	}
}

// A batch over all nodes, with every fate that an operation can have.
func TestSubmitAll(t *testing.T) {
	for _, late := range []bool{false, true} {
		nodes := patient(forwardNodes(t, "a", "b", "c"))
		a, b, c := nodes[0], nodes[1], nodes[2]
		for _, n := range nodes {
			n.store.late = late
		}
		b.store.busy = 5
		var ops []*proto.Op
		const n = 300
		for i := range n {
			op := newOp(proto.OpSet, testKey(i), fmt.Sprint("value ", i))
			give(nodes, op.Slot, nodes[i%3], 2)
			switch {
			case i%30 == 4: // moved
				a.dir.set(op.Slot, "c", 1)
			case i%30 == 7:
				b.store.hold(op.Slot, fakeSlot{term: 2, held: true, importing: true})
			case i == 10: // b does not know yet
				b.store.hold(op.Slot, fakeSlot{})
				b.store.refused = func() { b.store.hold(op.Slot, fakeSlot{term: 2, held: true}) }
			case i%30 == 11:
				op.Value = make([]byte, bundleBytes)
			case i%30 == 13:
				op.Value = bytes.Repeat([]byte{byte(i)}, shareBytes-1+i/30)
			}
			ops = append(ops, op)
		}
		submitBatch(t, a.f, ops)
		if !a.f.Holds(ops[0].Slot) || a.f.Holds(ops[1].Slot) || b.f.Holds(ops[7].Slot) {
			t.Error("who holds what is not known")
		}
		for i, op := range ops {
			if op.Status != proto.StatusOK || op.Node != nodes[i%3].name {
				t.Errorf("late %t, operation %d: %s by %q", late, i, describe(op), op.Node)
			}
			done := op.Value
			op.Reset()
			*op = proto.Op{Code: proto.OpGet, Key: testKey(i), Slot: proto.SlotOf(testKey(i)), Value: done} // at rest
			if i%2 == 0 {
				op.Out = []byte("before ")
			}
		}
		submitBatch(t, a.f, ops)
		for i, op := range ops {
			if told := nodes[i%3].store.warmed[string(op.Key)]; i%30 > 13 && told != min(i%3, 1) {
				t.Errorf("late %t, operation %d: its holder was told of it ahead %d times", late, i, told)
			}
			want := string(op.Value)
			if i%2 == 0 {
				want = "before " + want
			}
			if op.Status != proto.StatusOK || string(op.Out) != want {
				t.Errorf("late %t, operation %d: %v %d bytes", late, i, op.Status, len(op.Out))
			}
		}
		if frames := metric(c.links, "smache_peer_received_frames_total", `"a"`); frames > 60 {
			t.Errorf("%v frames", frames)
		}
	}
}

// A batch whose holder dies, or answers nonsense: reads are repeated after a loss,
// writes are not.
func TestSubmitAllLost(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b", "c"))
	a, b, c := nodes[0], nodes[1], nodes[2]
	asked := swallow(b)
	batch := func(code proto.Opcode) (ops []*proto.Op) {
		for i := range 20 {
			op := newOp(code, testKey(i), "v")
			give(nodes, op.Slot, b, 1)
			ops = append(ops, op)
		}
		return ops
	}
	// b has dialled a, and does so again.
	reconnects := func() float64 { return metric(b.links, "smache_peer_reconnects_total", `"a"`) }
	for _, code := range []proto.Opcode{proto.OpGet, proto.OpSet} {
		ops, before := batch(code), reconnects()
		go func() {
			<-asked
			for _, op := range ops {
				give(nodes, op.Slot, c, 2)
			}
			a.links.Link("b").fail(proto.ErrLinkLost)
		}()
		submitBatch(t, a.f, ops)
		want := proto.StatusMiss
		if code == proto.OpSet {
			want = proto.StatusUnreachable
		}
		for i, op := range ops {
			if op.Status != want {
				t.Errorf("%v, operation %d: %s", code, i, describe(op))
			}
		}
		eventually(t, "linked anew", func() bool { return reconnects() > before })
	}
	miss := func(w *proto.MultiWriter, dst []byte, i int) []byte { return w.Answer(dst, i, proto.StatusMiss, 0) }
	for name, answer := range map[string]func(Reply){
		"nothing":  func(r Reply) { r.Send(proto.Header{}) },
		"too few":  func(r Reply) { var w proto.MultiWriter; r.Send(proto.Header{}, w.End(miss(&w, w.Begin(nil, 0), 3))) },
		"too many": func(r Reply) { var w proto.MultiWriter; r.Send(proto.Header{}, w.End(miss(&w, w.Begin(nil, 0), 20))) },
		"bad body": func(r Reply) {
			var w proto.MultiWriter
			r.Send(proto.Header{}, w.End(w.Answer(w.Begin(nil, 0), 0, 0, 0)))
		},
		"not all":   func(r Reply) { r.Send(proto.Header{Status: proto.StatusUnreachable}) },
		"bad parts": func(r Reply) { r.Send(proto.Header{Flags: proto.FlagMore}) },
		"twice": func(r Reply) {
			var w proto.MultiWriter
			r.Send(proto.Header{}, w.End(miss(&w, miss(&w, w.Begin(nil, 0), 3), 3)))
		},
	} {
		o := func(_ Request, reply Reply) { answer(reply) }
		b.override.Store(&o)
		ops, before := batch(proto.OpSet), reconnects()
		submitBatch(t, a.f, ops)
		if name != "not all" {
			eventually(t, "linked anew", func() bool { return reconnects() > before })
		}
		answered := 0
		for _, op := range ops {
			switch op.Status {
			case proto.StatusMiss:
				answered++
			case proto.StatusUnreachable:
			default:
				t.Errorf("%s: %s", name, describe(op))
			}
		}
		if answered > 1 {
			t.Errorf("%s: %d are answered", name, answered)
		}
	}
	// One status for all that says that nothing was done.
	first := true
	o := func(r Request, reply Reply) {
		if first {
			first = false
			reply.Send(proto.Header{Status: proto.StatusBusy})
			return
		}
		b.f.serve(r, reply)
	}
	b.override.Store(&o)
	ops := batch(proto.OpSet)
	submitBatch(t, a.f, ops)
	for i, op := range ops {
		if op.Status != proto.StatusOK {
			t.Errorf("operation %d: %s", i, describe(op))
		}
	}
}
