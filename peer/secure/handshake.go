package secure

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
)

// Handshake is one end of a handshake under way. It belongs to one goroutine at a
// time and holds at most one message of the other end.
type Handshake struct {
	keys      *Keys
	initiator bool
	started   bool
	state     symmetric // the initiator's
	own       *ecdh.PrivateKey
	in        [helloLen + messageLen]byte
	have      int
	session   *Session
	err       error
}

// Dial begins a handshake as the end that dials: its first Step, with no bytes,
// gives what to send.
func (k *Keys) Dial() *Handshake { return &Handshake{keys: k, initiator: true} }

// Accept begins a handshake as the end that accepts.
func (k *Keys) Accept() *Handshake { return &Handshake{keys: k} }

// Step takes received bytes and gives what to send. It says how many of the bytes
// it used: none beyond the handshake. out is dst with the bytes to send appended,
// also when there is an error, so that the other end learns what is wrong.
// Neither in nor dst is kept.
//
// Step says need more by giving neither a session nor an error; every strict
// prefix of a good message does. The errors are ErrNotPeer, ErrVersion, ErrMode,
// ErrCluster and ErrSecret; they stay.
func (h *Handshake) Step(dst, in []byte) (out []byte, used int, session *Session, err error) {
	if h.err != nil || h.session != nil {
		return dst, 0, h.session, h.err
	}
	out = dst
	if h.initiator && !h.started {
		if out, err = h.first(out); err != nil {
			return out, 0, nil, h.fail(err)
		}
	}
	h.started = true
	want := helloLen
	if h.keys.Sealed() {
		want += messageLen
	}
	used = min(len(in), want-h.have)
	copy(h.in[h.have:], in[:used])
	h.have += used
	if err := h.checkHello(); err != nil {
		if !h.initiator && !errors.Is(err, ErrNotPeer) {
			out = append(out, h.keys.hello[:]...)
		}
		return out, used, nil, h.fail(err)
	}
	if h.have < want {
		return out, used, nil, nil
	}
	switch {
	case !h.keys.Sealed():
		if !h.initiator {
			out = append(out, h.keys.hello[:]...)
		}
		h.session = &Session{}
	case h.initiator:
		h.session, err = h.last()
	default:
		out, h.session, err = h.answer(out)
	}
	if err != nil {
		return out, used, nil, h.fail(err)
	}
	return out, used, h.session, nil
}

func (h *Handshake) fail(err error) error {
	h.err = err
	return err
}

// checkHello compares as much of the other end's hello as is there with ours.
func (h *Handshake) checkHello() error {
	got, own := h.in[:min(h.have, helloLen)], h.keys.hello[:]
	for _, part := range []struct {
		from, to int
		err      error
	}{{0, 6, ErrNotPeer}, {6, 7, ErrVersion}, {7, 8, ErrMode}, {8, helloLen, ErrCluster}} {
		if len(got) > part.from {
			to := min(len(got), part.to)
			if !bytes.Equal(got[part.from:to], own[part.from:to]) {
				return part.err
			}
		}
	}
	return nil
}

// first appends the initiator's hello and message: psk, e.
func (h *Handshake) first(dst []byte) ([]byte, error) {
	dst = append(dst, h.keys.hello[:]...)
	if !h.keys.Sealed() {
		return dst, nil
	}
	own, err := newEphemeral()
	if err != nil {
		return dst, err
	}
	h.own = own
	h.state = newSymmetric(h.keys.hello[:])
	return h.state.writeFirst(dst, h.keys.links[0], own, nil), nil
}

func (s *symmetric) writeFirst(dst, psk []byte, own *ecdh.PrivateKey, payload []byte) []byte {
	s.mixKeyAndHash(psk)
	public := own.PublicKey().Bytes()
	s.ephemeral(public)
	return s.encryptAndHash(append(dst, public...), payload)
}

func (s *symmetric) readFirst(message, psk []byte) (payload []byte, err error) {
	s.mixKeyAndHash(psk)
	s.ephemeral(message[:keyLen])
	return s.decryptAndHash(nil, message[keyLen:])
}

func (s *symmetric) writeSecond(dst, first []byte, own *ecdh.PrivateKey, payload []byte) ([]byte, error) {
	public := own.PublicKey().Bytes()
	s.ephemeral(public)
	if err := s.agree(own, first[:keyLen]); err != nil {
		return dst, err
	}
	return s.encryptAndHash(append(dst, public...), payload), nil
}

func (s *symmetric) readSecond(message []byte, own *ecdh.PrivateKey) (payload []byte, err error) {
	s.ephemeral(message[:keyLen])
	if err := s.agree(own, message[:keyLen]); err != nil {
		return nil, err
	}
	return s.decryptAndHash(nil, message[keyLen:])
}

// answer reads the initiator's message under each key that is accepted, which
// costs no curve arithmetic, and appends hello and message: e, ee.
func (h *Handshake) answer(dst []byte) ([]byte, *Session, error) {
	dst = append(dst, h.keys.hello[:]...)
	message := h.in[helloLen:]
	for _, psk := range h.keys.links {
		s := newSymmetric(h.keys.hello[:])
		payload, err := s.readFirst(message, psk)
		if err != nil || len(payload) != 0 {
			continue
		}
		own, err := newEphemeral()
		if err != nil {
			return dst, nil, err
		}
		out, err := s.writeSecond(dst, message, own, nil)
		if err != nil {
			return dst, nil, err
		}
		theirs, ours := s.split()
		return out, newSession(ours, theirs, s.h), nil
	}
	return dst, nil, ErrSecret
}

// last reads the responder's message.
func (h *Handshake) last() (*Session, error) {
	if _, err := h.state.readSecond(h.in[helloLen:], h.own); err != nil {
		return nil, err
	}
	ours, theirs := h.state.split()
	return newSession(ours, theirs, h.state.h), nil
}

func newEphemeral() (*ecdh.PrivateKey, error) {
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("secure: cannot make a key: %w", err)
	}
	return own, nil
}
