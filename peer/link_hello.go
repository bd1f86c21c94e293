package peer

import (
	"fmt"

	"github.com/smache/smache/proto"
)

// sendHello appends our hello: the request of the end that dialled, or the answer
// to the one with this id.
func (k *conn) sendHello(answerTo uint32) {
	cfg := &k.links.cfg
	h := proto.Header{Op: proto.FrameHello, ID: answerTo}
	if k.target == nil {
		h.Flags = proto.FlagAnswer
	}
	own := k.links.ownHello()
	own.Name = []byte(cfg.Node)
	body := proto.AppendHello(nil, &own)
	k.mu.Lock()
	k.append(&h, [][]byte{body})
	k.mu.Unlock()
}

func (l *Links) ownHello() proto.Hello {
	return proto.Hello{
		Lowest: proto.FrameVersion, Highest: proto.FrameVersion, Role: proto.RoleNode,
		Credits: uint32(l.cfg.MaxInFlight), Incarnation: l.incarnation.Load(),
		Cluster: proto.ClusterHash(l.cfg.Cluster), Features: proto.FeatureStats | proto.FeatureTrace | proto.FeatureHeld,
	}
}

// hello takes the other end's hello: the request if we accepted, the answer if we
// dialled.
func (k *conn) hello(h *proto.Header, body []byte, now int64) error {
	if k.phase != phaseHello || (h.Flags&proto.FlagAnswer != 0) != (k.target != nil) {
		return proto.ErrLinkHello
	}
	var theirs proto.Hello
	if err := proto.DecodeHello(body, &theirs); err != nil {
		return err
	}
	own := k.links.ownHello()
	if theirs.Cluster != own.Cluster {
		return proto.ErrLinkCluster
	}
	if _, err := own.Common(&theirs); err != nil {
		return err
	}
	k.mu.Lock()
	k.flight.limit = int(min(theirs.Credits, uint32(k.links.cfg.MaxInFlight)))
	k.mu.Unlock()
	k.role = theirs.Role
	if k.target == nil {
		k.sendHello(h.ID) // before anybody can send a request behind it
	}
	notify, err := k.links.admit(k, &theirs, now)
	if err != nil {
		return err
	}
	notify()
	return nil
}

// admit decides whether a connection becomes the link to its peer; see the package
// comment.
func (l *Links) admit(k *conn, h *proto.Hello, now int64) (notify func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return nil, proto.ErrLinkDone
	}
	if h.Role != proto.RoleNode {
		if k.target != nil {
			return nil, ErrWrongPeer
		}
		k.open(l.clients, h)
		l.pending.Add(-1)
		return func() {}, nil
	}
	switch name := string(h.Name); {
	case name == l.cfg.Node && h.Incarnation == l.incarnation.Load():
		return nil, proto.ErrLinkSelf
	case name == l.cfg.Node:
		return nil, proto.ErrLinkName
	case k.target != nil && name != k.target.name:
		return nil, fmt.Errorf("%w: %q, not %q", ErrWrongPeer, name, k.target.name)
	}
	p := k.target
	if p == nil {
		p = l.peer(string(h.Name))
	}
	old := p.conn.Load()
	switch {
	case k.target != nil && !p.wanted:
		return nil, ErrForgotten
	case k.target != nil && old != nil:
		return nil, proto.ErrLinkReplaced // the peer's dial was faster
	case k.target == nil:
		if err := l.contest(p, old, h); err != nil {
			l.dropIfIdle(p)
			return nil, err
		}
		l.pending.Add(-1)
	}
	if other := p.dialling; other != nil && other != k {
		other.kill(proto.ErrLinkReplaced)
	}
	p.dialling = nil
	if old != nil {
		p.count(proto.ErrLinkReplaced)
		old.kill(proto.ErrLinkReplaced)
	}
	k.open(p, h)
	p.conn.Store(k)
	p.incarnation, p.upAt = h.Incarnation, now
	p.ups++
	l.cfg.Logger.Info("peer: link up", "peer", p.name, "incarnation", h.Incarnation, "dialled", k.target != nil)
	return l.event(LinkUp, p, nil), nil
}

// contest decides between an accepted connection and what there is. l.mu is held.
func (l *Links) contest(p *Link, old *conn, h *proto.Hello) error {
	ours := l.cfg.Node < p.name // our dial has precedence
	switch {
	case old == nil:
		if ours && p.dialling != nil && p.dialling.opened.Load() {
			return proto.ErrLinkReplaced
		}
	case old.incarnation > h.Incarnation:
		return proto.ErrLinkIncarnation
	case old.incarnation == h.Incarnation && ours && old.target != nil:
		old.probe.Store(true)
		old.wake()
		return proto.ErrLinkReplaced
	}
	return nil
}

// open makes k a link of p. On k's loop.
func (k *conn) open(p *Link, h *proto.Hello) {
	k.link, k.phase, k.incarnation, k.features = p, phaseOpen, h.Incarnation, h.Features
	k.ready.Store(true)
}
