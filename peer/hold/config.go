package hold

import (
	"math"
	"sync/atomic"
	"time"
)

// Config is what a machine is told once.
type Config struct {
	// Self is this run of this node.
	Self ID
	// Weight is this node's share of the slots, in proportion.
	Weight uint32
	// Slots is how many slots there are: proto.Slots, fewer in tests.
	Slots int
	// Alone is how long a node that was told to join others waits for them
	// before it goes on alone. Zero: it was told of none.
	Alone time.Duration
	// Place gives, for members in order of their names, the index of the one that
	// each slot belongs to, below zero for none.
	Place func(members []Member) func(slot Slot) int
	// Batch bounds the bytes that a source sends at once for a slot.
	Batch int
	// Window is how many slots a node takes or imports at a time.
	Window int
	// Rate bounds the bytes a second that a node imports; 0: no bound.
	Rate int
	// MaxWaiting bounds the operations that wait for keys to be fetched.
	MaxWaiting int
	// many, portion and aside stand for manySlots, walkPortion and maxAside in tests, which
	// have fewer slots and entries.
	many, portion, aside int
	// off switches rules off, to show that the tests would notice.
	off mutant
}

// The times of the protocol. docs/CLUSTER.md derives P5's five seconds from them.
const (
	// pingEvery is how often each peer is asked.
	pingEvery = 200 * time.Millisecond
	// silence is how long a peer may leave pings unanswered before it is counted
	// dead. Only time that this node was awake for counts, see blame.
	silence = 2500 * time.Millisecond
	// strange is how long a peer may leave them unanswered from which nothing has ever
	// come: where many nodes start together it takes long until each has a link to all
	// others, and one that is counted dead for that makes them all begin anew.
	strange = 10 * time.Second
	// blame is the most that the time between two ticks counts as a peer's silence
	// where Next asked for TickEvery: where this node gets little of its processor, so
	// may its peers.
	blame = 2 * TickEvery
	// asks is how long a peer may leave pings unanswered before others are asked about
	// it: two pings, and one answer that is late.
	asks = 500 * time.Millisecond
	// lease is how long after a ping was sent its answer lets a node serve.
	lease = 2 * time.Second
	// fence is how long after a node's last answer to a silent member nobody
	// serves on the strength of that answer: the lease, and one part in fifty for
	// clocks that run at different speeds.
	fence = lease + lease/50
	// breakAfter is how long a silent source of an import is waited for: the fence, and
	// the time in which both ends find out that they do not hear each other.
	breakAfter = fence + 300*time.Millisecond
	// frozen is a gap between two such ticks after which this node, not its peers,
	// must have been the silent one.
	frozen = 500 * time.Millisecond
	// retry is how often what was not answered is asked again.
	retry = 100 * time.Millisecond
	// opTime is how long an operation waits for its key, unless Op.Within says.
	opTime = 240 * time.Millisecond
	// recordTime is how long the record of a key that went is kept at least: more
	// than it takes to find out that a peer is cut off.
	recordTime = 5 * time.Second
	// grace is how long a node that has come back leaves slots without a holder to
	// others who may come back too: with them, what it holds can be vouched for.
	grace = 2500 * time.Millisecond
	// healTime is how long records are kept for a silent member: one that comes back
	// later may bring what went meanwhile.
	healTime = 10 * time.Minute
)

// unheardTerms is by how much the terms of a node that has died, or is cut off, may
// have grown since it was heard of last: its successors' are above them.
const unheardTerms = 1 << 12

// MaxTerm is the highest term there is. When it is used up, slots change hands no
// longer.
const MaxTerm = math.MaxUint32

// TickEvery is how often Tick is to be called while there is something to do.
const TickEvery = 50 * time.Millisecond

// Stats are counts of a machine. Any goroutine may read them.
type Stats struct {
	// Held, Importing and Sources are numbers of slots: those that this node
	// holds; those of them that it still imports; those that others still import
	// from it.
	Held, Importing, Sources atomic.Int64
	// Misplaced is how many slots this node has yet to take, or to give away, as of
	// the last tick, and at least one since the member list has changed; those that it imports and that others import from it included.
	Misplaced atomic.Int64
	// Terms is the highest term known, of MaxTerm, as of the last tick.
	Terms atomic.Int64
	// Sent and Received count entries that move in batches, at the source and at the
	// importer: each once, when it has been acknowledged, and when it is taken. FetchSent
	// and FetchReceived count copies of them that went ahead of their turn: each answer
	// that was sent, and that came. What has come ends in one way: taken in, refused
	// because what is here is as new or newer, or because memory is full of younger ones,
	// refused for another reason, expired on the way. So between two events of a machine
	//
	//	Received + FetchReceived = Applied + Older + Aged + Failed + Expired
	//
	// and once nothing is on its way, in a cluster in which neither a node nor a message
	// got lost, over all nodes, those that have left included,
	//
	//	Sent = Received, FetchSent = FetchReceived, and Dropped = 0.
	//
	// A batch that had to be sent again counts as it was first sent: what expired or was
	// evicted before it came is in Sent, and not in Received.
	Sent, FetchSent, Received, FetchReceived atomic.Uint64
	Applied, Older, Aged, Failed, Expired    atomic.Uint64
	// Dropped counts entries that this node had to let go because others have
	// overtaken them, or may have. Copies of what a source has still are not among them.
	Dropped atomic.Uint64
	// Aside counts entries that were set aside (rule 4); Restored, those of them that the
	// store has taken back; AsideDropped, those that were let go. So what is aside now is
	//
	//	Aside - Restored - AsideDropped
	Aside, Restored, AsideDropped atomic.Uint64
	// Granted, Taken and Claimed count slots.
	Granted, Taken, Claimed atomic.Uint64
	// Fetches counts answers of sources about keys ahead of their turn, be it that there
	// is an entry, a record or nothing.
	Fetches atomic.Uint64
	// Crowded counts operations that were refused because MaxWaiting others waited.
	Crowded atomic.Uint64
}
