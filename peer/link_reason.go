package peer

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// The errors of Send, and of calls. After those of Send the call was not sent and
// Done is not called.
var (
	// ErrNotConnected: there is no link to the peer.
	ErrNotConnected = errors.New("peer: not connected")
	// ErrInFlight: as many requests are in flight as the peer allows.
	ErrInFlight = errors.New("peer: too many requests in flight")
	// ErrOutboxFull: too many bytes wait to be sent to the peer.
	ErrOutboxFull = errors.New("peer: the outbox is full")
	// ErrFrameTooLarge: the frame is longer than proto.MaxFrame.
	ErrFrameTooLarge = errors.New("peer: the frame is too large")
	// ErrDeadline: the peer did not answer in time. It may have done what it was
	// asked.
	ErrDeadline = errors.New("peer: no answer in time")
	// ErrLinkLost: the link was closed before the answer came. The peer may have
	// done what it was asked. Calls carry an error that wraps it, and the reason.
	ErrLinkLost = errors.New("peer: the link was lost")
)

// The errors of dialling, beside those of the handshake.
var (
	// ErrRefused: nobody listens at the peer's address. Its process is gone. Given
	// only where the address is an IP address: a name may stand for several.
	ErrRefused = errors.New("peer: connection refused")
	// ErrUnreachable: the connection could not be opened for another reason.
	ErrUnreachable = errors.New("peer: unreachable")
	// ErrHandshakeRefused: the other end closed the connection during the
	// handshake. If it goes on, the secret may differ.
	ErrHandshakeRefused = errors.New("peer: the other end closed the connection during the handshake; is the secret the same? see --secret")
	// ErrWrongPeer: another node answered at the peer's address.
	ErrWrongPeer = errors.New("peer: another node is at this address")
	// ErrForgotten: this end does not want the peer any more.
	ErrForgotten = errors.New("peer: forgotten")
	// ErrPanic: a callback panicked. The log has the details.
	ErrPanic = errors.New("peer: a callback panicked")
)

// errUnknownAnswer: an answer to a request that is not in flight.
var errUnknownAnswer = fmt.Errorf("peer: an answer that nobody asked for: %w", proto.ErrLinkID)

// StatusOf gives the status that an error of Send or of a call means to an
// operation.
func StatusOf(err error) proto.Status {
	switch {
	case err == nil:
		return proto.StatusOK
	case errors.Is(err, ErrInFlight), errors.Is(err, ErrOutboxFull):
		return proto.StatusQueueFull
	case errors.Is(err, ErrFrameTooLarge):
		return proto.StatusTooLarge
	default:
		return proto.StatusUnreachable
	}
}

// remoteError is the reason that the peer gave in its goodbye.
type remoteError struct{ *proto.CloseError }

func (e *remoteError) Error() string { return "peer: closed by the peer: " + e.Text }
func (e *remoteError) Unwrap() error { return e.CloseError }

// lostError is what a call gets whose link was closed.
type lostError struct{ why error }

func (e *lostError) Error() string   { return fmt.Sprintf("%v: %v", ErrLinkLost, e.why) }
func (e *lostError) Unwrap() []error { return []error{ErrLinkLost, e.why} }

// reasonOf names the cause of a closed or failed connection for metrics and logs,
// and the end that had it. The names are a closed set.
func reasonOf(err error) (name, by string) {
	by = "self"
	var remote *remoteError
	if errors.As(err, &remote) {
		return remote.Name, "peer"
	}
	if name := secure.Reason(err); name != "" {
		return name, by
	}
	switch {
	case errors.Is(err, ErrRefused):
		return "refused", "peer"
	case errors.Is(err, ErrUnreachable):
		return "unreachable", by
	case errors.Is(err, ErrHandshakeRefused):
		return "handshake_refused", "peer"
	case errors.Is(err, ErrWrongPeer):
		return "wrong_peer", by
	case errors.Is(err, ErrForgotten):
		return "forgotten", by
	case errors.Is(err, ErrPanic):
		return "panic", by
	case errors.Is(err, errUnknownAnswer):
		return "unknown_answer", by
	}
	var own *proto.CloseError
	if errors.As(err, &own) {
		if own == proto.ErrLinkLost {
			by = "peer"
		}
		return own.Name, by
	}
	return proto.ErrLinkInternal.Name, by
}

// goodbyeOf gives the reason to put into a goodbye; 0: the other end is gone, or
// has said goodbye itself.
func goodbyeOf(err error) proto.CloseReason {
	var remote *remoteError
	var own *proto.CloseError
	switch {
	case errors.As(err, &remote), errors.Is(err, proto.ErrLinkLost):
		return 0
	case errors.Is(err, ErrForgotten):
		return proto.CloseDone
	case errors.Is(err, ErrWrongPeer):
		return proto.CloseName
	case secure.Reason(err) != "":
		return proto.CloseRecord
	case errors.As(err, &own):
		return own.Reason
	default:
		return proto.CloseInternal
	}
}

// lasting says that the next attempt ends in the same way until somebody changes
// something.
func lasting(err error) bool {
	var c *proto.CloseError
	if errors.As(err, &c) && c.Lasting {
		return true
	}
	return secure.Reason(err) != "" || errors.Is(err, ErrWrongPeer)
}

// dialError names what kept a connection from being opened. direct says that the
// address stands for itself.
func dialError(err error, direct bool) error {
	if direct && errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// lostTo says why gnet closed a connection of itself.
func lostTo(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return proto.ErrLinkLost
	}
	return fmt.Errorf("%w: %w", proto.ErrLinkLost, err)
}
