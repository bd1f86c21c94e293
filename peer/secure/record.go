package secure

import (
	"crypto/cipher"
	"encoding/binary"
	"math"
)

// Sizes of records, in bytes.
const (
	// MaxRecord is the longest text of one record.
	MaxRecord = 64 << 10
	// RecordHead is the length in front of a record.
	RecordHead = 4
	// Overhead is what sealing adds to a text, at most.
	Overhead = RecordHead + tagLen
)

// RekeyInterval is the number of records after which a direction takes a new key.
const RekeyInterval = 1 << 20

// Session seals the records of one direction of an established link and opens
// those of the other. It belongs to one goroutine at a time.
type Session struct {
	out, in half
	binding [keyLen]byte
	sealed  bool
	err     error // of Open: it stays
}

// half is one direction.
type half struct {
	aead  cipher.AEAD
	n     uint64 // number of the next record
	key   [keyLen]byte
	nonce [12]byte // a field, so that handing it to the cipher allocates nothing
}

func newSession(out, in, binding [keyLen]byte) *Session {
	return &Session{
		out:     half{aead: newAEAD(&out), key: out},
		in:      half{aead: newAEAD(&in), key: in},
		binding: binding, sealed: true,
	}
}

// Binding is a value that both ends of a link, and nobody else, have in common:
// the hash of the handshake. It is no secret, and zero in plaintext mode.
func (s *Session) Binding() [32]byte { return s.binding }

// Sealed reports whether the session is authenticated and encrypted.
func (s *Session) Sealed() bool { return s.sealed }

// next gives the nonce of the next record, after a change of key if one is due.
func (d *half) next() ([]byte, error) {
	if d.n == math.MaxUint64 { // Noise keeps it for REKEY
		return nil, ErrExhausted
	}
	if d.n != 0 && d.n%RekeyInterval == 0 {
		d.key = rekeyed(&d.key)
		d.aead = newAEAD(&d.key)
	}
	binary.BigEndian.PutUint64(d.nonce[4:], d.n)
	return d.nonce[:], nil
}

// Seal appends text, which is at most MaxRecord bytes and does not overlap dst's
// free room, as one record. An empty text makes a record too. With enough room in
// dst it allocates nothing. The error is ErrExhausted; dst is then as it was.
func (s *Session) Seal(dst, text []byte) ([]byte, error) {
	if len(text) > MaxRecord {
		panic("BUG: secure: a text longer than MaxRecord")
	}
	if !s.sealed {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(text)))
		return append(dst, text...), nil
	}
	nonce, err := s.out.next()
	if err != nil {
		return dst, err
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(text)+tagLen))
	dst = s.out.aead.Seal(dst, nonce, text, nil)
	s.out.n++
	return dst, nil
}

// Open opens the record that b begins with, in place: text is a part of b and good
// until b is changed. used is its whole length; 0, without an error, means need
// more. The errors are ErrRecordSize, ErrRecord and ErrExhausted; they stay, and
// what b held is then lost. It allocates nothing, whatever length b claims.
func (s *Session) Open(b []byte) (text []byte, used int, err error) {
	if s.err != nil {
		return nil, 0, s.err
	}
	if len(b) < RecordHead {
		return nil, 0, nil
	}
	length, least, most := binary.LittleEndian.Uint32(b), uint32(0), uint32(MaxRecord)
	if s.sealed {
		least, most = tagLen, MaxRecord+tagLen
	}
	if length < least || length > most {
		return nil, 0, s.fail(ErrRecordSize)
	}
	used = RecordHead + int(length)
	if len(b) < used {
		return nil, 0, nil
	}
	body := b[RecordHead:used]
	if !s.sealed {
		return body, used, nil
	}
	nonce, err := s.in.next()
	if err != nil {
		return nil, 0, s.fail(err)
	}
	text, err = s.in.aead.Open(body[:0], nonce, body, nil)
	if err != nil {
		return nil, 0, s.fail(ErrRecord)
	}
	s.in.n++
	return text, used, nil
}

func (s *Session) fail(err error) error {
	s.err = err
	return err
}

// Missing says how many bytes b, the beginning of a record, lacks: of its length
// first, then of the rest. It is at most MaxRecord + Overhead; a length that Open
// refuses counts as none.
func Missing(b []byte) int {
	if len(b) < RecordHead {
		return RecordHead - len(b)
	}
	length := binary.LittleEndian.Uint32(b)
	if length > MaxRecord+tagLen {
		return 0
	}
	return max(RecordHead+int(length)-len(b), 0)
}
