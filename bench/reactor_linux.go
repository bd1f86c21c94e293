package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// readSize is what is read at a time from a connection.
	readSize = 64 << 10
	// eventsAtOnce is the number of connections that one wait reports.
	eventsAtOnce = 512
	// wakeIndex stands for the wake-up descriptor where others have their slot.
	wakeIndex = -1
	// timerIndex stands for the timer there.
	timerIndex = -2
)

// newReactor makes the reactor that is best on this system.
func newReactor(l *loop) (reactor, error) { return newEpollReactor(l) }

// epollReactor waits with epoll, level-triggered. Reading and writing, which
// never block here, go past the scheduler of the Go runtime: told of a system
// call, it takes the processor away from the loop whenever the kernel runs
// something else in the midst of it, and the loop then queues for another. On
// two busy cores that costs a sixth of all CPU time per request (doc.go).
type epollReactor struct {
	loop   *loop
	epoll  int
	wake   int // an eventfd
	timer  int // a timerfd: epoll's own time-out counts in milliseconds
	buffer []byte
	done   chan struct{}

	mu    sync.Mutex
	tasks []func()

	wires   map[*epollWire]struct{} // open ones
	stopped bool
}

// epollWire is a connection of an epollReactor.
type epollWire struct {
	reactor *epollReactor
	slot    *slot
	fd      int // -1 when closed
	mark    int32
	pending []byte // what the kernel has not taken yet
}

func newEpollReactor(l *loop) (reactor, error) {
	r := &epollReactor{loop: l, buffer: make([]byte, readSize), done: make(chan struct{}), wires: map[*epollWire]struct{}{}}
	var err error
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("bench: cannot create an event loop: %w", os.NewSyscallError("epoll_create1", err))
	}
	if r.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		_ = unix.Close(r.epoll)
		return nil, fmt.Errorf("bench: cannot create an event loop: %w", os.NewSyscallError("eventfd", err))
	}
	if r.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		_ = unix.Close(r.wake)
		_ = unix.Close(r.epoll)
		return nil, fmt.Errorf("bench: cannot create an event loop: %w", os.NewSyscallError("timerfd_create", err))
	}
	err = r.control(unix.EPOLL_CTL_ADD, r.wake, wakeIndex, 0, unix.EPOLLIN)
	if err == nil { // by edges, so that what it counts need not be read
		err = r.control(unix.EPOLL_CTL_ADD, r.timer, timerIndex, 0, unix.EPOLLIN|unix.EPOLLET)
	}
	if err != nil {
		r.free()
		return nil, fmt.Errorf("bench: cannot create an event loop: %w", err)
	}
	return r, nil
}

func (r *epollReactor) start() error {
	go r.run()
	return nil
}

func (r *epollReactor) stop() {
	r.execute(func() { r.stopped = true })
	<-r.done
}

// free gives the descriptors back.
func (r *epollReactor) free() {
	_ = unix.Close(r.timer)
	_ = unix.Close(r.wake)
	_ = unix.Close(r.epoll)
}

func (r *epollReactor) wakeIn(d time.Duration) {
	when := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if err := unix.TimerfdSettime(r.timer, 0, &when, nil); err != nil {
		panic("BUG: bench: timerfd_settime: " + err.Error())
	}
}

func (r *epollReactor) control(op, fd int, index, mark int32, events uint32) error {
	// The kernel gives Fd and Pad back as they are: here they say which slot and
	// which of its connections.
	err := unix.EpollCtl(r.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: index, Pad: mark})
	return os.NewSyscallError("epoll_ctl", err)
}

// run is the reactor's goroutine.
func (r *epollReactor) run() {
	defer close(r.done)
	events := make([]unix.EpollEvent, eventsAtOnce)
	for !r.stopped {
		n, err := unix.EpollWait(r.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic("BUG: bench: epoll_wait: " + err.Error())
		}
		for i := range max(n, 0) {
			e := &events[i]
			switch e.Fd {
			case wakeIndex:
				r.runTasks()
				continue
			case timerIndex:
				r.loop.wake()
				continue
			}
			// A connection may have been closed since, and its slot have another.
			if w, _ := r.loop.slots[e.Fd].wire.(*epollWire); w != nil && w.mark == e.Pad {
				w.ready(e.Events)
			}
		}
	}
	for w := range r.wires {
		_ = unix.Close(w.fd)
	}
	r.free()
}

func (r *epollReactor) execute(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tasks = append(r.tasks, f); len(r.tasks) > 1 {
		return // woken already
	}
	one := [8]byte{1}
	if _, err := unix.Write(r.wake, one[:]); err != nil {
		panic("BUG: bench: cannot wake an event loop: " + err.Error())
	}
}

func (r *epollReactor) runTasks() {
	var count [8]byte
	_, _ = unix.Read(r.wake, count[:]) // it is there, epoll says
	r.mu.Lock()
	tasks := r.tasks
	r.tasks = nil
	r.mu.Unlock()
	for _, f := range tasks {
		f()
	}
}

func (r *epollReactor) connect(ctx context.Context, s *slot) error {
	fd, err := r.dial(ctx, s)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	r.execute(func() { result <- r.register(fd, s) })
	return <-result
}

// dial opens a connection for a slot, over TLS if it is to be.
func (r *epollReactor) dial(ctx context.Context, s *slot) (fd int, err error) {
	if r.loop.run.tls == nil {
		return dialTCP(ctx, r.loop.run.address, r.loop.run.cfg.Timeout)
	}
	c, err := r.loop.run.dialTLS(ctx, s)
	if err != nil {
		return -1, err
	}
	defer func() { _ = c.Close() }()
	return duplicate(c)
}

// register begins with a connection, on the reactor's goroutine.
func (r *epollReactor) register(fd int, s *slot) error {
	w := &epollWire{reactor: r, slot: s, fd: fd, mark: int32(s.opens.Load())}
	if err := r.control(unix.EPOLL_CTL_ADD, fd, s.index, w.mark, unix.EPOLLIN); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("bench: cannot watch a connection: %w", err)
	}
	r.wires[w] = struct{}{}
	if !r.loop.opened(s, w) {
		w.end(nil)
	}
	return nil
}

// ready is called when the connection has something to read, room to write, or
// an error, which reading then finds.
func (w *epollWire) ready(events uint32) {
	if events&unix.EPOLLOUT != 0 {
		w.flush()
	}
	if events&^unix.EPOLLOUT == 0 || w.fd < 0 {
		return
	}
	b := w.reactor.buffer
	n, errno := rawRead(w.fd, b)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
	case errno != 0:
		w.end(os.NewSyscallError("read", errno))
	case n == 0:
		w.end(io.EOF)
	case !w.reactor.loop.received(w.slot, b[:n]):
		w.end(nil)
	}
}

func (w *epollWire) write(b []byte) {
	if len(w.pending) > 0 {
		w.pending = append(w.pending, b...)
		return
	}
	n, errno := rawWrite(w.fd, b)
	if errno == 0 && n == len(b) {
		return
	}
	w.writeSlow(b, n, errno)
}

// writeSlow is write where the kernel has not taken everything.
func (w *epollWire) writeSlow(b []byte, n int, errno syscall.Errno) {
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		w.end(os.NewSyscallError("write", errno))
		return
	}
	w.pending = append(w.pending[:0], b[n:]...)
	w.watch(unix.EPOLLIN | unix.EPOLLOUT)
}

// flush writes what is pending.
func (w *epollWire) flush() {
	if len(w.pending) == 0 {
		return
	}
	n, errno := rawWrite(w.fd, w.pending)
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		w.end(os.NewSyscallError("write", errno))
		return
	}
	if w.pending = w.pending[n:]; len(w.pending) == 0 {
		w.pending = nil
		w.watch(unix.EPOLLIN)
	}
}

func (w *epollWire) watch(events uint32) {
	if err := w.reactor.control(unix.EPOLL_CTL_MOD, w.fd, w.slot.index, w.mark, events); err != nil {
		w.end(err)
	}
}

func (w *epollWire) shut() { w.end(nil) }

// end closes the connection and tells the loop, once.
func (w *epollWire) end(err error) {
	if w.fd < 0 {
		return
	}
	_ = unix.Close(w.fd) // which also ends epoll's watching
	w.fd = -1
	delete(w.reactor.wires, w)
	if w.slot.wire == wire(w) {
		w.reactor.loop.closed(w.slot, err)
	}
}

// rawRead reads without telling the Go runtime. The descriptor must not block,
// and b must not be empty.
func rawRead(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// rawWrite writes without telling the Go runtime, under the same conditions. The
// runtime ignores SIGPIPE of descriptors above 2.
func rawWrite(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
