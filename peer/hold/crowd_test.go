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
