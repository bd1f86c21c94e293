package proto

import (
	"math"
	"sync/atomic"
	"time"
)

// Opcode says what an operation does. Append only: the values cross the wire.
type Opcode uint8

const (
	// OpGet reads the entry: Out, ETag, Remaining, Age.
	OpGet Opcode = 1
	// OpSet stores Value whole, with TTL, if the conditions hold.
	OpSet Opcode = 2
	// OpDelete removes the entry, if the conditions hold. OK if there was one,
	// else Miss.
	OpDelete Opcode = 3
	// OpTouch gives the entry a new TTL. OK if there was one, else Miss.
	OpTouch Opcode = 4
	// OpMerge stores a copy that was made elsewhere, with the Version, ETag and
	// Age that it has there. It is kept only if its version is above that of
	// what is stored: OK, else Stale.
	OpMerge Opcode = 5
)

// ETag marks one value of one key. It is opaque, never zero for a stored entry,
// changes when the value does and moves with the entry.
type ETag uint64

// Version orders the values of one key: the term under which its slot was held,
// then the holder's hybrid logical clock. The higher wins wherever two copies of
// a key meet.
type Version struct {
	// Term is the slot's term; it grows each time the slot changes hands.
	Term uint32
	// Clock is the hybrid logical clock of the holder that took the write:
	// microseconds since 1970 in the upper 52 bits, a counter below.
	Clock uint64
}

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool {
	return v.Term < w.Term || v.Term == w.Term && v.Clock < w.Clock
}

// SlotRole is a change of what a store is to a slot.
type SlotRole struct {
	Slot Slot
	// Term is that under which the store holds the slot from now on; 0: it does not.
	Term uint32
	// Importing says that only operations which are Importing are carried out.
	Importing bool
	// Remember makes the store keep records of what goes, Forget drops them.
	Remember, Forget bool

	// Clock, Len and Records are set when it is done: the hybrid logical clock, the
	// number of entries and records, and that of records, which may be too many to
	// be forgotten in one go.
	Clock        uint64
	Len, Records int
}

// Match is one of the conditions If-Match and If-None-Match.
type Match struct {
	// Set says that the condition was given.
	Set bool
	// Any is "*": any existing entry.
	Any bool
	// Tags are the ETags listed. The caller owns the slice.
	Tags []ETag
}

// Has reports whether the condition names the entry with this ETag. An ETag of
// zero stands for no entry, which nothing names.
func (m *Match) Has(tag ETag) bool {
	if tag == 0 {
		return false
	}
	if m.Any {
		return true
	}
	for _, t := range m.Tags {
		if t == tag {
			return true
		}
	}
	return false
}

// Forever is a remaining time to live without end.
const Forever = time.Duration(math.MaxInt64)

// MaxTTL is the longest time to live that can be given: ten years of 365 days.
const MaxTTL = 10 * 365 * 24 * time.Hour

// Op is one operation on one key, on its way to the holder of the key's slot and
// back. The fields of the first block are set before it is submitted, those of
// the second are set when it is complete.
//
// From Submit until it is complete the Op, and all bytes that it points to,
// belong to whoever carries it out and may be neither changed nor reused.
type Op struct {
	Code Opcode
	Slot Slot
	// Key is the canonical key, of AppendKey.
	Key []byte
	// Value is what OpSet and OpMerge store.
	Value []byte
	// TTL is the time to live for OpSet, OpTouch and OpMerge, from the moment
	// the holder applies it; Forever for none. It must be above zero.
	TTL time.Duration
	// IfMatch and IfNoneMatch are decided at the holder, at the moment of
	// applying. For OpGet a matching IfNoneMatch gives NotModified, and what is not
	// there is a Miss whatever IfMatch says.
	IfMatch, IfNoneMatch Match
	// Limit, if above zero, is the longest value that OpGet appends to Out; a
	// longer one is TooLarge.
	Limit int
	// Importing says that what other nodes may know of this key has been asked for:
	// the operation may be carried out although its slot is still being imported.
	// The cluster layer sets it, and nobody else.
	Importing bool
	// Trace, if set, is where the request that op is part of stands in a trace. It
	// goes with op to other nodes, and changes nothing else.
	Trace *Trace
	// Gather says that whoever submits op will submit others at once, and then tell the
	// cache (httpapi.Gatherer): until then op may wait, so that they travel together.
	Gather bool
	// Done, if set, is called once when Submit has returned false and the
	// operation is complete, on any goroutine; it must not block.
	Done func(*Op)
	// Again, if set, is called by Complete in place of completing when Status is
	// StatusNotHolder or StatusBusy: nothing was done, and Again takes op over, to
	// try elsewhere or later. It must not block. Complete clears it first, so that
	// the next Complete is the last. A Submit that returns true has not called it:
	// its caller looks at Status.
	Again func(*Op)

	// Out is the buffer that OpGet appends the value to: the caller sets it
	// before, and finds the value behind what it held.
	Out []byte
	// Status says how it went.
	Status Status
	// ETag is the entry's after the operation; of a failed precondition, the
	// present entry's; zero where there is no entry.
	ETag ETag
	// Remaining is the time left to live, Forever for no end.
	Remaining time.Duration
	// Age is the time since the entry was written.
	Age time.Duration
	// Version is the entry's; OpMerge takes it as input. Of an OpDelete it is that
	// of the record, where the store keeps one.
	Version Version
	// Node names the holder that answered.
	Node string
	// Together says, to Done, that whoever completes op may complete others right behind
	// it, and then tells the submitter (httpapi.Gatherer): until then op's owner may leave
	// it as it is.
	Together bool

	// Carrier is what the cache has made to carry this Op out, and may use for its next
	// submission. It is the cache's, survives Reset and is never copied.
	Carrier any

	state atomic.Uint32
}

// The states of Op.state.
const (
	opPending uint32 = 0 // submitted, nobody waits for Done
	opAwaited uint32 = 1 // submitted, Submit has returned false
	opDone    uint32 = 2 // complete
)

// Reset makes op ready for the next Submit. It keeps Done, which is its owner's, and
// Carrier, and drops everything else, Again too, which belongs to one submission.
func (op *Op) Reset() {
	done, carrier := op.Done, op.Carrier
	*op = Op{Done: done, Carrier: carrier} // state is at rest: the caller owns op
}

// Begin marks op as submitted. For whoever implements Submit.
func (op *Op) Begin() {
	op.Together = false
	op.state.Store(opPending)
}

// BeginAwaited is Begin and Await of an operation that nobody carries out yet: whoever
// completes it calls Done.
func (op *Op) BeginAwaited() {
	op.Together = false
	op.state.Store(opAwaited)
}

// Complete marks op as complete and calls Done if its owner waits for that, or
// hands op to Again. For whoever carries an operation out; op belongs to its
// owner, or to Again, from then on.
func (op *Op) Complete() {
	if op.Again != nil && (op.Status == StatusNotHolder || op.Status == StatusBusy) {
		again := op.Again
		op.Again = nil
		again(op)
		return
	}
	if op.state.Swap(opDone) == opAwaited && op.Done != nil {
		op.Done(op)
	}
}

// CopyRequest makes op ask for what from asks for, with the same bytes and the
// same Out. Done, Again and Importing are op's own.
func (op *Op) CopyRequest(from *Op) {
	op.Code, op.Slot, op.Key, op.Value, op.TTL = from.Code, from.Slot, from.Key, from.Value, from.TTL
	op.Trace = from.Trace
	op.IfMatch, op.IfNoneMatch, op.Limit, op.Out = from.IfMatch, from.IfNoneMatch, from.Limit, from.Out
	op.ETag, op.Age, op.Version = from.ETag, from.Age, from.Version
}

// CopyResult gives op the result of from: all of its second block but Together.
func (op *Op) CopyResult(from *Op) {
	op.Out, op.Status, op.ETag, op.Remaining = from.Out, from.Status, from.ETag, from.Remaining
	op.Age, op.Version, op.Node = from.Age, from.Version, from.Node
}

// IsComplete reports whether op is complete.
func (op *Op) IsComplete() bool { return op.state.Load() == opDone }

// Await is the last step of Submit: it reports whether op is complete already.
// If it is not, Done will be called.
func (op *Op) Await() bool { return !op.state.CompareAndSwap(opPending, opAwaited) }
