package peer

import (
	"errors"
	"testing"
	"time"

	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// P4: while no member is lost, an operation waits for a slot that changes hands
// longer than it would after a failure.
func TestForwardIsPatient(t *testing.T) {
	nodes := forwardNodes(t, "a", "b")
	a, b := nodes[0], nodes[1]
	a.dir.with(func() { a.dir.quiet = true })
	a.f.patience = ample
	key := testKey(1)
	slot := proto.SlotOf(key)
	a.dir.set(slot, "b", 1) // which does not hold it yet
	begun := time.Now()
	o := begin(a.f, newOp(proto.OpSet, key, "v"))
	eventually(t, "the time of an operation is over", func() bool { return time.Since(begun) > answerWithin+2*callSlack })
	give(nodes, slot, b, 1)
	if op := o.wait(t); op.Status != proto.StatusOK || op.Node != "b" {
		t.Error(describe(op))
	}
	// Not for ever.
	a.f.patience = 2 * answerWithin
	begun = time.Now()
	op := carry(t, a.f, newOp(proto.OpSet, testKey(2), "v"))
	if took := time.Since(begun); op.Status != proto.StatusBusy || took < 2*answerWithin-2*callSlack {
		t.Errorf("%s after %v", describe(op), took)
	}
}

// A call waits on for a peer that is slow, and not for one that says nothing.
func TestCallIsPatient(t *testing.T) {
	kept := make(chan Reply, 2)
	_, _, link := pair(t, nil, func(c *Config) {
		c.Handler = handlerFunc(func(r Request, reply Reply) {
			if len(r.Body) > 0 {
				kept <- reply
				return
			}
			reply.Send(r.Header.Answer(proto.StatusOK, 1))
		})
	})
	const timeout = 30 * time.Millisecond
	send := func() (done chan error) {
		done = make(chan error, 1)
		call := &Call{Header: proto.Header{Op: proto.FramePing}, Timeout: timeout, Patience: time.Minute, Done: func(c *Call) { done <- c.Err }}
		if err := link.Send(call, []byte("x")); err != nil {
			t.Fatal(err)
		}
		return done
	}
	done := send()
	reply := <-kept
	for end := time.Now().Add(2 * time.Duration(quietAfter)); time.Now().Before(end); {
		if _, _, err := ask(link, proto.FramePing, ample); err != nil {
			t.Fatal(err)
		}
	}
	reply.Send(proto.Header{})
	if err := <-done; err != nil {
		t.Error("of a peer that was heard from:", err)
	}
	done = send()
	<-kept
	if err := <-done; !errors.Is(err, ErrDeadline) {
		t.Error("of a peer that says nothing:", err)
	}
}

// What counts as the loss of a member, and what as a planned change.
func TestLostMembers(t *testing.T) {
	member := func(incarnation uint64, s hold.State) []hold.Member {
		return []hold.Member{{ID: hold.ID{Name: "x", Incarnation: incarnation}, State: s}}
	}
	for _, c := range []struct {
		from, to []hold.Member
		want     bool
	}{
		{nil, member(1, hold.StateJoining), false},
		{member(1, hold.StateJoining), member(1, hold.StateServing), false},
		{member(1, hold.StateServing), member(1, hold.StateLeaving), false},
		{member(1, hold.StateLeaving), member(1, hold.StateGone), false},
		{member(1, hold.StateGone), member(2, hold.StateJoining), false},
		{member(1, hold.StateGone), nil, false},
		{member(1, hold.StateServing), member(1, hold.StateSilent), true},
		{member(1, hold.StateLeaving), member(1, hold.StateSilent), true},
		{member(1, hold.StateServing), member(1, hold.StateGone), true},
		{member(1, hold.StateServing), member(2, hold.StateServing), true},
	} {
		if got := lost(c.from, c.to); got != c.want {
			t.Errorf("%+v to %+v is a loss: %t", c.from, c.to, got)
		}
	}
}
