package bench

import (
	"fmt"
	"time"
)

// aliveEvery is how long a session may say nothing: a third of what nodes stand.
const aliveEvery = 5 * time.Second / 3

// sealed is a request as it goes over the slot's connection.
func (s *slot) sealed(request []byte) []byte {
	b, err := s.session.seal(request)
	if err != nil {
		panic("BUG: bench: " + err.Error()) // after 2^64 records
	}
	s.spokeAt = s.loop.run.now()
	return b
}

// unasked takes bytes of a connection on which no request is under way: those of a
// session's beginning, or of one that is idle. The connection must be closed if it
// returns false.
func (l *loop) unasked(s *slot, b []byte, now int64) bool {
	switch {
	case s.session == nil:
		return false
	case !s.greeting:
		return s.session.idle(b) == nil
	}
	send, ready, err := s.session.greet(b)
	if err != nil {
		l.run.noteDial(fmt.Sprintf("connect to %s: %v", l.run.address, err))
	}
	if len(send) > 0 {
		s.send(send)
		if s.wire == nil {
			return false // closed has dealt with it
		}
	}
	if err != nil {
		return false
	}
	if ready {
		s.greeting = false
		l.ready.Store(true)
		l.connected(s, now)
		s.count()
	}
	return true
}

// refused notes that a connection ended before it could be used.
func (l *loop) refused(s *slot) {
	s.greeting = false
	if !l.run.stopping.Load() {
		l.run.dialFails.Add(1)
		if l.run.sampleOfDial() == "" {
			hint := ""
			if l.run.cfg.Workload.Target().Protocol == ProtocolPeer {
				hint = "; is it a node's peer port, and --secret that of the cluster?"
			}
			l.run.noteDial(fmt.Sprintf("connect to %s: it ended without a greeting%s", l.run.address, hint))
		}
	}
	s.count()
}

// count says, once, that the slot was connected, or could not be.
func (s *slot) count() {
	if !s.greeted {
		s.greeted = true
		s.loop.run.attempted.Add(1)
	}
}

// keepAlive gives the sessions' signs of life, and ends those whose greeting takes
// too long.
func (l *loop) keepAlive(now int64) {
	if l.slots[0].session == nil {
		return // all are of one kind
	}
	for _, s := range l.slots {
		switch silent := now - s.spokeAt; {
		case s.wire == nil:
		case s.greeting && silent > int64(l.run.cfg.Timeout):
			s.wire.shut()
		case !s.greeting && silent > int64(aliveEvery):
			if sign := s.sealed(nil); len(sign) > 0 {
				s.send(sign)
			}
		}
	}
}
