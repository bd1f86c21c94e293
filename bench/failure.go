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
	// FailMalformed: what came is no HTTP answer, or more than one.
	FailMalformed Failure = 5

	failureKinds = 6
)

// Failures lists the kinds in their order.
func Failures() []Failure {
	return []Failure{FailConnect, FailTimeout, FailClosed, FailStatus, FailContent, FailMalformed}
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
	latency    *Latency
}

func newTally() *tally {
	return &tally{statuses: map[int]uint64{}, latency: NewLatency()}
}

// merge adds what another loop counted.
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
	t.latency.Merge(o.latency)
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
