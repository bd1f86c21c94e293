package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// modelEntry is what the model knows of a key.
type modelEntry struct {
	value   string
	etag    proto.ETag
	version proto.Version
	expiry  int64 // on the test's clock, 0: never
}

// modelRun drives one store with random operations and compares every answer
// with a map. The live entries fit, so nothing may be evicted.
func modelRun(t *testing.T, seed uint64, steps int) {
	clock := newTestClock()
	s := newTestStore(t, Config{ArenaBytes: 2 * ArenaUnit, Writers: 1 + int(seed%2), Clock: clock})
	rng := rand.New(rand.NewPCG(seed, 8))
	model := map[string]modelEntry{}
	var last proto.Version
	names := make([]string, 60)
	for i := range names {
		switch i % 3 {
		case 0:
			names[i] = fmt.Sprint(i - 30)
		case 1:
			names[i] = fmt.Sprint("key ", i)
		default:
			names[i] = strings.Repeat("long", 1+rng.IntN(200)) + fmt.Sprint(i)
		}
	}
	lookup := func(name string) (modelEntry, bool) {
		e, ok := model[name]
		if ok && e.expiry != 0 && clock.Now() >= e.expiry {
			delete(model, name)
			return modelEntry{}, false
		}
		return e, ok
	}
	for step := range steps {
		name := names[rng.IntN(len(names))]
		e, there := lookup(name)
		op := &proto.Op{Key: key(name), TTL: proto.Forever}
		if rng.IntN(3) == 0 {
			op.TTL = time.Duration(1 + rng.Int64N(int64(3*time.Second)))
		}
		// Conditions: right ones, wrong ones, stars.
		condition := func(m *proto.Match) {
			m.Set = true
			switch rng.IntN(3) {
			case 0:
				m.Any = true
			case 1:
				m.Tags = []proto.ETag{e.etag, 12345}
			default:
				m.Tags = []proto.ETag{12345}
			}
		}
		if rng.IntN(8) == 0 {
			condition(&op.IfMatch)
		}
		if rng.IntN(8) == 0 {
			condition(&op.IfNoneMatch)
		}
		names := func(m proto.Match) bool {
			return there && (m.Any || len(m.Tags) > 0 && m.Tags[0] == e.etag && e.etag != 0)
		}
		want := proto.StatusOK
		expiry := int64(0)
		if op.TTL != proto.Forever {
			expiry = clock.Now() + int64(op.TTL)
		}
		switch p := rng.IntN(100); {
		case p < 45:
			op.Code = proto.OpSet
			size := rng.IntN(400)
			if rng.IntN(6) == 0 {
				size = rng.IntN(s.maxValue/2 + 1)
			}
			value := strings.Repeat(string(rune('a'+step%26)), size)
			if there && rng.IntN(4) == 0 {
				value = e.value
			}
			op.Value = []byte(value)
		case p < 80:
			op.Code = proto.OpGet
		case p < 90:
			op.Code = proto.OpTouch
		case p < 97:
			op.Code = proto.OpDelete
		case p < 99:
			clock.advance(time.Duration(rng.Int64N(int64(time.Second))))
			continue
		default:
			for _, w := range s.writers {
				w.exclusive(func() { w.sweepSome(rng.IntN(300), sweepEmpty) })
			}
			if rng.IntN(20) == 0 {
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
				clear(model)
			}
			continue
		}
		failed := op.IfMatch.Set && !names(op.IfMatch) || op.IfNoneMatch.Set && op.Code != proto.OpGet && names(op.IfNoneMatch)
		switch {
		case failed && (there || op.Code != proto.OpGet):
			want = proto.StatusPrecondition
		case op.Code == proto.OpSet:
			next := modelEntry{value: string(op.Value), expiry: expiry}
			if there && e.value == next.value {
				next.etag = e.etag
			}
			model[name] = next
		case !there:
			want = proto.StatusMiss
		case op.Code == proto.OpDelete:
			delete(model, name)
		case op.Code == proto.OpTouch:
			next := e
			next.expiry = expiry
			model[name] = next
		case op.IfNoneMatch.Set && names(op.IfNoneMatch):
			want = proto.StatusNotModified
		}
		do(s, op)
		if op.Status != want {
			t.Fatalf("seed %d, step %d: opcode %d gives status %d, want %d", seed, step, op.Code, op.Status, want)
		}
		if want != proto.StatusOK {
			continue
		}
		now := model[name]
		switch op.Code {
		case proto.OpGet:
			left := proto.Forever
			if e.expiry != 0 {
				left = time.Duration(e.expiry - clock.Now())
			}
			if string(op.Out) != e.value || op.ETag != e.etag || op.Remaining != left || op.Version != e.version {
				t.Fatalf("seed %d, step %d: read %d bytes, etag %d, remaining %v; want %d bytes, etag %d, remaining %v",
					seed, step, len(op.Out), op.ETag, op.Remaining, len(e.value), e.etag, left)
			}
		case proto.OpSet, proto.OpTouch:
			if now.etag != 0 && op.ETag != now.etag {
				t.Fatalf("seed %d, step %d: the ETag changed and the value did not", seed, step)
			}
			if there && now.etag == 0 && op.ETag == e.etag {
				t.Fatalf("seed %d, step %d: the value changed and the ETag did not", seed, step)
			}
			if op.Version != e.version && !last.Less(op.Version) && len(s.writers) == 1 {
				t.Fatalf("seed %d, step %d: versions go back", seed, step)
			}
			if last.Less(op.Version) {
				last = op.Version
			}
			now.etag, now.version = op.ETag, op.Version
			model[name] = now
		}
	}
	checkAccounts(t, s)
	if st := s.Stats(); st.Evicted+st.Lost != 0 {
		t.Fatalf("seed %d: evicted %d, lost %d", seed, st.Evicted, st.Lost)
	}
}

func TestModel(t *testing.T) {
	for seed := range uint64(shorter(8, 2)) {
		modelRun(t, seed, 8_000)
	}
}

// Of many compare-and-sets on one entry, and of many creations of one key,
// exactly one wins.
func TestOneWinner(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 4 * ArenaUnit, Writers: 2})
	const goroutines, rounds = 16, 300
	for round := range rounds {
		name := fmt.Sprint("cas", round%7)
		op := &proto.Op{}
		if round%3 == 0 {
			do(s, &proto.Op{Code: proto.OpDelete, Key: key(name)})
			op.IfNoneMatch = proto.Match{Set: true, Any: true}
		} else {
			op.IfMatch = proto.Match{Set: true, Tags: []proto.ETag{set(s, name, fmt.Sprint("round", round)).ETag}}
		}
		var wg sync.WaitGroup
		var wins atomic.Int32
		var winner atomic.Int32
		for g := range goroutines {
			wg.Go(func() {
				o := do(s, &proto.Op{
					Code: proto.OpSet, Key: key(name), Value: []byte(fmt.Sprint(round, "by", g)), TTL: proto.Forever,
					IfMatch: op.IfMatch, IfNoneMatch: op.IfNoneMatch,
				})
				if o.Status == proto.StatusOK {
					wins.Add(1)
					winner.Store(int32(g))
				} else if o.Status != proto.StatusPrecondition {
					t.Errorf("status %d", o.Status)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d winners", wins.Load())
		}
		wantHit(t, s, name, fmt.Sprint(round, "by", winner.Load()))
	}
}

// Every increment by compare-and-set counts: no lost update, with flushes of
// other writers' turns and sweeps in between.
func TestCompareAndSetCounts(t *testing.T) {
	s := newTestStore(t, Config{Writers: 1})
	set(s, "n", "0")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				for {
					now := get(s, "n")
					var n int
					if _, err := fmt.Sscan(string(now.Out), &n); err != nil {
						t.Error(err)
						return
					}
					op := do(s, &proto.Op{
						Code: proto.OpSet, Key: key("n"), Value: []byte(fmt.Sprint(n + 1)), TTL: proto.Forever,
						IfMatch: proto.Match{Set: true, Tags: []proto.ETag{now.ETag}},
					})
					if op.Status == proto.StatusOK {
						break
					}
				}
			}
		})
	}
	for range 50 {
		s.writers[0].exclusive(func() { s.writers[0].sweepSome(100, sweepEmpty) })
	}
	wg.Wait()
	wantHit(t, s, "n", "1600")
}
