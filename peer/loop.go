package peer

import (
	"errors"
	"net"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// loops is gnet's side of the links: what runs on the event loops.
type loops struct {
	gnet.BuiltinEventEngine
	links *Links
}

const (
	// writeChunk is how much is sealed before it is written: it bounds the
	// buffer for sealed records.
	writeChunk = 1 << 20
	// readBuffer is a loop's buffer for one read: two of the longest records, so
	// that in a full stream most records come whole.
	readBuffer = 128 << 10
	// lingerFor is how long a connection is kept for its goodbye to arrive.
	lingerFor = 500 * time.Millisecond
	// keepBuffer is the largest buffer that a connection keeps for the next frame.
	keepBuffer = 256 << 10
)

// OnOpen is gnet's: a connection has been handed over.
func (e *loops) OnOpen(c gnet.Conn) (out []byte, action gnet.Action) {
	k, _ := c.Context().(*conn)
	if k == nil {
		return nil, gnet.Close
	}
	dropZone(c.LocalAddr())
	dropZone(c.RemoteAddr())
	now := e.links.now()
	k.gnet, k.fd, k.phase = c, c.Fd(), phaseShake
	k.deadline = now + int64(e.links.cfg.HandshakeTimeout)
	k.sweepAt.Store(never)
	k.lastIn.Store(now)
	k.heard.Store(k.links.awake.Load())
	k.lastOut.Store(now)
	k.takenAt = now
	e.links.register(k)
	k.opened.Store(true)
	if k.killed.Load() != nil {
		return nil, gnet.Close
	}
	if k.target != nil {
		k.shake = e.links.cfg.Keys.Dial()
		var err error
		if out, _, _, err = k.shake.Step(nil, nil); err != nil {
			k.why = err
			return nil, gnet.Close
		}
	} else {
		k.shake = e.links.cfg.Keys.Accept()
	}
	return out, gnet.None
}

// dropZone takes the zone from an IPv6 address. gnet v2.10.0, when it releases a
// connection, puts the memory of this string into a pool of buffers to write to,
// and the string belongs to package net, which goes on using it.
func dropZone(a net.Addr) {
	if tcp, ok := a.(*net.TCPAddr); ok {
		tcp.Zone = ""
	}
}

// OnTraffic is gnet's: bytes have come, or somebody woke the loop.
func (e *loops) OnTraffic(c gnet.Conn) (action gnet.Action) {
	k, _ := c.Context().(*conn)
	if k == nil || k.phase == phaseClosed {
		return gnet.Close
	}
	k.armed.Store(true) // whoever appends now need not wake us
	defer func() {
		if p := recover(); p != nil {
			e.links.panicked(p)
			action = k.leaveInPanic()
		}
	}()
	defer e.links.cfg.Answered() // behind the flush: the peer is not to wait for it
	now := e.links.now()
	b, _ := c.Next(-1) // all there is: gnet's own buffer stays empty
	if k.phase == phaseLeaving {
		return k.linger(b, now)
	}
	var err error
	if len(b) > 0 {
		err = k.receive(b, now)
	}
	k.settle()
	if k.phase == phaseClosed {
		return gnet.Close // by gnet, from within a write
	}
	if err == nil {
		err = k.chores(now)
	}
	if err == nil && k.session != nil {
		k.flush(now)
	}
	if err != nil {
		return k.leave(err)
	}
	if k.phase == phaseShake {
		k.armed.Store(false)
	}
	return gnet.None
}

// settle hands what was counted to the link's stats.
func (k *conn) settle() {
	t := &k.tally
	if t.bytesIn == 0 {
		return
	}
	s := &k.link0().stats
	s.bytesIn.Add(t.bytesIn)
	s.reads.Add(1)
	s.recordsIn.Add(t.recordsIn)
	s.framesIn.Add(t.framesIn)
	s.answers.Add(t.answers)
	s.latency.Add(t.latency)
	*t = tally{}
}

// flush seals what is in the outbox and writes it, on the loop.
func (k *conn) flush(now int64) {
	k.turn.Lock()
	defer k.turn.Unlock()
	if !k.writeRest() {
		return
	}
	var done []byte
	for range 4 {
		batch := k.takeOut(done, now, true)
		if batch == nil || !k.sealInTurn(batch, k.write) {
			return
		}
		done = batch
	}
	// Others append faster than the kernel takes it: see to other links first.
	k.mu.Lock()
	k.spare = done[:0]
	k.mu.Unlock()
	k.poke()
}

// takeOut takes what is in the outbox; done, which was there before, is room for what
// comes next. If the outbox is empty and it is the loop that looks, whoever appends from
// here on has to wake it. k.turn is held.
func (k *conn) takeOut(done []byte, now int64, loop bool) (batch []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if done != nil && cap(done) <= keepBuffer {
		k.spare = done[:0]
	}
	if len(k.out) == 0 {
		if loop {
			k.armed.Store(false)
		}
		return nil
	}
	batch = k.out
	k.link0().stats.framesOut.Add(k.frames)
	k.out, k.spare, k.frames = k.spare, nil, 0
	k.heavy.Store(false)
	k.unsent.Add(int64(len(batch))) // until it is written
	k.lastOut.Store(now)
	return batch
}

// seal writes text as records, on the loop. False: the connection is closed.
func (k *conn) seal(text []byte) bool {
	k.turn.Lock()
	defer k.turn.Unlock()
	return k.writeRest() && k.sealInTurn(text, k.write)
}

// sealInTurn seals text as records, which write is given, with the number of bytes that
// will follow. False: the connection is closed. k.turn is held.
func (k *conn) sealInTurn(text []byte, write func(wire []byte, rest int) bool) bool {
	records := uint64(0)
	k.wire = k.wire[:0]
	for first := true; len(text) > 0 || first; first = false {
		n := min(len(text), secure.MaxRecord)
		var err error
		if k.wire, err = k.session.Seal(k.wire, text[:n]); err != nil {
			k.kill(err)
			return false
		}
		text = text[n:]
		records++
		if len(k.wire) >= writeChunk || len(text) == 0 {
			if !write(k.wire, len(text)) {
				return false
			}
			k.wire = k.wire[:0]
		}
	}
	if cap(k.wire) > keepBuffer {
		k.wire = nil
	}
	k.link0().stats.recordsOut.Add(records)
	return true
}

// write hands bytes to the kernel, and what it does not take to gnet's buffer; rest
// is how many more will follow. False: the connection is closed; gnet has called
// OnClose from within.
func (k *conn) write(b []byte, rest int) bool {
	before := k.gnet.OutboundBuffered()
	_, _ = k.gnet.Write(b) // on an error gnet has closed the connection
	if k.phase == phaseClosed {
		return false
	}
	s := &k.link0().stats
	if before == 0 {
		s.writes.Add(1)
	}
	s.bytesOut.Add(uint64(len(b)))
	k.written.Add(uint64(len(b)))
	left := k.gnet.OutboundBuffered() + rest
	k.unsent.Store(int64(left))
	if left > 0 {
		k.links.rouse()
	}
	return true
}

// chores is what is due at now: closing, deadlines, a look at what the kernel
// takes, a record that keeps an idle link alive.
func (k *conn) chores(now int64) error {
	if why := k.killed.Load(); why != nil {
		return *why
	}
	cfg := &k.links.cfg
	if k.unsent.Load() > 0 {
		k.turn.Lock()
		ok := k.writeRest()
		left := 0
		if ok {
			left = k.gnet.OutboundBuffered()
			k.unsent.Store(int64(left))
		}
		k.turn.Unlock()
		if !ok {
			return proto.ErrLinkLost
		}
		if taken := k.written.Load() - uint64(left); taken != k.taken || left == 0 {
			k.taken, k.takenAt = taken, now
		} else if now-k.takenAt > int64(cfg.WriteTimeout) {
			return proto.ErrLinkSlow
		}
	} else {
		k.taken, k.takenAt = k.written.Load(), now
	}
	if k.phase != phaseOpen {
		if now > k.deadline {
			return proto.ErrLinkHelloTimeout
		}
		return nil
	}
	if now-k.lastIn.Load() > int64(cfg.ReadTimeout) {
		return proto.ErrLinkSilent
	}
	if now >= k.sweepAt.Load() {
		if err := k.sweep(now); err != nil {
			return err
		}
	}
	idle := now-k.lastOut.Load() >= int64(cfg.ReadTimeout)/3
	if idle {
		k.lastOut.Store(now)
		k.trim()
	}
	if k.probe.Swap(false) || idle && k.unsent.Load() == 0 {
		if !k.seal(nil) {
			if why := k.killed.Load(); why != nil {
				return *why
			}
			return proto.ErrLinkLost
		}
	}
	return nil
}

// sweep ends the calls whose deadline has come.
func (k *conn) sweep(now int64) error {
	k.mu.Lock()
	due, next := k.flight.expire(k.due[:0], now, k.quiet() < quietAfter)
	k.sweepAt.Store(next)
	k.mu.Unlock()
	k.link.stats.deadlines.Add(uint64(len(due)))
	var err error
	for i, call := range due {
		due[i] = nil
		if !k.complete(call, ErrDeadline, true) {
			err = ErrPanic
		}
	}
	k.due = due[:0]
	return err
}

// trim gives the buffers of an idle connection back.
func (k *conn) trim() {
	if len(k.in) == 0 {
		k.in = nil
	}
	if len(k.text) == 0 {
		k.text = nil
	}
	k.turn.Lock()
	k.wire = nil
	k.turn.Unlock()
	k.mu.Lock()
	k.spare = nil
	if len(k.out) == 0 {
		k.out = nil
	}
	k.mu.Unlock()
}

// leave ends the link for everybody here, and says goodbye, as far as that is
// possible. A connection that is closed while the other end still sends is reset,
// and the goodbye with it: so we wait, a little, until the other end closes it.
func (k *conn) leave(why error) gnet.Action {
	if k.phase == phaseClosed || k.phase == phaseLeaving {
		return gnet.Close
	}
	if k.why == nil {
		k.why = why
	}
	linger := false
	if reason := goodbyeOf(why); reason != 0 && k.session != nil {
		k.mu.Lock()
		if !errors.Is(why, proto.ErrLinkDone) { // then what was answered is still sent
			k.out = k.out[:0]
		}
		body := proto.AppendGoodbye(nil, &proto.Goodbye{Reason: reason})
		k.append(&proto.Header{Op: proto.FrameGoodbye}, [][]byte{body})
		batch := k.out
		k.out, k.closed = nil, true
		k.mu.Unlock()
		linger = k.seal(batch) && reason != proto.CloseSlow && reason != proto.CloseSilent
	}
	if k.phase == phaseClosed {
		return gnet.Close // from within the write
	}
	if linger {
		k.leaving.Store(k.links.now() + int64(lingerFor))
		k.phase = phaseLeaving
		k.links.rouse()
	}
	k.finish()
	if linger {
		k.armed.Store(false)
		return gnet.None
	}
	return gnet.Close
}

// leaveInPanic leaves after a panic: without a goodbye if even that panics.
func (k *conn) leaveInPanic() (action gnet.Action) {
	defer func() {
		if p := recover(); p != nil {
			k.links.panicked(p)
			k.finish()
			action = gnet.Close
		}
	}()
	return k.leave(ErrPanic)
}

// linger takes what still comes on a connection that was left, until the other end
// has said goodbye too, or closes it, or time is up.
func (k *conn) linger(b []byte, now int64) gnet.Action {
	var remote *remoteError
	if len(b) > 0 && !k.deaf {
		err := k.receive(b, now)
		if errors.As(err, &remote) {
			return gnet.Close
		}
		k.deaf = err != nil
	}
	k.settle()
	if now > k.leaving.Load() {
		return gnet.Close
	}
	k.armed.Store(false)
	return gnet.None
}

// OnClose is gnet's: a connection is gone. It may be called from within a write.
func (e *loops) OnClose(c gnet.Conn, err error) gnet.Action {
	k, _ := c.Context().(*conn)
	if k == nil || k.phase == phaseClosed {
		return gnet.None
	}
	if k.why == nil {
		if why := k.killed.Load(); why != nil {
			k.why = *why
		} else if k.why = lostTo(err); k.target != nil && k.phase != phaseOpen {
			k.why = ErrHandshakeRefused
		}
	}
	k.phase = phaseClosed
	k.finish()
	k.gone.Store(true)
	for k.poking.Load() != 0 {
		runtime.Gosched() // somebody is in gnet's Wake
	}
	e.links.retire(k)
	return gnet.None
}

// finish takes the connection from its link, completes its calls and tells of it.
func (k *conn) finish() {
	if k.finished {
		return
	}
	k.finished = true
	k.settle()
	k.mu.Lock()
	k.closed = true
	calls := k.flight.drain()
	k.out, k.spare = nil, nil
	k.mu.Unlock()
	notify := k.links.unregister(k)
	if len(calls) > 0 {
		lost := &lostError{k.why}
		for _, call := range calls {
			k.complete(call, lost, true)
		}
	}
	notify()
}

// panicked notes that a callback panicked.
func (l *Links) panicked(p any) {
	l.panics.Add(1)
	l.cfg.Logger.Error("peer: a callback panicked; its link is closed", "panic", p, "stack", string(debug.Stack()))
}
