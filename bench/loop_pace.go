package bench

import "time"

// lateAfter is how far behind its intended time a request counts as sent late.
const lateAfter = time.Millisecond

// wakeEvery is how often a loop is woken to send at most: what falls due in between is
// sent together. To set a timer and be woken by it costs more than the request where
// the machine is a virtual one (docs/PERFORMANCE.md, "A timer for each request"), and
// what the generator takes on the server's machine is the server's delay.
const wakeEvery = 250 * time.Microsecond

// wait has a slot wait for the time of its next request. Where the loop will be woken,
// it sends then.
func (l *loop) wait(s *slot, now int64) {
	s.idleAt = now
	if !s.queued {
		s.queued = true
		l.idle.push(s)
	}
	if l.wakesAt == 0 {
		l.pump(now)
	}
}

// pump sends the requests of an open loop whose time has come, as long as there
// are connections, and asks to be called again when the next is due. One number is
// drawn ahead of its time at most, for which a connection is kept.
func (l *loop) pump(now int64) {
	if l.phase == nil || l.phase.pacer == nil || l.reported {
		return
	}
	for {
		s := l.idle.peek()
		if s == nil {
			return
		}
		if s.wire == nil || s.busy || s.greeting { // its connection was lost meanwhile
			l.idle.pop().queued = false
			continue
		}
		if !l.held {
			n, ok := l.phase.take(now)
			if !ok {
				l.endPhase(now)
				return
			}
			l.held, l.next = true, n
		}
		due := l.phase.due(l.next)
		if due > now {
			l.wakeAt(due, now)
			return
		}
		l.idle.pop().queued = false
		l.held = false
		l.tally.delay.Record(time.Duration(now - due))
		if now-due > int64(lateAfter) {
			l.tally.late++
			if s.idleAt <= due {
				l.tally.lateBusy++
			}
		}
		s.dueAt = due
		l.send(s, l.next, now)
		now = l.run.now()
	}
}

// drop gives up the request that is held, if the phase is over before its time, and
// reports whether it did.
func (l *loop) drop(now int64) bool {
	p := l.phase
	if !p.stopped.Load() && !p.abandoned.Load() && now < p.deadline {
		return false
	}
	l.held = false
	return true
}

// wakeAt asks the reactor for a call of wake, unless there will be one before.
func (l *loop) wakeAt(due, now int64) {
	at := max(due, l.wokenAt+int64(wakeEvery))
	if l.wakesAt != 0 && l.wakesAt <= at {
		return
	}
	l.wakesAt = at
	l.reactor.wakeIn(time.Duration(l.wakesAt - now))
}

// wake is the reactor's: the time that was asked for has come.
func (l *loop) wake() {
	now := l.run.now()
	l.wakesAt, l.wokenAt = 0, now
	l.pump(now)
	if l.phase != nil {
		l.endPhase(now)
	}
}

// ring is a queue of slots, each of which is in it at most once.
type ring struct {
	slots       []*slot
	first, size int
}

func (r *ring) push(s *slot) {
	if r.size == len(r.slots) {
		r.grow()
	}
	r.slots[(r.first+r.size)%len(r.slots)] = s
	r.size++
}

func (r *ring) grow() {
	slots := make([]*slot, max(8, 2*len(r.slots)))
	for i := range r.size {
		slots[i] = r.slots[(r.first+i)%len(r.slots)]
	}
	r.slots, r.first = slots, 0
}

// peek gives the first slot; nil if there is none.
func (r *ring) peek() *slot {
	if r.size == 0 {
		return nil
	}
	return r.slots[r.first]
}

// pop takes the first slot, which there must be.
func (r *ring) pop() *slot {
	s := r.slots[r.first]
	r.slots[r.first] = nil
	r.first = (r.first + 1) % len(r.slots)
	r.size--
	return s
}

// clear takes all.
func (r *ring) clear() {
	for r.size > 0 {
		r.pop().queued = false
	}
}
