package httpapi

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smache/smache/proto"
)

// registry knows the open connections: it counts them, bounds them, and ends
// those whose deadline has passed. Any goroutine may use it.
type registry struct {
	settle     func(*charges)
	refused    func(*proto.Failure) // counts what is answered without a request
	limit      int                  // connections
	perAddress int                  // connections of one address; 0: no limit
	base       time.Time
	interval   time.Duration // between sweeps

	readTimeout, writeTimeout, idleTimeout time.Duration

	// tick is the time of the last sweep, on the clock of now: the clock of
	// deadlines, which costs a request nothing to read.
	tick atomic.Int64

	mu        sync.Mutex
	conns     []*conn
	addresses map[netip.Addr]int
	resting   atomic.Bool   // there is nothing to sweep; set and cleared under mu
	first     chan struct{} // takes note of a connection where there was none
	stop      chan struct{} // closed by halt; nil while nothing is swept
	swept     chan struct{} // closed when the sweeper has ended

	accepted, acceptErrors     atomic.Uint64
	overLimit, overAddress     atomic.Uint64
	readTimeouts, idleTimeouts atomic.Uint64
	writeTimeouts              atomic.Uint64
	headerFloods               atomic.Uint64
	handshakes                 handshakes
	closedIn, closedOut        atomic.Uint64 // bytes of closed connections
}

// newRegistry makes a registry for so many connections, and for so many of one address.
func newRegistry(c *Config, limit, perAddress int) registry {
	return registry{
		limit: limit, perAddress: perAddress,
		readTimeout: c.ReadTimeout, writeTimeout: c.WriteTimeout, idleTimeout: c.IdleTimeout,
		interval: sweepInterval(c), base: time.Now(), addresses: make(map[netip.Addr]int),
		first: make(chan struct{}, 1),
	}
}

// now gives the nanoseconds since base.
func (r *registry) now() int64 { return int64(time.Since(r.base)) }

// after gives the deadline that is d from now: not before, for the last tick may
// be one interval ago.
func (r *registry) after(d time.Duration) int64 { return r.tick.Load() + int64(r.interval+d) }

// passed reports whether the deadline by has passed.
func (r *registry) passed(by int64) bool { return by != 0 && r.tick.Load() >= by }

// admission is the verdict of add.
type admission uint8

const (
	admitted    admission = 0
	tooMany     admission = 1
	tooManyHere admission = 2
)

// add admits nc and wraps it, or says which limit is reached.
func (r *registry) add(nc net.Conn, loopback bool, config *tls.Config) (*conn, admission) {
	if r.resting.Load() {
		r.tick.Store(r.now())
	}
	c := &conn{Conn: nc, registry: r, loopback: loopback, opened: r.tick.Load()}
	c.bind()
	if config != nil {
		c.speakTLS(config)
	}
	c.readBy.Store(r.after(r.readTimeout))
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.remote = tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	if r.perAddress > 0 {
		c.addr = c.remote
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.conns) >= r.limit {
		r.overLimit.Add(1)
		return nil, tooMany
	}
	if c.addr.IsValid() {
		if r.addresses[c.addr] >= r.perAddress {
			r.overAddress.Add(1)
			return nil, tooManyHere
		}
		r.addresses[c.addr]++
	}
	c.place = len(r.conns)
	r.conns = append(r.conns, c)
	if r.resting.Load() {
		r.resting.Store(false)
		select {
		case r.first <- struct{}{}:
		default: // one from before a rest is there still
		}
	}
	r.accepted.Add(1)
	return c, admitted
}

// remove forgets c.
func (r *registry) remove(c *conn) {
	r.closedIn.Add(c.in.Load())
	r.closedOut.Add(c.out.Load())
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.conns[len(r.conns)-1]
	r.conns[c.place], last.place = last, c.place
	r.conns[len(r.conns)-1] = nil
	r.conns = r.conns[:len(r.conns)-1]
	if c.addr.IsValid() {
		if r.addresses[c.addr]--; r.addresses[c.addr] == 0 {
			delete(r.addresses, c.addr)
		}
	}
}

// open counts the open connections.
func (r *registry) open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// bytes counts what came in and went out over all connections so far.
func (r *registry) bytes() (in, out uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in, out = r.closedIn.Load(), r.closedOut.Load()
	for _, c := range r.conns {
		in += c.in.Load()
		out += c.out.Load()
	}
	return in, out
}

// sweep moves the clock and ends what is past its deadline, every interval, until
// halt; it rests while there is no connection. Only the first call does; the others
// return at once.
func (r *registry) sweep() {
	r.mu.Lock()
	if r.stop != nil {
		r.mu.Unlock()
		return
	}
	stop, swept := make(chan struct{}), make(chan struct{})
	r.stop, r.swept = stop, swept
	r.mu.Unlock()
	go func() {
		defer close(swept)
		ticker := time.NewTicker(r.interval)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				if r.sweepOnce() {
					continue
				}
				ticker.Stop() // so that a process without connections is not woken
				select {
				case <-stop:
					return
				case <-r.first:
					ticker.Reset(r.interval)
				}
			}
		}
	}()
}

// halt ends the sweeper and waits for it.
func (r *registry) halt() {
	r.mu.Lock()
	stop, swept := r.stop, r.swept
	r.stop = nil
	r.mu.Unlock()
	if stop != nil {
		close(stop)
		<-swept
	}
}

// sweepOnce interrupts the connections whose deadline has passed, each once for
// each deadline. False: there is none.
func (r *registry) sweepOnce() (more bool) {
	now := r.now()
	r.tick.Store(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.conns) == 0 {
		r.resting.Store(true)
		return false
	}
	for _, c := range r.conns {
		if by := c.readBy.Load(); by != 0 && by <= now && by != c.readCut {
			c.readCut = by
			// An error means that it is closed already.
			_ = c.Conn.SetReadDeadline(interrupt)
			if c.state.Load() == connActive {
				r.readTimeouts.Add(1)
			} else {
				r.idleTimeouts.Add(1)
			}
		}
		if by := c.writeBy.Load(); by != 0 && by <= now && by != c.writeCut {
			c.writeCut = by
			_ = c.Conn.SetWriteDeadline(interrupt)
			r.writeTimeouts.Add(1)
		}
	}
	return true
}

// drain closes each connection once it is between two requests, until there is none.
// When ctx ends first it closes those that are left, and the error is ctx's. Nothing is
// swept afterwards.
func (r *registry) drain(ctx context.Context) (err error) {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	defer r.halt()
	for r.closeIdle(quietGrace); r.open() > 0; r.closeIdle(quietGrace) {
		select {
		case <-again.C:
		case <-ctx.Done():
			r.closeAll()
			return ctx.Err() // Shutdown does
		}
	}
	return nil
}

// closeIdle closes, for Shutdown, the connections between two requests, and those on
// which nothing has been read since they were opened, if that is longer than grace
// ago.
func (r *registry) closeIdle(grace time.Duration) {
	r.closeIf(func(c *conn) bool {
		switch c.state.Load() {
		case connIdle:
			return true
		case connNew:
			return c.quiet() && r.tick.Load()-c.opened >= int64(grace)
		default:
			return false
		}
	})
}

// closeAll closes every connection.
func (r *registry) closeAll() { r.closeIf(func(*conn) bool { return true }) }

func (r *registry) closeIf(which func(*conn) bool) {
	r.mu.Lock()
	var chosen []*conn
	for _, c := range r.conns {
		if which(c) {
			chosen = append(chosen, c)
		}
	}
	r.mu.Unlock()
	for _, c := range chosen { // Close takes the mutex
		c.lingers.Store(false)
		_ = c.Close()
	}
}
