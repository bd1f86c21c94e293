package peer

import (
	"sync"
	"sync/atomic"

	"github.com/smache/smache/proto"
)

// partBytes is the length from which an answer to a multi frame goes on in another
// part. With the longest item behind it a part still fits into a frame.
const partBytes = proto.MaxBody - proto.MaxValueLen - 2<<10

// group is a multi request that is being answered. While its frame is read it
// belongs to the event loop; then to whoever completes its last item.
type group struct {
	f       *forwarder
	code    proto.Opcode
	reply   Reply
	request proto.Header
	out     []byte // the part that is being written
	writer  proto.MultiWriter
	crowded bool // no more values
	spent   int  // bytes of values so far
	items   int  // that were asked for
	trace   tracing
	slots   []proto.Slot // of the items
	keys    [][]byte     // of gets

	pending atomic.Int32 // items under way, and one while the frame is read
	mu      sync.Mutex
	done    *served // items that came back after the frame was read
}

// serveMulti carries out the operations of a multi frame.
func (f *forwarder) serveMulti(code proto.Opcode, r *Request, reply Reply, trace *tracing) {
	items, err := proto.DecodeMultiRequest(r.Body)
	if err != nil {
		reply.conn.kill(err)
		return
	}
	r.From.forward.served.Add(uint64(items.Count))
	g := f.groups.Get().(*group) // nothing else is put there
	g.code, g.reply, g.request, g.items = code, reply, r.Header, items.Count
	if trace.begun != 0 {
		g.trace = *trace
	}
	g.out = g.writer.Begin(g.out[:0], 0)
	g.pending.Store(1)
	var s *served
	var item proto.Item
	g.warm(code, items)
	for items.Next(&item) {
		if s == nil {
			s = f.newServed(r, reply)
			s.group = g
			if g.trace.begun != 0 {
				s.op.Trace = &g.trace.Trace
			}
		}
		s.index = item.Index
		if err = s.read(code, item.Slot, item.Body); err != nil {
			break
		}
		g.startPart()
		if s = g.carryOut(s, int(items.Budget)); s != nil {
			s.free()
		}
	}
	if s != nil {
		s.release()
	}
	if err != nil {
		reply.conn.kill(err) // what is under way answers into the void
	} else if g.writer.Count() > 0 && g.pending.Load() > 1 {
		g.send(proto.FlagMore) // do not wait for the others
	}
	g.landed()
}

// warm has the store know what items it will be asked for. What is malformed is found
// again by who carries it out.
func (g *group) warm(code proto.Opcode, items proto.Items) {
	var item proto.Item
	var q proto.Request
	for items.Next(&item) {
		if code == proto.OpGet {
			if proto.DecodeRequest(code, item.Body, &q) != nil {
				break
			}
			g.keys = append(g.keys, q.Key)
		}
		g.slots = append(g.slots, item.Slot)
	}
	g.f.store.Warm(g.slots, g.keys)
	clear(g.keys)
	g.slots, g.keys = g.slots[:0], g.keys[:0]
}

// carryOut carries out one item. It gives back s if the item was answered, for the
// next; else s is under way.
func (g *group) carryOut(s *served, budget int) *served {
	op := &s.op
	if g.code == proto.OpGet {
		return g.read(s, budget)
	}
	if !s.keep() {
		op.Status = proto.StatusBusy
		g.put(s)
		return s
	}
	g.pending.Add(1)
	if !g.f.store.Submit(op) || refusal(op.Status) && s.handOn() {
		return nil
	}
	g.pending.Add(-1)
	g.put(s)
	return s
}

// read carries out a get: the value goes from the store into the answer.
func (g *group) read(s *served, budget int) *served {
	op := &s.op
	if g.crowded {
		op.Status = proto.StatusBusy
		g.put(s)
		return s
	}
	if budget > 0 {
		left := budget - g.spent
		if left <= 0 {
			op.Status = proto.StatusTooLarge
			g.put(s)
			return s
		}
		if op.Limit == 0 || op.Limit > left {
			op.Limit = left
		}
	}
	term, _, _ := g.f.store.Serves(op.Slot)
	g.out = g.writer.Answer(g.out, s.index, proto.StatusOK, term)
	start := len(g.out)
	op.Out = proto.ReserveMeta(g.out)
	if !g.f.store.Submit(op) {
		panic("BUG: peer: the store has kept a read")
	}
	if op.Status == proto.StatusOK {
		g.out = op.Out
		g.spent += len(g.out) - start - proto.MetaLen
		s.putMeta(g.out[start:])
		return s
	}
	g.out = g.writer.Undo(op.Out)
	op.Out = nil
	if refusal(op.Status) {
		g.pending.Add(1)
		if s.handOn() {
			return nil
		}
		g.pending.Add(-1)
	}
	g.put(s)
	return s
}

// startPart sends what there is, if it is much, before another item is added.
func (g *group) startPart() {
	if g.writer.Count() == 0 || len(g.out) < partBytes {
		return
	}
	g.send(proto.FlagMore)
	g.crowded = g.crowded || g.reply.Crowded()
}

// send sends a part, and begins the next.
func (g *group) send(more uint8) {
	g.out = g.writer.End(g.out)
	h := g.request.Answer(proto.StatusOK, g.f.dir.epoch())
	h.Flags |= more
	g.reply.Send(h, g.out)
	g.out = g.writer.Begin(g.out[:0], 0)
}

// put appends the answer to an item; what a get has read lies in op.Out.
func (g *group) put(s *served) {
	op := &s.op
	g.out = g.writer.Answer(g.out, s.index, proto.StatusOK, 0)
	var term uint32
	if op.Code == proto.OpGet && op.Status == proto.StatusOK {
		term, _, _ = g.f.store.Serves(op.Slot)
		s.putMeta(op.Out)
		g.out = append(g.out, op.Out...)
		s.out = op.Out
	} else {
		g.out, term = s.appendAnswer(g.out)
	}
	g.writer.SetStatus(g.out, op.Status, term)
}

// late takes an item that was under way. Any goroutine.
func (g *group) late(s *served) {
	g.mu.Lock()
	s.next, g.done = g.done, s
	g.mu.Unlock()
	g.landed()
}

// landed counts an item as answered; who counts the last completes the answer.
func (g *group) landed() {
	if g.pending.Add(-1) > 0 {
		return
	}
	g.mu.Lock()
	done := g.done
	g.done = nil
	g.mu.Unlock()
	for s := done; s != nil; {
		next := s.next
		g.startPart()
		if g.crowded && len(s.op.Out) > shortAnswer && s.op.Status == proto.StatusOK {
			s.op.Status = proto.StatusBusy
		}
		g.put(s)
		s.release()
		s = next
	}
	if g.writer.Count() > 0 { // none: the link was closed
		g.send(0)
	}
	f := g.f
	if g.trace.begun != 0 {
		g.trace.end(f, g.request.Op, proto.StatusOK, g.items)
	}
	g.reply, g.crowded, g.spent, g.trace.begun = Reply{}, false, 0, 0
	g.out = keep(g.out, keepBuffer)
	f.groups.Put(g)
}
