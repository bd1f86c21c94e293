package httpapi

import (
	"slices"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// mgetWave is how many of mget's operations are under way at once; each that
// another node answers may hold a value of maxAside until its turn comes.
const (
	mgetWave = 256
	maxAside = 16 << 10
)

// mget answers POST /api/mget. What other nodes hold is read first, where the Cache
// can do that together, and kept aside. As long as the other operations complete at
// once, values go straight to the answer. From the first that does not, the rest of
// its wave is kept aside until all of it is complete. A loop does not wait for what it
// has asked others for, and leaves what it would have to wait for after that to a
// goroutine.
func (s *Server) mget(ctx *fasthttp.RequestCtx, r *request) {
	list, _, n, why := s.readBatch(ctx, r, "keys")
	if !why.refused() && !s.charge(r.owes, n*itemBytes) {
		why = refuseBudget
	}
	if why.refused() {
		s.fail(ctx, r, why)
		return
	}
	b := s.batches.Get().(*batch) // nothing else is put there
	b.take(r, n)
	c := cursor{b: list}
	for c.enter(); c.more(); {
		raw, _ := c.value()
		it := b.add()
		it.op.Code = proto.OpGet
		b.setKey(it, raw)
	}
	a := &b.answer
	*a = answer{server: s, request: r, items: n, limit: s.config.MaxAnswer}
	if !r.onLoop {
		a.out = append(bodyBuffer(ctx), mgetBegin...)
		a.waves(b)
		s.answerMget(ctx, r, b)
		return
	}
	switch r.batch = b; {
	case n > mgetWave: // it would take too long for a loop
		a.out = append(r.rooms.take(), mgetBegin...)
		r.then = (*Server).mgot
		b.start(r.conn, 0)
	case a.ask(b, r.conn):
		r.then = (*Server).mgetHere
	default:
		s.mgetHere(ctx, r)
	}
}

const mgetBegin = `{"results":[`

// mgetHere reads, on a loop, what completes at once, when what other nodes hold has come.
func (s *Server) mgetHere(ctx *fasthttp.RequestCtx, r *request) {
	b := r.batch
	a := &b.answer
	a.begun, a.out = true, append(r.rooms.take(), mgetBegin...)
	clear(b.ops)
	b.ops, b.waits = b.ops[:0], nil
	b.pending.Store(1)
	if next := a.straight(b, b.items); next < len(b.items) && !a.refused {
		r.then = (*Server).mgot
		b.start(r.conn, next)
		return
	}
	s.mgot(ctx, r)
}

// mgot answers what goOn has read.
func (s *Server) mgot(ctx *fasthttp.RequestCtx, r *request) {
	b := r.batch
	r.batch = nil
	if v := b.answer.panicked; v != nil {
		panic(v)
	}
	s.answerMget(ctx, r, b)
}

// answerMget answers with what was read, and releases b.
func (s *Server) answerMget(ctx *fasthttp.RequestCtx, r *request, b *batch) {
	out, refused := b.answer.out, b.answer.refused
	s.releaseBatch(b)
	if refused {
		s.fail(ctx, r, refuseBudget)
		return
	}
	ctx.Response.Header.SetContentTypeBytes(typeJSON)
	ctx.Response.Header.SetCanonical(headerCacheControl, valueNoStore)
	setBody(ctx, append(out, "]}"...))
}

// answer is the answer of mget as it grows.
type answer struct {
	server  *Server
	request *request
	out     []byte
	items   int  // results that there are to be
	written int  // results
	limit   int  // of len(out)
	full    bool // nothing more is read
	charged int  // of cap(out)
	refused bool // the budget has no room for it

	begun    bool // mgetHere has
	panicked any  // what goOn has met
}

// ask asks other nodes for what they hold, all at once, to be kept aside. It reports
// whether there is something to wait for: c is resumed then.
func (a *answer) ask(b *batch, c *conn) bool {
	many, ok := a.server.config.Cache.(Batcher)
	if !ok || len(b.items) == 0 || !a.elsewhere(b, b.items, many) {
		return false
	}
	for _, op := range b.ops {
		op.Gather = true
	}
	b.waits = c
	b.pending.Store(int32(1 + len(b.ops)))
	many.SubmitAll(b.ops)
	return b.pending.Add(-1) != 0
}

// start starts goOn, on the loop of c.
func (b *batch) start(c *conn, next int) {
	c.letRun()
	go b.goOn(next)
}

// goOn goes on where mgetHere has stopped, in a goroutine of its own, and then has the loop
// go on with the request.
func (b *batch) goOn(next int) {
	a := &b.answer
	c := a.request.conn
	defer func() {
		a.panicked = recover()
		c.resume(false)
	}()
	if a.begun {
		a.rest(b, b.items, next)
	} else {
		a.waves(b)
	}
}

// waves reads all items.
func (a *answer) waves(b *batch) {
	for from := 0; from < len(b.items) && !a.refused; from += mgetWave {
		a.wave(b, b.items[from:min(from+mgetWave, len(b.items))])
	}
}

// wave reads items and appends their results.
func (a *answer) wave(b *batch, items []item) {
	a.fetch(b, items)
	b.pending.Store(1)
	if next := a.straight(b, items); next < len(items) && !a.refused {
		a.rest(b, items, next)
	} else {
		b.await()
	}
}

// straight reads items one after the other, straight into the answer, up to the first
// that does not complete at once: that one holds a.out until it is complete.
func (a *answer) straight(b *batch, items []item) (next int) {
	a.warm(b, items)
	for ; next < len(items) && !a.refused; next++ {
		it := &items[next]
		a.open(it)
		if it.why.refused() || a.full {
			a.close(it)
			continue
		}
		if it.kept() {
			a.place(b, it)
			a.close(it)
			continue
		}
		b.pending.Add(1)
		if !a.submit(it, a.out, a.limit-len(a.out)) {
			break
		}
		b.pending.Add(-1)
		a.out = it.op.Out
		a.close(it)
	}
	return next
}

// warm tells the Cache what straight will read.
func (a *answer) warm(b *batch, items []item) {
	w, ok := a.server.config.Cache.(Warmer)
	if !ok || len(items) < togetherFrom || a.full {
		return
	}
	for i := range items {
		if it := &items[i]; !it.why.refused() && !it.aside {
			b.slots, b.names = append(b.slots, it.op.Slot), append(b.names, it.op.Key)
		}
	}
	w.Warm(b.slots, b.names)
	clear(b.names)
	b.slots, b.names = b.slots[:0], b.names[:0]
}

// rest begins to read all items behind next, which is under way, and waits for it and
// them.
func (a *answer) rest(b *batch, items []item, next int) {
	for i := next + 1; i < len(items); i++ {
		if !items[i].why.refused() && !items[i].aside {
			b.pending.Add(1)
			if a.submit(&items[i], nil, maxAside) {
				b.pending.Add(-1)
			}
		}
	}
	b.await()
	a.out = items[next].op.Out
	a.close(&items[next])
	for i := next + 1; i < len(items) && !a.refused; i++ {
		it := &items[i]
		a.open(it)
		if !it.why.refused() && !a.full {
			a.place(b, it)
		}
		a.close(it)
	}
}

// fetch reads what other nodes hold, all at once, and keeps it aside.
func (a *answer) fetch(b *batch, items []item) {
	many, ok := a.server.config.Cache.(Batcher)
	if !ok || a.full || len(items) < togetherFrom {
		return
	}
	if a.elsewhere(b, items, many) {
		b.submitAll(many)
	}
}

// elsewhere puts the operations of what other nodes hold into b.ops, to be kept aside.
// It reports whether there are any.
func (a *answer) elsewhere(b *batch, items []item, many Batcher) bool {
	for i := range items { // by itself, so that cache misses of one look overlap those of the next
		items[i].aside = !many.Holds(items[i].op.Slot)
	}
	room := b.asideRoom(len(items))
	for i := range items {
		if it := &items[i]; it.aside && !it.why.refused() {
			it.op.Out, it.op.Limit = nil, maxAside
			if b.asideEach > 0 {
				it.op.Out, room = room[:0:b.asideEach], room[b.asideEach:]
			}
			b.ops = append(b.ops, &it.op)
		}
	}
	return len(b.ops) > 0
}

// maxAsideRoom is the most that a batch keeps for values aside.
const maxAsideRoom = 64 << 10

// asideRoom gives room for n values aside, of b.asideEach bytes each: as long as the
// longest of the batch before. What is longer gets a buffer of its own.
func (b *batch) asideRoom(n int) []byte {
	b.asideEach = min(b.asideLongest, maxAsideRoom/n)
	b.asideLongest = 0
	if need := n * b.asideEach; cap(b.asides) < need {
		b.asides = make([]byte, need)
	}
	return b.asides[:cap(b.asides)]
}

// kept says that an item was read aside. What is too long for that is not: it is read
// again, on its own.
func (it *item) kept() bool { return it.aside && it.op.Status != proto.StatusTooLarge }

// submit submits the read of it into out, of at most limit bytes.
func (a *answer) submit(it *item, out []byte, limit int) bool {
	it.op.Out, it.op.Limit, it.op.Gather = out, limit, false
	return a.server.config.Cache.Submit(&it.op)
}

// place appends the value of it, which was kept aside, or was too long for that
// and is now read again on its own.
func (a *answer) place(b *batch, it *item) {
	if it.op.Status != proto.StatusTooLarge {
		a.out = append(a.out, it.op.Out...)
		b.asideLongest = max(b.asideLongest, len(it.op.Out))
		it.op.Out = nil
		return
	}
	b.pending.Store(1)
	b.pending.Add(1)
	if a.submit(it, a.out, a.limit-len(a.out)) {
		b.pending.Add(-1)
	}
	b.await()
	a.out = it.op.Out
}

// open appends the result of it up to its data.
func (a *answer) open(it *item) {
	if a.written > 0 {
		a.makeRoom()
		a.out = append(a.out, ',')
	}
	a.written++
	it.mark = len(a.out)
	if len(a.out) >= a.limit {
		a.full = true
	}
	a.out = append(appendItemKey(a.out, it), `,"data":`...)
}

// maxRoom is the most that is made room for at once, and resultSlack what a read
// appends for a moment beside a value.
const (
	maxRoom     = 64 << 10
	resultSlack = 64
)

// makeRoom makes room for the results to come, if they are like those before, when the
// next one may not fit: an answer that grows with each result is copied a dozen times.
func (a *answer) makeRoom() {
	each := len(a.out)/a.written + resultSlack
	if cap(a.out)-len(a.out) < each {
		a.out = slices.Grow(a.out, min((a.items-a.written)*each, maxRoom))
	}
}

// close appends the rest of the result of it. What it turns out not to have room
// for is cut off again, and an error put in its place.
func (a *answer) close(it *item) {
	op := &it.op
	switch {
	case it.why.refused():
	case a.full:
		it.why = refuseAnswerLarge
	case op.Status == proto.StatusMiss:
		a.request.stats.misses.Add(1)
		a.out = append(a.out, "null"...)
	case op.Status == proto.StatusTooLarge, op.Status == proto.StatusOK && len(a.out) > a.limit:
		a.full, it.why = true, refuseAnswerLarge
	case op.Status == proto.StatusOK:
		a.request.stats.hits.Add(1)
	default:
		it.why = refuseStatus(op.Status)
	}
	if it.why.refused() {
		a.out = a.server.appendItemError(appendItemKey(a.out[:it.mark], it), a.request, &it.why)
	} else {
		a.out = append(appendQuotedString(append(a.out, `,"node":`...), a.server.nodeOf(op)), '}')
	}
	if cap(a.out) > max(a.charged, mediumFrom) {
		if !a.server.recharge(a.request.owes, a.charged, cap(a.out)) {
			a.refused = true
			return
		}
		a.charged = cap(a.out)
	}
}
