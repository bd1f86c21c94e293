package proto

import "errors"

// CloseReason says why a link was closed. It goes into the goodbye of the side
// that closes, into a counter and into a log line. Append only: the values cross
// the wire.
type CloseReason uint8

// The reasons. The table is closeReasons.
const (
	CloseDone          CloseReason = 1
	CloseFrameLength   CloseReason = 2
	CloseFrameVersion  CloseReason = 3
	CloseFrameOpcode   CloseReason = 4
	CloseFrameFlags    CloseReason = 5
	CloseFrameStatus   CloseReason = 6
	CloseFrameReserved CloseReason = 7
	CloseBody          CloseReason = 8
	CloseBodyKey       CloseReason = 9
	CloseBodySlot      CloseReason = 10
	CloseBodyLimit     CloseReason = 11
	CloseHello         CloseReason = 12
	CloseVersions      CloseReason = 13
	CloseCluster       CloseReason = 14
	CloseSelf          CloseReason = 15
	CloseName          CloseReason = 16
	CloseIncarnation   CloseReason = 17
	CloseRole          CloseReason = 18
	CloseReplaced      CloseReason = 19
	CloseSlow          CloseReason = 20
	CloseCredits       CloseReason = 21
	CloseID            CloseReason = 22
	CloseSilent        CloseReason = 23
	CloseHelloTimeout  CloseReason = 24
	CloseRecord        CloseReason = 25
	CloseHandshake     CloseReason = 26
	CloseLost          CloseReason = 27
	CloseConnections   CloseReason = 28
	CloseInternal      CloseReason = 29
)

// CloseError is a reason for closing a link, as an error: a row of the table from
// which goodbyes, counters, logs and documents are made.
type CloseError struct {
	Reason CloseReason
	// Name is stable, and the label of the counter.
	Name string
	// Text is for the log.
	Text string
	// Lasting says that the next attempt ends in the same way until somebody
	// changes something: dial again only seldom.
	Lasting bool
}

// Error makes a reason an error.
func (e *CloseError) Error() string { return "proto: " + e.Text }

// The reasons as errors. ParseFrame gives ErrFrame…, the decoders of bodies give
// ErrBody…, ErrFrameStatus and ErrFrameReserved; ErrLink… are for those who keep
// links.
var (
	ErrFrameLength   = &CloseError{CloseFrameLength, "bad_length", "a frame's length is out of bounds", false}
	ErrFrameVersion  = &CloseError{CloseFrameVersion, "bad_version", "a frame is of another version of the protocol", true}
	ErrFrameOpcode   = &CloseError{CloseFrameOpcode, "bad_opcode", "a frame's opcode is unknown", false}
	ErrFrameFlags    = &CloseError{CloseFrameFlags, "bad_flags", "a frame's flags do not go together", false}
	ErrFrameStatus   = &CloseError{CloseFrameStatus, "bad_status", "a frame's status is unknown, or not one of its opcode", false}
	ErrFrameReserved = &CloseError{CloseFrameReserved, "bad_reserved", "reserved bits of a frame are not 0", false}
	ErrBody          = &CloseError{CloseBody, "bad_body", "a frame's body is malformed", false}
	ErrBodyKey       = &CloseError{CloseBodyKey, "bad_key", "a key in a frame is malformed", false}
	ErrBodySlot      = &CloseError{CloseBodySlot, "bad_slot", "the slot in a frame is not its key's", false}
	ErrBodyLimit     = &CloseError{CloseBodyLimit, "over_limit", "a count or a length in a frame is above the limit", false}

	ErrLinkDone         = &CloseError{CloseDone, "done", "the peer has finished", false}
	ErrLinkHello        = &CloseError{CloseHello, "hello_expected", "a link's first frame is not a hello, or a later one is", false}
	ErrLinkVersions     = &CloseError{CloseVersions, "no_common_version", "the peer speaks no version of the protocol that is spoken here", true}
	ErrLinkCluster      = &CloseError{CloseCluster, "wrong_cluster", "the peer is of another cluster; see --cluster", true}
	ErrLinkSelf         = &CloseError{CloseSelf, "self", "the peer is this node itself", true}
	ErrLinkName         = &CloseError{CloseName, "name_taken", "another node has the peer's name; see --name", true}
	ErrLinkIncarnation  = &CloseError{CloseIncarnation, "old_incarnation", "the peer has been restarted since", false}
	ErrLinkRole         = &CloseError{CloseRole, "not_a_node", "a client has sent a frame that only nodes may", false}
	ErrLinkReplaced     = &CloseError{CloseReplaced, "replaced", "another link to the same peer is kept", false}
	ErrLinkSlow         = &CloseError{CloseSlow, "slow_reader", "the peer reads too slowly: its outbox is full", false}
	ErrLinkCredits      = &CloseError{CloseCredits, "too_many_requests", "the peer has more requests in flight than it may", false}
	ErrLinkID           = &CloseError{CloseID, "id_reused", "a request has the id of one that is in flight", false}
	ErrLinkSilent       = &CloseError{CloseSilent, "silent", "the peer does not answer", false}
	ErrLinkHelloTimeout = &CloseError{CloseHelloTimeout, "hello_timeout", "the handshake has taken too long", false}
	ErrLinkRecord       = &CloseError{CloseRecord, "bad_record", "a sealed record cannot be opened", false}
	ErrLinkHandshake    = &CloseError{CloseHandshake, "bad_handshake", "the handshake has failed: is the secret the same? see --secret", true}
	ErrLinkLost         = &CloseError{CloseLost, "lost", "the connection was closed by the other side or the network", false}
	ErrLinkConnections  = &CloseError{CloseConnections, "too_many_links", "there are too many links", false}
	ErrLinkInternal     = &CloseError{CloseInternal, "internal", "a bug; the log has the details", false}
)

var closeReasons = [...]*CloseError{
	CloseDone: ErrLinkDone, CloseFrameLength: ErrFrameLength, CloseFrameVersion: ErrFrameVersion,
	CloseFrameOpcode: ErrFrameOpcode, CloseFrameFlags: ErrFrameFlags, CloseFrameStatus: ErrFrameStatus,
	CloseFrameReserved: ErrFrameReserved, CloseBody: ErrBody, CloseBodyKey: ErrBodyKey, CloseBodySlot: ErrBodySlot,
	CloseBodyLimit: ErrBodyLimit, CloseHello: ErrLinkHello,
	CloseVersions: ErrLinkVersions, CloseCluster: ErrLinkCluster, CloseSelf: ErrLinkSelf, CloseName: ErrLinkName,
	CloseIncarnation: ErrLinkIncarnation, CloseRole: ErrLinkRole, CloseReplaced: ErrLinkReplaced,
	CloseSlow: ErrLinkSlow, CloseCredits: ErrLinkCredits, CloseID: ErrLinkID, CloseSilent: ErrLinkSilent,
	CloseHelloTimeout: ErrLinkHelloTimeout, CloseRecord: ErrLinkRecord, CloseHandshake: ErrLinkHandshake,
	CloseLost: ErrLinkLost, CloseConnections: ErrLinkConnections, CloseInternal: ErrLinkInternal,
}

// CloseErrors lists the table, in the order of the reasons.
func CloseErrors() []*CloseError { return closeReasons[1:] }

// Err gives a reason as an error. One that this version does not know, which a
// newer peer may give, is an error without a row in the table.
func (r CloseReason) Err() *CloseError {
	if r > 0 && int(r) < len(closeReasons) {
		return closeReasons[r]
	}
	return &CloseError{Reason: r, Name: "unknown", Text: "the peer gives a reason that is not known here"}
}

// CloseReasonOf gives the reason that stands for err, which may wrap one of the
// table's errors: CloseInternal for any other.
func CloseReasonOf(err error) CloseReason {
	var c *CloseError
	if errors.As(err, &c) {
		return c.Reason
	}
	return CloseInternal
}
