package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/smache/smache/proto"
)

// The hot path allocates nothing, once its buffers have grown; nor does it where
// slots change hands, and keys that go are remembered.
func TestNoAllocations(t *testing.T) {
	t.Run("alone", func(t *testing.T) { testNoAllocations(t, newTestStore(t, Config{Writers: 1})) })
	t.Run("cluster", func(t *testing.T) {
		s := newClusterStore(t, Config{Writers: 1})
		rememberAll(s)
		testNoAllocations(t, s)
	})
}

func testNoAllocations(t *testing.T, s *Store) {
	runs := shorter(500, 20)
	for _, size := range []int{s.inlineMax, 100_000, 60}[:shorter(3, 2)] { // small ones turn the ring slowly
		value := []byte(strings.Repeat("v", size))
		other := []byte(strings.Repeat("w", size))
		k := key("key")
		op, wait := waitingOp()
		out := make([]byte, 0, 2*size+4096)
		run := func(code proto.Opcode, value []byte) {
			op.Reset()
			op.Code, op.Slot, op.Key, op.Value, op.TTL, op.Out = code, proto.SlotOf(k), k, value, proto.Forever, out
			if !s.Submit(op) {
				<-wait
			}
			if op.Status != proto.StatusOK {
				t.Fatalf("status %d", op.Status)
			}
		}
		run(proto.OpSet, value)
		if n := allocations(runs, func() { run(proto.OpGet, nil) }); n != 0 {
			t.Errorf("a read of %d bytes allocates %v times", size, n)
		}
		if n := allocations(runs, func() { run(proto.OpSet, value) }); n != 0 {
			t.Errorf("an equal write of %d bytes allocates %v times", size, n)
		}
		// The logs of the buckets grow until the ring has turned once.
		for range 2 * ArenaUnit / (size + 100) / 2 {
			run(proto.OpSet, other)
			run(proto.OpSet, value)
		}
		if n := allocations(runs, func() { run(proto.OpSet, other); run(proto.OpSet, value) }); n != 0 {
			t.Errorf("a write of %d bytes allocates %v times", size, n)
		}
	}
}

// allocations is testing.AllocsPerRun, which counts what the whole process allocates: where
// the machine is slow, that of a sweeper or of another test makes up one for each of a few
// runs. What f itself allocates is there in every try.
func allocations(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for range 2 {
		if least > 0 {
			least = min(least, testing.AllocsPerRun(runs, f))
		}
	}
	return least
}

// waitingOp gives an operation that sends on the channel when it is complete
// after Submit has returned false.
func waitingOp() (*proto.Op, chan struct{}) {
	wait := make(chan struct{}, 1)
	return &proto.Op{Done: func(*proto.Op) { wait <- struct{}{} }}, wait
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1, 10_000, 100_000} {
		b.Run(fmt.Sprint(n, "keys"), func(b *testing.B) {
			s := newTestStore(b, Config{ArenaBytes: 2 * ArenaUnit})
			keys := make([][]byte, n)
			for i := range keys {
				keys[i] = key(fmt.Sprint("key", i))
				set(s, fmt.Sprint("key", i), strings.Repeat("v", 60))
			}
			op := &proto.Op{}
			out := make([]byte, 0, 4096)
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				op.Code, op.Key, op.Slot, op.Out = proto.OpGet, keys[i], proto.SlotOf(keys[i]), out
				s.Submit(op)
			}
		})
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1, 10_000, 100_000} {
		b.Run(fmt.Sprint(n, "keys"), func(b *testing.B) {
			s := newTestStore(b, Config{ArenaBytes: 2 * ArenaUnit})
			keys := make([][]byte, n)
			for i := range keys {
				keys[i] = key(fmt.Sprint("key", i))
			}
			values := [2][]byte{[]byte(strings.Repeat("v", 60)), []byte(strings.Repeat("w", 60))}
			op, wait := waitingOp()
			i, turn := 0, 0
			for b.Loop() {
				if i += 7919; i >= n {
					i %= n
					turn++
				}
				op.Code, op.Key, op.Slot, op.Value, op.TTL = proto.OpSet, keys[i], proto.SlotOf(keys[i]), values[turn%2], proto.Forever
				if !s.Submit(op) {
					<-wait
				}
			}
		})
	}
}
