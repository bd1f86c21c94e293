package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// Config says how a node keeps its links. The zero value of a field is its
// default, unless it is required.
type Config struct {
	// Node is this node's name, which other nodes know it by. Required.
	Node string
	// Incarnation tells this process from those that had the name before: it must
	// be greater than theirs. SetIncarnation raises it. Required.
	Incarnation uint64
	// Cluster is the name of the cluster; nodes of others are refused.
	Cluster string
	// Keys authenticate and encrypt; they must have been made for Cluster.
	// Required.
	Keys *secure.Keys
	// Handler answers the requests of others. Required.
	Handler Handler
	// Notify, if set, is told of links that come and go, and of failed dials. It
	// runs on an event loop or a dialling goroutine, must not block, and may be
	// called at the same time for different peers.
	Notify func(Event)
	// Answered, if set, is called on an event loop when it has read from a link, and called
	// Done of the calls whose answers had come. It must not block.
	Answered func()
	// Logger gets one line for each link that comes or goes. Default: none.
	Logger *slog.Logger

	// Listener is where others connect. Links closes it. Required.
	Listener net.Listener
	// Dial opens a connection, a *net.TCPConn or *net.UnixConn. Default: a
	// net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Loops is the number of event loops. A link belongs to one of them. Default:
	// half the processors (runtime.GOMAXPROCS), at least 1, at most 4.
	Loops int
	// MaxInFlight is the most requests without an answer on a link, in each
	// direction. The last eighth is for urgent ones. Default 4096, at most 65536.
	MaxInFlight int
	// OutboxBytes is the most bytes that wait to be sent on a link. Default
	// DefaultOutbox, at least LeastOutbox.
	OutboxBytes int
	// MaxPending is the most accepted connections that have not said hello.
	// Default 1024.
	MaxPending int
	// DialTimeout bounds the opening of a connection. Default 1 s.
	DialTimeout time.Duration
	// HandshakeTimeout bounds the handshake, the hello included, from the moment
	// that the connection is open. Default 2 s.
	HandshakeTimeout time.Duration
	// ReadTimeout is how long a peer may be silent. Idle links carry an empty
	// record every third of it. Default 5 s.
	ReadTimeout time.Duration
	// WriteTimeout is how long a peer may take nothing of what is sent to it.
	// Default 5 s.
	WriteTimeout time.Duration
	// MinBackoff and MaxBackoff bound the pause before the next dial: it doubles
	// with each failure, and half of it is random. Default 20 ms and 1 s.
	MinBackoff, MaxBackoff time.Duration
}

const (
	// DefaultOutbox is Config.OutboxBytes where it says nothing.
	DefaultOutbox = 8 << 20
	// LeastOutbox leaves room for the longest frame in the half that requests may use.
	LeastOutbox = 2 * proto.MaxFrame
	// defaultInFlight and defaultPending are Config.MaxInFlight and Config.MaxPending
	// where they say nothing.
	defaultInFlight = 4096
	defaultPending  = 1024
)

// ErrConfig says that a Config cannot be.
var ErrConfig = errors.New("peer: bad configuration")

// EventLoops gives the default of Config.Loops for the processors that there are now.
func EventLoops() int { return max(1, min(4, runtime.GOMAXPROCS(0)/2)) }

func (c Config) withDefaults() (Config, error) {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.DialTimeout, time.Second)
	set(&c.HandshakeTimeout, 2*time.Second)
	set(&c.ReadTimeout, 5*time.Second)
	set(&c.WriteTimeout, 5*time.Second)
	set(&c.MinBackoff, 20*time.Millisecond)
	set(&c.MaxBackoff, time.Second)
	for _, n := range []struct {
		value *int
		by    int
	}{
		{&c.Loops, EventLoops()},
		{&c.MaxInFlight, defaultInFlight}, {&c.OutboxBytes, DefaultOutbox}, {&c.MaxPending, defaultPending},
	} {
		if *n.value == 0 {
			*n.value = n.by
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Answered == nil {
		c.Answered = func() {}
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	switch {
	case proto.CheckName(c.Node) != nil:
		return c, fmt.Errorf("%w: the name %q must be 1 to %d visible ASCII characters; see --name", ErrConfig, c.Node, proto.MaxNameLen)
	case c.Keys == nil || c.Handler == nil || c.Listener == nil || c.Incarnation == 0:
		return c, fmt.Errorf("%w: Keys, Handler, Listener and Incarnation are required", ErrConfig)
	case c.Loops < 1 || c.Loops > 256:
		return c, fmt.Errorf("%w: 1 to 256 loops", ErrConfig)
	case c.MaxInFlight < minInFlight || c.MaxInFlight > maxInFlight:
		return c, fmt.Errorf("%w: %d to %d requests in flight", ErrConfig, minInFlight, maxInFlight)
	case c.OutboxBytes < LeastOutbox || c.MaxPending < 1:
		return c, fmt.Errorf("%w: an outbox of at least %d bytes, and at least one pending connection", ErrConfig, LeastOutbox)
	case min(c.DialTimeout, c.HandshakeTimeout, c.ReadTimeout, c.WriteTimeout, c.MinBackoff) <= 0 || c.MaxBackoff < c.MinBackoff:
		return c, fmt.Errorf("%w: time-outs must be above 0", ErrConfig)
	}
	return c, nil
}

// Handler answers the requests of other nodes.
type Handler interface {
	// ServeFrame is called on the link's event loop for each request: everything
	// but hellos and goodbyes, pings included. It must not block. Each request
	// must be answered exactly once, by reply, now or later; a request without an
	// answer keeps one of the peer's credits for ever.
	ServeFrame(r Request, reply Reply)
}

// Request is a frame that asks for something.
type Request struct {
	Header proto.Header
	// Body is good until ServeFrame returns.
	Body []byte
	// From is the link that it came by; of a client, a Link without a name.
	From *Link
	// Role says whether a node asks, or a client: those may only read and write
	// keys, ping and ask for the members.
	Role proto.Role
}

// EventKind says what an Event is about.
type EventKind uint8

// The kinds of events.
const (
	// LinkUp: there is a link to the peer. If there was one, it has been
	// replaced.
	LinkUp EventKind = 1
	// LinkDown: there is none any more; Err says why.
	LinkDown EventKind = 2
	// DialFailed: an attempt to make one has failed; Err says why. ErrRefused
	// proves that no process listened at the address.
	DialFailed EventKind = 3
)

// Event is something that happened to the link with a peer.
type Event struct {
	Kind EventKind
	// Seq grows with each event of a Links: events of one peer may be delivered
	// out of order by different goroutines, and the one with the higher Seq holds.
	Seq         uint64
	Peer        string
	Incarnation uint64 // as the peer last said; 0 if it never did
	Err         error
}
