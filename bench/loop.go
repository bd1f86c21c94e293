package bench

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A loop is one event loop with its connections. Its fields belong to the loop's
// goroutine, but for those said to be otherwise.
type loop struct {
	run     *run
	reactor reactor // set before the start
	slots   []*slot // set before the start

	ready atomic.Bool // there has been a connection; any goroutine

	phase    *phase // the one that tally is about; nil before the first
	script   Script // of phase
	reported bool   // tally was handed over, phase is over here
	inflight int    // slots that are busy
	tally    *tally
	recent   sketch // of the right answers since the last tick
	plain    []byte // what a tlsLink has opened; nil if there is none

	// Of an open loop, see pump.
	idle    ring   // slots that wait for the time of their next request
	held    bool   // the number of a request that is not due yet was drawn
	next    uint64 // that number
	wakesAt int64  // when the reactor calls wake, on the run's clock; 0: not at all
	wokenAt int64  // when it did last

	liveOK, liveFailed atomic.Uint64 // copies from tally, for the display
}

// A slot is one client: one connection after the other, one request at a time.
// While it waits to be connected it belongs to a dialer, otherwise to its loop;
// opens may be read by any goroutine, and busy, sentAt and wire belong to the
// loop at all times.
type slot struct {
	loop  *loop
	index int32    // in loop.slots
	wire  wire     // nil while there is no connection
	tls   *tlsLink // of the latest connection; nil: it is not over TLS

	busy     bool   // a request has no answer yet
	retrying bool   // it waits for a new connection to be sent once more
	retried  bool   // it was sent once more
	n        uint64 // its number
	sentAt   int64  // on the run's clock
	dueAt    int64  // when it was to be sent; sentAt in a closed loop
	idleAt   int64  // since when it has waited in loop.idle
	queued   bool   // it is in loop.idle
	parser   Reader
	session  session // parser, if it is one
	greeting bool    // the connection may not be used yet
	spokeAt  int64   // when the session sent something last
	greeted  bool    // it was counted as connected, or not, for the first time
	check    checker
	failed   string // the beginning of a body that is wrong

	opens  atomic.Uint32
	dialed bool // for the first time
	good   bool // this connection brought a right answer
	fails  int  // connections in a row that brought none
}

// opened is the reactor's: a dialer has handed over a connection. It must be
// closed if opened returns false.
func (l *loop) opened(s *slot, w wire) bool {
	if l.run.stopping.Load() {
		return false
	}
	l.ready.Store(true)
	s.wire, s.good = w, false
	s.parser.Reset()
	s.opens.Add(1)
	now := l.run.now()
	if s.session != nil {
		s.greeting, s.spokeAt = true, now
		s.send(s.session.begin())
		return true
	}
	l.connected(s, now)
	return true
}

// connected begins to use a connection.
func (l *loop) connected(s *slot, now int64) {
	l.run.opened.Add(1)
	l.run.connected.Add(1)
	switch {
	case s.retrying:
		s.retrying = false
		l.write(s)
	case l.enter(now): // which has started this slot with all others
	case l.phase != nil:
		l.sendNext(s, now)
	}
}

// enter begins the run's present phase, if that was not done yet.
func (l *loop) enter(now int64) bool {
	p := l.run.phase.Load()
	if p == nil || p == l.phase {
		return false
	}
	l.phase, l.script, l.reported = p, p.workload.Script(), false
	l.tally = newTally(len(p.workload.Kinds()), p.begin, p.pacer != nil)
	l.idle.clear()
	l.wakesAt = 0 // if it is set, for the phase before
	for _, s := range l.slots {
		if s.wire != nil && !s.busy && !s.greeting {
			l.sendNext(s, now)
		}
	}
	l.endPhase(now)
	return true
}

// sendNext sends the next request, if there is one left, in an open loop at its
// time.
func (l *loop) sendNext(s *slot, now int64) {
	if l.phase.pacer != nil {
		l.wait(s, now)
		return
	}
	n, ok := l.phase.take(now)
	if !ok {
		l.endPhase(now)
		return
	}
	s.dueAt = now
	l.send(s, n, now)
}

// send sends request n.
func (l *loop) send(s *slot, n uint64, now int64) {
	s.n, s.busy, s.retried, s.sentAt = n, true, false, now
	l.inflight++
	l.tally.sent++
	l.write(s)
}

// write hands the slot's request to the kernel. If that fails, closed has dealt
// with the slot on return.
func (l *loop) write(s *slot) {
	request := l.script.Request(s.n)
	if s.session != nil {
		request = s.sealed(request)
	}
	l.tally.bytesOut += uint64(len(request))
	s.send(request)
}

// send hands bytes to the kernel, or to TLS, which does.
func (s *slot) send(b []byte) {
	if s.tls != nil {
		s.tls.write(b)
		return
	}
	s.wire.write(b)
}

// received is the reactor's: bytes have come, which are valid until it returns.
// The connection must be closed if it returns false.
func (l *loop) received(s *slot, b []byte) bool {
	if s.tls != nil {
		return s.tls.received(b)
	}
	return l.take(s, b)
}

// take takes bytes of an answer. This is the hot path: it parses, checks, counts and
// sends the next request.
func (l *loop) take(s *slot, b []byte) bool {
	now := l.run.now()
	if !s.busy || s.greeting {
		return l.unasked(s, b, now)
	}
	l.tally.bytesIn += uint64(len(b))
	for {
		event, piece, rest, err := s.parser.Next(b)
		if err != nil {
			l.fail(s, now, FailMalformed, err.Error())
			return false
		}
		if len(piece) > 0 {
			l.compare(s, piece)
		}
		switch {
		case event == EventDone:
			shut := s.parser.Close()
			if len(rest) > 0 {
				l.fail(s, now, FailMalformed, "more bytes than one answer")
				return false
			}
			l.answered(s, now)
			if shut {
				return false
			}
			s.parser.Reset()
			l.sendNext(s, now)
			return true
		case event == EventMore || len(rest) == 0:
			return true
		}
		b = rest
	}
}

// compare checks a piece of the body of an answer.
func (l *loop) compare(s *slot, piece []byte) {
	want := l.script.Expect(s.n)
	if s.parser.Status() == want.Status {
		s.check.take(piece, &want)
		if !s.check.wrong {
			return
		}
	}
	if s.failed == "" {
		s.failed = string(piece[:min(len(piece), maxSample)])
	}
}

// answered ends a request whose answer is complete.
func (l *loop) answered(s *slot, now int64) {
	want := l.script.Expect(s.n)
	switch status := s.parser.Status(); {
	case status != want.Status:
		l.tally.statuses[status]++
		l.fail(s, now, FailStatus, fmt.Sprintf("status %d: %s", status, s.failed))
	case !s.check.right(&want):
		if s.failed == "" {
			s.failed = "(it ends too early)"
		}
		l.fail(s, now, FailContent, "body: "+s.failed)
	default:
		l.tally.ok++
		l.tally.bytesBody += uint64(s.check.total)
		took := now - s.dueAt
		l.tally.kinds[want.Kind].latency.Record(time.Duration(took))
		l.tally.series.add(now, took)
		l.recent.add(took)
		s.good = true
		l.end(s, now)
	}
}

// fail ends a request without a right answer.
func (l *loop) fail(s *slot, now int64, kind Failure, sample string) {
	l.tally.failed[kind]++
	l.tally.kinds[l.script.Expect(s.n).Kind].failed++
	l.tally.series.addFailed(now)
	l.tally.sample(kind, sample)
	l.end(s, now)
}

// end makes the slot ready for its next request.
func (l *loop) end(s *slot, now int64) {
	s.busy, s.retrying, s.failed, s.check = false, false, "", checker{}
	l.inflight--
	l.tally.lastEnd = now
}

// closed is the reactor's: the slot's connection is gone, by whatever side.
func (l *loop) closed(s *slot, err error) {
	s.wire = nil
	if err == nil && s.tls != nil && s.tls.failed != nil {
		if err = s.tls.failed; !s.good { // perhaps it is not let in at all
			l.run.noteDial(err.Error())
		}
	}
	now := l.run.now()
	greeting := s.greeting
	if greeting {
		l.refused(s)
	} else {
		l.run.connected.Add(-1)
	}
	if l.run.stopping.Load() {
		return
	}
	if !greeting {
		l.tally.reconnects++
	}
	if s.busy {
		switch {
		case s.parser.Finish():
			l.answered(s, now)
		case l.run.cfg.Retry && !s.retried && s.parser.Untouched():
			s.retrying, s.retried = true, true
			l.tally.retried++
		default:
			text := "connection closed by the server"
			if err != nil {
				text = err.Error()
			}
			l.fail(s, now, FailClosed, text)
		}
	}
	if s.fails++; s.good {
		s.fails = 0
	}
	if !s.busy && l.phase != nil {
		l.endPhase(now)
	}
	if p := l.phase; p == nil || !p.last || s.retrying || p.open(now) {
		l.run.enqueue(s)
	}
}

// tick is run on the loop now and then: it enters a new phase, ends requests
// that took too long, shows the counters, and notices the end of the phase.
func (l *loop) tick() {
	now := l.run.now()
	l.enter(now)
	l.keepAlive(now)
	p := l.phase
	if p == nil {
		return
	}
	limit := now - int64(l.run.cfg.Timeout)
	for _, s := range l.slots {
		switch {
		case !s.busy:
		case p.abandoned.Load():
			l.tally.abandoned++
			l.end(s, now)
		case p.cutoff > 0 && now >= p.cutoff:
			l.fail(s, now, FailUnfinished, "no complete answer "+l.run.cfg.Drain.String()+" after the end; see --drain")
			if s.wire != nil {
				s.wire.shut() // its answer would be taken for that of the next request
			}
		case s.sentAt >= limit:
		case s.wire == nil:
			l.fail(s, now, FailClosed, "no new connection for the retry")
		default:
			l.fail(s, now, FailTimeout, "no complete answer in "+l.run.cfg.Timeout.String())
			s.wire.shut() // closed asks for a new one
		}
	}
	if !l.reported {
		l.liveOK.Store(l.tally.ok)
		l.liveFailed.Store(l.tally.failures())
		l.run.live.take(&l.recent)
	}
	l.pump(now)
	l.endPhase(now)
}

// endPhase hands over the counts once nothing is under way or left to send.
// What is counted afterwards, by connections that close, is nobody's.
func (l *loop) endPhase(now int64) {
	if l.reported || l.inflight > 0 || l.held && !l.drop(now) || l.phase.open(now) {
		return
	}
	l.reported = true
	l.liveOK.Store(l.tally.ok)
	l.liveFailed.Store(l.tally.failures())
	l.phase.results <- l.tally // it has room for every loop
	l.tally = newTally(len(l.tally.kinds), now, l.phase.pacer != nil)
}
