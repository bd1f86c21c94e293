package hold

import (
	"testing"
	"time"
)

// Where many nodes start together it takes long until each has a link to all others:
// one from which nothing has come yet is not dead for that.
func TestStrangersAreGivenTime(t *testing.T) {
	m := whole65536(&deaf{})
	b := Member{ID: ID{"b", RunStep}, State: StateServing, Weight: 1}
	c := Member{ID: ID{"c", RunStep}, State: StateServing, Weight: 1}
	met := m.now
	m.Receive(met, &Message{Kind: MsgMembers, From: b, To: m.self.ID, Members: []Member{b, c}})
	silentFor := func(name string) time.Duration {
		for now := m.now; now < met+time.Minute; now += TickEvery {
			if m.Tick(now); m.member(name).State == StateSilent {
				return now - met
			}
		}
		return time.Hour
	}
	if after := silentFor("b"); after < silence || after > silence+time.Second {
		t.Errorf("who has spoken is silent after %v", after)
	}
	if after := silentFor("c"); after < strange || after > strange+time.Second {
		t.Errorf("who never has is silent after %v", after)
	}
}

// A node that is called late makes up for it, in portions: it would let pings wait
// otherwise. However slow it is, and whatever time does meanwhile, it gets through.
func TestLateTickComesInPortions(t *testing.T) {
	m := whole65536(&deaf{})
	b := Member{ID: ID{"b", RunStep}, State: StateServing, Weight: 1}
	m.Receive(m.now, &Message{Kind: MsgMembers, From: b, To: m.self.ID, Members: []Member{b}})
	m.markAll() // whatever b has to do with
	now := m.now + 2*time.Second
	for calls := 1; m.found == 0; calls++ { // not once through; there is time for one portion at a time
		if !m.Tick(now) {
			t.Fatal("it has nothing more to do")
		}
		if calls > len(m.slots)/walkPortion {
			t.Fatalf("it has not got through in %d calls", calls)
		}
		if m.walk.slots > calls*walkPortion {
			t.Fatalf("it has passed %d slots in %d calls", m.walk.slots, calls)
		}
		if next := m.Next(); next <= m.now || next > m.now+walkPause {
			t.Fatalf("it is behind, and wants to be called after %v", next-m.now)
		}
		now = m.Next()
	}
	// What it is behind never comes to more than a round.
	for range 3 {
		now += time.Hour
		m.Tick(now)
	}
	calls := 0
	for more := m.due > 0; more; more = m.Walk(now) {
		calls++
	}
	if calls == 0 || calls > len(m.slots)/walkPortion {
		t.Errorf("%d portions", calls)
	}
}

// A walk that has begun, and goes on with a slot that was postponed, passes all slots all the
// same: a node must not say that its slots are held before it has looked at each.
func TestWalkPassesAllSlots(t *testing.T) {
	m := New(Config{
		Self: ID{"a", RunStep}, Weight: 1, Slots: 4, Window: 1, Batch: 1,
		Place: func(members []Member) func(Slot) int {
			return func(s Slot) int { return min(int(s), len(members)-1) } // but for slot 0 all are b's
		},
	}, &deaf{}, 0)
	b := Member{ID: ID{"b", RunStep}, State: StateServing, Weight: 1}
	m.Receive(0, &Message{Kind: MsgMembers, From: b, To: m.self.ID, Members: []Member{b}})
	m.tickWhole(0)
	if m.self.State != StateServing || m.Owner(0) != m.self.ID || m.Owner(1) != b.ID {
		t.Fatalf("%+v, and slots belong to %v, %v", m.self, m.Owner(0), m.Owner(1))
	}
	m.walk, m.from = walk{slots: 2}, 0
	m.postponed, m.first = true, 1
	if m.tickWhole(TickEvery); m.provided {
		t.Error("it says that its slots are held, and nobody holds the first")
	}
}
