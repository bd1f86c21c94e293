package peer

import (
	"time"

	"github.com/smache/smache/proto"
)

// Traced is a request of another node that was part of a trace.
type Traced struct {
	Trace proto.Trace
	// From is the name of the node, or of the client, that asked.
	From string
	// Op is what it asked for, of so many keys; Status is the answer, for a multi
	// request that of the frame.
	Op     proto.FrameOp
	Status proto.Status
	Items  int
	// Took is the time from the request's arrival to its answer.
	Took time.Duration
}

// tracing is the trace of a request that is being served; begun is 0 without one.
type tracing struct {
	proto.Trace
	from  *Link
	begun int64
}

// begin takes the trace off the front of r's body.
func (t *tracing) begin(f *forwarder, r *Request) (err error) {
	if r.Body, err = proto.DecodeTrace(r.Body, &t.Trace); err != nil {
		return err
	}
	t.from, t.begun = r.From, f.now()
	return nil
}

// end tells that the request has been answered.
func (t *tracing) end(f *forwarder, op proto.FrameOp, status proto.Status, items int) {
	if f.traced == nil {
		return
	}
	f.traced(&Traced{
		Trace: t.Trace, From: t.from.Name(), Op: op, Status: status, Items: items, Took: time.Duration(f.now() - t.begun),
	})
}
