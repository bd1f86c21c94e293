package secure

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// The names are those of the Noise specification, revision 34, sections 5 and 9.
const (
	noiseName = "Noise_NNpsk0_25519_AESGCM_SHA256"

	keyLen = 32
	tagLen = 16
	// messageLen is a handshake message without payload: an ephemeral key and
	// the tag of an empty text.
	messageLen = keyLen + tagLen
)

// Noise takes a name of just this length as it is, and hashes a longer one.
var _ [keyLen]byte = [len(noiseName)]byte{}

// symmetric is Noise's SymmetricState, with its CipherState.
type symmetric struct {
	ck, h, k [keyLen]byte
	n        uint64
}

func newSymmetric(prologue []byte) (s symmetric) {
	copy(s.h[:], noiseName)
	s.ck = s.h
	s.mixHash(prologue)
	return s
}

func (s *symmetric) mixHash(data []byte) {
	d := sha256.New()
	d.Write(s.h[:])
	d.Write(data)
	d.Sum(s.h[:0])
}

// expand is Noise's HKDF: RFC 5869's without info.
func (s *symmetric) expand(input []byte, outputs int) []byte {
	prk, err := hkdf.Extract(sha256.New, input, s.ck[:])
	if err == nil {
		var out []byte
		if out, err = hkdf.Expand(sha256.New, prk, "", outputs*keyLen); err == nil {
			return out
		}
	}
	panic("BUG: secure: HKDF refuses its parameters: " + err.Error())
}

func (s *symmetric) mixKey(input []byte) {
	out := s.expand(input, 2)
	copy(s.ck[:], out)
	copy(s.k[:], out[keyLen:])
	s.n = 0
}

func (s *symmetric) mixKeyAndHash(input []byte) {
	out := s.expand(input, 3)
	copy(s.ck[:], out)
	s.mixHash(out[keyLen : 2*keyLen])
	copy(s.k[:], out[2*keyLen:])
	s.n = 0
}

func (s *symmetric) encryptAndHash(dst, text []byte) []byte {
	nonce := noiseNonce(s.n)
	out := newAEAD(&s.k).Seal(dst, nonce[:], text, s.h[:])
	s.n++
	s.mixHash(out[len(dst):])
	return out
}

func (s *symmetric) decryptAndHash(dst, sealed []byte) ([]byte, error) {
	nonce := noiseNonce(s.n)
	out, err := newAEAD(&s.k).Open(dst, nonce[:], sealed, s.h[:])
	if err != nil {
		return nil, ErrSecret
	}
	s.n++
	s.mixHash(sealed)
	return out, nil
}

// split gives the keys of the two directions: the initiator's first.
func (s *symmetric) split() (first, second [keyLen]byte) {
	out := s.expand(nil, 2)
	copy(first[:], out)
	copy(second[:], out[keyLen:])
	return first, second
}

// ephemeral is the token "e" of a pattern with a pre-shared key.
func (s *symmetric) ephemeral(public []byte) {
	s.mixHash(public)
	s.mixKey(public)
}

// agree is the token "ee". The error is ErrSecret: a key that nobody honest sends.
func (s *symmetric) agree(own *ecdh.PrivateKey, other []byte) error {
	public, err := ecdh.X25519().NewPublicKey(other)
	if err != nil {
		return ErrSecret
	}
	shared, err := own.ECDH(public)
	if err != nil { // a point of low order
		return ErrSecret
	}
	s.mixKey(shared)
	return nil
}

func noiseNonce(n uint64) (nonce [12]byte) {
	binary.BigEndian.PutUint64(nonce[4:], n)
	return nonce
}

// rekeyed is Noise's REKEY.
func rekeyed(k *[keyLen]byte) (next [keyLen]byte) {
	nonce := noiseNonce(math.MaxUint64)
	var zeros [keyLen]byte
	copy(next[:], newAEAD(k).Seal(nil, nonce[:], zeros[:], nil))
	return next
}

func newAEAD(k *[keyLen]byte) cipher.AEAD {
	block, err := aes.NewCipher(k[:])
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCM(block); err == nil {
			return aead
		}
	}
	panic("BUG: secure: AES-GCM refuses its key: " + err.Error())
}
