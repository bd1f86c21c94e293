package hold

import (
	"fmt"
	"slices"
	"time"
)

// checker holds what clients are told against the promises P1 to P5.
//
// Values are unique, so a read tells which write it saw. Of each key it keeps the
// floor: the latest answered write or delete. A read that began after that answer
// must give it or something later, or a miss that has an excuse.
type checker struct {
	s    *sim
	keys map[string]*keyState
	made map[string]*made // by value
	err  error

	// strict says that every operation must be answered, but for those that a
	// fault excuses. lenient switches all but the sanity of values off, while the
	// cluster is cut in two and until it has healed.
	strict  bool
	lenient bool
	// sided says that what each side of a cut knows is held against it; forgiving that
	// what was written may be lost, but not come back as what it was before.
	sided, forgiving bool
	// crashes says that nodes which fail are gone for good.
	crashes bool

	// tags are the ETags that values of a key have had.
	tags map[tag]bool
	// lost is the highest version of each key that some node had no room for.
	lost map[string]Version
	// under is a term for each slot, up to which something may have been refused, for want of
	// room for a record.
	under map[Slot]uint32
	// steady are the holders of slots that nobody is to move while the network is cut
	// so that everybody still reaches everybody over others.
	steady map[Slot]*simNode

	busyUntil map[Slot]time.Duration
	busyNode  map[string]time.Duration
	answers   int
	busy      int
	misses    int
	flushes   int
	evictions int
	overflows int
	cutAt     time.Duration
	flushing  time.Duration // a flush may take effect until then
}

// tag is an ETag of a key, which is the clock of its version.
type tag struct {
	key   string
	clock uint64
}

// made is a write that somebody asked for.
type made struct {
	key     string
	at      time.Duration // when it was asked for
	version Version       // once known
	// expires is when it has to be gone, 0: never. soonest is when it may be: each move
	// costs it as long as the question took that brought it.
	expires, soonest time.Duration
}

// over reports whether a value may have expired.
func (w *made) over(now time.Duration) bool { return w != nil && w.soonest != 0 && now >= w.soonest }

// known is what somebody knows of a key: the latest version, and whether that is gone.
type known struct {
	version Version
	deleted bool
}

// overtakes reports whether whoever knows that may not be given v any more.
func (o known) overtakes(v Version) bool { return v.Less(o.version) || o.deleted && v == o.version }

type keyState struct {
	floor   Version
	deleted bool          // by the floor
	sides   [3]known      // what each side of a cut was told
	entry   *made         // that of the floor; nil: none
	gone    time.Duration // when a floor before it expired
	at      time.Duration // when the floor was answered
	// excused says since when a miss is no wonder: a fault of a node that had to
	// do with the key, after the floor.
	excused bool
	faultAt time.Duration // the latest such fault
	// A delete may take effect until then: it runs, or was answered busy.
	deletes  int
	deleteAt time.Duration
	unsure   bool // a delete was answered busy: the key may be gone
	// mortal is the writes with a time to live that were not answered: they may have
	// been carried out, and have expired.
	mortal map[string]*made
}

// asked is what the checker remembers of an operation under way.
type asked struct {
	key     *keyState
	at      time.Duration
	floor   Version
	deleted bool
	excused bool
	entry   *made
	since   time.Duration // when the floor was answered
	node    string
	side    known // what the side of node was told
}

func newChecker(s *sim) *checker {
	return &checker{
		s: s, keys: map[string]*keyState{}, made: map[string]*made{}, lost: map[string]Version{}, under: map[Slot]uint32{}, tags: map[tag]bool{},
		busyUntil: map[Slot]time.Duration{}, busyNode: map[string]time.Duration{},
	}
}

func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("at %v: %s", c.s.now, fmt.Sprintf(format, args...))
	}
}

// idle fails if a slot that a node's walks pass over has something to do, or is not what the
// driver was told.
func (c *checker) idle(n *simNode) {
	m := n.m
	for i := range m.slots {
		slot, s := Slot(i), &m.slots[i]
		if m.active[i/64]>>(i%64)&1 != 0 {
			continue
		}
		mine := m.owner(slot) == m.me
		switch {
		case s.claim != nil, s.source != nil, s.aside != nil, s.role == roleImporting, s.remembers && !m.recording: // all are marked when that ends
			c.fail("%v has slot %d to see to, which is not active: %+v", n.id, i, s)
		case s.role == roleNone && mine, s.role == roleHolding && !mine && m.owner(slot) != nil:
			c.fail("slot %d is not where it belongs, and not active at %v: %+v", i, n.id, s)
		case m.routeOf(s, slot) != s.route:
			c.fail("operations on slot %d ought to go elsewhere from %v, and it is not active: %+v", i, n.id, s)
		}
	}
}

func (c *checker) key(name string) *keyState {
	k := c.keys[name]
	if k == nil {
		k = &keyState{mortal: map[string]*made{}, unsure: c.s.now < c.flushing+5*time.Second, deleteAt: c.flushing}
		c.keys[name] = k
	}
	return k
}

// fault excuses misses of the keys that a node has to do with, and refusals for a
// while.
func (c *checker) fault(n *simNode) {
	limit := 5 * time.Second
	well := 0
	for _, o := range c.s.nodes {
		if o.up && c.s.now >= o.frozen && o != n && o.m.self.State != StateJoining { // who joins may have met nobody yet
			well++
		}
	}
	for i := range n.m.slots {
		st := &n.m.slots[i]
		involved := st.role != roleNone || st.source != nil || st.claim != nil
		if !c.s.served(Slot(i)) {
			// It is about to be claimed, for which everybody is needed, this one too.
			c.busyUntil[Slot(i)] = c.s.now + limit
		}
		for _, name := range c.s.names() {
			// Whoever still takes it for the holder, for certain or as a guess, has sent
			// it operations.
			// And who is left alone must first make sure that it is.
			// A slot may be on its way to its owner.
			if o := &c.s.nodes[name].m.slots[i]; involved || (o.holder != nil && o.holder.sameRun(n.id)) || (o.route != nil && o.route.sameRun(n.id)) || well < 2 || n.m.Owner(Slot(i)).Name == n.id.Name {
				c.busyUntil[Slot(i)] = max(c.busyUntil[Slot(i)], c.s.now+limit)
			}
		}
		if !involved {
			continue
		}
		for name, k := range c.keys {
			if slotOf(name, c.s.slots) == Slot(i) {
				k.excused, k.faultAt = true, c.s.now
			}
		}
	}
	c.busyNode[n.id.Name] = c.s.now + max(limit, n.frozen-c.s.now+limit)
}

// begin notes that op goes to n.
func (c *checker) begin(n *simNode, op *clientOp) *asked {
	k := c.key(op.key)
	if op.action == actDelete {
		k.deletes++
	}
	if op.ttl != 0 {
		w := c.made[op.value]
		w.soonest = c.s.now + op.ttl - c.s.drifted(op.ttl)
		k.mortal[op.value] = w
	}
	return &asked{key: k, at: c.s.now, floor: k.floor, deleted: k.deleted, excused: k.excused, entry: k.entry,
		since: k.at, node: n.id.Name, side: c.told(n, k)}
}

// unheard reports whether a node has yet to hear who holds a slot, and something has happened
// to the one that it asks.
func (c *checker) unheard(n *simNode, slot Slot) bool {
	return n.m.slots[slot].holderTerm == 0 && c.s.now <= c.busyNode[n.routes[slot].Name]+opTime
}

func (c *checker) answered(n *simNode, op *clientOp) {
	ask := op.asked
	k := c.key(op.key)
	if ask.key != k {
		return // it was under way when the floors were forgotten
	}
	c.answers++
	if c.s.sum != nil {
		_, _ = fmt.Fprintln(c.s.sum, c.s.now, n.id, op.action, op.key, op.result, op.entry)
	}
	if int(op.slot) == c.s.watch {
		c.s.trace("%v %v answers %s: action %d asked at %v, result %d, %+v; floor %v deleted %v", c.s.now, n.id, op.key, op.action, ask.at, op.result, op.entry, k.floor, k.deleted)
	}
	if op.action == actDelete {
		k.deletes--
		k.deleteAt = max(k.deleteAt, c.s.now)
	}
	switch {
	case op.result == resultBusy:
		c.busy++
		if op.action == actDelete {
			k.unsure = true
			k.deleteAt = c.s.now + 5*time.Second
		}
		if h := c.steady[op.slot]; h != nil && c.s.side != nil && ask.at > c.cutAt && !c.s.apart(n, h) {
			c.fail("%v of %q through %v is refused, and %v holds it: %s", op.action, op.key, n.id, h.id, c.s.describe(op.slot))
		}
		if c.strict && !c.lenient && c.s.now > c.busyUntil[op.slot]+opTime && c.s.now > c.busyNode[ask.node]+opTime && !c.unheard(n, op.slot) {
			c.fail("%v of %q through %v is refused, and nothing excuses it: %s", op.action, op.key, n.id, c.s.describe(op.slot))
		}
	case op.action == actGet:
		c.read(n, op, ask, k)
	case op.result == resultFailed:
		// A condition that does not hold says nothing that a read would not.
	default:
		c.written(n, op, ask, k)
	}
}

func (c *checker) read(n *simNode, op *clientOp, ask *asked, k *keyState) {
	if op.result == resultMiss {
		c.misses++
		expired := k.entry.over(c.s.now) || ask.entry.over(c.s.now)
		for _, w := range k.mortal {
			expired = expired || w.over(c.s.now)
		}
		expired = expired || k.gone+opTime >= ask.at && k.gone > 0
		deleting := k.deletes > 0 || k.deleteAt >= ask.at
		if evicted := c.lost[op.key]; evicted == ask.floor || ask.floor.Less(evicted) || ask.floor.Term <= c.under[op.slot] && c.under[op.slot] > 0 {
			return
		}
		if c.lenient || c.forgiving || ask.floor == (Version{}) || ask.deleted || k.deleted || expired || deleting || k.unsure || ask.excused || k.excused || k.faultAt >= ask.at {
			return
		}
		c.fail("%q through %v is a miss, and %v was answered: %s", op.key, n.id, ask.floor, c.s.describe(op.slot))
		return
	}
	w := c.made[op.entry.value]
	if w == nil || w.key != op.key {
		c.fail("%q through %v gives %q, which was never written to it", op.key, n.id, op.entry.value)
		return
	}
	if w.version != (Version{}) && w.version != op.entry.version {
		c.fail("%q has version %v, and had %v", op.entry.value, op.entry.version, w.version)
	}
	if w.expires != 0 && ask.at >= w.expires {
		c.fail("%q through %v gives %q, which expired at %v", op.key, n.id, op.entry.value, w.expires)
	}
	if c.lenient {
		if ask.side.overtakes(op.entry.version) {
			c.fail("%q through %v gives %q of %v, older than %v, which this side was told of: %s",
				op.key, n.id, op.entry.value, op.entry.version, ask.side, c.s.describe(op.slot))
		}
		return
	}
	if (ask.excused || k.excused || k.faultAt >= ask.at) && c.crashes && w.at > ask.since {
		return // written after the floor, by nodes that know nothing of it: who did is dead
	}
	if op.entry.version.Less(ask.floor) || ask.deleted && op.entry.version == ask.floor {
		c.fail("%q through %v gives %q of %v, older than %v (deleted: %v), which was answered before: %s",
			op.key, n.id, op.entry.value, op.entry.version, ask.floor, ask.deleted, c.s.describe(op.slot))
	}
}

func (c *checker) written(n *simNode, op *clientOp, ask *asked, k *keyState) {
	v := op.entry.version
	delete(k.mortal, op.value)
	w := c.made[op.value]
	switch {
	case c.lenient: // two sides write, and the higher version is to win
	case (ask.excused || k.excused) && c.crashes && v.Less(ask.floor):
		// Everybody who knew of the floor is dead, and so is what it was.
		k.floor = Version{}
	case v.Less(ask.floor) || v == ask.floor:
		c.fail("a write of %q through %v got version %v, below %v, which was answered before it began: %s",
			op.key, n.id, v, ask.floor, c.s.describe(op.slot))
	}
	if side := &k.sides[c.s.side[n.id.Name]]; c.s.side != nil && side.version.Less(v) {
		*side = known{v, op.action == actDelete}
	}
	if k.floor.Less(v) {
		if k.entry.over(c.s.now) {
			k.gone = k.entry.soonest
		}
		k.floor, k.deleted, k.at, k.entry = v, op.action == actDelete, c.s.now, w
		// What happened before the write began excuses nothing any more.
		if ask.at > c.s.lastFault || ask.excused == k.excused && !ask.excused {
			k.excused = false
		}
		if ask.at > k.deleteAt+5*time.Second {
			k.unsure = false
		}
	}
}

// stored notes that a write was carried out. The clocks of all nodes run alike, but for
// what drifted says, so that when an entry expires is the same everywhere. No two values of a key have one ETag, as long
// as no node has failed: its clock may be lost with it.
func (c *checker) stored(op *clientOp) {
	of := tag{op.key, op.entry.version.Clock}
	if c.tags[of] && len(c.busyNode) == 0 && c.cutAt == 0 {
		c.fail("%q gets an ETag that another value has had: %v", op.value, op.entry.version)
	}
	c.tags[of] = true
	if w := c.made[op.value]; w != nil {
		w.version, w.expires, w.soonest = op.entry.version, 0, 0
		if op.ttl > 0 {
			w.expires, w.soonest = c.s.now+op.ttl+c.s.drifted(op.ttl), c.s.now+op.ttl-c.s.drifted(op.ttl)
		}
	}
}

// evicted notes that a node has, or had, no room for a version of a key.
func (c *checker) evicted(key string, v Version) {
	if c.evictions++; c.lost[key].Less(v) {
		c.lost[key] = v
	}
}

// floored notes that a node refuses what was written of a slot up to a term.
func (c *checker) floored(slot Slot, term uint32) { c.under[slot] = max(c.under[slot], term) }

// moved notes that a node takes in an item of an event's message, and what it takes to
// be left of its time. The entry may not live longer than where it comes from, and
// shorter only by as long as it took to ask for it.
func (c *checker) moved(e *event, it, taken *Entry) {
	if it.Gone {
		return
	}
	slack := c.s.drifted(c.s.now - e.asked)
	if old := it.Meta.Age + c.s.now - e.sent - slack; taken.Meta.Age < old && !taken.Gone {
		c.fail("%q comes to %v, %v old, and is taken to be %v", it.Value, e.to.id, old, taken.Meta.Age)
	}
	remaining := taken.Meta.Remaining
	if remaining == Forever {
		return
	}
	w, left := c.made[string(it.Value)], it.Meta.Remaining-(c.s.now-e.sent)
	if remaining > max(left+slack, 0) || remaining < left-(c.s.now-e.asked)-slack {
		c.fail("%q comes to %v with %v to live, and has %v", it.Value, e.to.id, remaining, left)
	}
	w.soonest = min(w.soonest, c.s.now+remaining-c.s.drifted(remaining))
}

// flush notes that a flush has begun, which is a delete of every key.
func (c *checker) flush() map[*keyState]Version {
	before := map[*keyState]Version{}
	c.flushing = c.s.now + 5*time.Second
	for _, k := range c.keys {
		before[k] = k.floor
		k.unsure, k.deleteAt = true, c.flushing
	}
	return before
}

// flushed notes that all members have carried a flush out: what was answered before
// it began is gone.
func (c *checker) flushed(before map[*keyState]Version) {
	c.flushes++
	for k, floor := range before {
		if k.floor == floor {
			k.deleted = true
		}
	}
}

// told gives what the side of a node knows of a key, while there are sides.
func (c *checker) told(n *simNode, k *keyState) known {
	if c.sided && c.s.side != nil {
		return k.sides[c.s.side[n.id.Name]]
	}
	return known{}
}

// cut notes that the cluster is being cut in two.
func (c *checker) cut(kind int) {
	c.sided = !c.lenient && kind != crossed // once more, and sides are not what they were
	c.lenient, c.forgiving = kind != crossed, kind != partition && kind != recut
	c.cutAt, c.steady = c.s.now, nil
	if kind == crossed {
		c.steady = c.s.settledSlots()
	}
	for _, k := range c.keys {
		k.sides = [3]known{}
		for i := range k.sides {
			k.sides[i] = known{k.floor, k.deleted}
		}
	}
}

// healed ends leniency: of what either side was told, the highest version is the
// floor. What a node had to do with that crashed meanwhile may be anything.
func (c *checker) healed() {
	c.lenient = false
	for name, k := range c.keys {
		if c.sided && c.forgiving {
			k.floor, k.deleted = k.sides[1].version, k.sides[1].deleted
			if k.sides[2].version.Less(k.floor) {
				k.floor, k.deleted = k.sides[2].version, k.sides[2].deleted
			}
			continue
		}
		if k.excused {
			delete(c.keys, name)
		}
	}
}

func slotOf(key string, slots int) Slot {
	return Slot(int(key[0]-'a') % slots)
}

func (s *sim) describe(slot Slot) string {
	out := ""
	for _, name := range s.names() {
		n := s.nodes[name]
		st := &n.m.slots[slot]
		out += fmt.Sprintf("\n  %v up=%v state=%d role=%d term=%d holder=%v@%d imports=%d source=%v claim=%v serve=%v owner=%s epoch=%x data=%v",
			n.m.self.ID, n.up, n.m.self.State, st.role, st.term, n.routes[slot], st.holderTerm, len(st.imports), st.source != nil,
			st.claim != nil, n.m.mayServe(), n.m.Owner(slot).Name, n.m.epoch&0xffff, n.data[slot])
	}
	return out
}

// settledSlots gives the holders of slots that are where they belong, and that every
// node sends operations to; none, if nodes differ in whom they know, or one is joining.
func (s *sim) settledSlots() map[Slot]*simNode {
	steady := map[Slot]*simNode{}
	var up []*simNode
	for _, name := range s.upNames() {
		up = append(up, s.nodes[name])
	}
	if !s.well(up) {
		return nil
	}
	for i := range s.slots {
		var holder *simNode
		agreed := true
		first := up[0]
		for _, n := range up {
			st := &n.m.slots[i]
			if st.role == roleHolding && n.m.Owner(Slot(i)) == n.m.self.ID {
				holder = n
			}
			agreed = agreed && n.m.epoch == first.m.epoch && n.routes[i] == first.routes[i] && st.source == nil && st.claim == nil
		}
		if agreed && holder != nil && first.routes[i] == holder.m.self.ID {
			steady[Slot(i)] = holder
		}
	}
	return steady
}

// served reports whether a node that is well holds a slot.
func (s *sim) served(slot Slot) bool {
	for _, n := range s.nodes {
		if n.up && s.now >= n.frozen && n.data[slot].role != roleNone && n.now() < n.until {
			return true
		}
	}
	return false
}

// ready holds that a node which says that it is ready may say so: each slot is served, or on
// its way, unless something has failed.
func (c *checker) ready(n *simNode) {
	if c.s.side != nil || c.lenient || c.s.fading != nil || c.s.lose != nil {
		return
	}
	for i := range c.s.slots {
		under := slices.ContainsFunc(c.s.names(), func(name string) bool {
			o := c.s.nodes[name]
			src := o.m.slots[i].source
			return o.up && src != nil && src.to != nil && !src.started
		})
		if !under && !c.s.served(Slot(i)) && c.s.now > c.busyUntil[Slot(i)] {
			c.fail("%v says that it is ready, and nobody holds slot %d: %s", n.id, i, c.s.describe(Slot(i)))
		}
	}
}
