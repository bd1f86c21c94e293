package proto

import "errors"

// Status says how an operation went. Append only: the values cross the wire.
type Status uint8

const (
	// StatusOK: done; for a read, a hit.
	StatusOK Status = 0
	// StatusMiss: there is no such entry.
	StatusMiss Status = 1
	// StatusNotModified: the entry is the one that If-None-Match names.
	StatusNotModified Status = 2
	// StatusPrecondition: If-Match or If-None-Match does not hold; nothing was done.
	StatusPrecondition Status = 3
	// StatusTooLarge: the value is above the limit; nothing was done.
	StatusTooLarge Status = 4
	// StatusQueueFull: the writer queue of the slot is full; nothing was done.
	StatusQueueFull Status = 5
	// StatusNotHolder: this node does not hold the slot; nothing was done.
	StatusNotHolder Status = 6
	// StatusStale: OpMerge met an entry that is as new or newer; nothing was done.
	StatusStale Status = 7
	// StatusUnreachable: the holder did not answer; the write may be applied.
	StatusUnreachable Status = 8
	// StatusClosed: the node is shutting down; nothing was done.
	StatusClosed Status = 9
	// StatusMoved: another node holds the slot, and the answer names it; nothing
	// was done.
	StatusMoved Status = 10
	// StatusBusy: the slot is changing hands; nothing was done.
	StatusBusy Status = 11
	// StatusEpoch: the request is of another epoch; nothing was done.
	StatusEpoch Status = 12
	// StatusInternal: a bug in the holder; a write may be applied.
	StatusInternal Status = 13

	statusLast = StatusInternal
)

var statusNames = [...]string{
	"ok", "miss", "not_modified", "precondition", "too_large", "queue_full", "not_holder", "stale",
	"unreachable", "closed", "moved", "busy", "epoch", "internal",
}

// String gives the status's name, as in documents and metrics.
func (s Status) String() string {
	if s > statusLast {
		return "unknown"
	}
	return statusNames[s]
}

// Retry says whether the same request may be sent again.
type Retry uint8

const (
	// RetryNever: the same request fails again.
	RetryNever Retry = 0
	// RetrySafe: nothing was done; send it again after the pause that
	// Retry-After names.
	RetrySafe Retry = 1
	// RetryUnknown: a write may have been applied; reads may be sent again, for
	// writes use If-Match.
	RetryUnknown Retry = 2
)

// Failure is one way in which a request can fail: a row of the table from which
// the HTTP answers, the peer protocol and the documents are made.
type Failure struct {
	// Code is the stable name that clients match on.
	Code string
	// HTTP is the status of the answer.
	HTTP int
	// Retry says whether the client may send it again.
	Retry Retry
	// Text is the message, if the place of failure has nothing better to say.
	Text string
}

// Error makes a Failure an error.
func (f *Failure) Error() string { return f.Code + ": " + f.Text }

// The failures. The list is closed: no other code is ever answered.
var (
	FailJSON          = &Failure{"malformed_json", 400, RetryNever, "the body is not valid JSON"}
	FailUTF8          = &Failure{"malformed_utf8", 400, RetryNever, "the text is not valid UTF-8"}
	FailBody          = &Failure{"malformed_body", 400, RetryNever, "the body is not what this request takes"}
	FailQuery         = &Failure{"malformed_query", 400, RetryNever, "the query is not what this request takes"}
	FailKey           = &Failure{"malformed_key", 400, RetryNever, "key must be a string or an integer"}
	FailKeyTooLong    = &Failure{"key_too_long", 400, RetryNever, "key is longer than 1024 bytes"}
	FailTTL           = &Failure{"malformed_ttl", 400, RetryNever, "ttl must be null, or seconds above 0 and at most ten years"}
	FailCondition     = &Failure{"malformed_condition", 400, RetryNever, "If-Match and If-None-Match take * or a list of ETags"}
	FailRequest       = &Failure{"malformed_request", 400, RetryNever, "the request is not valid HTTP"}
	FailUnauthorized  = &Failure{"unauthorized", 401, RetryNever, "this node takes requests with a bearer token that it knows; see --token"}
	FailForeignOrigin = &Failure{"foreign_origin", 403, RetryNever, "the request comes from a foreign web page; see --cors-origin"}
	FailReadOnly      = &Failure{"read_only_token", 403, RetryNever, "this token may only read; see --read-token"}
	FailPath          = &Failure{"not_found", 404, RetryNever, "there is nothing at this path"}
	FailMiss          = &Failure{"miss", 404, RetryNever, "there is no such entry"}
	FailMethod        = &Failure{"method_not_allowed", 405, RetryNever, "this path does not take this method"}
	FailKeyNil        = &Failure{"nil_key", 405, RetryNever, "key cannot be nil/null/empty"}
	FailTimeout       = &Failure{"request_timeout", 408, RetrySafe, "the request did not arrive in time; see --read-timeout"}
	FailPrecondition  = &Failure{"precondition_failed", 412, RetryNever, "the entry is not the one that the condition names"}
	FailValueTooLarge = &Failure{"value_too_large", 413, RetryNever, "data is above the limit; see --max-value"}
	FailBodyTooLarge  = &Failure{"body_too_large", 413, RetryNever, "the body is above the limit; see --max-body"}
	FailBatchTooLarge = &Failure{"batch_too_large", 413, RetryNever, "the batch has too many items; see --max-batch"}
	FailAnswerLarge   = &Failure{"answer_too_large", 413, RetryNever, "the answer is above the limit; ask for fewer keys, or see --max-answer"}
	FailMediaType     = &Failure{"unsupported_media_type", 415, RetryNever, "the body must be application/json, without Content-Encoding"}
	FailMisdirected   = &Failure{"misdirected", 421, RetryNever, "this host name is not served here; see --allowed-host"}
	FailRate          = &Failure{"too_many_requests", 429, RetrySafe, "too many connections from this address; see --max-connections-per-address"}
	FailRateLimited   = &Failure{"rate_limited", 429, RetrySafe, "too many requests from this address; see --rate-limit"}
	FailHeaderLarge   = &Failure{"header_too_large", 431, RetryNever, "the request line and headers are above the limit; see --max-header"}
	FailInternal      = &Failure{"internal", 500, RetryUnknown, "a bug in the server; its log has the details"}
	FailQueueFull     = &Failure{"queue_full", 503, RetrySafe, "the writer queue is full; see --queue"}
	FailOverloaded    = &Failure{"overloaded", 503, RetrySafe, "too many large bodies or answers at once; see --large-budget"}
	FailConnections   = &Failure{"too_many_connections", 503, RetrySafe, "too many connections; see --max-connections"}
	FailUnreachable   = &Failure{"unreachable", 503, RetryUnknown, "the node that holds the key does not answer"}
	FailBusy          = &Failure{"busy", 503, RetrySafe, "the slot is changing hands"}
	FailDraining      = &Failure{"draining", 503, RetrySafe, "the node is shutting down"}
)

// Failures lists the table in the order of its HTTP statuses.
func Failures() []*Failure {
	return []*Failure{
		FailJSON, FailUTF8, FailBody, FailQuery, FailKey, FailKeyTooLong, FailTTL, FailCondition, FailRequest,
		FailUnauthorized, FailForeignOrigin, FailReadOnly, FailPath, FailMiss, FailMethod, FailKeyNil, FailTimeout, FailPrecondition,
		FailValueTooLarge, FailBodyTooLarge, FailBatchTooLarge, FailAnswerLarge, FailMediaType, FailMisdirected,
		FailRate, FailRateLimited, FailHeaderLarge, FailInternal, FailQueueFull, FailOverloaded, FailConnections,
		FailUnreachable, FailBusy, FailDraining,
	}
}

// FailureOf gives the failure that a status of an operation means to a client,
// and nil for those that are no failure: OK, Miss and NotModified.
func FailureOf(s Status) *Failure {
	switch s {
	case StatusOK, StatusMiss, StatusNotModified:
		return nil
	case StatusPrecondition:
		return FailPrecondition
	case StatusTooLarge:
		return FailValueTooLarge
	case StatusQueueFull:
		return FailQueueFull
	case StatusNotHolder, StatusMoved, StatusBusy, StatusEpoch:
		return FailBusy
	case StatusUnreachable:
		return FailUnreachable
	case StatusClosed:
		return FailDraining
	default:
		return FailInternal
	}
}

// FailureOfKey gives the failure that an error of AppendKey or AppendKeyNumber
// means to a client.
func FailureOfKey(err error) *Failure {
	switch {
	case errors.Is(err, ErrKeyNil):
		return FailKeyNil
	case errors.Is(err, ErrKeyTooLong):
		return FailKeyTooLong
	case errors.Is(err, ErrKeyUTF8):
		return FailUTF8
	default:
		return FailKey
	}
}
