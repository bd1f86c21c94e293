// Package peer holds what nodes have to do with each other. One part of it
// (link*.go, loop*.go) is the links: one connection to each other node, on which
// both ends ask and answer in frames. On top of them operations are carried to the
// holders of their slots (forward*.go): see "Forwarding" below.
//
// The links refuse to know what frames say. They parse headers, match answers
// with requests, answer hellos and goodbyes, and hand everything else to a
// Handler; slots, members and moves are other files' business.
//
// # Life of a request
//
// Link.Send, on any goroutine, takes a place in the connection's table of
// requests in flight, which gives the id, and appends the frame to the outbox,
// under one short lock. Whoever finds the event loop asleep wakes it; all others
// only append. The loop takes the outbox whole, seals it into records of up to
// 64 KiB and writes them with one system call. At the other end, the loop opens
// the records in place, parses the frames where they lie and calls the Handler;
// what it answers goes into the outbox of that connection, and leaves with one
// system call after all frames of one read were handled. Back on the asker's loop
// the answer's id finds the Call, and Call.Done is called.
//
// # One connection for each pair
//
// Each end dials whoever it was told of by Connect and is not connected to, so
// that a node that nobody else knows yet can join, and so that either end sees a
// refused connection, which proves that the other's process is gone. When both
// dial at once, one connection is too many; the end that accepts decides, before
// the hello is answered and hence before any request is on its way:
//
//   - another incarnation: the newer one's link is kept;
//   - no link yet, and this end is dialling too: the dial of the node with the
//     lesser name is kept;
//   - a link that the other end had dialled, or may have replaced: the other end
//     has lost it, for nobody dials whom it is connected to. The new one is kept;
//   - a link that this end, of the lesser name, had dialled: either the two have
//     crossed, or the other end has lost it. The new one is refused, and the old
//     one is probed: if it is dead, the other's kernel says so, and its next
//     attempt finds it gone.
//
// # The end of a link
//
// Every end has a reason, which is counted, logged and, where that is possible,
// said to the other end in a goodbye. From that moment nobody here knows the
// connection any more and its calls are completed; the socket itself stays, for at
// most half a second, until the other end has read the goodbye and closed: a
// socket that is closed while bytes still come is reset, and the goodbye lost. A
// peer that reads nothing, or says nothing, is closed at once.
//
// Ids of requests are the asker's affair: that one is used twice at a time is not
// noticed, as the answers only go back to whoever did so.
//
// # Bounds
//
// Each connection has at most Config.MaxInFlight requests in flight to either
// side, as the hellos say (credits): Send refuses more. A request that is past its
// deadline keeps its credit until it is answered, for the other end still holds
// it. An outbox has at most Config.OutboxBytes, what the kernel has not taken yet
// included: from the half on requests are refused, and Reply.Crowded tells the
// Handler to answer without a value; beyond the whole the link is closed. Frames
// and records are bounded by their formats, and what an unauthenticated peer can
// make a node hold is one handshake message of 64 bytes, for each of at most
// Config.MaxPending connections.
//
// gnet cannot stop reading, so there is no back-pressure by TCP: these bounds
// stand in for it.
//
// # Why not gnet's listener
//
// gnet ends the whole engine when accept fails, for one because there are no file
// descriptors left, which anyone can bring about. Connections are accepted by a
// goroutine of ours, counted, and handed to gnet as dialled ones are. Go's listener
// sets SO_REUSEADDR, so that a restarted node gets its port at once.
//
// # Allocations
//
// A forwarded request and its answer allocate nothing at either end. Waking a
// loop does: gnet's Wake makes a closure and a queue node, two objects of 64
// bytes together. A wake-up serves all frames that gather meanwhile.
//
// # Concurrency and bytes
//
// All methods may be called from any goroutine unless they say otherwise. What
// runs on an event loop (Handler, Call.Done, Config.Notify) must not block and not
// wait for another request: every link of that loop waits with it. It may Send and
// answer. The bytes of a frame are good until the callback that was given them
// returns; the bytes given to Send and Reply are copied before those return.
//
// Lock order: Links.mu, then conn.mu. No callback runs under either.
//
// A panic in a callback is recovered and closes its link, no other.
//
// # Forwarding
//
// forwarder.Submit gives every operation to this node's store first, which refuses
// what it does not hold, for the price of one atomic load. What was refused becomes
// a trip: a pooled object that takes the operation to whoever the directory names,
// and brings the answer back; a value goes from the frame straight into Op.Out. At
// the other end serve decodes the frame in place and submits to the store; the
// value goes from the arena into the answer. The directory is the cluster driver's:
// forwarding never decides who holds a slot.
//
//   - MOVED is followed at once, a few times; after that, and after BUSY or where
//     no holder is known or linked, the operation is parked and tried again every 5
//     to 10 ms. One wheel and one goroutine serve all that is parked.
//   - Everything is answered within 240 ms: StatusBusy if nothing was done,
//     StatusUnreachable if a write was sent and its fate is not known. Such a write
//     is never sent again. A read is, when its link is lost.
//   - An operation that this node's store refuses late, in the queue of a writer,
//     comes by Op.Again.
//   - The store and the directory never get the owner's Op a second time, but a
//     copy: so it is completed once, and what comes late finds nobody.
//   - A batch goes to each holder as one multi frame; what comes back moved or busy
//     goes on as an operation of its own.
//
// At most maxParked operations are parked, and at most maxCopied bytes of other
// nodes' requests are kept beyond the callback that brought them; beyond either
// the answer is StatusBusy at once. What is in flight is bounded by the links'
// credits.
package peer
