package bench

import (
	"errors"
	"math/bits"
)

// ErrConfig says that a configuration makes no sense.
var ErrConfig = errors.New("bench: bad configuration")

// A Workload says what is asked, and what must be answered. Its methods may be
// called from any goroutine.
type Workload interface {
	// Name is the scenario's name in reports.
	Name() string
	// About describes it in a few words, such as "1000 keys, random".
	About() string
	// Settings are what it was told; nobody changes them.
	Settings() Settings
	// Target is the server that it is about.
	Target() Endpoint
	// Kinds are the names of the operations that it is made of, which are measured
	// apart if there is more than one.
	Kinds() []string
	// Script makes one more source of its requests; each event loop has its own.
	Script() Script
	// Reader makes what finds the ends of the answers on one connection.
	Reader() Reader
}

// A Script makes requests from their numbers. It serves one goroutine. The bytes
// that it gives belong to it and are valid until its next call.
type Script interface {
	// Request is request n as it goes to the server.
	Request(n uint64) []byte
	// Expect is the right answer to request n.
	Expect(n uint64) Expect
}

// A Reader finds the end of each answer on one connection, from pieces as they
// come off the network. It serves one goroutine.
type Reader interface {
	// Next takes bytes from the connection. The bytes of piece and rest belong to
	// the caller's b or to the Reader, and are valid until the next call, which
	// takes rest or, if that is empty, what the connection brings next. After
	// EventDone, call Reset. The errors wrap ErrMalformed.
	Next(b []byte) (ev Event, piece, rest []byte, err error)
	// Reset makes ready for the next answer.
	Reset()
	// Status is the status of the answer, once a piece of it or its end was
	// reported: HTTP's own, else StatusReply or StatusError.
	Status() int
	// Close reports whether the server closes the connection behind this answer.
	Close() bool
	// Untouched reports whether no byte of an answer has come since Reset.
	Untouched() bool
	// Finish says that the connection was closed, and reports whether that
	// completes the answer.
	Finish() bool
}

// The statuses of protocols that have none, so that failures can be counted alike.
const (
	// StatusReply is that of a reply of any kind but an error.
	StatusReply = 200
	// StatusError is that of a reply that is an error.
	StatusError = 500
)

// An operation is one kind of request of a scripted workload.
type operation struct {
	name  string
	items int  // the number of keys of a request
	vary  bool // the values vary from write to write
	// fill builds the templates of request and answer.
	fill func(request, answer *template)
	// status of the right answer; any says that its body is not compared.
	status int
	any    bool
	err    error // there is no such request; wraps ErrConfig
}

// scripted is a workload of which every request is made from one of a few
// templates, and every answer compared with another.
type scripted struct {
	name, about string
	settings    Settings
	endpoint    Endpoint
	keys        Keys
	ops         []operation
	reader      func() Reader
	regions     *regions // of operations with several keys; nil: those are in the keys' order
	// pick says which operation request n is, and which of that operation's
	// requests; nil if there is only one operation.
	pick func(n uint64) (op int, nth uint64)
}

func (w *scripted) Name() string       { return w.name }
func (w *scripted) About() string      { return w.about }
func (w *scripted) Settings() Settings { return w.settings }
func (w *scripted) Target() Endpoint   { return w.endpoint }
func (w *scripted) Reader() Reader     { return w.reader() }

func (w *scripted) Kinds() (names []string) {
	for _, op := range w.ops {
		names = append(names, op.name)
	}
	return names
}

func (w *scripted) Script() Script {
	s := &script{workload: w, keys: w.keys, sides: make([]side, len(w.ops))}
	for i, op := range w.ops {
		op.fill(&s.sides[i].request.template, &s.sides[i].answer.template)
	}
	s.item = s.itemOf
	return s
}

// script is an event loop's copy of the templates.
type script struct {
	workload *scripted
	keys     Keys
	sides    []side
	item     func(item int) uint64
	nth      uint64 // what itemOf is about
	items    uint64
	glimpse  glimpse // likewise, if there are regions
}

// side is request and answer of one operation.
type side struct{ request, answer filled }

// filled is a template and the request that it was made for last.
type filled struct {
	template
	n    uint64
	some bool
}

func (s *script) Request(n uint64) []byte {
	op, nth := s.which(n)
	return s.set(op, nth, n, &s.sides[op].request)
}

func (s *script) Expect(n uint64) Expect {
	op, nth := s.which(n)
	answer := &s.sides[op].answer
	o := &s.workload.ops[op]
	return Expect{Kind: op, Status: o.status, Body: s.set(op, nth, n, answer), Holes: answer.holes, Any: o.any}
}

func (s *script) which(n uint64) (op int, nth uint64) {
	if s.workload.pick == nil {
		return 0, n
	}
	return s.workload.pick(n)
}

// set makes the text of request n, which is the nth of operation op.
func (s *script) set(op int, nth, n uint64, t *filled) []byte {
	o := &s.workload.ops[op]
	switch {
	case o.items == 0 && !o.vary:
		return t.text
	case o.items == 1 && !o.vary:
		return t.template.set(s.keys.Index(nth))
	case t.some && t.n == n:
		return t.text
	}
	t.n, t.some = n, true
	s.nth, s.items = nth, uint64(o.items)
	if g := s.workload.regions; g != nil && o.items > 1 {
		s.glimpse = g.at(n-nth, nth) // n-nth requests were updates
	}
	return t.fill(n, s.item)
}

// itemOf is the key of one of the items of a request.
func (s *script) itemOf(item int) uint64 {
	if s.workload.regions != nil && s.items > 1 {
		return s.keys.Index(s.glimpse.thing(uint64(item)))
	}
	return s.keys.Index(s.nth*s.items + uint64(item))
}

// pickShare makes a pick of two operations: the first has a share of the requests,
// 0 to 1, drawn by a generator that is a function of the seed and the number.
func pickShare(share float64, seed uint64) func(n uint64) (int, uint64) {
	limit := uint64(share * (1 << 53))
	seed = mix(seed ^ 0x6d69786564)
	return func(n uint64) (int, uint64) {
		if mix(seed+n*golden64)>>11 < limit {
			return 0, n
		}
		return 1, n
	}
}

// pickRatio makes a pick of two operations that come as a to b, spread evenly, each
// with a count of its own.
func pickRatio(a, b uint64) func(n uint64) (int, uint64) {
	before := func(n uint64) uint64 { // how many of the first n are the second one
		high, low := bits.Mul64(n, b)
		q, _ := bits.Div64(high, low, a+b)
		return q
	}
	return func(n uint64) (int, uint64) {
		second := before(n)
		if before(n+1) > second {
			return 1, second
		}
		return 0, n - second
	}
}
