package peer

import (
	"fmt"
	"hash/fnv"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// fakeStore is a slotStore: a map, and for each slot how it is held. A slot that
// was never mentioned is not held.
type fakeStore struct {
	name    string
	mu      sync.Mutex
	entries map[string]fakeEntry
	slots   map[proto.Slot]fakeSlot
	clock   uint64
	late    bool           // writes are carried out by another goroutine
	gate    chan struct{}  // late writes wait for it, if it is set
	refused func()         // called when an operation was refused, without mu
	busy    int            // so many operations are refused as if the lease were over
	writers sync.WaitGroup // of late, and those that carry out what is imported
	warmed  map[string]int // how often Warm has told of keys
}

type fakeSlot struct {
	term            uint32
	held, importing bool
}

type fakeEntry struct {
	value   []byte
	etag    proto.ETag
	version proto.Version
	ttl     time.Duration
}

func newFakeStore(name string) *fakeStore {
	return &fakeStore{name: name, entries: map[string]fakeEntry{}, slots: map[proto.Slot]fakeSlot{}, warmed: map[string]int{}}
}

func (s *fakeStore) hold(slot proto.Slot, to fakeSlot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots[slot] = to
}

// with runs change, which may touch the store's fields.
func (s *fakeStore) with(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *fakeStore) Serves(slot proto.Slot) (term uint32, importing, held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.slots[slot]
	return at.term, at.importing, at.held
}

func (s *fakeStore) Holds(slot proto.Slot) bool {
	_, importing, held := s.Serves(slot)
	return held && !importing
}

func (s *fakeStore) Warm(slots []proto.Slot, keys [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, k := range keys {
		if proto.SlotOf(k) == slots[i] {
			s.warmed[string(k)]++
		}
	}
}

func (s *fakeStore) Submit(op *proto.Op) bool {
	s.mu.Lock()
	late, gate := s.late, s.gate
	s.mu.Unlock()
	if op.Code != proto.OpGet && late {
		op.Begin()
		s.writers.Add(1)
		go func() {
			defer s.writers.Done()
			if gate != nil {
				<-gate
			}
			s.apply(op)
			op.Complete()
		}()
		return op.Await()
	}
	s.apply(op)
	return true
}

// apply carries op out.
func (s *fakeStore) apply(op *proto.Op) {
	s.mu.Lock()
	op.Node = s.name
	at := s.slots[op.Slot]
	switch {
	case !at.held:
		op.Status = proto.StatusNotHolder
	case at.importing && !op.Importing:
		op.Status = proto.StatusBusy
	case s.busy > 0:
		s.busy--
		op.Status = proto.StatusBusy
	default:
		s.carryOut(op)
	}
	refused := s.refused
	s.mu.Unlock()
	if refused != nil && refusal(op.Status) {
		refused()
	}
}

func (s *fakeStore) carryOut(op *proto.Op) {
	e, ok := s.entries[string(op.Key)]
	merged := fakeEntry{op.Value, op.ETag, op.Version, op.TTL}
	op.ETag, op.Version, op.Remaining, op.Age = e.etag, e.version, e.ttl, 7
	op.Status = proto.StatusOK
	switch {
	case op.Code == proto.OpMerge && ok && !e.version.Less(merged.version):
		op.Status = proto.StatusStale
		return
	case op.Code == proto.OpMerge:
	case !ok && op.Code == proto.OpGet:
		op.Status = proto.StatusMiss
		return
	case op.IfMatch.Set && !op.IfMatch.Has(e.etag):
		op.Status = proto.StatusPrecondition
		return
	case op.IfNoneMatch.Set && op.IfNoneMatch.Has(e.etag):
		op.Status = proto.StatusPrecondition
		if op.Code == proto.OpGet {
			op.Status = proto.StatusNotModified
		}
		return
	case !ok && op.Code != proto.OpSet:
		op.Status = proto.StatusMiss
		return
	}
	switch op.Code {
	case proto.OpGet:
		if op.Limit > 0 && len(e.value) > op.Limit {
			op.Status = proto.StatusTooLarge
			return
		}
		op.Out = append(op.Out, e.value...)
		return
	case proto.OpDelete:
		delete(s.entries, string(op.Key))
		op.ETag = 0
		return
	case proto.OpTouch:
		e.ttl = op.TTL
	case proto.OpMerge:
		e = merged
	default:
		h := fnv.New64a()
		_, _ = h.Write(op.Value)
		s.clock++
		e = fakeEntry{op.Value, proto.ETag(h.Sum64() | 1), proto.Version{Term: s.slots[op.Slot].term, Clock: s.clock}, op.TTL}
	}
	e.value = append([]byte(nil), e.value...)
	s.entries[string(op.Key)] = e
	op.ETag, op.Version, op.Remaining = e.etag, e.version, e.ttl
}

// fakeDirectory is a directory: a table, and a record of what it was told.
type fakeDirectory struct {
	n      *forwardNode
	mu     sync.Mutex
	table  map[proto.Slot]fakeHolder
	learns bool // from MOVED
	quiet  bool // calm
	told   []fakeHolder
	ready  func(op *proto.Op) // importing's; nil: the store does it
}

type fakeHolder struct {
	name string
	term uint32
}

func (d *fakeDirectory) set(slot proto.Slot, name string, term uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.table[slot] = fakeHolder{name, term}
}

// with runs change, which may touch the directory's fields.
func (d *fakeDirectory) with(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *fakeDirectory) holder(slot proto.Slot) (link *Link, self, ok bool) {
	d.mu.Lock()
	h, ok := d.table[slot]
	d.mu.Unlock()
	if !ok || h.name == d.n.name {
		return nil, ok, ok
	}
	return d.n.links.Link(h.name), false, true
}

func (d *fakeDirectory) redirect(slot proto.Slot) (name string, incarnation uint64, term uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.table[slot]
	if h.name == d.n.name {
		return "", 0, 0
	}
	return h.name, 9, h.term
}

func (d *fakeDirectory) moved(slot proto.Slot, _ *Link, name []byte, _ uint64, term uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := fakeHolder{string(name), term}
	d.told = append(d.told, h)
	if d.learns {
		d.table[slot] = h
	}
}

func (d *fakeDirectory) linkTo(name []byte) *Link { return d.n.links.Link(string(name)) }

func (d *fakeDirectory) calm() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.quiet
}

func (d *fakeDirectory) epoch() uint64 { return 77 }

func (d *fakeDirectory) importing(op *proto.Op, within time.Duration) {
	if within <= 0 || within > d.n.f.within {
		panic(fmt.Sprint("within ", within))
	}
	d.mu.Lock()
	ready := d.ready
	d.mu.Unlock()
	if ready != nil {
		ready(op)
		return
	}
	op.Importing = true
	d.n.store.writers.Go(func() {
		if d.n.store.Submit(op) {
			op.Done(op)
		}
	})
}

// forwardNode is a node as far as forwarding goes.
type forwardNode struct {
	name  string
	store *fakeStore
	dir   *fakeDirectory
	f     *forwarder
	links *Links
	// override, if it is set, answers in place of the forwarder.
	override atomic.Pointer[func(Request, Reply)]
}

func (n *forwardNode) ServeFrame(r Request, reply Reply) {
	if o := n.override.Load(); o != nil {
		(*o)(r, reply)
		return
	}
	n.f.serve(r, reply)
}

// sinceNow gives a clock that begins now.
func sinceNow() func() int64 {
	base := time.Now()
	return func() int64 { return int64(time.Since(base)) + 1 }
}

func newForwardNode(name string, now func() int64) *forwardNode {
	n := &forwardNode{name: name, store: newFakeStore(name)}
	n.dir = &fakeDirectory{n: n, table: map[proto.Slot]fakeHolder{}}
	if now == nil {
		n.f = newForwarder(n.store, n.dir, sinceNow())
	} else {
		n.f = newQuietForwarder(n.store, n.dir, now)
	}
	return n
}

// forwardNodes gives nodes of these names, all linked. At the end nothing may be
// left on its way.
func forwardNodes(t testing.TB, names ...string) (nodes []*forwardNode) {
	t.Helper()
	var all []*node
	for _, name := range names {
		n := newForwardNode(name, nil)
		links := start(t, name, func(c *Config) { c.Handler = n })
		n.links = links.Links
		for _, other := range all {
			connect(t, links, other)
		}
		all, nodes = append(all, links), append(nodes, n)
	}
	t.Cleanup(func() {
		for i, n := range nodes {
			if err := all[i].Close(); err != nil {
				t.Error(err)
			}
			n.f.close()
		}
		for _, n := range nodes { // what one carries out may be of another
			n.store.writers.Wait()
		}
		for _, n := range nodes {
			if l, s, c, p := n.f.live.Load(), n.f.serving.Load(), n.f.copied.Load(), n.f.parked.count.Load(); l != 0 || s != 0 || c != 0 || p != 0 {
				t.Errorf("%s: %d on their way, %d served, %d bytes kept, %d parked", n.name, l, s, c, p)
			}
		}
	})
	return nodes
}

// patient nodes give operations so much time that no load makes a test fail.
func patient(nodes []*forwardNode) []*forwardNode {
	for _, n := range nodes {
		n.f.within = ample
	}
	return nodes
}

// give makes node the holder of a slot, and all know it.
func give(nodes []*forwardNode, slot proto.Slot, to *forwardNode, term uint32) {
	for _, n := range nodes {
		n.store.hold(slot, fakeSlot{term: term, held: n == to})
		n.dir.set(slot, to.name, term)
	}
}

func dialTo(t testing.TB, l *Links) net.Conn {
	t.Helper()
	return dialRaw(t, &node{Links: l}).c
}

func testKey(i int) []byte { return fmt.Appendf(nil, "skey%d", i) }

func newOp(code proto.Opcode, key []byte, value string) *proto.Op {
	op := &proto.Op{Code: code, Key: key, Slot: proto.SlotOf(key), TTL: proto.Forever}
	if code == proto.OpSet || code == proto.OpMerge {
		op.Value = []byte(value)
	}
	if code == proto.OpMerge {
		op.ETag, op.Version = 5, proto.Version{Term: 1, Clock: 1}
	}
	return op
}

// outcome is an operation that was submitted.
type outcome struct {
	op    *proto.Op
	done  chan struct{}
	times atomic.Int32
}

// begin submits op.
func begin(f *forwarder, op *proto.Op) *outcome {
	o := &outcome{op: op, done: make(chan struct{}, 2)}
	op.Done = func(*proto.Op) {
		o.times.Add(1)
		o.done <- struct{}{}
	}
	if f.Submit(op) {
		o.done <- struct{}{}
	}
	return o
}

// wait waits until the operation is complete.
func (o *outcome) wait(t testing.TB) *proto.Op {
	t.Helper()
	select {
	case <-o.done:
	case <-time.After(2 * ample):
		t.Fatal("never complete")
	}
	return o.op
}

func carry(t testing.TB, f *forwarder, op *proto.Op) *proto.Op {
	t.Helper()
	return begin(f, op).wait(t)
}

// describe says all that an operation has come to.
func describe(op *proto.Op) string {
	return fmt.Sprintf("%v %q etag %x, %v left, age %v, %v", op.Status, op.Out, op.ETag, op.Remaining, op.Age, op.Version)
}
