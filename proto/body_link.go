package proto

import (
	"crypto/sha256"
	"encoding/binary"
)

// Role says what speaks at the other end of a link.
type Role uint8

// The roles. Append only: they cross the wire.
const (
	// RoleNode is a node of the cluster.
	RoleNode Role = 1
	// RoleClient is a program that reads and writes, and holds nothing.
	RoleClient Role = 2
)

// Hello is the first frame of each side of a link, as request of who dialled and
// as answer of who was dialled. Its form is the same in all versions of the
// protocol, and it is sent in a frame of version 1:
//
//	offset size
//	 0      1   lowest version that the sender speaks, at least 1
//	 1      1   highest
//	 2      1   role: 1 node, 2 client
//	 3      1   length of the name
//	 4      4   credits: the requests that may be in flight to the sender at once
//	 8      8   incarnation; of a client 0
//	16      8   ClusterHash of the cluster's name
//	24      8   features, a bit each
//	32      …   name
//	 +      …   what later versions add; ignored
type Hello struct {
	Lowest, Highest uint8
	Role            Role
	// Credits is at least 1.
	Credits uint32
	// Incarnation grows with each start of a node of that name.
	Incarnation uint64
	Cluster     uint64
	// Features are what the sender can do beyond its version. Both sides use
	// what both have: FeatureStats, FeatureTrace, FeatureHeld.
	Features uint64
	Name     []byte
	// Extra is what this version does not know, and ignores.
	Extra []byte
}

// MaxHello is the length of the longest hello.
const MaxHello = 1024

const (
	helloLen = 32
	pingLen  = 16
	flushLen = 8
)

// ClusterHash stands for a cluster's name in a hello: the first 8 bytes of its
// SHA-256, little-endian.
func ClusterHash(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.LittleEndian.Uint64(sum[:])
}

// AppendHello appends the body of a hello.
func AppendHello(dst []byte, h *Hello) []byte {
	mustName(h.Name)
	dst = append(dst, h.Lowest, h.Highest, byte(h.Role), byte(len(h.Name)))
	dst = binary.LittleEndian.AppendUint32(dst, h.Credits)
	dst = binary.LittleEndian.AppendUint64(dst, h.Incarnation)
	dst = binary.LittleEndian.AppendUint64(dst, h.Cluster)
	dst = binary.LittleEndian.AppendUint64(dst, h.Features)
	return append(append(dst, h.Name...), h.Extra...)
}

// DecodeHello reads the body of a hello. The errors are ErrBody and ErrBodyLimit.
// Whether the two sides fit together is the caller's to judge: Common, Cluster.
func DecodeHello(b []byte, h *Hello) error {
	if len(b) > MaxHello {
		return ErrBodyLimit
	}
	if len(b) < helloLen || len(b) < helloLen+int(b[3]) {
		return ErrBody
	}
	end := helloLen + int(b[3])
	*h = Hello{
		Lowest: b[0], Highest: b[1], Role: Role(b[2]),
		Credits:     binary.LittleEndian.Uint32(b[4:]),
		Incarnation: binary.LittleEndian.Uint64(b[8:]),
		Cluster:     binary.LittleEndian.Uint64(b[16:]),
		Features:    binary.LittleEndian.Uint64(b[24:]),
		Name:        b[helloLen:end:end],
		Extra:       b[end:],
	}
	if h.Lowest == 0 || h.Highest < h.Lowest || h.Credits == 0 || h.Role != RoleNode && h.Role != RoleClient {
		return ErrBody
	}
	return CheckName(h.Name)
}

// Common gives the version that both sides of a link use from the hellos on: the
// highest that both speak. The error is ErrLinkVersions.
func (h *Hello) Common(other *Hello) (uint8, error) {
	v := min(h.Highest, other.Highest)
	if v < max(h.Lowest, other.Lowest) {
		return 0, ErrLinkVersions
	}
	return v, nil
}

// Ping is the body of a ping, and of the OK to it, which says that there is
// somebody at the other end. Whether that counts the asker alive is asked in slots
// frames (SlotPing).
//
//	offset size
//	 0      8   token
//	 8      8   incarnation of the sender: it may have grown since the hello; of a
//	            client 0
type Ping struct {
	// Token is the asker's, its monotonic clock for one, and comes back unchanged:
	// who gets an answer knows by it when the ping was sent.
	Token       uint64
	Incarnation uint64
}

// AppendPing appends the body of a ping, or of its answer.
func AppendPing(dst []byte, p *Ping) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, p.Token)
	return binary.LittleEndian.AppendUint64(dst, p.Incarnation)
}

// DecodePing reads the body of a ping, or of its answer. The error is ErrBody.
func DecodePing(b []byte, p *Ping) error {
	if len(b) != pingLen {
		return ErrBody
	}
	*p = Ping{Token: binary.LittleEndian.Uint64(b), Incarnation: binary.LittleEndian.Uint64(b[8:])}
	return nil
}

// AppendFlush appends the body of a flush, which drops every entry of the node
// that gets it:
//
//	offset size
//	 0      4   number of the flush, not 0
//	 4      4   reserved, 0
//
// The number is above the highest that the asker has heard of, as with any
// Lamport clock. Slots frames carry the latest, so that a node which a flush did
// not reach learns of it.
func AppendFlush(dst []byte, number uint32) []byte {
	if number == 0 {
		panic("proto: BUG: a flush without a number")
	}
	return binary.LittleEndian.AppendUint64(dst, uint64(number))
}

// DecodeFlush reads the body of a flush. The errors are ErrBody and
// ErrFrameReserved.
func DecodeFlush(b []byte) (number uint32, err error) {
	if len(b) != flushLen {
		return 0, ErrBody
	}
	word := binary.LittleEndian.Uint64(b)
	switch {
	case word>>32 != 0:
		return 0, ErrFrameReserved
	case word == 0:
		return 0, ErrBody
	}
	return uint32(word), nil
}

// AppendFlushAnswer appends the body of an OK to a flush: the number of the latest
// flush that the answerer has carried out. If it is above the one that was asked
// for, another has overtaken that, and the asker repeats it under the higher
// number.
//
//	offset size
//	 0      4   number of the flush, not 0
//	 4      4   reserved, 0
func AppendFlushAnswer(dst []byte, number uint32) []byte { return AppendFlush(dst, number) }

// DecodeFlushAnswer reads the body of an OK to a flush. The errors are ErrBody and
// ErrFrameReserved.
func DecodeFlushAnswer(b []byte) (number uint32, err error) { return DecodeFlush(b) }

// Goodbye is the last frame of a link. It has no answer; its id is 0.
//
//	offset size
//	 0      1   reason, not 0
//	 1      …   text for the log, printable ASCII, at most 255; may be empty
type Goodbye struct {
	// Reason may be one that this version does not know.
	Reason CloseReason
	Text   []byte
}

// MaxGoodbyeText is the longest text of a goodbye.
const MaxGoodbyeText = 255

// AppendGoodbye appends the body of a goodbye. Text that is too long is cut, and
// characters that are not printable ASCII become '?'.
func AppendGoodbye(dst []byte, g *Goodbye) []byte {
	dst = append(dst, byte(g.Reason))
	for _, c := range g.Text[:min(len(g.Text), MaxGoodbyeText)] {
		if c < ' ' || c > '~' {
			c = '?'
		}
		dst = append(dst, c)
	}
	return dst
}

// DecodeGoodbye reads the body of a goodbye. The errors are ErrBody and
// ErrBodyLimit.
func DecodeGoodbye(b []byte, g *Goodbye) error {
	if len(b) == 0 || b[0] == 0 {
		return ErrBody
	}
	*g = Goodbye{Reason: CloseReason(b[0]), Text: b[1:]}
	return checkText(g.Text, ' ')
}
