package peer

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// never is a time that does not come.
const never = int64(math.MaxInt64)

// phase is where a connection is in its life.
type phase uint8

const (
	phaseShake phase = 1 // the handshake is under way
	phaseHello phase = 2 // records are sealed; the hellos are not exchanged
	phaseOpen  phase = 3
	// phaseLeaving: goodbye was said, and nobody here knows the connection any
	// more.
	phaseLeaving phase = 4
	phaseClosed  phase = 5
)

// conn is one connection. The fields of the second block belong to its event
// loop; gnet's too, but for poke.
type conn struct {
	links    *Links
	target   *Link     // the peer that was dialled; nil: the other end dialled
	gnet     gnet.Conn // set before anybody else sees the conn
	deadline int64     // of the handshake; set before the conn is registered

	incarnation uint64 // the peer's; set before ready
	features    uint64 // the peer's; set before ready

	phase   phase
	shake   *secure.Handshake
	session *secure.Session
	role    proto.Role
	link    *Link  // set when the hellos are exchanged, before others see conn
	in      []byte // the beginning of a record
	text    []byte // the beginning of a frame
	due     []*Call
	why     error  // why it is closed
	deaf    bool   // what comes cannot be read any more
	taken   uint64 // of written, what the kernel has taken
	takenAt int64
	tally   tally

	finished bool // finish was called

	// turn belongs to who seals and writes: the loop, or who gathered. It is taken before
	// mu, and the loop alone may wait for it.
	turn    sync.Mutex
	fd      int    // the socket; set before anybody else sees the conn
	wire    []byte // sealed records, while they are written
	left    []byte // of them, what the kernel has not taken from who gathered
	written atomic.Uint64

	mu     sync.Mutex
	out    []byte // frames to send, whole ones
	spare  []byte // takes turns with out
	frames uint64 // in out
	closed bool
	flight flight

	armed   atomic.Bool // the loop will look at out
	gathers atomic.Bool // it is in Links.gathering
	heavy   atomic.Bool // out is long
	probe   atomic.Bool // send something, to learn whether the peer still has it
	gone    atomic.Bool
	poking  atomic.Int32
	opened  atomic.Bool // gnet has taken it
	ready   atomic.Bool // the hellos are exchanged
	killed  atomic.Pointer[error]
	unsent  atomic.Int64 // bytes taken from out that the kernel has not
	leaving atomic.Int64 // when phaseLeaving ends; 0 before
	serving atomic.Int32 // requests of the peer without an answer
	sweepAt atomic.Int64 // a call may be past its deadline then
	lastIn  atomic.Int64
	heard   atomic.Int64 // as lastIn, by Links.awake
	lastOut atomic.Int64
}

// tally is what one turn of the loop counts, before it goes to the link's stats.
type tally struct {
	bytesIn, recordsIn, framesIn uint64
	answers, latency             uint64
}

// link0 gives the link that counts for the connection: the peer's, as soon as it
// is known, else a common one.
func (k *conn) link0() *Link {
	if k.ready.Load() {
		return k.link
	}
	return k.links.strangers
}

// quietAfter is how long nothing may come from a peer that is taken for alive: nodes
// ping each other every 200 ms.
const quietAfter = int64(220 * time.Millisecond)

// quiet is for how long nothing has come from the peer, in nanoseconds. Only time in
// which this node was awake counts.
func (k *conn) quiet() int64 { return k.links.awake.Load() - k.heard.Load() }

// Alive reports whether the peer is connected, and was heard from a moment ago.
func (p *Link) Alive() bool {
	k := p.conn.Load()
	return k != nil && k.quiet() < quietAfter
}

// receive takes bytes from the network. They may be changed.
func (k *conn) receive(b []byte, now int64) error {
	k.lastIn.Store(now)
	k.heard.Store(k.links.awake.Load())
	k.tally.bytesIn += uint64(len(b))
	if k.phase == phaseShake {
		out, used, session, err := k.shake.Step(k.wire[:0], b)
		k.wire = out[:0]
		if len(out) > 0 && !k.write(out, 0) {
			return nil
		}
		if session == nil || err != nil {
			return err
		}
		k.session, k.shake, k.phase = session, nil, phaseHello
		if k.target != nil {
			k.sendHello(0)
		}
		b = b[used:]
	}
	return k.records(b, now)
}

// records opens the records in b; the beginning of one is kept.
func (k *conn) records(b []byte, now int64) error {
	for len(b) > 0 {
		if len(k.in) == 0 {
			text, used, err := k.session.Open(b)
			if err != nil {
				return err
			}
			if used == 0 {
				k.in = append(k.in, b...)
				return nil
			}
			b = b[used:]
			if err := k.frameBytes(text, now); err != nil {
				return err
			}
			continue
		}
		n := min(secure.Missing(k.in), len(b))
		k.in = append(k.in, b[:n]...)
		b = b[n:]
		text, used, err := k.session.Open(k.in)
		if err != nil {
			return err
		}
		if used > 0 {
			k.in = k.in[:0]
			if err := k.frameBytes(text, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// frameBytes takes the text of a record: frames, and parts of frames.
func (k *conn) frameBytes(b []byte, now int64) error {
	k.tally.recordsIn++
	for len(b) > 0 {
		if len(k.text) == 0 {
			h, body, used, err := proto.ParseFrame(b)
			if err != nil {
				return err
			}
			if used == 0 {
				k.text = append(k.text, b...)
				return nil
			}
			b = b[used:]
			if err := k.frame(&h, body, now); err != nil {
				return err
			}
			continue
		}
		n := min(missing(k.text), len(b))
		k.text = append(k.text, b[:n]...)
		b = b[n:]
		h, body, used, err := proto.ParseFrame(k.text)
		if err != nil {
			return err
		}
		if used > 0 {
			err := k.frame(&h, body, now)
			k.text = k.text[:0]
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// missing says how many bytes the beginning of a frame lacks: of its header first,
// which ParseFrame then judges, and then of the rest.
func missing(b []byte) int {
	if len(b) < proto.HeaderLen {
		return proto.HeaderLen - len(b)
	}
	return 4 + int(binary.LittleEndian.Uint32(b)) - len(b)
}

// frame handles one frame. body is good until it returns.
func (k *conn) frame(h *proto.Header, body []byte, now int64) error {
	k.tally.framesIn++
	switch {
	case h.Op == proto.FrameGoodbye:
		var g proto.Goodbye
		if err := proto.DecodeGoodbye(body, &g); err != nil {
			return err
		}
		return &remoteError{g.Reason.Err()}
	case k.phase == phaseLeaving:
		return nil
	case h.Op == proto.FrameHello:
		return k.hello(h, body, now)
	case k.phase != phaseOpen:
		return proto.ErrLinkHello
	case h.Flags&proto.FlagAnswer != 0:
		return k.answered(h, body, now)
	case k.role != proto.RoleNode && !clientMay(h.Op):
		return proto.ErrLinkRole
	}
	if int(k.serving.Add(1)) > k.links.cfg.MaxInFlight {
		return proto.ErrLinkCredits
	}
	k.links.cfg.Handler.ServeFrame(
		Request{Header: *h, Body: body, From: k.link, Role: k.role},
		Reply{conn: k, id: h.ID, op: h.Op})
	if k.heavy.Load() {
		k.flush(now)
		k.armed.Store(true)
		if k.phase == phaseClosed {
			return proto.ErrLinkLost
		}
	}
	if why := k.killed.Load(); why != nil {
		return *why
	}
	return nil
}

// clientMay says what a client may ask for; docs/PROTOCOL.md marks it.
func clientMay(op proto.FrameOp) bool {
	code, _, ok := op.Opcode()
	return ok && code != proto.OpMerge ||
		op == proto.FramePing || op == proto.FrameMembers
}

// answered completes the call that an answer is for.
func (k *conn) answered(h *proto.Header, body []byte, now int64) error {
	last := h.Flags&proto.FlagMore == 0
	k.mu.Lock()
	call, ok := k.flight.find(h.ID, last)
	if k.flight.used == 0 {
		k.sweepAt.Store(never)
	}
	k.mu.Unlock()
	switch {
	case !ok:
		return errUnknownAnswer
	case call == nil:
		if last {
			k.link.stats.late.Add(1)
		}
		return nil
	case call.Header.Op != h.Op:
		k.complete(call, proto.ErrFrameOpcode, last)
		return proto.ErrFrameOpcode
	}
	if last {
		k.tally.answers++
		k.tally.latency += uint64(now - call.sent)
	}
	call.Answer, call.Body, call.answered = *h, body, now
	call.Done(call)
	return nil
}

// complete ends a call without an answer, and reports whether Done returned. If
// the place was not freed yet, it is left without a call.
func (k *conn) complete(call *Call, why error, freed bool) (ok bool) {
	if !freed {
		k.mu.Lock()
		if i := int(call.Header.ID & 0xffff); i < len(k.flight.places) && k.flight.places[i].call == call {
			k.flight.places[i].call = nil
		}
		k.mu.Unlock()
	}
	defer func() {
		if p := recover(); p != nil {
			k.links.panicked(p)
			ok = false
		}
	}()
	call.Err, call.Body = why, nil
	call.Done(call)
	return true
}
