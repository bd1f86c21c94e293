package peer

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// Slots go round among nodes while all of them ask for all, singly and in batches:
// every operation is complete, once, in time, and says something that can be. In
// the end nothing is on its way.
func TestForwardStress(t *testing.T) {
	nodes := forwardNodes(t, "a", "b", "c")
	const keys = 24
	for i := range keys {
		give(nodes, proto.SlotOf(testKey(i)), nodes[i%3], 1)
	}
	for i, n := range nodes {
		n.dir.learns = true
		n.store.late = i == 1
	}
	stop := make(chan struct{})
	var moving, working sync.WaitGroup
	moving.Go(func() {
		for term := uint32(2); ; term++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			slot := proto.SlotOf(testKey(rand.IntN(keys)))
			to := nodes[rand.IntN(3)]
			for _, n := range nodes { // some hear of it later, by a MOVED
				if n.store.hold(slot, fakeSlot{}); rand.IntN(2) == 0 || n == to {
					n.dir.set(slot, to.name, term)
				}
			}
			to.store.hold(slot, fakeSlot{term: term, held: true, importing: rand.IntN(3) == 0})
		}
	})
	var count [32]atomic.Int64
	check := func(op *proto.Op, took time.Duration) {
		count[op.Status].Add(1)
		switch op.Status {
		case proto.StatusOK, proto.StatusMiss, proto.StatusBusy, proto.StatusUnreachable:
		default:
			t.Error(describe(op))
		}
		if op.Status == proto.StatusOK && op.Code == proto.OpGet && !bytes.HasPrefix(op.Out, op.Key) {
			t.Errorf("%q has %q", op.Key, op.Out)
		}
		if took > 5*time.Second {
			t.Errorf("%v after %v", op.Status, took)
		}
	}
	random := func() *proto.Op {
		key := testKey(rand.IntN(keys))
		return newOp(proto.Opcode(1+rand.IntN(4)), key, string(key)+strings.Repeat("x", rand.IntN(300)))
	}
	for _, n := range nodes {
		for worker := range 4 {
			working.Go(func() {
				for range 150 {
					begun := time.Now()
					if worker > 0 {
						op := carry(t, n.f, random())
						check(op, time.Since(begun))
						continue
					}
					ops := make([]*proto.Op, 10)
					for i := range ops {
						ops[i] = random()
					}
					submitBatch(t, n.f, ops)
					for _, op := range ops {
						check(op, time.Since(begun))
					}
				}
			})
		}
	}
	working.Wait()
	close(stop)
	moving.Wait()
	if count[proto.StatusOK].Load() < 100 {
		t.Error("hardly anything is answered")
	}
}

// Each counter counts.
func TestForwardMetrics(t *testing.T) {
	nodes := patient(forwardNodes(t, "a", "b", "c"))
	a, b, c := nodes[0], nodes[1], nodes[2]
	key := testKey(1)
	slot := proto.SlotOf(key)
	give(nodes, slot, c, 2)
	a.dir.set(slot, "b", 1)
	c.store.busy, a.dir.learns = 1, true
	carry(t, a.f, newOp(proto.OpSet, key, "v"))
	metrics := func() string { return string(b.f.appendMetrics(a.f.appendMetrics(nil, a.links), b.links)) }
	lines := []string{
		`smache_forward_sent_total{peer="b"} 1`, `smache_forward_sent_total{peer="c"} 2`,
		`smache_forward_seconds_count{peer="c"} 1`, `smache_forward_moved_total{peer="b"} 1`,
		`smache_forward_busy_total{peer="c"} 1`, `smache_forward_unreachable_total{peer="c"} 0`,
		`smache_forward_served_total{peer="a"} 1`, `smache_forward_served_total{peer="all clients"} 0`,
		"smache_forward_retries_total 1", "smache_forward_parked_total 1", "smache_forward_parked 0",
		"smache_forward_in_flight 0", "smache_forward_serving 0", "smache_forward_kept_bytes 0",
		"smache_forward_crowded_total 0", "smache_forward_overfull_total 0",
	}
	// What is sent, served or parked may be answered before it is counted.
	for _, line := range lines {
		eventually(t, line, func() bool { return strings.Contains(metrics(), line+"\n") })
	}
	got := metrics()
	for _, line := range lines {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("%s is not in\n%s", line, got)
		}
	}
	if strings.Contains(got, "key1") {
		t.Error("a key is in a metric")
	}
}
