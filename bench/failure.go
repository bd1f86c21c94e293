package bench

import "strconv"

// Failure is a way in which a request, or the opening of a connection, can fail.
type Failure uint8

// The kinds of failure. Append only: reports name them.
const (
	// FailConnect: a connection could not be opened. No request was lost by it.
	FailConnect Failure = 0
	// FailTimeout: no complete answer within Config.Timeout.
	FailTimeout Failure = 1
	// FailClosed: the connection ended before the answer was complete.
	FailClosed Failure = 2
	// FailStatus: an answer with another status than the right one.
	FailStatus Failure = 3
	// FailContent: the right status, with another body than the right one.
	FailContent Failure = 4
	// FailMalformed: what came is no answer of the protocol, or more than one.
	FailMalformed Failure = 5
	// FailUnsent: the time of the request came, in an open loop, and no connection
	// was free to the end: that of Config.Duration and half of Config.Drain. No request was sent.
	FailUnsent Failure = 6
	// FailUnfinished: no complete answer within Config.Drain after the end of a
	// Config.Duration.
	FailUnfinished Failure = 7

	failureKinds = 8
)

// Failures lists the kinds in their order.
func Failures() []Failure {
	return []Failure{FailConnect, FailTimeout, FailClosed, FailStatus, FailContent, FailMalformed, FailUnsent, FailUnfinished}
}

// String is the name of the kind in reports.
func (f Failure) String() string {
	switch f {
	case FailConnect:
		return "connect"
	case FailTimeout:
		return "timeout"
	case FailClosed:
		return "closed"
	case FailStatus:
		return "status"
	case FailContent:
		return "content"
	case FailMalformed:
		return "malformed"
	case FailUnsent:
		return "unsent"
	case FailUnfinished:
		return "unfinished"
	default:
		return "failure " + strconv.Itoa(int(f))
	}
}

// maxSample bounds what is kept of the first answer that failed in some way.
const maxSample = 200

// tally is what one event loop counts in one phase. It belongs to the loop until
// the phase ends there, and to the runner afterwards.
type tally struct {
	sent       uint64
	ok         uint64
	failed     [failureKinds]uint64
	statuses   map[int]uint64 // of answers that failed by status
	samples    [failureKinds]string
	abandoned  uint64 // under way when the run was ended early
	retried    uint64
	reconnects uint64
	bytesOut   uint64
	bytesIn    uint64
	bytesBody  uint64 // of right answers
	lastEnd    int64  // when the last request ended, on the run's clock
	kinds      []kindTally
	series     *series
	late       uint64   // sent more than lateAfter behind the intended time
	lateBusy   uint64   // of those, because the loop was busy: a connection was free
	delay      *Latency // of sending, in an open loop; else nil
}

// kindTally is about the right answers to one kind of operation.
type kindTally struct {
	failed  uint64
	latency *Latency
}

// newTally makes the tally of a phase that began at a time on the run's clock.
func newTally(kinds int, begin int64, paced bool) *tally {
	t := &tally{statuses: map[int]uint64{}, kinds: make([]kindTally, kinds), series: newSeries(begin)}
	for i := range t.kinds {
		t.kinds[i].latency = NewLatency()
	}
	if paced {
		t.delay = NewLatency()
	}
	return t
}

// latency is that of all kinds together.
func (t *tally) latency() *Latency {
	l := NewLatency()
	for i := range t.kinds {
		l.Merge(t.kinds[i].latency)
	}
	return l
}

// merge adds what another loop, or another round, counted; the series apart.
func (t *tally) merge(o *tally) {
	t.sent += o.sent
	t.ok += o.ok
	for i := range t.failed {
		t.failed[i] += o.failed[i]
		if t.samples[i] == "" {
			t.samples[i] = o.samples[i]
		}
	}
	for code, n := range o.statuses {
		t.statuses[code] += n
	}
	t.abandoned += o.abandoned
	t.retried += o.retried
	t.reconnects += o.reconnects
	t.bytesOut += o.bytesOut
	t.bytesIn += o.bytesIn
	t.bytesBody += o.bytesBody
	t.lastEnd = max(t.lastEnd, o.lastEnd)
	for i := range o.kinds {
		t.kinds[i].failed += o.kinds[i].failed
		t.kinds[i].latency.Merge(o.kinds[i].latency)
	}
	t.late += o.late
	t.lateBusy += o.lateBusy
	if o.delay != nil {
		t.delay.Merge(o.delay)
	}
}

// failures is the sum over the kinds.
func (t *tally) failures() uint64 {
	var n uint64
	for _, v := range t.failed {
		n += v
	}
	return n
}

// sample keeps the first answer that failed in a way, for people to read.
func (t *tally) sample(kind Failure, text string) {
	if t.samples[kind] == "" {
		t.samples[kind] = clip(text)
	}
}

// clip makes text fit for one line of a report.
func clip(text string) string {
	if len(text) > maxSample {
		text = text[:maxSample] + "…"
	}
	quoted := strconv.QuoteToGraphic(text)
	out := make([]byte, 0, len(quoted))
	for i := 1; i < len(quoted)-1; i++ { // JSON reads better with its quotes bare
		if quoted[i] == '\\' && quoted[i+1] == '"' {
			continue
		}
		out = append(out, quoted[i])
	}
	return string(out)
}
