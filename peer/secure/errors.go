package secure

import "errors"

// The errors of NewKeys.
var (
	ErrSecretShort = errors.New("secure: the secret is shorter than 16 bytes; give --secret one that `smache secret` made")
	ErrSecretCount = errors.New("secure: --secret takes one secret, or two during a rotation")
)

// The errors of a handshake. The link ends.
var (
	// ErrNotPeer: the other end does not speak this protocol.
	ErrNotPeer = errors.New("secure: the other end is not a node's peer port; see --join")
	// ErrVersion: the other end has another version of this format.
	ErrVersion = errors.New("secure: the other end speaks another version of the protocol")
	// ErrMode: one end encrypts and the other does not.
	ErrMode = errors.New("secure: one end encrypts and the other does not; give both --secret, or both --insecure-cluster")
	// ErrCluster: the other end belongs to a cluster of another name.
	ErrCluster = errors.New("secure: the other end belongs to another cluster; see --cluster")
	// ErrSecret: the other end has another secret, or somebody changed the bytes.
	ErrSecret = errors.New("secure: the other end has another secret; see --secret")
)

// The errors of records. The link ends: the session opens nothing more.
var (
	// ErrRecordSize: a length outside of what a record may have.
	ErrRecordSize = errors.New("secure: a record's length is out of bounds")
	// ErrRecord: a record that was changed, repeated, left out or moved.
	ErrRecord = errors.New("secure: a record does not open")
	// ErrExhausted: the direction's counter has come to its end.
	ErrExhausted = errors.New("secure: the record counter is exhausted")
)

// Reason names the cause of an error of this package for metrics and logs: one
// word, stable; "" if err is none of them.
func Reason(err error) string {
	switch {
	case errors.Is(err, ErrNotPeer):
		return "not_a_peer"
	case errors.Is(err, ErrVersion):
		return "wrong_version"
	case errors.Is(err, ErrMode):
		return "wrong_mode"
	case errors.Is(err, ErrCluster):
		return "wrong_cluster"
	case errors.Is(err, ErrSecret):
		return "wrong_secret"
	case errors.Is(err, ErrRecordSize):
		return "record_size"
	case errors.Is(err, ErrRecord):
		return "bad_record"
	case errors.Is(err, ErrExhausted):
		return "exhausted"
	default:
		return ""
	}
}
