package bench

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/smache/smache/proto"
)

// A fakeTarget is a map. If it is asynchronous, every other operation is
// completed by another goroutine.
type fakeTarget struct {
	mu     sync.Mutex
	values map[string][]byte
	async  bool
	wrong  func(op *proto.Op, n int) // spoils an answer
	ops    int
	writes int
	equal  int // writes of what was there already
}

func (f *fakeTarget) Submit(op *proto.Op) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ops++
	op.Begin()
	switch op.Code {
	case proto.OpSet:
		f.writes++
		if bytes.Equal(f.values[string(op.Key)], op.Value) {
			f.equal++
		}
		f.values[string(op.Key)] = bytes.Clone(op.Value)
		op.Status = proto.StatusOK
	case proto.OpGet:
		value, ok := f.values[string(op.Key)]
		op.Status = proto.StatusMiss
		if ok {
			op.Status, op.Out = proto.StatusOK, append(op.Out, value...)
		}
	}
	if op.Slot != proto.SlotOf(op.Key) {
		op.Status = proto.StatusNotHolder
	}
	if f.wrong != nil {
		f.wrong(op, f.ops)
	}
	if f.async && f.ops%2 == 0 {
		if op.Await() {
			panic("complete too early")
		}
		go op.Complete()
		return false
	}
	return true
}

func TestRunEngine(t *testing.T) {
	for _, async := range []bool{false, true} {
		f := &fakeTarget{values: map[string][]byte{}, async: async}
		r, err := RunEngine(context.Background(), EngineConfig{Target: f, Records: 100, Rounds: 3, ValueSize: 40, Goroutines: 3})
		if err != nil {
			t.Fatal(err)
		}
		if f.ops != 600 || f.writes != 300 || f.equal != 0 || len(f.values) != 100 {
			t.Errorf("%d operations, %d writes, %d of them equal, %d keys", f.ops, f.writes, f.equal, len(f.values))
		}
		if r.Records != 100 || r.Rounds != 3 || r.ValueSize != 40 || r.Goroutines != 3 || r.Both.Min > r.Both.Median || r.Both.Median > r.Both.Max {
			t.Errorf("%+v", r)
		}
	}
}

func TestRunEngineFails(t *testing.T) {
	for name, wrong := range map[string]func(op *proto.Op, n int){
		"full queue": func(op *proto.Op, n int) {
			if n == 7 {
				op.Status = proto.StatusQueueFull
			}
		},
		"miss": func(op *proto.Op, n int) {
			if n == 17 {
				op.Status = proto.StatusMiss
			}
		},
		"other value": func(op *proto.Op, n int) {
			if n == 17 {
				op.Out[3] ^= 1
			}
		},
	} {
		f := &fakeTarget{values: map[string][]byte{}, wrong: wrong}
		if r, err := RunEngine(context.Background(), EngineConfig{Target: f, Records: 10, Goroutines: 1}); !errors.Is(err, ErrEngine) || r != nil {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	f := &fakeTarget{values: map[string][]byte{}}
	for name, cfg := range map[string]EngineConfig{
		"no target":        {},
		"negative records": {Target: f, Records: -1},
		"too many records": {Target: f, Records: MaxRecords + 1},
		"negative rounds":  {Target: f, Rounds: -1},
		"value too small":  {Target: f, ValueSize: 1},
		"no goroutines":    {Target: f, Goroutines: -1},
		"many goroutines":  {Target: f, Goroutines: MaxGoroutines + 1},
	} {
		if _, err := RunEngine(context.Background(), cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := RunEngine(ctx, EngineConfig{Target: f}); !errors.Is(err, ErrInterrupted) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestEngineReportGolden(t *testing.T) {
	r := &EngineResult{
		Records: 10_000, Rounds: 11, ValueSize: 58, Goroutines: 2,
		Write: spread([]float64{3, 1, 2}), Read: spread([]float64{1.5, .5}), Both: spread([]float64{4}),
	}
	var text, line, table bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteJSON(&line), r.WriteCSV(&table)); err != nil {
		t.Fatal(err)
	}
	golden(t, "engine.txt", text.Bytes())
	golden(t, "engine.json", line.Bytes())
	golden(t, "engine.csv", table.Bytes())
}
