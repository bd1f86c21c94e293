// Package history holds what clients asked a cluster of real nodes, and what they
// were told, against the promises P1, P3 and P4 of the README. It knows nothing of
// how nodes work: it looks at the answers, and at when they came.
//
// Every write has a value of its own, so that a read tells which write it saw.
// Whoever asks appends an Op to a Log as soon as it is settled; Check then looks at
// each key by itself. Nothing may run at the same time as Check.
//
// What the rules rest on: an operation takes effect at one moment between its begin
// and its end, and one that was not answered at one moment after its begin, or
// never. So what can be said for certain is that one operation came before another,
// if it ended before the other began. Where that says nothing, neither do the rules.
package history

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// Kind is what an operation asks for.
type Kind uint8

// The kinds of operations.
const (
	Get     Kind = 1
	Set     Kind = 2
	Create  Kind = 3 // a write for the case that there is no value
	Replace Kind = 4 // a write for the case that the value is Op.Seen
	Delete  Kind = 5
	Flush   Kind = 6 // of all keys
)

func (k Kind) String() string {
	return [...]string{"?", "get", "set", "create", "replace", "delete", "flush"}[k]
}

// Outcome is what came of an operation.
type Outcome uint8

// The outcomes of operations.
const (
	// Done: a value was read, a write or a delete was carried out.
	Done Outcome = 1
	// Missed: there was no value to read or to delete.
	Missed Outcome = 2
	// Unmet: the condition of a write did not hold.
	Unmet Outcome = 3
	// Unknown: there was no answer, or one that says that it failed. What was
	// asked for may have been done, or may be later.
	Unknown Outcome = 4
	// Refused: the answer says that nothing was done, and nothing of the value.
	Refused Outcome = 5
	// Elsewhere: a write or a delete was carried out on the other side of a cut. Here
	// it takes effect at one moment between its begin and its end, or never: what this
	// side has may win. See Cut.
	Elsewhere Outcome = 6
)

func (o Outcome) String() string {
	return [...]string{"?", "done", "missed", "unmet", "unknown", "refused", "elsewhere"}[o]
}

// Op is an operation and its answer. Times count from wherever the caller likes.
type Op struct {
	Kind    Kind
	Outcome Outcome
	Key     string
	Wrote   string        // by a write: its value
	Seen    string        // by a read: the value. Of a Replace: the value it is for
	TTL     time.Duration // of the value written, 0: it does not expire
	Begin   time.Duration
	End     time.Duration
	Node    string // what the answer says of the holder
	Note    string // for people: which node was asked, what failed
}

// never is the end of what has none.
const never = time.Duration(math.MaxInt64)

// end is when the operation has certainly taken effect.
func (o *Op) end() time.Duration {
	if o.Outcome == Unknown {
		return never
	}
	return o.End
}

func (o *Op) String() string {
	text := fmt.Sprintf("%10.1f to %10.1f ms  %-7s %-9s", ms(o.Begin), ms(o.End), o.Kind, o.Outcome)
	if o.Wrote != "" {
		text += " wrote " + o.Wrote
	}
	if o.Seen != "" {
		text += " saw " + o.Seen
	}
	if o.TTL > 0 {
		text += fmt.Sprintf(" for %v", o.TTL)
	}
	return text + "  " + o.Node + "  " + o.Note
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Log takes operations from any number of clients. The zero value is empty.
type Log struct {
	mu  sync.Mutex
	ops []Op
}

// Add appends operations. Any goroutine.
func (l *Log) Add(ops ...Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops = append(l.ops, ops...)
}

// Len is the number of operations. Any goroutine.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ops)
}

// Ops gives the operations so far; the caller may keep and change them.
func (l *Log) Ops() []Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Op(nil), l.ops...)
}

// Fault is the end, the standstill or the isolation of a node.
type Fault struct {
	// At is when it had certainly begun: nothing that was asked later is lost.
	At time.Duration
	// Held says whether the node may have held a key then, or been about to.
	Held func(key string) bool
}
