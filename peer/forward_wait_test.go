package peer

import (
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// The wheel: each is tried again when it is due and never before, though the clock
// leaps now and then. Only after a leap beyond the wheel's length it may be early.
func TestWheel(t *testing.T) {
	const beat = int64(beatEvery)
	for _, step := range []int64{beat / 3, beat, 5 * beat, 100 * beat} {
		now := int64(1)
		n := newForwardNode("a", func() int64 { return now })
		due := map[*trip]int64{}
		for round := range int64(300) {
			for tr := n.f.parked.due(now); tr != nil; tr = tr.next {
				at, ok := due[tr]
				if !ok || now > at+step+2*beat || now < at && step < beats*beat {
					t.Errorf("step %d: at %d, due at %d, %t", step, now, at, ok)
				}
				delete(due, tr)
			}
			for i := range int64(3) {
				if round > 200 {
					break
				}
				tr := n.f.newTrip(&proto.Op{})
				at := now + (round+i*17)%40*beat + i
				if status := n.f.parked.add(tr, now, at); status != proto.StatusOK {
					t.Fatal(status)
				}
				due[tr] = at
			}
			now += step
			if round > 200 {
				now += beat
			}
		}
		if len(due) > 0 || n.f.parked.count.Load() != 0 {
			t.Errorf("step %d: %d are left", step, len(due))
		}
	}
}

// Beyond maxParked operations are refused at once. At the deadline all are
// answered.
func TestParkedAreBounded(t *testing.T) {
	now := int64(1)
	n := newForwardNode("a", func() int64 { return now })
	var waiting []*outcome
	for range maxParked {
		waiting = append(waiting, begin(n.f, newOp(proto.OpSet, testKey(1), "v")))
	}
	if got := n.f.parked.count.Load(); got != maxParked {
		t.Fatalf("%d parked", got)
	}
	for i := range 3 {
		op := newOp(proto.OpGet, testKey(1), "")
		if !n.f.Submit(op) || op.Status != proto.StatusBusy || n.f.crowded.Load() != uint64(i+1) {
			t.Error(describe(op), n.f.crowded.Load())
		}
	}
	for range int(answerWithin / time.Millisecond) {
		now += int64(time.Millisecond)
		n.f.beat()
	}
	for _, o := range waiting {
		if op := o.wait(t); op.Status != proto.StatusBusy {
			t.Fatal(describe(op))
		}
	}
	if n.f.live.Load() != 0 {
		t.Error(n.f.live.Load(), "left")
	}
}

// A pause that a peer names is kept; one that is longer than there is time for ends
// it at once.
func TestPauses(t *testing.T) {
	now := int64(1)
	n := newForwardNode("a", func() int64 { return now })
	op := newOp(proto.OpSet, testKey(1), "v")
	for wait, want := range map[time.Duration]time.Duration{
		0: retryAfter, time.Millisecond: retryAfter, 50 * time.Millisecond: 50 * time.Millisecond, time.Hour: 0,
	} {
		tr := n.f.newTrip(op)
		tr.link = &Link{}
		op.Begin()
		tr.redirected(&proto.Answer{Status: proto.StatusBusy, Redirect: proto.Redirect{Wait: wait}}, 0)
		if want == 0 {
			if !op.IsComplete() || op.Status != proto.StatusBusy {
				t.Error("it waits for what it will not live to see")
			}
			continue
		}
		begun := now
		for n.f.parked.due(now) == nil {
			now += int64(time.Millisecond)
		}
		if took := time.Duration(now - begun); took < want || took > want+2*beatEvery {
			t.Errorf("%v: a pause of %v", wait, took)
		}
		tr.finish(proto.StatusBusy)
	}
}
