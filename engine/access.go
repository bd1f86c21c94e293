package engine

import (
	"github.com/smache/smache/engine/internal/accesslog"
	"github.com/smache/smache/peer"
	"github.com/smache/smache/proto"
)

// forwarded gives what is to be told of requests that other nodes have sent here and
// that are part of a trace: nil without an access log. Of these it has the ones that
// are recorded, so that both nodes have a line or neither has.
func (n *Node) forwarded() func(*peer.Traced) {
	if n.access == nil {
		return nil
	}
	return func(t *peer.Traced) {
		if t.Trace.Flags&proto.TraceSampled == 0 {
			return
		}
		line := accesslog.Line{
			Message: "forwarded", Route: t.Op.String(), Outcome: t.Status.String(), Took: t.Took, From: t.From,
			Trace: proto.Trace{ID: t.Trace.ID}, Parent: t.Trace.Span,
		}
		if t.Items > 1 {
			line.Items = t.Items
		}
		n.access.Add(&line)
	}
}

// closeAccess ends the access log, if there is one.
func (n *Node) closeAccess() {
	if n.access != nil {
		n.access.Close()
	}
}
