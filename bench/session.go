package bench

import (
	"errors"
	"fmt"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// A session is a Reader whose connections begin with an exchange, and of which both
// directions may be sealed. What its methods give belongs to it until the next call.
type session interface {
	Reader
	// begin gives what a new connection sends first.
	begin() []byte
	// greet takes bytes of a connection on which nothing was asked yet. It gives what
	// is to be sent, and reports whether requests may follow.
	greet(b []byte) (send []byte, ready bool, err error)
	// seal makes of a request what is sent; of none, a sign of life.
	seal(request []byte) ([]byte, error)
	// idle takes what comes although nothing was asked.
	idle(b []byte) error
}

// errPeer says that the other end does not keep to the protocol, or said goodbye.
var errPeer = fmt.Errorf("%w of the peer protocol", ErrMalformed)

// A peerReader is the session of a client of a node's peer port. It serves one
// connection after the other.
type peerReader struct {
	keys    *secure.Keys
	cluster string

	handshake *secure.Handshake
	session   *secure.Session // nil until the handshake is over
	greeted   bool            // the other end's hello has come
	some      bool            // bytes have come since the last request

	in     []byte // a record that is not complete
	frames []byte // opened records, from the first frame that nobody took on
	out    []byte
	status int
}

func (p *peerReader) Reset()          { p.some = false }
func (p *peerReader) Status() int     { return p.status }
func (p *peerReader) Close() bool     { return false }
func (p *peerReader) Untouched() bool { return !p.some }
func (p *peerReader) Finish() bool    { return false }

func (p *peerReader) begin() []byte {
	*p = peerReader{keys: p.keys, cluster: p.cluster, in: p.in[:0], frames: p.frames[:0], out: p.out[:0]}
	p.handshake = p.keys.Dial()
	p.out, _, _, _ = p.handshake.Step(p.out[:0], nil) // the first step cannot fail
	return p.out
}

func (p *peerReader) greet(b []byte) (send []byte, ready bool, err error) {
	p.out = p.out[:0]
	if p.session == nil {
		var used int
		if p.out, used, p.session, err = p.handshake.Step(p.out, b); err != nil || p.session == nil {
			return p.out, false, err
		}
		b = b[used:]
		hello := proto.Hello{
			Lowest: proto.FrameVersion, Highest: proto.FrameVersion, Role: proto.RoleClient, Credits: 1,
			Cluster: proto.ClusterHash(p.cluster), Name: []byte("smache-bench"),
		}
		frame := proto.AppendFrame(nil, &proto.Header{Op: proto.FrameHello, ID: onlyID}, proto.AppendHello(nil, &hello))
		if p.out, err = p.session.Seal(p.out, frame); err != nil {
			return nil, false, err
		}
	}
	if err := p.open(b); err != nil {
		return p.out, false, err
	}
	_, _, _, err = p.next()
	return p.out, p.greeted, err
}

func (p *peerReader) seal(request []byte) (sealed []byte, err error) {
	p.out = p.out[:0]
	for first := true; first || len(request) > 0; first = false {
		n := min(len(request), secure.MaxRecord)
		if p.out, err = p.session.Seal(p.out, request[:n]); err != nil {
			return nil, err
		}
		request = request[n:]
	}
	return p.out, nil
}

func (p *peerReader) idle(b []byte) error {
	if err := p.open(b); err != nil {
		return err
	}
	_, _, done, err := p.next()
	if err == nil && done {
		err = fmt.Errorf("%w: an answer that nobody asked for", errPeer)
	}
	return err
}

func (p *peerReader) Next(b []byte) (ev Event, piece, rest []byte, err error) {
	if err := p.open(b); err != nil {
		return 0, nil, nil, err
	}
	p.some = p.some || len(p.frames) > 0
	status, value, done, err := p.next()
	switch {
	case err != nil:
		return 0, nil, nil, err
	case !done:
		return EventMore, nil, nil, nil
	}
	p.status = StatusReply
	if status != proto.StatusOK {
		p.status, value = StatusError, []byte(status.String())
	}
	return EventDone, value, nil, nil
}

// open opens the records that are complete.
func (p *peerReader) open(b []byte) error {
	p.in = append(p.in, b...)
	at := 0
	for at < len(p.in) && secure.Missing(p.in[at:]) == 0 {
		text, used, err := p.session.Open(p.in[at:])
		if err != nil {
			return fmt.Errorf("%w: %w", errPeer, err)
		}
		p.frames = append(p.frames, text...)
		at += used
	}
	p.in = append(p.in[:0], p.in[at:]...)
	return nil
}

// next takes frames up to an answer to a request; done says that there was one. The
// value points to where the next frames are put.
func (p *peerReader) next() (status proto.Status, value []byte, done bool, err error) {
	for {
		h, body, n, err := proto.ParseFrame(p.frames)
		switch {
		case err != nil:
			return 0, nil, false, fmt.Errorf("%w: %w", errPeer, err)
		case n == 0:
			return 0, nil, false, nil
		}
		left := p.frames[n:]
		code, multi, key := h.Op.Opcode()
		switch {
		case h.Op == proto.FrameGoodbye:
			return 0, nil, false, goodbye(body)
		case h.Flags&proto.FlagAnswer == 0 || h.ID != onlyID || multi:
			return 0, nil, false, fmt.Errorf("%w: a frame that nobody asked for: %s", errPeer, h.Op)
		case h.Op == proto.FrameHello && !p.greeted:
			var hello proto.Hello
			if err := proto.DecodeHello(body, &hello); err != nil {
				return 0, nil, false, fmt.Errorf("%w: %w", errPeer, err)
			}
			p.greeted = true
			p.frames = append(p.frames[:0], left...)
			continue
		case h.Op == proto.FramePing && p.greeted:
			p.frames = append(p.frames[:0], left...)
			return h.Status, nil, true, nil
		case !key || !p.greeted:
			return 0, nil, false, fmt.Errorf("%w: a frame that nobody asked for: %s", errPeer, h.Op)
		}
		var answer proto.Answer
		if err := proto.DecodeAnswer(code, h.Status, body, &answer); err != nil {
			return 0, nil, false, fmt.Errorf("%w: %w", errPeer, err)
		}
		if p.frames = p.frames[:0]; len(left) > 0 { // the value stays where it is
			p.frames = append([]byte(nil), left...)
		}
		return h.Status, answer.Value, true, nil
	}
}

// goodbye is the error that a node ends the link with.
func goodbye(body []byte) error {
	var g proto.Goodbye
	if err := proto.DecodeGoodbye(body, &g); err != nil {
		return errors.Join(errPeer, err)
	}
	return fmt.Errorf("%w: the node has ended the link: %s", errPeer, g.Text)
}
