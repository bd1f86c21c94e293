package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/smache/smache/proto"
)

// dialIfDue begins a dial if the peer is wanted, there is no link and the pause is
// over. l.mu is held.
func (l *Links) dialIfDue(p *Link, now int64) {
	if !l.started || l.closing || !p.wanted || p.dialling != nil || p.conn.Load() != nil || now < p.dialAt {
		return
	}
	k := &conn{links: l, target: p}
	p.dialling = k
	l.working.Add(1)
	go l.dial(p, k, p.address)
}

// dial opens a connection and hands it to gnet.
func (l *Links) dial(p *Link, k *conn, address string) {
	defer l.working.Done()
	p.stats.dials.Add(1)
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.DialTimeout)
	defer cancel()
	c, err := l.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		err = dialError(err, isAddress(address))
	} else {
		err = l.enrol(c, k)
	}
	if err == nil {
		return // the loop has it, or has closed it
	}
	l.mu.Lock()
	notify := func() {}
	if p.dialling == k {
		notify = l.dialOver(p, err)
	} else {
		p.count(err)
	}
	l.mu.Unlock()
	notify()
}

// isAddress says that the host is an IP address, which stands for one machine.
func isAddress(address string) bool {
	_, err := netip.ParseAddrPort(address)
	return err == nil
}

// enrol hands an open connection to gnet; nil means that OnOpen was called.
func (l *Links) enrol(c net.Conn, k *conn) error {
	if why := k.killed.Load(); why != nil {
		_ = c.Close()
		return *why
	}
	if _, err := l.engine.EnrollContext(c, k); err != nil {
		return dialError(err, false)
	}
	if !k.opened.Load() { // gnet gives no error when its poller refuses a socket
		return dialError(errors.New("the event loop did not take the connection"), false)
	}
	return nil
}

// dialOver ends a dial that has failed. l.mu is held.
func (l *Links) dialOver(p *Link, why error) (notify func()) {
	p.dialling = nil
	p.count(why)
	p.failures++
	p.dialAt = l.now() + l.backoff(p.failures, why)
	l.rouse()
	if l.closing || errors.Is(why, ErrForgotten) {
		l.dropIfIdle(p)
		return func() {}
	}
	log := l.cfg.Logger.Debug
	if p.failures == 1 {
		log = l.cfg.Logger.Warn // the first of a row of failures is news
	}
	log("peer: cannot connect", "peer", p.name, "address", p.address, "error", why)
	l.dropIfIdle(p)
	return l.event(DialFailed, p, why)
}

// accept takes connections until the listener is closed. When there are no file
// descriptors left, it tries again a little later.
func (l *Links) accept() {
	defer l.working.Done()
	for {
		c, err := l.cfg.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed), err != nil && l.ctx.Err() != nil:
			return
		case err != nil:
			l.strangers.stats.acceptErrors.Add(1)
			l.cfg.Logger.Warn("peer: cannot accept; is the limit of open files too low?", "error", err)
			select {
			case <-l.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		if int(l.pending.Add(1)) > l.cfg.MaxPending || l.ctx.Err() != nil {
			l.pending.Add(-1)
			_ = c.Close()
			l.mu.Lock()
			l.strangers.count(proto.ErrLinkConnections)
			l.mu.Unlock()
			continue
		}
		k := &conn{links: l}
		if err := l.enrol(c, k); err != nil {
			l.pending.Add(-1)
			l.cfg.Logger.Warn("peer: cannot take an accepted connection", "error", err)
		}
	}
}
