package peer

import (
	"time"

	"github.com/smache/smache/proto"
)

// Call is one request to a peer and its answer. The caller owns it, and may use it
// again once it is done: a Call that is reused costs no allocation.
type Call struct {
	// Header is the request's. Send sets its ID, and ignores Status and the flag
	// of answers.
	Header proto.Header
	// Timeout is how long the answer may take. It acts up to two ticks of 10 ms
	// late. Required.
	Timeout time.Duration
	// Patience is how long it may take in all, if that is longer, from a peer that is
	// heard from meanwhile: it is slow, not dead.
	Patience time.Duration
	// Urgent requests may use the last eighth of the credits, and the whole
	// outbox: what keeps the cluster together is not to wait for data.
	Urgent bool
	// Gather says that the request may wait for others until Links.Gathered is called.
	Gather bool
	// Now is the time on the clock of the links, if the caller has just looked at it. 0:
	// Send looks.
	Now int64
	// Done is called once, on the link's event loop, when Answer and Body are set,
	// or Err is; for an answer in parts, once for each, until one without
	// proto.FlagMore. Body is good until it returns.
	Done func(*Call)

	// Answer is the header of the answer.
	Answer proto.Header
	// Body is the body of the answer.
	Body []byte
	// Err is nil, or ErrDeadline, or wraps ErrLinkLost.
	Err error

	sent, deadline, answered int64
}

// Limits of Config.MaxInFlight.
const (
	minInFlight = 16
	maxInFlight = 1 << 16
)

// flight is a connection's table of requests in flight. An id is the place in the
// table, and above it a number that changes with each use of the place, so that a
// peer that answers twice is found out.
type flight struct {
	places []place
	free   []uint16
	used   int // places with a request, past its deadline or not
	limit  int // credits
}

type place struct {
	call *Call // nil: free, or past its deadline
	turn uint16
	busy bool
}

// take finds a place for call. It may grow the table, up to the credits.
func (f *flight) take(call *Call) (id uint32, ok bool) {
	limit := f.limit
	if !call.Urgent {
		limit -= limit / 8
	}
	if f.used >= limit {
		return 0, false
	}
	var i uint16
	if n := len(f.free); n > 0 {
		i, f.free = f.free[n-1], f.free[:n-1]
	} else {
		i = uint16(len(f.places))
		f.places = append(f.places, place{})
	}
	f.used++
	p := &f.places[i]
	p.call, p.busy = call, true
	p.turn++
	return uint32(p.turn)<<16 | uint32(i), true
}

// find gives the call that an answer is for, nil if its deadline has passed, and
// false if no request has this id. last says that no other part follows: its
// place is then free.
func (f *flight) find(id uint32, last bool) (call *Call, ok bool) {
	i := int(id & 0xffff)
	if i >= len(f.places) {
		return nil, false
	}
	p := &f.places[i]
	if !p.busy || p.turn != uint16(id>>16) {
		return nil, false
	}
	call = p.call
	if last {
		p.call, p.busy = nil, false
		f.free = append(f.free, uint16(i))
		f.used--
	}
	return call, true
}

// expire appends the calls whose deadline has come, and gives the earliest of the
// others. Their places stay taken until the peer answers. If the peer is heard from,
// those whose callers are patient wait on.
func (f *flight) expire(due []*Call, now int64, heard bool) (_ []*Call, next int64) {
	next = never
	for i := range f.places {
		p := &f.places[i]
		switch {
		case p.call == nil:
		case p.call.deadline <= now && heard && now < p.call.sent+int64(p.call.Patience):
			p.call.deadline = now + int64(tickEvery)
			next = min(next, p.call.deadline)
		case p.call.deadline <= now:
			due = append(due, p.call)
			p.call = nil
		default:
			next = min(next, p.call.deadline)
		}
	}
	return due, next
}

// drain empties the table.
func (f *flight) drain() (calls []*Call) {
	for i := range f.places {
		if call := f.places[i].call; call != nil {
			calls = append(calls, call)
		}
	}
	*f = flight{}
	return calls
}
