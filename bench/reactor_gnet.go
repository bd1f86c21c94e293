package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// gnetReactor is the reactor for systems without epoll.
type gnetReactor struct {
	gnet.BuiltinEventEngine
	loop   *loop
	client *gnet.Client
	events gnet.EventLoop // set at the first connection, before loop.ready
	timer  *time.Timer    // of wakeIn
}

// gnetWire is a connection of a gnetReactor.
type gnetWire struct {
	reactor *gnetReactor
	conn    gnet.Conn
}

func newGnetReactor(l *loop) (reactor, error) {
	r := &gnetReactor{loop: l}
	var err error
	if r.client, err = gnet.NewClient(r, gnet.WithNumEventLoop(1), gnet.WithLogger(silent{})); err != nil {
		return nil, fmt.Errorf("bench: cannot create an event loop: %w", err)
	}
	return r, nil
}

func (r *gnetReactor) start() error {
	if err := r.client.Start(); err != nil {
		return fmt.Errorf("bench: cannot start an event loop: %w", err)
	}
	return nil
}

func (r *gnetReactor) wakeIn(d time.Duration) {
	if r.timer == nil {
		r.timer = time.AfterFunc(d, func() { r.execute(r.loop.wake) })
		return
	}
	r.timer.Reset(d)
}

func (r *gnetReactor) stop() { _ = r.client.Stop() } // it reports only how its goroutines ended

// errEnrol says that gnet did not take a connection.
var errEnrol = errors.New("bench: the event loop did not take the connection")

// connect dials with the standard library, since gnet's own Dial has no time-out.
func (r *gnetReactor) connect(ctx context.Context, s *slot) error {
	var c net.Conn
	var err error
	if r.loop.run.tls != nil {
		c, err = r.loop.run.dialTLS(ctx, s)
	} else {
		c, err = r.loop.run.dialPlain(ctx)
	}
	if err != nil {
		return err
	}
	before := s.opens.Load()
	if _, err := r.client.EnrollContext(c, s); err != nil {
		return fmt.Errorf("%w: %w", errEnrol, err)
	}
	// gnet gives no error when registering fails; the slot then still waits.
	if s.opens.Load() == before {
		return errEnrol
	}
	return nil
}

func (r *gnetReactor) execute(f func()) {
	_ = r.events.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error { // fails only when the loop has ended
		f()
		return nil
	}))
}

// OnOpen is gnet's: a connection was enrolled.
func (r *gnetReactor) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	s, _ := c.Context().(*slot)
	if s == nil {
		return nil, gnet.Close
	}
	if r.events == nil {
		r.events = c.EventLoop()
	}
	if !r.loop.opened(s, &gnetWire{r, c}) {
		return nil, gnet.Close
	}
	return nil, gnet.None
}

// OnTraffic is gnet's: bytes have come. All are taken, so that none are ever left
// in gnet's buffers.
func (r *gnetReactor) OnTraffic(c gnet.Conn) gnet.Action {
	b, _ := c.Next(-1)
	if !r.loop.received(c.Context().(*slot), b) {
		return gnet.Close
	}
	return gnet.None
}

// OnClose is gnet's: a connection is gone.
func (r *gnetReactor) OnClose(c gnet.Conn, err error) gnet.Action {
	if s, _ := c.Context().(*slot); s != nil {
		if w, _ := s.wire.(*gnetWire); w != nil && w.conn == c {
			r.loop.closed(s, err)
		}
	}
	return gnet.None
}

func (w *gnetWire) write(b []byte) { _, _ = w.conn.Write(b) } // an error closes the connection within

func (w *gnetWire) shut() { _ = w.reactor.events.Close(w.conn) } // it can only complain of the system

// silent is gnet's logger: what matters is counted.
type silent struct{}

func (silent) Debugf(string, ...any) {}
func (silent) Infof(string, ...any)  {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}
