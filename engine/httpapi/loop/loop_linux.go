package loop

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// maxEvents is how many sockets are taken from the kernel at once; so many events, and
// letAfter more, are the most that a loop serves before others may run.
const maxEvents = 128

// restAfter is how many times a loop that always has something to do looks for more before
// it calls Handler.Rest all the same.
const restAfter = 4

// letAfter is how many events a loop serves before it lets others run. To let them run after
// every one would cost more than many a request: where a processor of the Go runtime is
// idle, runtime.Gosched wakes a thread for it, which may well take the loop itself.
const letAfter = 8

// A loop that waits in the kernel keeps its processor of the Go runtime, which may have no
// more of them than there are loops. A goroutine that comes back from a wait of its own
// meanwhile, as those do that carry the links between nodes, finds none; and with it all
// that wait for what it has read. The runtime's monitor takes a processor from who sleeps,
// but where it had nothing to do lately it looks only every 10 ms, and takes one at the
// second look. So until that must have come, a loop sleeps for napLength at a time,
// napsMost times, and lets others run in between.
const (
	napLength = 1 // ms
	napsMost  = 25
)

// Handler is what a Loop calls, or who helps it while it sleeps, one at a time, with the
// connections that are on it. None of it may block.
type Handler interface {
	// Ready says that there is something to read from c, or its end. It is called
	// once for what has come: whoever leaves some of it unread calls Conn.Again.
	Ready(c *Conn)
	// Resumed follows a Conn.Resume of a connection that was held.
	Resumed(c *Conn)
	// Cut says that c's read deadline is past.
	Cut(c *Conn)
	// Rest says that all that had come is served: before others run, or the loop sleeps.
	Rest()
}

// Loop serves connections on one goroutine, or on that of who helps it while it sleeps.
type Loop struct {
	handler Handler
	epoll   int
	event   int // an eventfd, readable when there are notes for a loop that sleeps
	conns   []*Conn
	let     bool // others are to run before it sleeps
	events  [maxEvents]syscall.EpollEvent

	// turn belongs to who serves: the loop, but for when it sleeps, or whoever helps it then.
	turn   sync.Mutex
	asleep atomic.Bool // it is to be roused for a note
	noted  atomic.Bool // there are notes
	ended  chan struct{}

	mu      sync.Mutex
	notes   []note
	stopped bool // nobody reads notes any more
	spare   []note
}

// note asks the loop for something, from outside or for later.
type note struct {
	conn *Conn // nil: end
	what what
}

type what uint8

const (
	toAdd    what = 0
	toResume what = 1
	toCut    what = 2
	toLook   what = 3
	toClose  what = 4
	toEnd    what = 5
)

// interest is what is asked of a socket, once and for all: to be told of every
// change to readable, writable and ended.
const interest = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edge

const edge = 1 << 31 // EPOLLET, which package syscall has as a negative number

// New makes a Loop.
func New() (*Loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("loop: %w", os.NewSyscallError("epoll_create1", err))
	}
	event, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		_ = syscall.Close(epoll)
		return nil, fmt.Errorf("loop: %w", os.NewSyscallError("eventfd2", errno))
	}
	l := &Loop{epoll: epoll, event: int(event), ended: make(chan struct{})}
	// Edge-triggered, each write is an event, and need not be read.
	in := syscall.EpollEvent{Events: syscall.EPOLLIN | edge, Fd: int32(event)}
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, int(event), &in); err != nil {
		_ = syscall.Close(epoll)
		_ = syscall.Close(int(event))
		return nil, fmt.Errorf("loop: %w", os.NewSyscallError("epoll_ctl", err))
	}
	return l, nil
}

// Run serves with h until Stop.
func (l *Loop) Run(h Handler) {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.handler = h
	defer close(l.ended)
	defer l.end()
	defer h.Rest() // what the last notes have begun
	naps, served := 0, 0
	for busy := 0; l.serveNotes(); busy++ {
		n := l.poll()
		if n == 0 || busy == restAfter {
			h.Rest()
			busy = 0
		}
		if n == 0 && !l.let {
			n = l.sleep(naps < napsMost)
			naps++
		}
		if n > 0 {
			naps = 0
		}
		for i := range l.events[:n] {
			l.serve(&l.events[i])
		}
		if served += n; n == 0 || served >= letAfter || l.let {
			served, l.let = 0, false
			runtime.Gosched()
		}
	}
}

// poll gives the number of events that are there.
func (l *Loop) poll() int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), maxEvents, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// sleep waits for events, but no longer than a nap if it is to be short.
func (l *Loop) sleep(short bool) (n int) {
	l.asleep.Store(true)
	defer l.asleep.Store(false)
	if l.noted.Load() {
		return 0
	}
	most := -1
	if short {
		most = napLength
	}
	l.turn.Unlock()
	n, err := syscall.EpollWait(l.epoll, l.events[:], most)
	l.turn.Lock()
	if err != nil {
		return 0
	}
	return n
}

func (l *Loop) serve(e *syscall.EpollEvent) {
	fd := int(e.Fd)
	if fd == l.event {
		return
	}
	if c := l.conns[fd]; c != nil {
		l.tell(c, e.Events)
	}
}

// tell tells whoever has c what has come.
func (l *Loop) tell(c *Conn, events uint32) {
	if events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		c.over.Store(true)
	}
	for {
		switch c.place.Load() {
		case onLoop:
			if events&^syscall.EPOLLOUT != 0 {
				l.handler.Ready(c)
			}
			return
		case held:
			c.missed = true
			return
		case away:
			if c.place.CompareAndSwap(away, awayTold) {
				l.signal(c)
				return
			}
		case awayTold:
			l.signal(c)
			return
		}
	}
}

// signal tells the goroutine that has c, which is to run before the loop sleeps.
func (l *Loop) signal(c *Conn) {
	l.let = true
	c.signal()
}

// post leaves a note. Any goroutine may call it. False: the loop has ended.
func (l *Loop) post(c *Conn, w what) bool {
	if !l.leave(c, w) {
		return false
	}
	l.rouse()
	return true
}

// leave is post that does not wake the loop: who calls it has to see to that.
func (l *Loop) leave(c *Conn, w what) bool {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return false
	}
	l.notes = append(l.notes, note{c, w})
	l.mu.Unlock()
	if !l.noted.Load() {
		l.noted.Store(true)
	}
	return true
}

// rouse wakes the loop if it sleeps.
func (l *Loop) rouse() {
	if !l.asleep.Load() || !l.asleep.CompareAndSwap(true, false) {
		return
	}
	l.mu.Lock() // the eventfd is not closed meanwhile
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	one := uint64(1)
	_, _ = syscall.Write(l.event, unsafe.Slice((*byte)(unsafe.Pointer(&one)), 8))
}

// helpMost is how many notes Help serves itself: for more than that another processor
// is worth its waking.
const helpMost = 8

// Help sees to it that what was left with Conn.ResumeSoon is served, here and now if
// the loop sleeps and there is little of it: to wake it would take as long. The Handler is
// called, so what is true of a Handler is true of the caller: it must not be kept waiting,
// and must hold nothing that the Handler takes. Any goroutine but the loop's own.
func (l *Loop) Help() {
	if !l.noted.Load() || !l.asleep.Load() {
		return // it looks before it sleeps
	}
	if !l.turn.TryLock() {
		l.rouse() // about to sleep, or helped: in any case there may be no other look
		return
	}
	defer l.turn.Unlock()
	if !l.few() {
		l.rouse()
		return
	}
	if !l.asleep.CompareAndSwap(true, false) {
		return // it was roused
	}
	defer func() {
		l.asleep.Store(true)
		if l.noted.Load() {
			l.rouse()
		}
	}()
	if !l.serveNotes() {
		l.leave(nil, toEnd)
	}
	l.handler.Rest()
}

// few says that there are not many notes.
func (l *Loop) few() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.notes) <= helpMost
}

// serveNotes does what is asked for. False: to end.
func (l *Loop) serveNotes() bool {
	if !l.noted.Load() {
		return true
	}
	l.mu.Lock()
	l.noted.Store(false)
	notes := l.notes
	l.notes, l.spare = l.spare[:0], nil
	l.mu.Unlock()
	goOn := true
	for i := range notes {
		if notes[i].what == toEnd {
			goOn = false
			continue
		}
		l.serveNote(notes[i].conn, notes[i].what)
	}
	clear(notes)
	if cap(notes) <= 1024 {
		l.spare = notes
	}
	return goOn
}

func (l *Loop) serveNote(c *Conn, w what) {
	switch w {
	case toAdd:
		l.add(c)
	case toClose:
		l.close(c)
	case toResume:
		if c.place.Load() == held {
			c.place.Store(onLoop)
			l.handler.Resumed(c)
			if c.missed && c.place.Load() == onLoop {
				c.missed = false
				l.handler.Ready(c)
			}
		}
	case toCut:
		if c.place.Load() == onLoop && !c.closed.Load() {
			l.handler.Cut(c)
		}
	case toLook:
		l.tell(c, syscall.EPOLLIN)
	}
}

func (l *Loop) add(c *Conn) {
	if c.closed.Load() {
		return
	}
	for c.fd >= len(l.conns) {
		l.conns = append(l.conns, make([]*Conn, max(64, len(l.conns)))...)
	}
	l.conns[c.fd] = c
	e := syscall.EpollEvent{Events: interest, Fd: int32(c.fd)}
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, c.fd, &e); err != nil {
		// Out of memory in the kernel. It ends as if the client had gone.
		c.over.Store(true)
		_ = syscall.Shutdown(c.fd, syscall.SHUT_RDWR)
		l.tell(c, syscall.EPOLLHUP)
	}
}

// close forgets c and ends its socket, which is what takes it out of epoll.
func (l *Loop) close(c *Conn) {
	if c.fd >= 0 && c.fd < len(l.conns) && l.conns[c.fd] == c {
		l.conns[c.fd] = nil
	}
	c.end()
}

// Stop ends Run, behind what was asked for before, and closes the connections
// that are left. Any goroutine may call it, more than once.
func (l *Loop) Stop() { l.post(nil, toEnd) }

// Ended is closed when Run has returned.
func (l *Loop) Ended() <-chan struct{} { return l.ended }

func (l *Loop) end() {
	l.mu.Lock()
	l.stopped = true
	notes := l.notes
	l.mu.Unlock()
	for _, n := range notes {
		switch n.what {
		case toClose:
			l.close(n.conn)
		case toAdd:
			_ = n.conn.Close()
		}
	}
	for _, c := range l.conns {
		if c != nil {
			_ = c.Close()
		}
	}
	l.conns = nil
	_ = syscall.Close(l.event)
	_ = syscall.Close(l.epoll)
}
