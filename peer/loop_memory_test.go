package peer

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// memory is gnet's end of a connection that goes through memory: a test runs the
// event loops of both ends itself, step by step.
type memory struct {
	gnet.Conn
	k      *conn
	in     []byte // arrived, for the next OnTraffic
	out    []byte // written
	woken  bool
	closed bool

	local, remote net.TCPAddr
}

func (m *memory) LocalAddr() net.Addr      { return &m.local }
func (m *memory) RemoteAddr() net.Addr     { return &m.remote }
func (m *memory) Context() any             { return m.k }
func (m *memory) Fd() int                  { return -1 }
func (m *memory) OutboundBuffered() int    { return 0 }
func (m *memory) InboundBuffered() int     { return len(m.in) }
func (m *memory) Next(int) ([]byte, error) { return m.in, nil }
func (m *memory) Write(b []byte) (int, error) {
	m.out = append(m.out, b...)
	return len(b), nil
}

func (m *memory) Wake(gnet.AsyncCallback) error {
	m.woken = true
	return nil
}

// memoryPair is two ends that one goroutine drives.
type memoryPair struct {
	a, b *memory
	ends [2]*memory
}

// memoryLinks gives Links that have no loops of their own.
func memoryLinks(t testing.TB, name string, keys *secure.Keys, handler Handler) *Links {
	t.Helper()
	ln := listen(t)
	_ = ln.Close()
	l, err := NewLinks(Config{Node: name, Incarnation: 1, Cluster: "test", Keys: keys, Handler: handler, Listener: ln})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newMemoryPair gives a linked pair; a dialled.
func newMemoryPair(t testing.TB, keys *secure.Keys, handler Handler) (*memoryPair, *Link) {
	t.Helper()
	la, lb := memoryLinks(t, "a", keys, handler), memoryLinks(t, "b", keys, handler)
	link := la.Connect("b", "")
	p := &memoryPair{a: &memory{k: &conn{links: la, target: link}}, b: &memory{k: &conn{links: lb}}}
	p.ends = [2]*memory{p.a, p.b}
	lb.pending.Add(1)
	link.dialling = p.a.k
	for _, m := range p.ends {
		out, _ := (&loops{links: m.k.links}).OnOpen(m)
		m.out = append(m.out, out...)
	}
	p.run()
	return p, link
}

// run lets both loops work until there is nothing left to do.
func (p *memoryPair) run() {
	for busy := true; busy; {
		busy = false
		for i, m := range p.ends {
			other := p.ends[1-i]
			if len(other.out) > 0 {
				m.in, other.out = append(m.in[:0], other.out...), other.out[:0]
			}
			if m.closed || len(m.in) == 0 && !m.woken {
				m.in = m.in[:0]
				continue
			}
			busy, m.woken = true, false
			l := loops{links: m.k.links}
			if l.OnTraffic(m) == gnet.Close {
				l.OnClose(m, nil)
				m.closed = true
			}
			m.in = m.in[:0]
		}
	}
}

// gnet must not get hold of the zones of addresses.
func TestZones(t *testing.T) {
	l := memoryLinks(t, "a", testKeys(t), echo)
	m := &memory{k: &conn{links: l}, local: net.TCPAddr{Zone: "eth0"}, remote: net.TCPAddr{Zone: "eth0"}}
	(&loops{links: l}).OnOpen(m)
	if m.local.Zone != "" || m.remote.Zone != "" {
		t.Error("a zone is left")
	}
}

// A forwarded request and its answer allocate nothing: Send, sealing, opening, the
// handler's answer, and Done, at both ends.
func TestNoAllocations(t *testing.T) {
	for name, keys := range map[string]*secure.Keys{"sealed": testKeys(t), "plaintext": secure.Plaintext("test")} {
		p, link := newMemoryPair(t, keys, echo)
		if !link.Connected() {
			t.Fatal("not linked")
		}
		answered := 0
		call := &Call{Header: proto.Header{Op: proto.FrameGet}, Timeout: time.Minute, Done: func(c *Call) {
			if c.Err != nil || len(c.Body) != 100 {
				t.Error(c.Err, len(c.Body))
			}
			answered++
		}}
		head, value := make([]byte, 20), make([]byte, 80)
		n := testing.AllocsPerRun(1000, func() {
			if err := link.Send(call, head, value); err != nil {
				t.Fatal(err)
			}
			p.run()
		})
		if n != 0 || answered != 1001 {
			t.Errorf("%s: %v allocations for a request, %d answered", name, n, answered)
		}
	}
}

// Over real loops the one request in flight has to wake its loop, which costs two
// allocations in gnet.
func TestAllocationsOfAWake(t *testing.T) {
	_, _, link := pair(t, nil, nil)
	done := make(chan struct{}, 1)
	call := &Call{Header: proto.Header{Op: proto.FrameGet}, Timeout: time.Minute, Done: func(*Call) { done <- struct{}{} }}
	body := make([]byte, 100)
	n := testing.AllocsPerRun(300, func() {
		if err := link.Send(call, body); err != nil {
			t.Fatal(err)
		}
		<-done
	})
	t.Logf("%v allocations for a request that wakes the loop", n)
	if n > 3 {
		t.Errorf("%v allocations for a request that wakes the loop", n)
	}
}

// Whatever a peer that has the secret sends, in whatever pieces: no panic, and no
// more memory than a frame.
func FuzzLink(f *testing.F) {
	ping := proto.AppendFrame(nil, &proto.Header{Op: proto.FramePing, ID: 1}, make([]byte, 8))
	f.Add(ping, uint16(5))
	f.Add(append(bytes.Clone(ping), ping[:20]...), uint16(100))
	f.Add(proto.AppendFrame(nil, &proto.Header{Op: proto.FramePing, Flags: proto.FlagAnswer, ID: 1 << 16}, make([]byte, 8)), uint16(9))
	f.Add(proto.AppendFrame(nil, &proto.Header{Op: proto.FrameGoodbye}, []byte{1}), uint16(9))
	f.Add(proto.AppendFrame(nil, &proto.Header{Op: proto.FrameHello}, rawHello("x", proto.RoleNode, nil)), uint16(1))
	plain := secure.Plaintext("test")
	f.Fuzz(func(t *testing.T, b []byte, piece uint16) {
		for _, sealed := range []bool{true, false} { // the text of records, or the records themselves
			p, link := newMemoryPair(t, plain, echo)
			calls := 0
			call := &Call{Header: proto.Header{Op: proto.FramePing}, Timeout: time.Minute, Done: func(*Call) { calls++ }}
			if err := link.Send(call, make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
			// b's end of the fuzzed bytes is a's loop, and the answers go nowhere.
			p.a.woken, p.a.out = false, nil
			var wire []byte
			for rest := b; sealed && len(rest) > 0; {
				n := min(len(rest), int(piece)+1)
				wire, _ = new(secure.Session).Seal(wire, rest[:n])
				rest = rest[n:]
			}
			if !sealed {
				wire = bytes.Clone(b)
			}
			l := loops{links: p.a.k.links}
			for len(wire) > 0 && !p.a.closed {
				n := min(len(wire), int(piece)+1)
				p.a.in, wire = append(p.a.in[:0], wire[:n]...), wire[n:]
				if l.OnTraffic(p.a) == gnet.Close {
					l.OnClose(p.a, nil)
					p.a.closed = true
				}
				if k := p.a.k; cap(k.text) > 2*proto.MaxFrame || cap(k.in) > 2*(secure.MaxRecord+secure.Overhead) {
					t.Fatal("buffers grow beyond a frame or a record")
				}
			}
			if !p.a.closed {
				l.OnClose(p.a, nil)
			}
			if calls != 1 {
				t.Fatalf("the call was completed %d times", calls)
			}
		}
	})
}

// Requests with Gather leave when Gathered is called, or when many wait; any other takes
// them along.
func TestGathered(t *testing.T) {
	var served int
	p, link := newMemoryPair(t, testKeys(t), handlerFunc(func(r Request, reply Reply) {
		served++
		echo(r, reply)
	}))
	answered := 0
	send := func(gather bool) {
		t.Helper()
		call := &Call{Header: proto.Header{Op: proto.FramePing}, Timeout: time.Minute, Gather: gather}
		call.Done = func(c *Call) {
			if c.Err != nil {
				t.Error(c.Err)
			}
			answered++
		}
		if err := link.Send(call); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, want int) {
		t.Helper()
		p.run()
		if served != want || answered != want {
			t.Fatalf("%s: %d served, %d answered, want %d", what, served, answered, want)
		}
	}
	links := p.a.k.links
	send(true)
	send(true)
	check("they wait", 0)
	links.Gathered()
	check("they have gathered", 2)
	send(true)
	check("once more", 2)
	links.Gathered()
	links.Gathered()
	check("and again", 3)
	send(true)
	send(false)
	check("one that does not wait", 5)
	for range gatherMost {
		send(true)
	}
	check("many", 5+gatherMost)
	links.Gathered() // of nothing
	check("nothing", 5+gatherMost)
}
