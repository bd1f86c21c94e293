package hold

import (
	"testing"
	"time"
	"unsafe"

	"github.com/smache/smache/proto"
)

// deaf is a driver that does nothing, but for counting.
type deaf struct{ sent, held int }

func (d *deaf) Send(ID, *Message)                            { d.sent++ }
func (d *deaf) Do(*Op)                                       {}
func (d *deaf) Refuse(*Op)                                   {}
func (d *deaf) Route(Slot, ID, uint32)                       {}
func (d *deaf) Serve(time.Duration)                          {}
func (d *deaf) Hold(Slot, uint32, bool)                      { d.held++ }
func (d *deaf) Release(Slot)                                 {}
func (d *deaf) Remember(Slot, bool)                          {}
func (d *deaf) Knows(Slot, string) bool                      { return false }
func (d *deaf) Keys(Slot) []string                           { return nil }
func (d *deaf) Items(Slot, []string, int) (_ []Entry, _ int) { return nil, 0 }
func (d *deaf) Merge(Slot, []Entry) Merged                   { return Merged{} }
func (d *deaf) Remove(Slot, []string) int                    { return 0 }
func (d *deaf) Drop(Slot) int                                { return 0 }
func (d *deaf) Floor(Slot) Version                           { return Version{} }
func (d *deaf) Clock() uint64                                { return 0 }
func (d *deaf) Adopt(uint64)                                 {}
func (d *deaf) Flush()                                       {}

// whole65536 makes a machine that holds every slot of a real cluster.
func whole65536(d Driver) *Machine {
	m := New(Config{
		Self: ID{"a", RunStep}, Weight: 1, Slots: proto.Slots, Window: 256, MaxWaiting: 1000, Batch: 1 << 16,
		Place: func(members []Member) func(Slot) int {
			return func(s Slot) int { return int(s) % max(len(members), 1) }
		},
	}, d, 0)
	for now := time.Duration(0); now < 2*time.Second; now += TickEvery {
		m.tickWhole(now)
	}
	return m
}

// tickWhole is a tick of a caller who has all the time in the world.
func (m *Machine) tickWhole(now time.Duration) {
	for more := m.Tick(now); more; more = m.Walk(now) {
	}
}

// A machine alone holds every slot, and has nothing more to do with them.
func TestQuietMachineIsQuiet(t *testing.T) {
	d := &deaf{}
	m := whole65536(d)
	if n := m.Stats().Held.Load(); n != proto.Slots {
		t.Fatalf("it holds %d slots of %d", n, proto.Slots)
	}
	for i, word := range m.active {
		if word != 0 {
			t.Fatalf("slots from %d on still want something: %b", i*64, word)
		}
	}
	if d.held != proto.Slots {
		t.Errorf("the store was told %d times to hold a slot", d.held)
	}
	if size := unsafe.Sizeof(slot{}); size > 192 {
		t.Errorf("a slot takes %d bytes: see the memory plan of engine", size)
	}
}

func BenchmarkIdleTick(b *testing.B) {
	m := whole65536(&deaf{})
	now := m.now
	for b.Loop() {
		now += TickEvery
		m.tickWhole(now)
	}
}

// BenchmarkMemberChange is what a node that joins or leaves costs the machine of
// another, placement apart.
func BenchmarkMemberChange(b *testing.B) {
	m := whole65536(&deaf{})
	b.ReportMetric(float64(unsafe.Sizeof(slot{})), "bytes/slot")
	incarnation := uint64(RunStep)
	for b.Loop() {
		incarnation++
		m.Receive(m.now, &Message{Kind: MsgPing, From: Member{ID: ID{"b", incarnation}, State: StateJoining, Weight: 1}})
	}
}

// Slots that change hands together use up one term; when there are no more, they stay
// where they are.
func TestTermsAreShared(t *testing.T) {
	m := whole65536(&deaf{})
	if m.terms > 2 {
		t.Errorf("claiming all slots has used %d terms", m.terms)
	}
	now := 2 * time.Second
	b := Member{ID: ID{"b", RunStep}, State: StateServing, Weight: 1}
	take := func(n Slot) {
		m.Receive(now, &Message{Kind: MsgTake, From: b, To: m.self.ID, Epoch: m.epoch, Slot: n, Terms: m.terms})
	}
	m.Receive(now, &Message{Kind: MsgMembers, From: b, To: m.self.ID, Members: []Member{b}})
	before := m.terms
	for n := range 1000 {
		take(Slot(n)*2 + 1)
	}
	if held := m.Stats().Held.Load(); held != proto.Slots-1000 || m.terms > before+1 {
		t.Errorf("it holds %d slots, and terms went from %d to %d", held, before, m.terms)
	}
	m.terms = MaxTerm
	take(3001)
	if held := m.Stats().Held.Load(); held != proto.Slots-1000 {
		t.Errorf("it holds %d slots, with no terms left", held)
	}
	if s := &m.slots[3001]; s.role != roleHolding {
		t.Error("it does not serve what it could not give away")
	}
}
