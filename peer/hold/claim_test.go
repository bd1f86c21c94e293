package hold

import "testing"

// heard is a driver that notes what kinds of messages were sent.
type heard struct {
	deaf
	kinds []Kind
}

func (h *heard) Send(_ ID, m *Message) { h.kinds = append(h.kinds, m.Kind) }

// TestGrantAfterClaim: a holder who has answered a claim grants the slot under a later term.
// The claimer has promised itself the term of its claim, and takes no grant under it: the
// slot would be nobody's until it claims once more. It is so where both made the same term at
// the same time.
func TestGrantAfterClaim(t *testing.T) {
	const slot = 1
	d := &heard{}
	m := whole65536(d)
	b := Member{ID: ID{"b", RunStep}, State: StateServing, Weight: 1}
	m.Receive(m.now, &Message{Kind: MsgPing, From: b})
	if owner := m.Owner(slot); owner != b.ID {
		t.Fatalf("the slot belongs to %v", owner)
	}
	made := m.newTerm(&m.slots[slot])
	d.kinds = nil
	m.Receive(m.now, &Message{Kind: MsgClaim, From: b, To: m.self.ID, Epoch: m.epoch, Slot: slot, Term: made})
	if len(d.kinds) != 1 || d.kinds[0] != MsgMoved {
		t.Fatalf("the claim is answered by %v", d.kinds)
	}
	if term := m.newTerm(&m.slots[slot]); term <= made {
		t.Errorf("after a claim under term %d the next term is %d", made, term)
	}
}
