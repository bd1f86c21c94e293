package hold

import (
	"time"

	"github.com/smache/smache/proto"
)

// Slot, Version and Entry are those of proto.
type (
	Slot    = proto.Slot
	Version = proto.Version
	Entry   = proto.Entry
)

// Kind says what a message is. Append only: peers of other versions read it.
type Kind uint8

const (
	// MsgPing asks a peer whether it counts the sender alive. With Done, the sender is
	// left with entries that nobody has taken yet, and records are needed; with Found, each
	// slot that belongs to it, by the list of Epoch, is held, by it or by whom it knows.
	MsgPing Kind = 1
	// MsgPong is that it does; with Found, each slot has had a holder.
	MsgPong Kind = 2
	// MsgMembers carries the sender's member list.
	MsgMembers Kind = 3
	// MsgTake asks the holder of a slot for it; with Done, the sender holds it too.
	MsgTake Kind = 4
	// MsgGrant hands a slot over, under Term; Empty says that no entry follows; Done,
	// that the receiver has held the slot, and gets what the sender was left with. It
	// is repeated until the first MsgPull, or MsgTaken, of that term.
	MsgGrant Kind = 5
	// MsgTaken acknowledges the grant of an empty slot, and the last batch.
	MsgTaken Kind = 6
	// MsgMoved says who holds the slot, as far as the sender knows: Node, Term.
	MsgMoved Kind = 7
	// MsgClaim asks to hold a slot whose holder is dead, under Term.
	MsgClaim Kind = 8
	// MsgClaimOK agrees. Sources are nodes that still hold entries of the slot
	// which its holder never asked for.
	MsgClaimOK Kind = 9
	// MsgClaimNo disagrees for now: Term is the highest that the sender has seen.
	MsgClaimNo Kind = 10
	// MsgPull asks the source of an import for batch Seq, and acknowledges those
	// before it.
	MsgPull Kind = 11
	// MsgBatch is that batch; Done says that it is the last, and nothing is in it. That
	// one is repeated until MsgTaken. Empty says then that something that the sender had
	// of the slot went, and it had no room to record that.
	MsgBatch Kind = 12
	// MsgFetch asks the source of an import for one key.
	MsgFetch Kind = 13
	// MsgFetched is the answer: an entry, or none.
	MsgFetched Kind = 14
	// MsgOffer says that the sender holds a slot that belongs to the receiver;
	// with Done, that it is left with entries of it.
	MsgOffer Kind = 15
	// MsgStale says that an import or a source of that term is not open; with
	// Done, that what the receiver has offered is overtaken.
	MsgStale Kind = 16
	// MsgAsk asks a peer when Node was last known to answer.
	MsgAsk Kind = 17
	// MsgHeard is the answer: Age before it was sent, at the latest.
	MsgHeard Kind = 18
)

// Message is what nodes send each other. Which fields count depends on the kind.
type Message struct {
	Kind    Kind
	Epoch   uint64 // of the sender's member list
	Terms   uint32 // the highest term that the sender has heard of
	Flushes uint32 // the number of the latest flush that the sender has carried out
	From    Member // the sender, as it sees itself
	To      ID     // the receiver, as the sender knows it
	Slot    Slot
	Term    uint32
	// Elder is, in MsgClaimOK, the highest term under which somebody may have held
	// the slot, as far as the sender knows; in MsgGrant, see slot.elder; in MsgOffer,
	// see span.since.
	Elder uint32
	// Below is, in MsgClaimOK, what Elder were if those who are silent had not held it.
	Below uint32
	Clock uint64 // hybrid logical clock of a holder that grants
	// Time is, in MsgPing, MsgPull, MsgFetch and MsgAsk, the sender's clock; it comes
	// back with MsgPong, MsgBatch, MsgFetched and MsgHeard.
	Time time.Duration
	Node ID            // MsgMoved: the holder; MsgAsk and MsgHeard: who is asked about
	Age  time.Duration // MsgHeard

	Members []Member
	Sources []Source
	Seq     uint32
	Key     string
	Items   []Entry // entries, and records of keys that are gone; the receiver's
	Found   bool
	Done    bool
	Empty   bool
}

// Source names a node that has entries of a slot which nobody has asked for, and the
// terms of which they are all there is: see span. Below is the highest term before Elder
// under which somebody may have held the slot, as far as that node knows.
type Source struct {
	ID
	Since, Elder, Below uint32
}

// ID names one run of one node.
type ID struct {
	Name string
	// Incarnation is RunStep times the number of the run, plus how often the run
	// was counted dead and came back.
	Incarnation uint64
}

// RunStep is the distance between the incarnations of two runs of a node.
const RunStep = 1 << 16

func (id ID) sameRun(o ID) bool {
	return id.Name == o.Name && id.Incarnation/RunStep == o.Incarnation/RunStep
}

// State is what a member is up to. The order counts: of two reports of one
// incarnation the higher state is the later.
type State uint8

const (
	StateJoining State = 1 // knows some members, owns no slot
	StateServing State = 2
	StateLeaving State = 3 // hands its slots over
	StateSilent  State = 4 // counted dead, because it did not answer
	StateGone    State = 5 // has left, or has provably died
)

// Member is one row of the member list.
type Member struct {
	ID
	State  State
	Weight uint32
}

// Alive reports whether the member takes part: it is asked, and answers.
func (m *Member) Alive() bool { return m.State >= StateJoining && m.State <= StateLeaving }

// newer reports whether m is a later report of a node than o. A higher
// incarnation is; a node that finds itself counted dead takes one (as in SWIM,
// Das et al. 2002).
func (m *Member) newer(o *Member) bool {
	return m.Incarnation > o.Incarnation || m.Incarnation == o.Incarnation && m.State > o.State
}

// node is a run of a node that this machine has heard of. There is one for each
// ID, so that slots can refer to it.
type node struct {
	ID
	alive bool // by the member list: exactly this incarnation takes part
}
