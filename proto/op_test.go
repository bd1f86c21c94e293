package proto

import (
	"reflect"
	"testing"
	"time"
)

// What is refused without having been done goes to Again, once; the next time it
// is complete. All else completes at once.
func TestOpAgain(t *testing.T) {
	for status := StatusOK; status <= statusLast; status++ {
		agains, dones := 0, 0
		op := &Op{
			Done:  func(*Op) { dones++ },
			Again: func(op *Op) { agains++ },
		}
		op.Begin()
		if op.Await() {
			t.Fatal("complete before it was")
		}
		op.Status = status
		op.Complete()
		refused := status == StatusNotHolder || status == StatusBusy
		if refused != (agains == 1) || refused == (dones == 1) || refused == op.IsComplete() {
			t.Errorf("%v: Again %d times, Done %d times", status, agains, dones)
		}
		if refused {
			op.Complete()
			if agains != 1 || dones != 1 || !op.IsComplete() {
				t.Errorf("%v: after all Again %d times, Done %d times", status, agains, dones)
			}
		}
	}
}

// Again may be called, and the operation be complete, before Submit awaits it.
func TestOpAgainBeforeAwait(t *testing.T) {
	again := false
	op := &Op{Done: func(*Op) { t.Error("Done, though nobody awaits it") }, Again: func(*Op) { again = true }}
	op.Begin()
	op.Status = StatusBusy
	op.Complete()
	if !again || op.IsComplete() || op.Again != nil {
		t.Fatal("Again did not take it over")
	}
	op.Status = StatusBusy
	op.Complete()
	if !op.Await() {
		t.Error("not complete")
	}
}

func TestOpReset(t *testing.T) {
	done := false
	op := &Op{Key: []byte("i1"), Gather: true, Done: func(*Op) { done = true }, Again: func(*Op) {}, Carrier: 8}
	op.Reset()
	if op.Done == nil || op.Carrier != 8 || op.Again != nil || op.Key != nil || op.Gather {
		t.Errorf("%v", op)
	}
	op.Done(op)
	if !done {
		t.Error("another Done")
	}
}

// The copies know every field there is: one that is added must be given its place.
func TestOpCopies(t *testing.T) {
	from := &Op{
		Code: OpMerge, Slot: 7, Key: []byte("i1"), Value: []byte("v"), TTL: time.Second,
		IfMatch: Match{Set: true, Tags: []ETag{1}}, IfNoneMatch: Match{Set: true, Any: true}, Limit: 9, Importing: true,
		Trace: &gTrace, Gather: true, Done: func(*Op) {}, Again: func(*Op) {}, Carrier: 8,
		Out: []byte("out"), Status: StatusStale, ETag: 3, Remaining: 4, Age: 5, Version: Version{6, 7}, Node: "n", Together: true,
	}
	var request, result Op
	request.CopyRequest(from)
	result.CopyResult(from)
	known := map[string][2]bool{ // in a request, in a result
		"Code": {true, false}, "Slot": {true, false}, "Key": {true, false}, "Value": {true, false}, "TTL": {true, false},
		"IfMatch": {true, false}, "IfNoneMatch": {true, false}, "Limit": {true, false}, "Importing": {}, "Trace": {true, false}, "Done": {}, "Again": {}, "Gather": {}, "Carrier": {},
		"Out": {true, true}, "Status": {false, true}, "ETag": {true, true}, "Remaining": {false, true},
		"Age": {true, true}, "Version": {true, true}, "Node": {false, true}, "Together": {}, "state": {},
	}
	all := reflect.ValueOf(from).Elem()
	for i := range all.NumField() {
		name := all.Type().Field(i).Name
		want, ok := known[name]
		if !ok {
			t.Errorf("%s is in no table", name)
			continue
		}
		if name != "state" && all.Field(i).IsZero() {
			t.Errorf("%s is not tested", name)
		}
		for j, to := range []*Op{&request, &result} {
			if got := !reflect.ValueOf(to).Elem().Field(i).IsZero(); got != want[j] {
				t.Errorf("%s: copied %t, want %t", name, got, want[j])
			}
		}
	}
}
