package peer

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// Every operation, with every condition, comes to the same at the holder and by way
// of another node.
func TestForwardOperations(t *testing.T) {
	for _, late := range []bool{false, true} {
		nodes := patient(forwardNodes(t, "a", "b"))
		a, b := nodes[0], nodes[1]
		b.store.late = late
		mirror := newFakeStore("b")
		key := testKey(1)
		slot := proto.SlotOf(key)
		give(nodes, slot, b, 3)
		mirror.hold(slot, fakeSlot{term: 3, held: true})
		etag := func() proto.ETag { return mirror.entries[string(key)].etag }
		existing, nothing := proto.Match{Set: true, Any: true}, proto.Match{Set: true}
		tags := func() proto.Match { return proto.Match{Set: true, Tags: []proto.ETag{1, etag()}} }
		other := proto.Match{Set: true, Tags: []proto.ETag{1, 2}}
		steps := []func(op *proto.Op){
			func(op *proto.Op) { op.Code = proto.OpGet },
			func(op *proto.Op) { op.Code, op.IfMatch = proto.OpGet, existing },
			func(op *proto.Op) { op.Code = proto.OpDelete },
			func(op *proto.Op) { op.Code, op.TTL = proto.OpTouch, time.Second },
			func(op *proto.Op) { op.Code, op.IfMatch = proto.OpSet, existing },
			func(op *proto.Op) { op.Code, op.IfNoneMatch = proto.OpSet, existing },
			func(op *proto.Op) { op.Code, op.IfNoneMatch = proto.OpSet, existing },
			func(op *proto.Op) { op.Code, op.IfMatch, op.TTL = proto.OpSet, tags(), time.Hour },
			func(op *proto.Op) { op.Code, op.IfMatch = proto.OpSet, other },
			func(op *proto.Op) { op.Code, op.IfMatch = proto.OpSet, nothing },
			func(op *proto.Op) { op.Code = proto.OpGet },
			func(op *proto.Op) { op.Code, op.Limit = proto.OpGet, 3 },
			func(op *proto.Op) { op.Code, op.Limit = proto.OpGet, 1000 },
			func(op *proto.Op) { op.Code, op.IfNoneMatch = proto.OpGet, tags() },
			func(op *proto.Op) { op.Code, op.IfMatch = proto.OpGet, other },
			func(op *proto.Op) { op.Code, op.TTL = proto.OpTouch, 3*time.Second },
			func(op *proto.Op) { op.Code, op.TTL, op.IfMatch = proto.OpTouch, time.Minute, other },
			func(op *proto.Op) {
				op.Code, op.ETag, op.Version, op.Age = proto.OpMerge, 5, proto.Version{Term: 1, Clock: 1}, time.Second
			},
			func(op *proto.Op) {
				op.Code, op.ETag, op.Version, op.Age = proto.OpMerge, 6, proto.Version{Term: 9, Clock: 1}, time.Second
			},
			func(op *proto.Op) { op.Code = proto.OpGet },
			func(op *proto.Op) { op.Code, op.IfMatch = proto.OpDelete, other },
			func(op *proto.Op) { op.Code, op.IfMatch = proto.OpDelete, tags() },
			func(op *proto.Op) { op.Code = proto.OpGet },
		}
		for i, step := range steps {
			build := func() *proto.Op {
				op := &proto.Op{Key: key, Slot: slot, TTL: proto.Forever, Out: []byte("before")}
				step(op)
				if op.Code == proto.OpSet || op.Code == proto.OpMerge {
					op.Value = fmt.Appendf(nil, "value %d", i)
				}
				return op
			}
			far := carry(t, a.f, build())
			want := build()
			mirror.apply(want)
			if far.Node != "b" {
				t.Errorf("step %d: answered by %q", i, far.Node)
			}
			forget := func(op *proto.Op) { // what an answer does not carry
				switch op.Status {
				case proto.StatusMiss, proto.StatusTooLarge:
					op.ETag = 0
					fallthrough
				case proto.StatusPrecondition:
					op.Remaining, op.Age, op.Version = 0, 0, proto.Version{}
				case proto.StatusOK:
					if op.Code == proto.OpDelete {
						op.ETag, op.Remaining, op.Age, op.Version = 0, 0, 0, proto.Version{}
					}
				}
			}
			forget(want)
			if got, want := describe(far), describe(want); got != want {
				t.Errorf("late %t, step %d, %v: %s, want %s", late, i, far.Code, got, want)
			}
		}
	}
}

// What this node holds does not leave it.
func TestForwardLocal(t *testing.T) {
	for _, late := range []bool{false, true} {
		nodes := patient(forwardNodes(t, "a", "b"))
		a, b := nodes[0], nodes[1]
		a.store.late = late
		key := testKey(1)
		give(nodes, proto.SlotOf(key), a, 1)
		if op := carry(t, a.f, newOp(proto.OpSet, key, "v")); op.Status != proto.StatusOK || op.Node != "a" {
			t.Error(describe(op))
		}
		if op := carry(t, a.f, newOp(proto.OpGet, key, "")); string(op.Out) != "v" || op.Again != nil {
			t.Error(describe(op))
		}
		if n := b.links.Link("a").forward.served.Load(); n != 0 {
			t.Errorf("%d were sent", n)
		}
	}
}

// A write that waits in the store's queue learns there that the slot has gone.
func TestForwardTakesOver(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b"))
	a, b := nodes[0], nodes[1]
	a.store.late, a.store.gate = true, make(chan struct{})
	key := testKey(1)
	give(nodes, proto.SlotOf(key), a, 1)
	o := begin(a.f, newOp(proto.OpSet, key, "v"))
	give(nodes, proto.SlotOf(key), b, 2)
	close(a.store.gate)
	if op := o.wait(t); op.Status != proto.StatusOK || op.Node != "b" {
		t.Error(describe(op))
	}
	if o.times.Load() != 1 {
		t.Error("Done", o.times.Load(), "times")
	}
	b.store.with(func() {
		if b.store.entries[string(key)].value == nil {
			t.Error("not written at b")
		}
	})
}

// MOVED is followed at once, from node to node, and the directory is told.
func TestForwardMoved(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b", "c", "d"))
	key := testKey(1)
	slot := proto.SlotOf(key)
	for i, n := range nodes[:3] {
		n.dir.set(slot, nodes[i+1].name, uint32(i+1))
	}
	nodes[3].store.hold(slot, fakeSlot{term: 4, held: true})
	if op := carry(t, nodes[0].f, newOp(proto.OpSet, key, "v")); op.Status != proto.StatusOK || op.Node != "d" {
		t.Fatal(describe(op))
	}
	var told string
	nodes[0].dir.with(func() { told = fmt.Sprint(nodes[0].dir.told) })
	if told != "[{c 2} {d 3}]" {
		t.Error(told)
	}
	if n := nodes[0].f.retries.Load(); n != 0 {
		t.Errorf("%d pauses", n)
	}
}

// Nodes that point at each other are not asked for ever, nor in a loop.
func TestForwardCircle(t *testing.T) {
	nodes := forwardNodes(t, "a", "b", "c")
	a, b, c := nodes[0], nodes[1], nodes[2]
	key := testKey(1)
	slot := proto.SlotOf(key)
	a.dir.set(slot, "b", 0)
	b.dir.set(slot, "c", 0)
	c.dir.set(slot, "b", 0)
	const within = time.Second // enough for some of them on a busy machine
	a.f.within = within
	begun := time.Now()
	op := carry(t, a.f, newOp(proto.OpSet, key, "v"))
	if took := time.Since(begun); op.Status != proto.StatusBusy || took > ample {
		t.Errorf("%s after %v", describe(op), took)
	}
	sent := b.links.Link("a").forward.served.Load() + c.links.Link("a").forward.served.Load()
	if sent < maxMoves || sent > maxMoves+uint64(within/retryAfter) {
		t.Errorf("%d requests", sent)
	}
	// When they agree, it is found, also after more of them than are followed at once: the
	// directory goes on to name b.
	patient(nodes)
	before := a.f.retries.Load()
	o := begin(a.f, newOp(proto.OpSet, key, "v"))
	eventually(t, "it has paused", func() bool { return a.f.retries.Load() > before+2 })
	c.store.hold(slot, fakeSlot{term: 5, held: true})
	if op := o.wait(t); op.Status != proto.StatusOK || op.Node != "c" {
		t.Error(describe(op))
	}
}

// A MOVED of a term below one that was seen is out of date: who says so holds the
// slot itself, or soon will.
func TestForwardStaleMoved(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b", "c"))
	a, b, c := nodes[0], nodes[1], nodes[2]
	key := testKey(1)
	slot := proto.SlotOf(key)
	a.dir.set(slot, "b", 1)
	b.dir.set(slot, "c", 7)
	c.dir.set(slot, "b", 6)
	c.store.refused = func() {
		c.store.hold(slot, fakeSlot{term: 7, held: true})
	}
	op := carry(t, a.f, newOp(proto.OpGet, key, ""))
	if op.Status != proto.StatusMiss || op.Node != "c" {
		t.Error(describe(op))
	}
	var told string
	a.dir.with(func() { told = fmt.Sprint(a.dir.told) })
	if told != "[{c 7}]" {
		t.Error(told)
	}
	if n := b.links.Link("a").forward.served.Load(); n != 1 {
		t.Errorf("b was asked %d times", n)
	}
}

func TestForwardBusyThenOK(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b"))
	a, b := nodes[0], nodes[1]
	key := testKey(1)
	for _, to := range nodes { // its own store, too, may not serve just now
		give(nodes, proto.SlotOf(key), to, 1)
		to.store.with(func() { to.store.busy = 3 })
		if op := carry(t, a.f, newOp(proto.OpSet, key, "v")); op.Status != proto.StatusOK || op.Node != to.name {
			t.Error(describe(op))
		}
	}
	if n := a.links.Link("b").forward.busy.Load(); n != 3 {
		t.Errorf("%d times busy", n)
	}
	b.store.with(func() { b.store.busy = 1 << 30 })
	a.f.within = answerWithin
	if op := carry(t, a.f, newOp(proto.OpSet, key, "v")); op.Status != proto.StatusBusy {
		t.Error(describe(op))
	}
}

// An operation waits for a holder, and for its link.
func TestForwardParked(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b"))
	a, b := nodes[0], nodes[1]
	key := testKey(1)
	slot := proto.SlotOf(key)
	o := begin(a.f, newOp(proto.OpSet, key, "v"))
	eventually(t, "it is parked", func() bool { return a.f.parked.count.Load() == 1 }) // but for a moment now and then
	b.store.hold(slot, fakeSlot{term: 1, held: true})
	a.dir.set(slot, "b", 1)
	if op := o.wait(t); op.Status != proto.StatusOK || op.Node != "b" {
		t.Error(describe(op))
	}

	a.f.within = answerWithin
	begun := time.Now()
	op := carry(t, a.f, newOp(proto.OpSet, testKey(2), "v"))
	if took := time.Since(begun); op.Status != proto.StatusBusy || took < answerWithin/2 || took > ample {
		t.Errorf("%s after %v", describe(op), took)
	}
	patient(nodes)
	// It may also turn up here.
	o = begin(a.f, newOp(proto.OpSet, testKey(3), "v"))
	a.store.hold(proto.SlotOf(testKey(3)), fakeSlot{term: 1, held: true})
	if op := o.wait(t); op.Status != proto.StatusOK || op.Node != "a" {
		t.Error(describe(op))
	}
	// And the directory may believe that it is here before it is.
	a.dir.set(proto.SlotOf(testKey(4)), "a", 1)
	o = begin(a.f, newOp(proto.OpGet, testKey(4), ""))
	a.store.hold(proto.SlotOf(testKey(4)), fakeSlot{term: 1, held: true})
	if op := o.wait(t); op.Status != proto.StatusMiss {
		t.Error(describe(op))
	}
}

// swallow makes a node keep the requests that it gets, without an answer.
func swallow(n *forwardNode) chan Reply {
	kept := make(chan Reply, 100)
	o := func(_ Request, reply Reply) { kept <- reply }
	n.override.Store(&o)
	return kept
}

// A holder that dies: reads go to the next, writes may have been applied.
func TestForwardHolderDies(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b", "c"))
	a, b, c := nodes[0], nodes[1], nodes[2]
	key := testKey(1)
	slot := proto.SlotOf(key)
	give(nodes, slot, b, 1)
	asked := swallow(b)
	read := begin(a.f, newOp(proto.OpGet, key, ""))
	<-asked
	write := begin(a.f, newOp(proto.OpSet, key, "v"))
	<-asked
	give(nodes, slot, c, 2)
	b.links.Link("a").fail(proto.ErrLinkSlow)
	if op := write.wait(t); op.Status != proto.StatusUnreachable {
		t.Error(describe(op))
	}
	if op := read.wait(t); op.Status != proto.StatusMiss || op.Node != "c" {
		t.Error(describe(op))
	}
	// What a holder that leaves has not answered it has not carried out.
	give(nodes, slot, b, 3)
	eventually(t, "the link comes back", func() bool { return linked(a.links, "b") })
	write = begin(a.f, newOp(proto.OpSet, key, "w"))
	<-asked
	give(nodes, slot, c, 4)
	if err := b.links.Close(); err != nil {
		t.Error(err)
	}
	if op := write.wait(t); op.Status != proto.StatusOK || op.Node != "c" {
		t.Error(describe(op))
	}
	// A holder that is known and has no link is waited for.
	a.dir.set(slot, "b", 5)
	o := begin(a.f, newOp(proto.OpSet, key, "v"))
	a.dir.set(slot, "c", 6)
	if op := o.wait(t); op.Status != proto.StatusOK || op.Node != "c" {
		t.Error(describe(op))
	}
}

// An answer that comes too late touches nothing: the operation is its owner's
// again.
func TestForwardLateAnswers(t *testing.T) {
	nodes := forwardNodes(t, "a", "b")
	a, b := nodes[0], nodes[1]
	key := testKey(1)
	give(nodes, proto.SlotOf(key), b, 1)
	asked := swallow(b)
	begun := time.Now()
	var all []*outcome
	for _, code := range []proto.Opcode{proto.OpGet, proto.OpSet, proto.OpDelete} {
		all = append(all, begin(a.f, newOp(code, key, "v")))
	}
	batch := []*proto.Op{newOp(proto.OpGet, key, ""), newOp(proto.OpGet, key, "")}
	for _, op := range batch {
		o := &outcome{op: op, done: make(chan struct{}, 2)}
		op.Done = func(*proto.Op) { o.times.Add(1); o.done <- struct{}{} }
		all = append(all, o)
	}
	a.f.SubmitAll(batch)
	for _, o := range all {
		if op := o.wait(t); op.Status != proto.StatusUnreachable {
			t.Error(describe(op))
		}
		o.op.Out = []byte("mine") // as its next user sets it
		o.op.Status = proto.StatusStale
	}
	if took := time.Since(begun); took < answerWithin-2*callSlack || took > ample {
		t.Errorf("after %v", took)
	}
	late := a.links.Link("b")
	for range 4 { // three, and the batch
		reply := <-asked
		body := proto.AppendMeta(nil, &proto.Meta{ETag: 1, Remaining: 1})
		reply.Send(proto.Header{}, body, []byte("late"))
	}
	eventually(t, "late answers", func() bool { return late.stats.late.Load() == 4 })
	for _, o := range all {
		if string(o.op.Out) != "mine" || o.op.Status != proto.StatusStale || o.times.Load() != 1 {
			t.Errorf("touched: %s, Done %d times", describe(o.op), o.times.Load())
		}
	}
	if n := late.forward.unreachable.Load(); n != 5 {
		t.Errorf("%d unreachable", n)
	}
}

// A peer that answers what it must not loses its link; a value longer than asked
// for is not taken.
func TestForwardBadAnswers(t *testing.T) {
	meta := proto.AppendMeta(nil, &proto.Meta{ETag: 1, Remaining: 1})
	for name, c := range map[string]struct {
		status proto.Status
		body   string
		want   proto.Status
	}{
		"short":        {proto.StatusOK, "x", proto.StatusUnreachable},
		"long":         {proto.StatusMiss, "x", proto.StatusUnreachable},
		"nobody":       {proto.StatusMoved, strings.Repeat("\x00", 12), proto.StatusUnreachable},
		"beyond limit": {proto.StatusOK, string(meta) + "12345", proto.StatusTooLarge},
		"at limit":     {proto.StatusOK, string(meta) + "1234", proto.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := patient(forwardNodes(t, "a", "b"))
			a, b := nodes[0], nodes[1]
			key := testKey(1)
			give(nodes, proto.SlotOf(key), b, 1)
			o := func(r Request, reply Reply) { reply.Send(proto.Header{Status: c.status}, []byte(c.body)) }
			b.override.Store(&o)
			op := newOp(proto.OpGet, key, "")
			op.Limit = 4
			if op = carry(t, a.f, op); op.Status != c.want {
				t.Error(describe(op))
			}
			if c.want == proto.StatusUnreachable {
				eventually(t, "the link is closed", func() bool { return metric(a.links, "smache_peer_closes_total", `by="self"`) > 0 })
			}
		})
	}
}

// What cannot be sent is refused, and so is what the holder has no room for.
func TestForwardTooLarge(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b"))
	a, b := nodes[0], nodes[1]
	key := testKey(1)
	give(nodes, proto.SlotOf(key), b, 1)
	op := newOp(proto.OpSet, key, "")
	op.Value = make([]byte, proto.MaxValueLen+1)
	if op = carry(t, a.f, op); op.Status != proto.StatusTooLarge {
		t.Error(describe(op))
	}
	op = newOp(proto.OpSet, key, "")
	op.Value = make([]byte, proto.MaxValueLen)
	if op = carry(t, a.f, op); op.Status != proto.StatusOK {
		t.Error(describe(op))
	}
	if op = carry(t, a.f, newOp(proto.OpGet, key, "")); op.Status != proto.StatusOK || len(op.Out) != proto.MaxValueLen {
		t.Error(op.Status, len(op.Out))
	}
	op = newOp(proto.OpGet, key, "")
	op.IfNoneMatch = proto.Match{Set: true, Tags: make([]proto.ETag, proto.MaxTags+1)}
	if op = carry(t, a.f, op); op.Status != proto.StatusTooLarge {
		t.Error(op.Status)
	}
}

// A node that is importing serves through its directory: its own, and others'.
func TestForwardImporting(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b"))
	a, b := nodes[0], nodes[1]
	key := testKey(1)
	slot := proto.SlotOf(key)
	give(nodes, slot, b, 2)
	b.store.hold(slot, fakeSlot{term: 2, held: true, importing: true})
	for _, f := range []*forwarder{b.f, a.f} {
		for _, code := range []proto.Opcode{proto.OpSet, proto.OpGet, proto.OpTouch, proto.OpDelete} {
			op := newOp(code, key, "v")
			op.Out = []byte("before ")
			if op = carry(t, f, op); op.Status != proto.StatusOK || op.Node != "b" {
				t.Error(describe(op))
			}
			if code == proto.OpGet && string(op.Out) != "before v" {
				t.Error(describe(op))
			}
		}
	}
	// It may refuse after all: then the operation is tried again.
	for _, status := range []proto.Status{proto.StatusBusy, proto.StatusNotHolder} {
		for _, f := range []*forwarder{b.f, a.f} {
			var tries atomic.Int32
			b.dir.with(func() {
				b.dir.ready = func(op *proto.Op) {
					if op.Importing {
						t.Error("it is said to be ready already")
					}
					op.Importing = true
					b.store.writers.Go(func() {
						if tries.Add(1) > 2 {
							b.store.apply(op)
						} else {
							op.Status = status
						}
						op.Done(op)
					})
				}
			})
			if op := carry(t, f, newOp(proto.OpSet, key, "v")); op.Status != proto.StatusOK || tries.Load() != 3 {
				t.Errorf("%v: %s after %d tries", status, describe(op), tries.Load())
			}
		}
	}
}

func TestForwardClose(t *testing.T) {
	nodes := patient(forwardNodes(t, "a"))
	a := nodes[0]
	o := begin(a.f, newOp(proto.OpSet, testKey(1), "v"))
	a.f.close()
	if op := o.wait(t); op.Status != proto.StatusClosed {
		t.Error(describe(op))
	}
	if op := carry(t, a.f, newOp(proto.OpSet, testKey(1), "v")); op.Status != proto.StatusClosed {
		t.Error(describe(op))
	}
	a.f.close()
}
