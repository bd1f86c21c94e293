package bench

import (
	"context"
	"fmt"
	"net"
	"time"
)

const (
	// maxDialers bounds the connections that are being opened at a time: fast
	// enough for thousands a second, and far below any listen queue.
	maxDialers = 16
	// The pauses before another try on a slot whose last connection failed.
	backoffMin = 5 * time.Millisecond
	backoffMax = 500 * time.Millisecond
)

// resolve connects once, to find out early whether anybody is there, and which
// of the addresses of a name answers; all connections go to that one.
func (r *run) resolve(ctx context.Context) error {
	target := r.cfg.Workload.Target()
	d := net.Dialer{Timeout: r.cfg.Timeout, KeepAlive: -1}
	c, err := d.DialContext(ctx, "tcp", target.Address)
	if err != nil {
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		return fmt.Errorf("%w: %w; is it running there? see --url", ErrUnreachable, err)
	}
	r.address, _ = c.RemoteAddr().(*net.TCPAddr) // "tcp" gives no other
	if target.TLS != nil {
		r.tls = target.tlsConfig()
		if _, err := r.handshake(ctx, c); err != nil {
			_ = c.Close()
			return fmt.Errorf("%w: %w; see --url, --ca and --insecure", ErrUnreachable, err)
		}
	}
	return c.Close()
}

// dial opens connections for slots until ctx ends.
func (r *run) dial(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-r.queue:
			r.dialSlot(ctx, s)
		}
	}
}

// dialSlot opens the connection of one slot, which belongs to it until the
// event loop takes it over.
func (r *run) dialSlot(ctx context.Context, s *slot) {
	if s.fails > 0 {
		pause := time.NewTimer(min(backoffMin<<min(s.fails-1, 10), backoffMax))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
	first := !s.dialed
	s.dialed = true
	// If it succeeds the slot is the loop's, which may have given it to another
	// dialer by now.
	err := s.loop.reactor.connect(ctx, s)
	if err != nil && ctx.Err() == nil {
		s.fails++
		if p := r.phase.Load(); p == nil || p.open(r.now()) {
			r.dialFails.Add(1)
			r.noteDial(err.Error())
		}
		r.enqueue(s)
	}
	if first && (err != nil || s.session == nil) { // else the loop counts, once it was greeted
		r.attempted.Add(1)
	}
}

// enqueue asks for a new connection for a slot, which the caller gives away.
func (r *run) enqueue(s *slot) {
	if !r.stopping.Load() {
		r.queue <- s // there is room for every slot, and each is in it at most once
	}
}
