package httpapi

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/smache/smache/proto"
)

// many is a fake that is a Batcher: of another node's slots, the odd ones, all goes
// together.
type many struct {
	*fake
	together, singly atomic.Int64 // operations
}

func (m *many) Holds(slot proto.Slot) bool { return slot%2 == 0 }

func (m *many) Submit(op *proto.Op) bool {
	m.singly.Add(1)
	return m.fake.Submit(op)
}

func (m *many) SubmitAll(ops []*proto.Op) {
	m.together.Add(int64(len(ops)))
	for i := range ops {
		op := ops[len(ops)-1-i] // in any order
		if i%3 == 0 {
			m.apply(op)
			op.Done(op)
			continue
		}
		go func() {
			m.apply(op)
			op.Done(op)
		}()
	}
}

// warmer is a Batcher that notes what it is told of ahead.
type warmer struct {
	*many
	told []string // in order
	read map[string]bool
}

func (w *warmer) Submit(op *proto.Op) bool {
	w.read[string(op.Key)] = true
	return w.many.Submit(op)
}

func (w *warmer) Warm(slots []proto.Slot, keys [][]byte) {
	for i, key := range keys {
		if proto.SlotOf(key) == slots[i] && !w.read[string(key)] {
			w.told = append(w.told, string(key))
		}
	}
}

// The keys of an mget that are here are told of before the first of them is read.
func TestMgetWarms(t *testing.T) {
	for _, n := range []int{30, mgetWave + 44} { // on a loop, and in a goroutine
		cache := &warmer{many: &many{fake: newFake()}, read: map[string]bool{}}
		var keys, want []string
		for i := range n {
			keys = append(keys, fmt.Sprint(i))
			if key := canonical(t, i); proto.SlotOf([]byte(key))%2 == 0 {
				want = append(want, key)
			}
		}
		c := dial(t, serve(t, newServer(t, cache, nil)))
		if got := c.post("/api/mget", `{"keys":["\ud800",`+strings.Join(keys, ",")+`]}`); got.status != 200 {
			t.Fatal(got.status, got.body)
		}
		if !slices.Equal(cache.told, want) {
			t.Errorf("%d keys: told of %q ahead, want %q", n, cache.told, want)
		}
	}
}

// A batch comes to the same whether the Cache takes it together or one by one.
func TestBatcher(t *testing.T) {
	for _, late := range []bool{false, true} {
		plain, together := newFake(), &many{fake: newFake()}
		together.late = late
		a, b := dial(t, serve(t, newServer(t, plain, nil))), dial(t, serve(t, newServer(t, together, nil)))
		var entries, keys, some []string
		for i := range 300 {
			value := fmt.Sprintf(`{"v":"%s"}`, strings.Repeat("x", i*i%5000))
			if i%50 == 7 {
				value = fmt.Sprintf(`{"v":"%s"}`, strings.Repeat("y", maxAside+i)) // too long to be kept aside
			}
			entries = append(entries, fmt.Sprintf(`{"key":%d,"data":%s}`, i, value))
			keys = append(keys, fmt.Sprint(i))
			switch i % 20 {
			case 3:
				keys = append(keys, `1.5`, `null`)
				entries = append(entries, `{"key":[],"data":{}}`)
			case 4:
				keys = append(keys, fmt.Sprintf(`"none%d"`, i))
			}
			if i%2 == 0 {
				some = append(some, fmt.Sprint(i))
			}
		}
		for _, request := range [][2]string{
			{"mset", `{"entries":[` + strings.Join(entries, ",") + `]}`},
			{"mget", `{"keys":[` + strings.Join(keys, ",") + `]}`},
			{"touch", `{"keys":[` + strings.Join(keys, ",") + `],"ttl":9}`},
			{"mdel", `{"keys":[` + strings.Join(some, ",") + `]}`},
			{"mget", `{"keys":[` + strings.Join(keys, ",") + `]}`},
			{"mget", `{"keys":[1,2,3]}`},
			{"mset", `{"entries":[` + entries[0] + `]}`},
			{"mget", `{"keys":[1.5,1.5,1.5,1.5,1.5]}`},
			{"mset", `{"entries":[]}`},
			{"mget", `{"keys":[]}`},
			{"touch", `{"keys":[],"ttl":9}`},
			{"mdel", `{"keys":[]}`},
		} {
			want, got := a.post("/api/"+request[0], request[1]), b.post("/api/"+request[0], request[1])
			if got.status != want.status || got.body != want.body {
				t.Errorf("late %v: %s: %d, %d bytes; one by one %d, %d bytes", late, request[0], got.status, len(got.body), want.status, len(want.body))
			}
		}
		if n, one := together.together.Load(), together.singly.Load(); n < 1000 || one < 200 || one > 600 {
			t.Errorf("late %v: %d together, %d singly", late, n, one)
		}
	}
}

// The bound of an answer holds for what is kept aside as well.
func TestBatcherAnswerLimit(t *testing.T) {
	cache := &many{fake: newFake()}
	const n, limit = 200, 64 << 10
	c := dial(t, serve(t, newServer(t, cache, func(c *Config) {
		c.MaxValue, c.MaxAnswer = 8<<10, limit
	})))
	var keys []string
	for i := range n {
		c.post("/api", fmt.Sprintf(`{"key":%d,"data":{"v":"%s"}}`, i, strings.Repeat("x", 4000)))
		keys = append(keys, fmt.Sprint(i))
	}
	got := c.post("/api/mget", `{"keys":[`+strings.Join(keys, ",")+`]}`)
	whole, large := strings.Count(got.body, `"node"`), strings.Count(got.body, "answer_too_large")
	if whole < 10 || whole+large != n || len(got.body) > limit+n*200 {
		t.Errorf("%d values, %d errors, %d bytes", whole, large, len(got.body))
	}
}

// crowded is a Cache whose queue takes a few operations and no more, until they are
// carried out a moment later.
type crowded struct {
	*fake
	room atomic.Int64
}

func (c *crowded) Submit(op *proto.Op) bool {
	if c.room.Add(-1) < 0 {
		c.room.Add(1)
		op.Status = proto.StatusQueueFull
		return true
	}
	go func() {
		c.apply(op)
		c.room.Add(1)
		op.Done(op)
	}()
	return false
}

// A batch that is larger than the queue has room for is carried out all the same;
// where there is no room at all, its operations are refused.
func TestBatchWaitsForRoom(t *testing.T) {
	for room, want := range map[int64]string{7: "etag", 0: "queue_full"} {
		c := &crowded{fake: newFake()}
		c.room.Store(room)
		var entries []string
		for i := range 200 {
			entries = append(entries, fmt.Sprintf(`{"key":%d,"data":{"n":%d}}`, i, i))
		}
		got := dial(t, serve(t, newServer(t, c, nil))).post("/api/mset", `{"entries":[`+strings.Join(entries, ",")+`]}`)
		if n := strings.Count(got.body, `"`+want+`"`); n != len(entries) {
			t.Errorf("room for %d: %d of %d say %s: %.200s", room, n, len(entries), want, got.body)
		}
	}
}

// alternating is a Cache whose queue is full for every other operation.
type alternating struct {
	*fake
	n atomic.Int64
}

func (a *alternating) Submit(op *proto.Op) bool {
	if a.n.Add(1)%2 == 1 {
		op.Status = proto.StatusQueueFull
		return true
	}
	return a.fake.Submit(op)
}

// Of two writes of one key in a batch the later wins, although the earlier one found
// the queue full, and could be carried out by now.
func TestBatchKeepsItsOrder(t *testing.T) {
	a := &alternating{fake: newFake()}
	c := dial(t, serve(t, newServer(t, a, nil)))
	got := c.post("/api/mset", `{"entries":[{"key":1,"data":{"n":1}},{"key":1,"data":{"n":2}},{"key":2,"data":{"n":3}}]}`)
	if strings.Count(got.body, `"queue_full"`) != 1 || strings.Count(got.body, `"etag"`) != 2 {
		t.Errorf("one is overtaken, and two are written: %s", got.body)
	}
	a.n.Store(1)
	if got := c.get("/api?key=1"); !strings.Contains(got.body, `{"n":2}`) {
		t.Errorf("not the later write: %s", got.body)
	}
}

// turning is a Cache of which one key is late, or meets a bug.
type turning struct {
	*fake
	late, panics string
}

func (c *turning) Submit(op *proto.Op) bool {
	switch string(op.Key) {
	case c.panics: // "" is no key
		panic("on purpose")
	case c.late:
		go func() {
			c.apply(op)
			op.Done(op)
		}()
		return false
	}
	c.apply(op)
	return true
}

// together is turning as a Batcher of which all slots are here.
type together struct{ *turning }

func (together) Holds(proto.Slot) bool { return true }

func (c together) SubmitAll(ops []*proto.Op) { panic("BUG: nothing is elsewhere") }

// An mget that comes whole is read where its connection is served, and goes on elsewhere
// from the first key that does not come at once, or if it has many. It must come to the
// same, and what meets a bug costs one request.
func TestMgetThatStops(t *testing.T) {
	for _, n := range []int{1, 100, mgetWave, mgetWave + 1, 2*mgetWave + 100} {
		plain := newFake()
		cache := &turning{fake: newFake()}
		var keys, entries []string
		for i := range n {
			keys = append(keys, fmt.Sprint(i))
			entries = append(entries, fmt.Sprintf(`{"key":%d,"data":{"v":"%s"}}`, i, strings.Repeat("x", i*7%500)))
		}
		request := postText("/api/mget", `{"keys":[`+strings.Join(keys, ",")+`]}`)
		c := dial(t, serve(t, newServer(t, plain, nil)))
		c.post("/api/mset", `{"entries":[`+strings.Join(entries, ",")+`]}`)
		want := c.send(request)
		cache.entries = plain.entries // nobody writes any more
		if want.status != 200 || strings.Count(want.body, `"data":{`) != n {
			t.Fatalf("%d keys: %d %.200s", n, want.status, want.body)
		}
		for _, s := range []*Server{newServer(t, cache, nil), newServer(t, together{cache}, nil)} {
			address := serve(t, s)
			for _, key := range []int{0, n / 2, n - 1} {
				cache.late, cache.panics = canonical(t, key), ""
				c := dial(t, address)
				if _, err := c.Write([]byte(request + request)); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if got := c.receive("POST"); got.status != 200 || got.body != want.body {
						t.Errorf("%d keys, %d is late: %d, %d bytes, not %d: %.200s", n, key, got.status, len(got.body), len(want.body), got.body)
					}
				}
			}
			for _, late := range []string{"", canonical(t, 0)} {
				cache.late, cache.panics = late, canonical(t, n-1)
				if n == 1 && late != "" {
					continue
				}
				c := dial(t, address)
				if got := c.send(request); got.status != 500 {
					t.Errorf("%d keys, the last meets a bug: %d %.200s", n, got.status, got.body)
				}
				if got := dial(t, address).get("/healthcheck"); got.status != 200 {
					t.Errorf("and then: %d %s", got.status, got.body)
				}
			}
			cache.panics = ""
			eventually(t, "the budgets are back", func() bool { return s.large.used.Load() == 0 && s.medium.used.Load() == 0 })
		}
	}
}

// canonical gives the canonical form of a number as a key.
func canonical(t *testing.T, n int) string {
	t.Helper()
	key, _, why := appendKeyJSON(nil, fmt.Append(nil, n), nil)
	if why.refused() {
		t.Fatal(why)
	}
	return string(key)
}
