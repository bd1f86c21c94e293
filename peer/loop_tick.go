package peer

import (
	"fmt"
	"log/slog"
	"time"
)

const (
	// tickEvery is how often it is looked whether something is due while anything is
	// under way: a request in flight, bytes that the kernel has not taken. It bounds how
	// late a deadline may act. A look takes a lock and a few loads for each connection.
	tickEvery = 10 * time.Millisecond
	// shortly is within what time a deadline counts as something under way: nobody
	// waits for the answer to a message of the machine.
	shortly = int64(time.Second)
)

// tick wakes the loops of connections for which something is due, and dials.
func (l *Links) tick() {
	defer l.ticking.Done()
	defer l.timer.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.timer.C:
			l.resting.Store(true) // what begins from here on ends the rest
			now := l.now()
			l.pause(l.look(now) - now)
		}
	}
}

// pause sets the time of the next look, of which d is how far away it may be.
func (l *Links) pause(d int64) {
	l.pausing.Lock()
	defer l.pausing.Unlock()
	if d <= int64(tickEvery) || !l.resting.Load() {
		l.resting.Store(false)
		d = int64(tickEvery)
	}
	l.timer.Reset(time.Duration(d))
}

// rouse ends a rest: something has begun that has a deadline. Any goroutine.
func (l *Links) rouse() {
	if !l.resting.Load() {
		return
	}
	l.pausing.Lock()
	defer l.pausing.Unlock()
	if l.resting.Swap(false) {
		l.timer.Reset(tickEvery)
	}
}

// look sees to what is due, and says when to look again.
func (l *Links) look(now int64) (next int64) {
	// Where this node gets little of a processor, so may its peers: the time between
	// two looks counts as little more than a tick. Nor does a rest count: nobody is
	// silent who was not asked anything.
	l.awake.Add(min(now-l.looked, int64(tickEvery)*5/4))
	l.looked = now
	next = now + int64(l.cfg.ReadTimeout)/3
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.conns {
		due := k.choresAt()
		if now >= due {
			k.wake()
		}
		if k.unsent.Load() > 0 || k.sweepAt.Load()-now < shortly {
			due = now
		}
		next = min(next, due)
	}
	for _, p := range l.peers {
		l.dialIfDue(p, now)
		if p.wanted && p.dialling == nil && p.conn.Load() == nil {
			next = min(next, p.dialAt)
		}
	}
	return next
}

// choresAt is when chores have something to do.
func (k *conn) choresAt() int64 {
	if until := k.leaving.Load(); until != 0 {
		return until + 1
	}
	if !k.ready.Load() {
		return k.deadline + 1
	}
	if k.unsent.Load() > 0 {
		return 0
	}
	timeout := int64(k.links.cfg.ReadTimeout)
	return min(k.sweepAt.Load(), k.lastIn.Load()+timeout+1, k.lastOut.Load()+timeout/3)
}

// gnetLogger hands gnet's complaints on; its chatter is dropped. Its Fatalf does
// not end the process.
type gnetLogger struct{ log *slog.Logger }

func (g *gnetLogger) Debugf(string, ...any) {}
func (g *gnetLogger) Infof(string, ...any)  {}
func (g *gnetLogger) Warnf(format string, args ...any) {
	g.log.Warn("peer: event loops: " + fmt.Sprintf(format, args...))
}
func (g *gnetLogger) Errorf(format string, args ...any) {
	g.log.Error("peer: event loops: " + fmt.Sprintf(format, args...))
}
func (g *gnetLogger) Fatalf(format string, args ...any) { g.Errorf(format, args...) }
