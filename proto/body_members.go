package proto

import (
	"bytes"
	"encoding/binary"
)

// MemberState says where a node is in its life as a member. Of two reports of one
// incarnation the higher state is the later.
type MemberState uint8

// The states. Append only: they cross the wire.
const (
	// MemberJoining: it has joined, and holds nothing yet.
	MemberJoining MemberState = 1
	// MemberServing: slots are placed on it.
	MemberServing MemberState = 2
	// MemberLeaving: it hands over what it holds, and gets nothing more.
	MemberLeaving MemberState = 3
	// MemberSilent: that incarnation is counted dead, because it does not answer.
	// If it comes back, it does so with a higher incarnation.
	MemberSilent MemberState = 4
	// MemberGone: that incarnation has left, or has provably died. It is kept for
	// a while, so that an older list does not bring it back.
	MemberGone MemberState = 5
)

// Member is one node in a list of members:
//
//	offset size
//	 0      8   incarnation
//	 8      4   weight; 0: no slots are placed on it
//	12      1   state
//	13      1   length of the name, at least 1
//	14      1   length of the peer address
//	15      1   length of the gossip address
//	16      1   length of the HTTP address
//	17      1   length of the version
//	18      2   reserved, 0
//	20      …   name, peer address, gossip address, HTTP address, version
//
// The texts are visible ASCII; the addresses are host:port, or empty.
type Member struct {
	Incarnation uint64
	Weight      uint32
	State       MemberState
	Name        []byte
	Peer        []byte
	Gossip      []byte
	HTTP        []byte
	Version     []byte // of the build
}

// The body of a members frame, request and answer:
//
//	offset size
//	 0      2   number of members, at most 4,096
//	 2      2   reserved, 0
//	 4      …   members, by ascending names (as bytes), each name once
//
// The request carries the list as the asker sees it, the answer as the answerer
// does after it has taken note of that. A client's list is empty.
const (
	membersLen = 4
	memberLen  = 20
	memberText = 5 // texts of a member

	// MaxMembers is the most members in a list.
	MaxMembers = 4096
)

// CheckMember says whether m can be sent. The errors are ErrBody and
// ErrBodyLimit.
func CheckMember(m *Member) error {
	if m.State < MemberJoining || m.State > MemberGone {
		return ErrBody
	}
	for _, text := range [...][]byte{m.Peer, m.Gossip, m.HTTP, m.Version} {
		if err := checkText(text, '!'); err != nil {
			return err
		}
	}
	return CheckName(m.Name)
}

// AppendMembers appends the body of a members frame: members that CheckMember
// agrees to, in ascending order of names.
func AppendMembers(dst []byte, members []Member) []byte {
	if len(members) > MaxMembers {
		panic("proto: BUG: too many members")
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(members)))
	for i := range members {
		m := &members[i]
		if i > 0 && bytes.Compare(members[i-1].Name, m.Name) >= 0 {
			panic("proto: BUG: members out of order")
		}
		texts := [memberText][]byte{m.Name, m.Peer, m.Gossip, m.HTTP, m.Version}
		dst = binary.LittleEndian.AppendUint64(dst, m.Incarnation)
		dst = binary.LittleEndian.AppendUint32(dst, m.Weight)
		dst = append(dst, byte(m.State))
		for _, text := range texts {
			mustName(text)
			dst = append(dst, byte(len(text)))
		}
		dst = append(dst, 0, 0)
		for _, text := range texts {
			dst = append(dst, text...)
		}
	}
	return dst
}

// Members iterates over a list of members.
type Members struct {
	// Count is the number of members in the list.
	Count int

	rest []byte
}

// DecodeMembers reads the body of a members frame, all of it. The errors are
// ErrBody, ErrBodyLimit and ErrFrameReserved.
func DecodeMembers(b []byte) (Members, error) {
	if len(b) < membersLen {
		return Members{}, ErrBody
	}
	list := Members{Count: int(binary.LittleEndian.Uint16(b)), rest: b[membersLen:]}
	switch {
	case b[2]|b[3] != 0:
		return Members{}, ErrFrameReserved
	case list.Count > MaxMembers:
		return Members{}, ErrBodyLimit
	}
	rest := list.rest
	var last, m Member
	for range list.Count {
		n := memberSize(rest)
		if n == 0 {
			return Members{}, ErrBody
		}
		if rest[18]|rest[19] != 0 {
			return Members{}, ErrFrameReserved
		}
		m.read(rest)
		if err := CheckMember(&m); err != nil {
			return Members{}, err
		}
		if bytes.Compare(last.Name, m.Name) >= 0 {
			return Members{}, ErrBody
		}
		last = m
		rest = rest[n:]
	}
	if len(rest) != 0 {
		return Members{}, ErrBody
	}
	return list, nil
}

// Next gives the next member, or false behind the last. Its slices point into
// the frame.
func (l *Members) Next(m *Member) bool {
	if len(l.rest) == 0 {
		return false
	}
	m.read(l.rest)
	l.rest = l.rest[memberSize(l.rest):]
	return true
}

// memberSize gives the length of the member at the front of b, 0 if b is shorter.
func memberSize(b []byte) int {
	if len(b) < memberLen {
		return 0
	}
	n := memberLen
	for _, text := range b[13 : 13+memberText] {
		n += int(text)
	}
	if n > len(b) {
		return 0
	}
	return n
}

// read reads the member at the front of b, which memberSize has measured.
func (m *Member) read(b []byte) {
	m.Incarnation = binary.LittleEndian.Uint64(b)
	m.Weight = binary.LittleEndian.Uint32(b[8:])
	m.State = MemberState(b[12])
	at := memberLen
	for i, text := range [memberText]*[]byte{&m.Name, &m.Peer, &m.Gossip, &m.HTTP, &m.Version} {
		end := at + int(b[13+i])
		*text = b[at:end:end]
		at = end
	}
}
