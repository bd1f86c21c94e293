package peer

import (
	"testing"

	"github.com/smache/smache/proto"
)

// stillStore answers every operation without an allocation: a hit, of a node that
// holds all slots or none.
type stillStore struct {
	value []byte
	held  bool
}

func (s *stillStore) Serves(proto.Slot) (term uint32, importing, held bool) { return 1, false, s.held }

func (s *stillStore) Holds(proto.Slot) bool { return s.held }

func (s *stillStore) Warm([]proto.Slot, [][]byte) {}

func (s *stillStore) Submit(op *proto.Op) bool {
	if !s.held {
		op.Status = proto.StatusNotHolder
		return true
	}
	op.Status, op.ETag, op.Remaining = proto.StatusOK, 7, proto.Forever
	if op.Code == proto.OpGet {
		op.Out = append(op.Out, s.value...)
	}
	return true
}

// oneHolder is a directory in which a peer holds everything.
type oneHolder struct {
	directory
	link *Link
}

func (d *oneHolder) holder(proto.Slot) (link *Link, self, ok bool) {
	return d.link, d.link == nil, true
}
func (d *oneHolder) epoch() uint64 { return 1 }

// memoryForwarders gives a forwarder whose operations all go to another, over a
// link in memory that run drives.
func memoryForwarders(t testing.TB, value []byte) (f *forwarder, run func()) {
	t.Helper()
	clock := func() int64 { return 1 }
	there := newQuietForwarder(&stillStore{value: value, held: true}, &oneHolder{}, clock)
	p, link := newMemoryPair(t, testKeys(t), handlerFunc(there.serve))
	return newQuietForwarder(&stillStore{}, &oneHolder{link: link}, clock), p.run
}

// A forwarded operation and its answer allocate nothing, at either end, and nor
// does a batch.
func TestForwardNoAllocations(t *testing.T) {
	if raceEnabled {
		return // sync.Pool drops things at random then
	}
	f, run := memoryForwarders(t, make([]byte, 100))
	count := 0
	done := func(*proto.Op) { count++ }
	op := newOp(proto.OpGet, testKey(1), "")
	buffer := make([]byte, 0, 1024)
	for _, code := range []proto.Opcode{proto.OpGet, proto.OpSet, proto.OpTouch, proto.OpDelete} {
		n := testing.AllocsPerRun(1000, func() {
			op.Code, op.Done, op.Out = code, done, buffer
			if !f.Submit(op) {
				run()
			}
		})
		if op.Status != proto.StatusOK || op.Node != "b" || code == proto.OpGet && len(op.Out) != 100 {
			t.Fatal(describe(op))
		}
		if n > 0.1 {
			t.Errorf("%v: %v allocations", code, n)
		}
	}
	if count != 4*1001 {
		t.Errorf("Done %d times", count)
	}
	var ops []*proto.Op
	for i := range 100 {
		ops = append(ops, newOp(proto.OpGet, testKey(i), ""))
	}
	for _, code := range []proto.Opcode{proto.OpGet, proto.OpSet, proto.OpTouch, proto.OpDelete} {
		n := testing.AllocsPerRun(100, func() {
			for i, op := range ops {
				op.Code, op.Done, op.Out = code, done, buffer[i*8:i*8:i*8]
				if code == proto.OpGet {
					op.Out = buffer[:0]
				}
			}
			f.SubmitAll(ops)
			run()
		})
		if ops[99].Status != proto.StatusOK {
			t.Fatal(describe(ops[99]))
		}
		if n > 0.5 {
			t.Errorf("a batch of %v: %v allocations", code, n)
		}
	}
}
