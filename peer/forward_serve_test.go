package peer

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/smache/smache/proto"
)

// request gives the body of the request that op is.
func requestBody(op *proto.Op) []byte { return proto.AppendRequest(nil, op) }

func decodeAnswer(t testing.TB, code proto.Opcode, h proto.Header, body []byte) (a proto.Answer) {
	t.Helper()
	if err := proto.DecodeAnswer(code, h.Status, body, &a); err != nil {
		t.Fatal(h.Status, err)
	}
	return a
}

// A client's requests are carried on, unless it says not to.
func TestServeClient(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b"))
	a, b := nodes[0], nodes[1]
	key := testKey(1)
	slot := proto.SlotOf(key)
	give(nodes, slot, b, 3)
	c := &raw{t: t, c: dialTo(t, a.links)}
	c.greet("tool", proto.RoleClient)
	for _, late := range []bool{false, true} {
		b.store.with(func() { b.store.late = late })
		c.frame(proto.Header{Op: proto.FrameSet, ID: 1, Slot: slot}, requestBody(newOp(proto.OpSet, key, "v")))
		if h, body, err := c.next(); err != nil || h.Status != proto.StatusOK || h.ID != 1 || h.Epoch != 77 || len(body) != proto.MetaLen {
			t.Error(h, body, err)
		}
		c.frame(proto.Header{Op: proto.FrameGet, ID: 2, Slot: slot}, requestBody(newOp(proto.OpGet, key, "")))
		h, body, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if got := decodeAnswer(t, proto.OpGet, h, body); string(got.Value) != "v" || got.Meta.Version.Term != 3 {
			t.Error(h, got)
		}
	}
	c.frame(proto.Header{Op: proto.FrameGet, ID: 3, Slot: slot, Flags: proto.FlagForwarded}, requestBody(newOp(proto.OpGet, key, "")))
	h, body, err := c.next()
	if err != nil {
		t.Fatal(err)
	}
	got := decodeAnswer(t, proto.OpGet, h, body)
	if h.Status != proto.StatusMoved || h.Term != 3 || string(got.Redirect.Holder) != "b" || got.Redirect.Incarnation != 9 {
		t.Error(h, got)
	}
	// The items of a multi frame, too: some here, some there.
	var ops []*proto.Op
	for i := range 20 {
		op := newOp(proto.OpSet, testKey(i), fmt.Sprint("value ", i))
		give(nodes, op.Slot, nodes[i%2], 1)
		ops = append(ops, op)
	}
	for _, code := range []proto.Opcode{proto.OpSet, proto.OpGet} {
		for _, op := range ops {
			op.Code = code
		}
		c.frame(proto.Header{Op: proto.FrameOpOf(code, true), ID: 4}, multiBody(ops, 0))
		answers, _ := readMulti(t, c, code, len(ops))
		for i, a := range answers {
			if a.Status != proto.StatusOK || code == proto.OpGet && string(a.Value) != fmt.Sprint("value ", i) {
				t.Errorf("item %d: %v %q", i, a.Status, a.Value)
			}
		}
	}
	b.store.with(func() { b.store.late = false })
	for name, c := range map[string]struct {
		op   proto.FrameOp
		body []byte
	}{
		"merge": {proto.FrameMerge, requestBody(newOp(proto.OpMerge, key, "v"))},
		"slot":  {proto.FrameGet, requestBody(newOp(proto.OpGet, testKey(2), ""))},
		"body":  {proto.FrameGet, []byte("nonsense")},
		"items": {proto.FrameMultiGet, []byte("nonsense")},
		"item":  {proto.FrameMultiGet, append(multiBody(ops[:1], 0)[:20:20], make([]byte, 4)...)},
	} {
		t.Run(name, func(t *testing.T) {
			r := &raw{t: t, c: dialTo(t, a.links)}
			r.greet("tool", proto.RoleClient)
			r.frame(proto.Header{Op: c.op, ID: 4, Slot: slot}, c.body)
			if why := r.goodbye(); why == 0 {
				t.Error("no goodbye")
			}
		})
	}
}

func multiBody(ops []*proto.Op, budget uint32) []byte {
	var w proto.MultiWriter
	b := w.Begin(nil, budget)
	for _, op := range ops {
		b = proto.AppendRequest(w.Request(b, op.Slot, 0), op)
	}
	return w.End(b)
}

// readMulti reads the answer to a multi frame: all items, each once.
func readMulti(t testing.TB, c *raw, code proto.Opcode, n int) (answers []proto.Answer, parts int) {
	t.Helper()
	answers = make([]proto.Answer, n)
	seen := make([]bool, n)
	for more := true; more; parts++ {
		h, body, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		more = h.Flags&proto.FlagMore != 0
		items, err := proto.DecodeMultiAnswer(body)
		if err != nil || h.Status != proto.StatusOK {
			t.Fatal(h.Status, err)
		}
		var item proto.Item
		for items.Next(&item) {
			if seen[item.Index] {
				t.Errorf("item %d is answered twice", item.Index)
			}
			seen[item.Index] = true
			answers[item.Index] = decodeAnswer(t, code, proto.Header{Status: item.Status}, bytes.Clone(item.Body))
		}
	}
	if i := slices.Index(seen, false); i >= 0 {
		t.Errorf("item %d is not answered", i)
	}
	return answers, parts
}

// Long answers come in parts, within the budget; when the peer does not take them,
// the rest is busy.
func TestServeMultiParts(t *testing.T) {
	nodes := patient(forwardNodes(t, "a"))
	a := nodes[0]
	var ops []*proto.Op
	const n, size = 60, 200 << 10
	for i := range n {
		op := newOp(proto.OpSet, testKey(i), string(bytes.Repeat([]byte{byte(i)}, size)))
		a.store.hold(op.Slot, fakeSlot{term: 1, held: true})
		a.store.apply(op)
		op.Code, op.Value = proto.OpGet, nil
		ops = append(ops, op)
	}
	c := &raw{t: t, c: dialTo(t, a.links)}
	c.greet("tool", proto.RoleClient)
	c.frame(proto.Header{Op: proto.FrameMultiGet, ID: 1}, multiBody(ops, 1<<20))
	answers, parts := readMulti(t, c, proto.OpGet, n)
	var whole int
	for i := range answers {
		switch answers[i].Status {
		case proto.StatusOK:
			if whole++; len(answers[i].Value) != size || answers[i].Value[0] != byte(i) {
				t.Errorf("item %d is wrong", i)
			}
		case proto.StatusTooLarge:
		default:
			t.Error(answers[i].Status)
		}
	}
	if whole != 1<<20/size || parts < 3 {
		t.Errorf("%d values in %d parts", whole, parts)
	}

	c.frame(proto.Header{Op: proto.FrameMultiGet, ID: 1}, multiBody(ops, 0))
	answers, _ = readMulti(t, c, proto.OpGet, n)
	count := map[proto.Status]int{}
	for i := range answers {
		count[answers[i].Status]++
	}
	if count[proto.StatusOK] < 10 || count[proto.StatusBusy] < 10 || count[proto.StatusOK]+count[proto.StatusBusy] != n {
		t.Error(count)
	}
	// Until the peer has read it, single answers are short as well.
	for range 40 {
		c.frame(proto.Header{Op: proto.FrameGet, ID: 1, Slot: ops[0].Slot}, requestBody(ops[0]))
	}
	for range 40 {
		h, _, err := c.next()
		if err != nil || h.Status != proto.StatusOK && h.Status != proto.StatusBusy {
			t.Fatal(h, err)
		}
	}
}

// Requests of others do not pile up without bound while they wait.
func TestServeKeepsLittle(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b"))
	a, b := nodes[0], nodes[1]
	b.store.late, b.store.gate = true, make(chan struct{})
	key := testKey(1)
	give(nodes, proto.SlotOf(key), b, 1)
	var all []*outcome
	for range 2 * maxCopied / (1 << 20) {
		op := newOp(proto.OpSet, key, "")
		op.Value = make([]byte, 1<<20)
		all = append(all, begin(a.f, op))
		if len(all)%4 == 0 { // let the outbox empty itself
			eventually(t, "all are sent", func() bool {
				return b.f.serving.Load()+int64(b.f.overfull.Load()) >= int64(len(all))
			})
		}
	}
	if kept := b.f.copied.Load(); kept > maxCopied || kept < maxCopied/2 {
		t.Errorf("%d bytes are kept", kept)
	}
	close(b.store.gate)
	count := map[proto.Status]int{}
	for _, o := range all {
		count[o.wait(t).Status]++
	}
	if b.f.overfull.Load() == 0 || count[proto.StatusOK] < maxCopied/(1<<20)-1 {
		t.Error(b.f.overfull.Load(), count)
	}
}

// FuzzServe: whatever a peer sends, each request is answered once or closes the
// link, and nothing is left behind.
func FuzzServe(f *testing.F) {
	for code := proto.OpGet; code <= proto.OpMerge; code++ {
		op := newOp(code, testKey(1), "value")
		op.Slot = proto.SlotOf(op.Key)
		f.Add(uint8(code), uint8(0), requestBody(op))
		f.Add(uint8(proto.FrameOpOf(code, true)), uint8(0x52), multiBody([]*proto.Op{op, newOp(code, testKey(2), "v"), newOp(code, testKey(3), "v")}, 9))
	}
	f.Fuzz(func(t *testing.T, frameOp, how uint8, body []byte) {
		if _, _, ok := proto.FrameOp(frameOp).Opcode(); !ok {
			frameOp = uint8(proto.FrameGet)
		}
		now := int64(1)
		n := newForwardNode("b", func() int64 { return now })
		n.links = memoryLinks(t, "x", testKeys(t), n)
		p, link := newMemoryPair(t, testKeys(t), n)
		var q proto.Request
		code, multi, _ := proto.FrameOp(frameOp).Opcode()
		h := proto.Header{Op: proto.FrameOp(frameOp)}
		if proto.DecodeRequest(code, body, &q) == nil && !multi {
			h.Slot = proto.SlotOf(q.Key)
		}
		if how&1 != 0 {
			h.Flags = proto.FlagForwarded
		}
		for i := range 4 { // keys of all kinds of slots
			slot := proto.SlotOf(testKey(i))
			if multi && how&0x40 == 0 {
				slot = h.Slot
			}
			n.store.hold(slot, fakeSlot{term: 1, held: (how>>i)&2 != 0, importing: how&0x20 != 0})
		}
		if how&0x40 != 0 {
			n.dir.set(h.Slot, "c", 4)
		}
		n.dir.ready = func(op *proto.Op) {
			op.Importing = true
			n.store.apply(op)
			op.Done(op)
		}
		done, parts := 0, 0
		call := &Call{Header: h, Timeout: answerWithin, Done: func(c *Call) {
			if parts++; c.Err != nil || c.Answer.Flags&proto.FlagMore == 0 {
				done++
			}
		}}
		if link.Send(call, body) != nil {
			return // too long for a frame
		}
		p.run()
		for range 100 { // what waits
			now += int64(beatEvery)
			n.f.beat()
			p.run()
		}
		if done != 1 {
			t.Errorf("answered %d times, in %d parts", done, parts)
		}
		if l, s, c, w := n.f.live.Load(), n.f.serving.Load(), n.f.copied.Load(), n.f.parked.count.Load(); l != 0 || s != 0 || c != 0 || w != 0 {
			t.Errorf("%d on their way, %d served, %d bytes kept, %d parked", l, s, c, w)
		}
	})
}

// The items of a multi frame have fates of their own.
func TestServeMultiMixed(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b"))
	b := nodes[1]
	var ops []*proto.Op
	for i := range 50 {
		op := newOp(proto.OpSet, testKey(i), fmt.Sprint("value ", i))
		b.store.hold(op.Slot, fakeSlot{term: 1, held: true})
		b.store.apply(op)
		switch i % 5 {
		case 1:
			b.store.hold(op.Slot, fakeSlot{})
			b.dir.set(op.Slot, "c", 8)
		case 2:
			b.store.hold(op.Slot, fakeSlot{})
		case 3:
			b.store.hold(op.Slot, fakeSlot{term: 2, held: true, importing: true})
		case 4:
			b.store.with(func() { delete(b.store.entries, string(op.Key)) })
		}
		ops = append(ops, op)
	}
	want := [5]proto.Status{proto.StatusOK, proto.StatusMoved, proto.StatusNotHolder, proto.StatusOK, proto.StatusMiss}
	for _, code := range []proto.Opcode{proto.OpGet, proto.OpTouch} {
		for _, op := range ops {
			op.Code = code
		}
		c := &raw{t: t, c: dialTo(t, b.links)}
		c.greet("tool", proto.RoleClient)
		c.frame(proto.Header{Op: proto.FrameOpOf(code, true), Flags: proto.FlagForwarded, ID: 1}, multiBody(ops, 0))
		answers, _ := readMulti(t, c, code, len(ops))
		for i, a := range answers {
			if a.Status != want[i%5] {
				t.Errorf("%v, item %d: %v", code, i, a.Status)
			}
			if a.Status == proto.StatusOK && code == proto.OpGet && string(a.Value) != fmt.Sprint("value ", i) {
				t.Errorf("item %d: %q", i, a.Value)
			}
			if a.Status == proto.StatusMoved && string(a.Redirect.Holder) != "c" {
				t.Errorf("item %d: %q", i, a.Redirect.Holder)
			}
		}
	}
}
