package peer

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Requests that came to an HTTP loop together are sent together, by the loop itself: to
// wake the link's own, which would do no more than that, takes as long as the request.

// gatherMost is how many frames may wait in an outbox for Gathered.
const gatherMost = 64

// gathering are the connections with frames that wait for Gathered.
type gathering struct {
	some  atomic.Bool // there are some
	mu    sync.Mutex
	conns []*conn
	spare []*conn // room for the next; takes turns with conns
}

// gather notes that k has frames that wait for Gathered, unless its loop is about to look
// anyway.
func (l *Links) gather(k *conn) {
	if k.armed.Load() || k.gathers.Load() || k.gathers.Swap(true) {
		return
	}
	g := &l.gathering
	g.mu.Lock()
	g.conns = append(g.conns, k)
	g.some.Store(true)
	g.mu.Unlock()
}

// Gathered sends the requests with Call.Gather, of whoever they are. Any goroutine.
func (l *Links) Gathered() {
	g := &l.gathering
	if !g.some.Load() {
		return
	}
	g.mu.Lock()
	conns := g.conns
	g.conns, g.spare = g.spare, nil
	g.some.Store(false)
	g.mu.Unlock() // writing takes too long for others to wait
	for _, k := range conns {
		k.gathers.Store(false) // before sending: who appends from here on comes again
		if !k.sendGathered() {
			k.wake()
		}
	}
	clear(conns)
	g.mu.Lock()
	g.spare = conns[:0]
	g.mu.Unlock()
}

// sendGathered writes what is in the outbox, on whatever goroutine calls it, and does not
// wait for anything. False: that is for the loop, which has to be woken.
func (k *conn) sendGathered() bool {
	if k.armed.Load() {
		return true // it is about to look
	}
	k.poking.Add(1) // the socket is not closed meanwhile
	defer k.poking.Add(-1)
	if !k.ready.Load() || k.gone.Load() || k.fd < 0 || k.heavy.Load() || !k.turn.TryLock() {
		return false
	}
	defer k.turn.Unlock()
	if k.unsent.Load() > 0 || k.killed.Load() != nil {
		return false // behind what the kernel has not taken yet
	}
	batch := k.takeOut(nil, k.links.now(), false)
	if batch == nil {
		return true
	}
	sent := k.sealInTurn(batch, k.writeHere)
	k.mu.Lock()
	if cap(batch) <= keepBuffer && !k.closed && k.spare == nil {
		k.spare = batch[:0]
	}
	k.mu.Unlock()
	return sent && len(k.left) == 0
}

// writeHere is write for who is not on the loop: what the kernel does not take is left for
// the loop. k.turn is held.
func (k *conn) writeHere(wire []byte, rest int) bool {
	n := 0
	if len(k.left) == 0 {
		var err error
		if n, err = unix.Write(k.fd, wire); err != nil {
			n = 0 // the loop finds out why
		}
		s := &k.link0().stats
		s.writes.Add(1)
		s.bytesOut.Add(uint64(n))
		k.written.Add(uint64(n))
	}
	k.left = append(k.left, wire[n:]...)
	k.unsent.Store(int64(len(k.left) + rest))
	return true
}

// writeRest writes, on the loop, what writeHere has left. False: the connection is
// closed. k.turn is held.
func (k *conn) writeRest() bool {
	if len(k.left) == 0 {
		return true
	}
	left := k.left
	k.left = nil
	return k.write(left, 0)
}
