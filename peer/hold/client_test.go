package hold

import "time"

// This file is what clients of a simulated cluster do, and how nodes pass their
// operations on: what peer's forwarding does, in one goroutine.

// action is what an operation does.
type action uint8

const (
	actGet    action = 1
	actSet    action = 2 // whatever is there
	actSetIf  action = 3 // if the entry's version is expect; zero: if there is none
	actDelete action = 4
)

// result is what came of an operation.
type result uint8

const (
	resultOK     result = 1 // a hit, or done
	resultMiss   result = 2 // nothing was there
	resultFailed result = 3 // the condition does not hold; nothing was done
	resultBusy   result = 4 // refused: a write may have been applied
)

// clientOp is an operation of a client, at the node that took it in, or a copy of
// it at the node that it was sent to.
type clientOp struct {
	action action
	slot   Slot
	key    string
	value  string
	expect Version
	ttl    time.Duration // 0: none
	asked  *asked

	result result
	entry  stored // what was read, or written

	deadline time.Duration
	tried    time.Duration // when it was tried last
	sent     bool          // a peer has it, and may carry it out
	to       ID            // that peer
	hint     ID            // whom the last one named
	hints    int
	machine  bool // the machine has it
	done     bool

	origin *simNode  // of a copy: where it came from
	whole  *clientOp // and the operation there
}

// do takes an operation of a client in.
func (n *simNode) do(op *clientOp) {
	op.deadline = n.sim.now + opTime
	n.ops = append(n.ops, op)
	if !n.ticking {
		n.ticking = true
		n.sim.after(10*time.Millisecond, func() { n.sim.tickOps(n) })
	}
	n.try(op)
}

// try carries op out, or sends it to the holder. What a peer may have carried out
// is not tried again, unless it only reads.
func (n *simNode) try(op *clientOp) {
	op.tried = n.sim.now
	if n.serve(op) {
		return
	}
	to := n.routes[op.slot]
	if op.hint.Name != "" {
		to, op.hint = op.hint, ID{}
	}
	dst := n.sim.nodes[to.Name]
	if to.Name == "" || to.Name == n.id.Name || dst == nil {
		return
	}
	op.sent, op.to = op.action != actGet, to
	if int(op.slot) == n.sim.watch {
		n.sim.trace("%v %v sends action %d of %s to %v", n.sim.now, n.id, op.action, op.key, to)
	}
	copied := &clientOp{
		action: op.action, slot: op.slot, key: op.key, value: op.value, expect: op.expect, ttl: op.ttl,
		origin: n, whole: op,
	}
	n.sim.deliver(n, dst, func() {
		if !dst.serve(copied) {
			dst.giveBack(copied)
		}
	})
}

// serve carries out an operation if this node holds the slot: at once, or when the
// machine says that it can.
func (n *simNode) serve(op *clientOp) bool {
	switch n.data[op.slot].role {
	case roleHolding:
		if n.now() >= n.until {
			return false
		}
		n.carryOut(op)
		n.complete(op)
	case roleImporting:
		op.machine = true
		n.m.Do(n.now(), &Op{Slot: op.slot, Key: op.key, Ref: op})
	case roleNone:
		return false
	}
	return true
}

// Do is Driver's.
func (n *simNode) Do(o *Op) {
	op := o.Ref.(*clientOp)
	op.machine = false
	if n.data[op.slot].role == roleNone {
		n.sim.check.fail("%v was told to carry out an operation on slot %d, and the store does not hold it", n.id, op.slot)
		return
	}
	n.carryOut(op)
	n.complete(op)
}

// Refuse is Driver's.
func (n *simNode) Refuse(o *Op) {
	op := o.Ref.(*clientOp)
	op.machine = false
	n.giveBack(op)
}

// giveBack leaves op to be tried again: here, or where it came from.
func (n *simNode) giveBack(op *clientOp) {
	from := op.origin
	if from == nil {
		return
	}
	holder, term := n.routes[op.slot], n.routeTerms[op.slot]
	if int(op.slot) == n.sim.watch {
		n.sim.trace("%v %v gives %s back: %v holds it under %d", n.sim.now, n.id, op.key, holder, term)
	}
	n.sim.deliver(n, from, func() {
		op.whole.sent = false
		from.m.Moved(from.now(), op.slot, n.m.self.ID, holder, term)
		if whole := op.whole; !whole.done && holder.Name != "" && holder.Name != n.id.Name && whole.hints < 4 {
			whole.hint = holder
			whole.hints++
			from.try(whole)
		}
	})
}

// complete answers op, here or where it came from.
func (n *simNode) complete(op *clientOp) {
	from := op.origin
	if from == nil {
		n.finish(op)
		return
	}
	whole := op.whole
	n.sim.deliver(n, from, func() {
		if whole.done {
			return
		}
		whole.result, whole.entry = op.result, op.entry
		from.finish(whole)
	})
}

func (n *simNode) finish(op *clientOp) {
	if !op.done {
		op.done = true
		n.sim.check.answered(n, op)
	}
}

// tickOps tries again what was not answered, and gives up what took too long.
func (n *simNode) tickOps() {
	ops := n.ops
	n.ops = n.spare[:0]
	for _, op := range ops {
		switch {
		case op.done:
			continue
		case n.sim.now >= op.deadline:
			op.result = resultBusy
			n.finish(op)
			continue
		case !op.sent && !op.machine && n.sim.now-op.tried >= retry/20:
			n.try(op)
		}
		if !op.done {
			n.ops = append(n.ops, op)
		}
	}
	clear(ops)
	n.spare = ops
}

// farewell takes note that a peer has left in good order: what it has not
// answered it has not carried out.
func (n *simNode) farewell(id ID) {
	for _, op := range n.ops {
		if op.sent && op.to.sameRun(id) {
			op.sent = false
		}
	}
}
