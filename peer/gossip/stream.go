package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// stream is a TCP connection of gossip. It carries one sealed message in each
// direction:
//
//	offset size
//	 0      2+n  label header, only from whoever has dialled
//	 …      1    10: a sealed message follows
//	 …      4    its length, big-endian
//	 …      …    version 1, nonce, text, tag
//
// Memberlist would read 20 MiB of it for anybody who claims so, on any number of
// connections, before it looks for the key. So the beginning is checked here, and
// reading ends where the message does, or when all streams together hold too much.
// What is wrong is counted here, and logged by memberlist, which gets the error. One
// goroutine reads; Close may be called from any.
type stream struct {
	net.Conn
	t       *transport
	inbound bool

	began bool
	head  []byte // checked, and not read by memberlist yet
	left  int    // bytes of the message that are still to come

	held   int64 // bytes received; transport.mu
	closed bool  // transport.mu
}

// track takes a connection into the books. It closes it and returns nil if there
// are too many or the transport has ended.
func (t *transport) track(conn net.Conn, inbound bool) *stream {
	s := &stream{Conn: conn, t: t, inbound: inbound}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing || inbound && t.inbound >= maxInbound {
		_ = conn.Close()
		return nil
	}
	t.open[s] = struct{}{}
	if inbound {
		t.inbound++
	}
	return s
}

// Close closes the connection and takes it out of the books.
func (s *stream) Close() error {
	s.t.mu.Lock()
	if !s.closed {
		s.closed = true
		s.t.held -= s.held
		if s.inbound {
			s.t.inbound--
		}
		delete(s.t.open, s)
	}
	s.t.mu.Unlock()
	return s.Conn.Close()
}

// Read reads, after the beginning has been found good.
func (s *stream) Read(p []byte) (int, error) {
	if !s.began {
		s.began = true
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	if len(s.head) > 0 {
		n := copy(p, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.Conn.Read(p[:min(len(p), s.left)])
	s.left -= n
	if !s.hold(n) {
		s.t.rejected[rejectMemory].Add(1)
		return 0, errMemory
	}
	return n, err
}

// begin reads and judges what comes before the sealed text.
func (s *stream) begin() error {
	var label []byte
	if s.inbound {
		label = s.t.head
	}
	const rest = 1 + 4 + 1
	b := make([]byte, len(label)+rest)
	n, err := io.ReadFull(s.Conn, b)
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return io.EOF // somebody has looked whether the port is open, or has no answer
	case n < len(label) || !bytes.Equal(b[:len(label)], label):
		s.t.rejected[rejectLabel].Add(1)
		return errLabel
	case err != nil:
		s.t.rejected[rejectForm].Add(1)
		return errForm
	}
	message := b[len(label):]
	switch length := binary.BigEndian.Uint32(message[1:]); {
	case message[0] != encryptMark || message[5] != sealVersion || length <= sealLen:
		s.t.rejected[rejectForm].Add(1)
		return errForm
	case length > maxStream:
		s.t.rejected[rejectSize].Add(1)
		return errSize
	default:
		s.head, s.left = b, int(length)-1
		return nil
	}
}

// hold counts received bytes, false if all streams together have too many.
func (s *stream) hold(n int) bool {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if s.closed {
		return true
	}
	s.held += int64(n)
	s.t.held += int64(n)
	return s.t.held <= maxHeld
}
