package proto

import "encoding/binary"

// The body of a slots frame: messages of the state machine that decides who holds
// a slot (peer/hold), to one peer, in the order in which they were made. The OK
// to it has no body, and says that they have arrived; what they lead to comes in
// slots frames of the other side's own. The header's slot and term are 0, its
// epoch is that of the sender's member list.
//
//	offset size
//	 0      8   incarnation of the sender
//	 8      4   terms: the highest term that the sender has heard of, of any slot
//	12      4   flushes: the number of the latest flush that the sender knows
//	16      4   weight of the sender
//	20      1   state of the sender, a MemberState
//	21      1   reserved, 0
//	22      2   number of messages, 1 to 4,096
//	24      8   incarnation of the receiver, as the sender knows it
//	32      …   messages
//
// A message:
//
//	0      1   kind
//	1      1   flags: 1 done, 2 empty, 4 found; each in the kinds that have it
//	2      2   slot; of ping, pong, ask and heard 0
//	4      4   term; of these, too
//
// and, by kind, from offset 8 on:
//
//	ping, pong            8   time: the asker's monotonic clock
//	take, taken, claim,
//	claim_no, stale           nothing
//	grant                 4   elder
//	                      4   reserved, 0
//	                      8   clock
//	moved                 8   incarnation of the holder
//	                      1   length of its name; 0: not known
//	                      …   name
//	claim_ok              4   elder
//	                      4   below
//	                      8   clock
//	                      2   number of sources, at most 64
//	                      …   sources: incarnation (8), since (4), elder (4),
//	                          below (4), length of the name (1), name
//	pull                  8   time: the asker's monotonic clock
//	                      4   seq
//	batch                 8   time: the pull's
//	                      4   seq
//	                      2   number of entries
//	                      2   reserved, 0
//	                      …   entries, as in body_entry.go
//	fetch                 8   time: the asker's monotonic clock
//	                      2   length of the key
//	                      …   key, canonical
//	fetched               8   time: the fetch's
//	                      2   length of the key
//	                      …   key, and with the flag found its Entry
//	offer                 4   elder
//	ask                   8   time: the asker's monotonic clock
//	                      8   incarnation of the node that it is about
//	                      1   length of its name
//	                      …   name
//	heard                 8   time: the ask's
//	                      8   incarnation, the ask's
//	                      8   age, in nanoseconds
//	                      1   length of the name, the ask's
//	                      …   name
const (
	slotsHeadLen   = 32
	slotMessageLen = 8
	slotSourceLen  = 21

	// MaxSlotMessages is the most messages in one frame.
	MaxSlotMessages = 4096
	// MaxSources is the most sources that one claim_ok names.
	MaxSources = 64
	// maxBatch is the most entries in one batch.
	maxBatch = 1<<16 - 1
)

// FeatureHeld is the bit in the features of a hello that says: Found of pings and pongs is
// known.
const FeatureHeld uint64 = 4

// SlotKind says what a message of a slots frame is.
type SlotKind uint8

// The kinds. Append only: they cross the wire. The numbers are those of
// peer/hold, which has others besides that are sent in frames of another kind.
const (
	// SlotPing asks whether the receiver counts the sender alive; with Done, the
	// sender is left with entries that nobody has taken yet, and records are needed;
	// with Found, each slot that belongs to it, by the epoch of the frame, is held, by
	// it or by a node that it knows of. See FeatureHeld.
	SlotPing SlotKind = 1
	// SlotPong is that it does; Time is the ping's. With Found, each slot has had a
	// holder since the cluster began. See FeatureHeld.
	SlotPong SlotKind = 2
	// SlotTake asks the holder of a slot for it; with Done, the sender holds it
	// too.
	SlotTake SlotKind = 4
	// SlotGrant hands a slot over, under Term; with Empty, no entry follows; with
	// Done, the receiver held it before, and gets what the sender was left with. It
	// is repeated until the first SlotPull, or SlotTaken, of that term.
	SlotGrant SlotKind = 5
	// SlotTaken acknowledges the grant of an empty slot, and the last batch.
	SlotTaken SlotKind = 6
	// SlotMoved says who holds the slot, as far as the sender knows.
	SlotMoved SlotKind = 7
	// SlotClaim asks to hold a slot whose holder is dead, under Term.
	SlotClaim SlotKind = 8
	// SlotClaimOK agrees. It has Sources.
	SlotClaimOK SlotKind = 9
	// SlotClaimNo disagrees for now: Term is the highest that the sender has seen.
	SlotClaimNo SlotKind = 10
	// SlotPull asks the source of an import for batch Seq, and acknowledges those
	// before it.
	SlotPull SlotKind = 11
	// SlotBatch is that batch, and has Entries; with Done, it is the last.
	SlotBatch SlotKind = 12
	// SlotFetch asks the source of an import for one key.
	SlotFetch SlotKind = 13
	// SlotFetched is the answer: with Found, one of Entries.
	SlotFetched SlotKind = 14
	// SlotOffer says that the sender holds a slot that belongs to the receiver;
	// with Done, that it has entries left over and does not hold it.
	SlotOffer SlotKind = 15
	// SlotStale says that an import or a source of that term is not open; with
	// Done, that what the receiver has offered is overtaken.
	SlotStale SlotKind = 16
	// SlotAsk asks when Node was last known to answer.
	SlotAsk SlotKind = 17
	// SlotHeard is the answer: Age before it was sent, at the latest.
	SlotHeard SlotKind = 18
)

// The flags of a message.
const (
	slotDone  = 1
	slotEmpty = 2
	slotFound = 4
)

// slotForm is what is known of a kind.
type slotForm struct {
	name   string
	length int   // of a message, up to what has a length of its own
	flags  uint8 // that it may have
}

var slotForms = [...]slotForm{
	SlotPing: {"ping", 16, slotDone | slotFound}, SlotPong: {"pong", 16, slotFound},
	SlotTake: {"take", 8, slotDone}, SlotGrant: {"grant", 24, slotEmpty | slotDone}, SlotTaken: {"taken", 8, 0},
	SlotMoved: {"moved", 17, 0},
	SlotClaim: {"claim", 8, 0}, SlotClaimOK: {"claim_ok", 26, 0}, SlotClaimNo: {"claim_no", 8, 0},
	SlotPull: {"pull", 20, 0}, SlotBatch: {"batch", 24, slotDone | slotEmpty},
	SlotFetch: {"fetch", 18, 0}, SlotFetched: {"fetched", 18, slotFound},
	SlotOffer: {"offer", 12, slotDone}, SlotAsk: {"ask", 25, 0}, SlotHeard: {"heard", 33, 0}, SlotStale: {"stale", 8, slotDone},
}

// form gives what is known of k; of an unknown kind, a form without a name.
func (k SlotKind) form() *slotForm {
	if int(k) < len(slotForms) {
		return &slotForms[k]
	}
	return &slotForms[0]
}

// String gives the kind's name, as in documents and metrics.
func (k SlotKind) String() string {
	if name := k.form().name; name != "" {
		return name
	}
	return "unknown"
}

// SlotKinds lists the kinds.
func SlotKinds() (kinds []SlotKind) {
	for k := range slotForms {
		if slotForms[k].name != "" {
			kinds = append(kinds, SlotKind(k))
		}
	}
	return kinds
}

// SlotsHead is what a slots frame says of its sender.
type SlotsHead struct {
	Incarnation uint64
	// Terms is a Lamport clock: who gets it takes no term that is not above it.
	Terms uint32
	// Flushes is the number of the latest flush, 0 for none; see AppendFlush.
	Flushes uint32
	Weight  uint32
	State   MemberState
	// To is the receiver's incarnation. What is about slots is only for that: one
	// that was counted dead and came back has to begin anew.
	To uint64
}

// SlotMessage is one message of a slots frame. Which fields count depends on the
// kind; the others are zero. Its slices point into the frame.
type SlotMessage struct {
	Kind               SlotKind
	Done, Empty, Found bool
	Slot               Slot
	Term               uint32
	// Elder is of SlotGrant, SlotClaimOK and SlotOffer.
	Elder uint32
	// Below is of SlotClaimOK.
	Below uint32
	// Seq is of SlotPull and SlotBatch.
	Seq uint32
	// Clock is of SlotGrant and SlotClaimOK: the sender's hybrid logical clock.
	Clock uint64
	// Time is of SlotPing, SlotPull, SlotFetch and SlotAsk: their sender's monotonic
	// clock. It comes back with SlotPong, SlotBatch, SlotFetched and SlotHeard.
	Time uint64
	// Age is of SlotHeard, in nanoseconds.
	Age uint64
	// Node and Incarnation are of SlotMoved: the holder; no name, not known. And of
	// SlotAsk and SlotHeard: whom they are about.
	Node        []byte
	Incarnation uint64
	// Key is of SlotFetch and SlotFetched.
	Key []byte
	// Sources is of SlotClaimOK, as it was found in a frame; to write them, there
	// is SlotsWriter.Source.
	Sources SlotSources
	// Entries is of SlotBatch and SlotFetched, as it was found in a frame; to
	// write them, there is SlotsWriter.Entry.
	Entries Entries
}

// SlotSource names a node that has entries of a slot which nobody has asked for. They
// are all that was written under the terms from Elder on, and before Since; Below is the
// highest before that under which somebody may have held the slot. One that has no entries, and
// says only that, has the highest Elder there is.
type SlotSource struct {
	Node        []byte
	Incarnation uint64
	Since       uint32
	Elder       uint32
	Below       uint32
}

// SlotSources iterates over the sources of a claim_ok.
type SlotSources struct {
	// Count is the number of sources.
	Count int

	rest []byte
}

// Next gives the next source, or false behind the last. Its name points into the
// frame.
func (l *SlotSources) Next(s *SlotSource) bool {
	if len(l.rest) == 0 {
		return false
	}
	l.rest = l.rest[s.read(l.rest):]
	return true
}

// read reads the source at the front of b, and gives its length, 0 if b is
// shorter.
func (s *SlotSource) read(b []byte) int {
	if len(b) < slotSourceLen || len(b) < slotSourceLen+int(b[20]) {
		return 0
	}
	end := slotSourceLen + int(b[20])
	*s = SlotSource{
		Node:        b[slotSourceLen:end:end],
		Incarnation: binary.LittleEndian.Uint64(b),
		Since:       binary.LittleEndian.Uint32(b[8:]), Elder: binary.LittleEndian.Uint32(b[12:]),
		Below: binary.LittleEndian.Uint32(b[16:]),
	}
	return end
}
