package httpapi

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// batch is what carrying out a batch needs beside its request. They are pooled;
// one belongs to the goroutine of its request, and its operations to the Cache
// while they are submitted.
type batch struct {
	items []item
	keys  []byte       // the canonical keys, one behind the other
	text  []byte       // decoded text of one key
	tags  []proto.ETag // of all conditions
	ops   []*proto.Op  // those that go to a Batcher together
	slots []proto.Slot // of warm
	names [][]byte     // of warm: keys
	trace *proto.Trace // of the request

	answer answer // of mget
	// Room for the values that are kept aside.
	asides                  []byte
	asideEach, asideLongest int

	// pending counts the operations under way, and one more while they are
	// being submitted; who takes it to zero sends on done, or resumes waits.
	pending atomic.Int32
	done    chan struct{}
	waits   *conn // on a loop; nil: a goroutine waits
	oneDone func(*proto.Op)
}

// item is one key of a batch with its operation, or the reason why it has none.
type item struct {
	op     proto.Op
	key    []byte // as the client wrote it; nil without one
	badKey bool
	why    refusal
	aside  bool // mget: it was read before its turn, into a buffer of its own
	mark   int  // where its result begins in mget's answer

	overtaken bool // it found a queue full, and must not be tried again
}

// full says that an item's operation found a queue full, and is to be tried again.
func (it *item) full() bool {
	return !it.why.refused() && it.op.Status == proto.StatusQueueFull && !it.overtaken
}

// itemBytes is what an item of a batch takes in memory, and at most so much is
// its part of an answer beside key and value.
const (
	itemBytes  = int(unsafe.Sizeof(item{}))
	answerBase = 256
	maxKeyText = 6*proto.MaxKeyLen + 2 // a key of which every byte is escaped
)

// maxPooledItems is the size up to which a batch is kept for the next.
const maxPooledItems = 256

// togetherFrom is from how many items on a Batcher is given them together.
const togetherFrom = 4

func newBatch() any {
	b := &batch{done: make(chan struct{}, 1)}
	b.oneDone = func(op *proto.Op) { b.landed(op.Together) }
	return b
}

// landed counts one operation as complete, by who completes others with it.
func (b *batch) landed(together bool) {
	if b.pending.Add(-1) != 0 {
		return
	}
	if c := b.waits; c != nil {
		c.resume(together)
	} else {
		b.done <- struct{}{}
	}
}

// take makes b ready for n items of a request.
func (b *batch) take(r *request, n int) {
	b.trace = r.op.Trace
	if r.logged {
		r.items = n
	}
	if cap(b.items) < n {
		b.items = make([]item, 0, n)
	}
}

// add appends an item without operation.
func (b *batch) add() *item {
	if len(b.items) < cap(b.items) {
		b.items = b.items[:len(b.items)+1] // releaseBatch has cleared it
	} else {
		b.items = append(b.items, item{})
	}
	it := &b.items[len(b.items)-1]
	it.op.Done, it.op.Trace = b.oneDone, b.trace
	return it
}

func (s *Server) releaseBatch(b *batch) {
	clear(b.items)
	clear(b.ops)
	b.ops, b.trace, b.waits, b.answer = b.ops[:0], nil, nil, answer{}
	b.items, b.keys, b.text, b.tags = b.items[:0], b.keys[:0], b.text[:0], b.tags[:0]
	if cap(b.items) > maxPooledItems {
		b.items = nil
	}
	if cap(b.ops) > maxPooledItems {
		b.ops = nil
	}
	if cap(b.names) > maxPooledItems {
		b.slots, b.names = nil, nil
	}
	if cap(b.keys) > largeFrom {
		b.keys = nil
	}
	if cap(b.tags) > maxPooledItems {
		b.tags = nil
	}
	s.batches.Put(b)
}

// setKey makes the JSON value raw the key of it, canonical, or refuses it.
func (b *batch) setKey(it *item, raw []byte) {
	start := len(b.keys)
	it.key = raw
	b.keys, b.text, it.why = appendKeyJSON(b.keys, raw, b.text)
	it.badKey = it.why.refused()
	it.op.Key = b.keys[start:len(b.keys):len(b.keys)]
	it.op.Slot = proto.SlotOf(it.op.Key)
}

// A batch whose operations find a queue full tries those again, for at most fullPauses
// pauses, before it reports them: a few dozen clients that send batches fill any queue
// for a moment.
const (
	fullPause  = 2 * time.Millisecond
	fullPauses = 100
)

// submit carries out the operations of items that have one, all at once, and
// waits until every one is complete.
func (s *Server) submit(b *batch, items []item) {
	full := s.submitOnce(b, items, false)
	for pause := 0; full > 0 && pause < fullPauses; pause++ {
		giveUpOvertaken(items)
		time.Sleep(fullPause)
		full = s.submitOnce(b, items, true)
	}
}

// giveUpOvertaken marks operations that found a queue full when a later one of the same
// batch, and slot, has been carried out: of two writes of one key the later must win.
func giveUpOvertaken(items []item) {
	later := make(map[proto.Slot]bool) // what was carried out, from the end on
	for i := len(items) - 1; i >= 0; i-- {
		switch it := &items[i]; {
		case it.why.refused():
		case it.op.Status == proto.StatusQueueFull:
			it.overtaken = it.overtaken || later[it.op.Slot]
		default:
			later[it.op.Slot] = true
		}
	}
}

// submitOnce is one try of submit: of all operations, or again of those that found a
// queue full. It gives how many did so.
func (s *Server) submitOnce(b *batch, items []item, again bool) (full int) {
	wanted := func(it *item) bool {
		return !it.why.refused() && (!again || it.full())
	}
	if many, ok := s.config.Cache.(Batcher); ok && len(items) >= togetherFrom {
		for i := range items {
			if wanted(&items[i]) {
				b.ops = append(b.ops, &items[i].op)
			}
		}
		b.submitAll(many)
	} else {
		b.pending.Store(1)
		for i := range items {
			if wanted(&items[i]) {
				b.pending.Add(1)
				if s.config.Cache.Submit(&items[i].op) {
					b.pending.Add(-1)
				}
			}
		}
		b.await()
	}
	for i := range items {
		if items[i].full() {
			full++
		}
	}
	return full
}

// submitAll gives what is in b.ops to many, and waits until all of it is complete.
func (b *batch) submitAll(many Batcher) {
	b.pending.Store(int32(1 + len(b.ops)))
	many.SubmitAll(b.ops)
	b.await()
	clear(b.ops)
	b.ops = b.ops[:0]
}

// await waits until every operation submitted is complete.
func (b *batch) await() {
	if b.pending.Add(-1) != 0 {
		<-b.done
	}
}

// readBatch reads the body of a batch: an object with the list of items under
// its name and, where the batch has one, a ttl. It charges for n items, and for
// their answers if those are of bounded size.
func (s *Server) readBatch(ctx *fasthttp.RequestCtx, r *request, listName string) (list, ttl []byte, n int, why refusal) {
	if r.conditional() {
		return nil, nil, 0, refuseManyCond
	}
	body, why := s.readJSON(ctx, r)
	if why.refused() {
		return nil, nil, 0, why
	}
	c := cursor{b: body}
	c.skipSpace()
	if body[c.i] != '{' {
		return nil, nil, 0, refuseNotObject
	}
	var scratch [maxNameLen]byte
	c.enter()
	for c.more() {
		name := memberName(c.name(), scratch[:0])
		value, _ := c.value()
		switch {
		case string(name) == listName:
			once(&list, value, &why, &refuseItemsTwice)
		case string(name) == "ttl" && r.route == routeTouch:
			once(&ttl, value, &why, &refuseTTLTwice)
		}
	}
	if why.refused() {
		return nil, nil, 0, why
	}
	if list == nil || list[0] != '[' {
		return nil, nil, 0, refusal{fail: proto.FailBody, text: listName + " must be an array"}
	}
	c = cursor{b: list}
	for c.enter(); c.more(); n++ {
		c.value()
	}
	if n > s.config.MaxBatch {
		return nil, nil, 0, refuseTooLarge(proto.FailBatchTooLarge, n, s.config.MaxBatch)
	}
	return list, ttl, n, refusal{}
}

// appendItemKey opens the result of an item.
func appendItemKey(dst []byte, it *item) []byte {
	return appendKeyAsGiven(append(dst, `{"key":`...), it.key, !it.badKey)
}

// appendItemError appends the rest of the result of an item that failed.
func (s *Server) appendItemError(dst []byte, r *request, why *refusal) []byte {
	s.countFailure(r.stats, why.fail)
	dst = append(append(append(dst, `,"error":{"code":"`...), why.fail.Code...), `","message":`...)
	return append(appendMessage(dst, why), "}}"...)
}
