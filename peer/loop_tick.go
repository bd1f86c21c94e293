package peer

import (
	"fmt"
	"log/slog"
	"time"
)

// tickEvery is how often it is looked whether something is due. It bounds how late
// a deadline may act. A look takes a lock and a few loads for each connection.
const tickEvery = 10 * time.Millisecond

// tick wakes the loops of connections for which something is due, and dials.
func (l *Links) tick() {
	defer l.ticking.Done()
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
			l.look(l.now())
		}
	}
}

func (l *Links) look(now int64) {
	// Where this node gets little of a processor, so may its peers: the time between
	// two looks counts as little more than a tick.
	l.awake.Add(min(now-l.looked, int64(tickEvery)*5/4))
	l.looked = now
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.conns {
		if k.isDue(now) {
			k.wake()
		}
	}
	for _, p := range l.peers {
		l.dialIfDue(p, now)
	}
}

// isDue says that chores have something to do.
func (k *conn) isDue(now int64) bool {
	if until := k.leaving.Load(); until != 0 {
		return now > until
	}
	if !k.ready.Load() {
		return now > k.deadline
	}
	timeout := int64(k.links.cfg.ReadTimeout)
	return now >= k.sweepAt.Load() || k.unsent.Load() > 0 ||
		now-k.lastIn.Load() > timeout || now-k.lastOut.Load() >= timeout/3
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
