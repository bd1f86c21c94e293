package httpapi

import (
	"io"
	"iter"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// The most bytes that one direct system call moves: the runtime does not know
// that it is one, and waits for it with everything else that it wants to stop.
const (
	directRead  = 64 << 10
	directWrite = 16 << 10
)

// pullFrom is the read, of those within one sweep, from which on a connection
// counts as busy. Below it the coroutine would cost more than it saves.
const pullFrom = 3

// socket reads and writes a TCP connection with fewer and cheaper system calls
// than net.Conn. Reads and writes are the serving goroutine's; end may come from
// any.
//
// net.Conn reads twice for each request: once in vain, to learn that it has to
// wait, and once for the data. The first is needless where the read before it
// came back short, for then there was nothing left, and what has come since has
// left a notice with the runtime. But every call of net.Conn begins with
// forgetting that notice, except that RawConn.Read does so once and then tries
// and waits as often as it is told to. So one RawConn.Read runs for as long as the
// connection is busy, in a coroutine, and hands each piece to read.
//
// What may be missed is the end of the stream, and whatever lies behind urgent
// data, if it came together with the data before it: one notice for both. The
// sweeper interrupts a connection that waits here for more than a sweep, once, and
// read goes on with net.Conn, which looks again. The coroutine is gone then, so
// an idle connection pays nothing for it.
type socket struct {
	raw  syscall.RawConn // nil: not a TCP connection, read and written as it is
	turn atomic.Int32    // whose the coroutine is

	// The serving goroutine's, or the coroutine's while turn is turnReading.
	into    []byte // where the next piece goes
	err     error  // why the coroutine ended
	next    func() (int, bool)
	stop    func()
	drained bool // the last piece was short

	tick  int64 // the sweep in which reads are counted
	reads int

	from    []byte // what is written
	written int
	errno   syscall.Errno
	push    func(fd uintptr) bool
}

// The values of turn.
const (
	turnFree    int32 = 0 // nobody is in read
	turnReading int32 = 1 // the serving goroutine is in read
	turnClosing int32 = 2 // the same, and end was called: it ends the coroutine when it leaves
	turnEnded   int32 = 3 // there is no coroutine any more, and none will be
)

// open makes s ready for nc.
func (s *socket) open(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	s.raw, s.push = raw, s.pushOnce
}

// read reads from nc, whose socket this is, as nc.Read does. tick is the time of
// the last sweep.
func (s *socket) read(nc net.Conn, p []byte, tick int64) (int, error) {
	if s.next == nil && !s.busy(tick) {
		return nc.Read(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !s.turn.CompareAndSwap(turnFree, turnReading) {
		return 0, net.ErrClosed
	}
	if s.next == nil {
		s.drained, s.err = false, nil
		s.next, s.stop = iter.Pull(s.pull)
	}
	s.into = p[:min(len(p), directRead)]
	n, ok := s.next()
	s.into = nil
	if !ok {
		s.next, s.stop = nil, nil
	}
	if !s.turn.CompareAndSwap(turnReading, turnFree) {
		s.turn.Store(turnEnded)
		s.halt()
	}
	if !ok {
		return 0, s.err
	}
	return n, nil
}

// busy counts a read, and reports whether there are enough of them for a
// coroutine.
func (s *socket) busy(tick int64) bool {
	if s.raw == nil {
		return false
	}
	if tick != s.tick {
		s.tick, s.reads = tick, 0
	}
	s.reads++
	return s.reads >= pullFrom
}

// pull is the coroutine: it yields the length of each piece read into s.into,
// which is never zero, until the end of the stream, an error, or stop.
func (s *socket) pull(yield func(int) bool) {
	err := s.raw.Read(func(fd uintptr) bool {
		for !s.drained {
			n, errno := readNow(fd, s.into)
			switch {
			case errno == syscall.EAGAIN:
				return false
			case errno != 0:
				s.err = os.NewSyscallError("read", errno)
				return true
			case n == 0:
				s.err = io.EOF
				return true
			}
			s.drained = n < len(s.into)
			if !yield(n) {
				return true
			}
		}
		s.drained = false
		return false // wait
	})
	if err != nil {
		s.err = err
	}
}

// write writes p to nc, whose socket this is, as nc.Write does.
func (s *socket) write(nc net.Conn, p []byte) (int, error) {
	if s.raw == nil || len(p) > directWrite {
		return nc.Write(p)
	}
	s.from, s.written, s.errno = p, 0, 0
	err := s.raw.Write(s.push)
	s.from = nil
	if err == nil && s.errno != 0 {
		err = os.NewSyscallError("write", s.errno)
	}
	return s.written, err
}

// pushOnce writes until all is written or the socket takes no more: RawConn.Write
// then waits and calls again.
func (s *socket) pushOnce(fd uintptr) bool {
	for s.written < len(s.from) {
		n, errno := writeNow(fd, s.from[s.written:])
		if errno == syscall.EAGAIN {
			return false
		}
		if errno != 0 {
			s.errno = errno
			return true
		}
		s.written += n
	}
	return true
}

// waits reports whether a read waits where it may have missed the end of the
// stream. Any goroutine may call it.
func (s *socket) waits() bool { return s.turn.Load() == turnReading }

// end ends the coroutine, which holds the connection's file: Close would wait for
// it. A read under way ends it itself, once Close has woken it. Any goroutine may
// call it, more than once.
func (s *socket) end() {
	for {
		switch s.turn.Load() {
		case turnFree:
			if s.turn.CompareAndSwap(turnFree, turnEnded) {
				s.halt()
				return
			}
		case turnReading:
			if s.turn.CompareAndSwap(turnReading, turnClosing) {
				return
			}
		default:
			return
		}
	}
}

// halt ends the coroutine if there is one. Only for whoever has set turn to
// turnEnded.
func (s *socket) halt() {
	if s.stop != nil {
		s.stop()
		s.next, s.stop = nil, nil
	}
}
