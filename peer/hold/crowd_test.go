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
