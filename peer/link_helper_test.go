package peer

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// ample is more time than anything takes that is to happen in a test, however busy the
// machine is.
const ample = 30 * time.Second

var testSecret = []byte("a secret for the tests of links")

func testKeys(t testing.TB) *secure.Keys {
	t.Helper()
	k, err := secure.NewKeys("test", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// handlerFunc makes a function a Handler.
type handlerFunc func(Request, Reply)

func (f handlerFunc) ServeFrame(r Request, reply Reply) { f(r, reply) }

// echo answers with the request's body.
var echo = handlerFunc(func(r Request, reply Reply) {
	reply.Send(r.Header.Answer(proto.StatusOK, 1), r.Body)
})

var incarnations atomic.Uint64

// node is a Links with a record of its events.
type node struct {
	*Links
	mu     sync.Mutex
	events []Event
}

func (n *node) saw(kind EventKind, peer string) (last Event, count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if e.Kind == kind && e.Peer == peer {
			if e.Seq > last.Seq {
				last = e
			}
			count++
		}
	}
	return last, count
}

// told waits for the event of a kind about a peer, the count'th, and returns it.
// Events are told without the links' lock held: a link can be seen to be up before
// its LinkUp is told.
func (n *node) told(t testing.TB, kind EventKind, peer string, count int) (last Event) {
	t.Helper()
	eventually(t, fmt.Sprintf("event %d about %s, %d times", kind, peer, count), func() bool {
		e, n := n.saw(kind, peer)
		last = e
		return n >= count
	})
	return last
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// start makes a node; change alters its configuration. It gives others so much time that
// no load of the machine makes it drop a link.
func start(t testing.TB, name string, change func(*Config)) *node {
	t.Helper()
	n := &node{}
	cfg := Config{
		Node: name, Incarnation: incarnations.Add(1), Cluster: "test", Keys: testKeys(t), Handler: echo, Loops: 1,
		MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		DialTimeout: ample, HandshakeTimeout: ample, ReadTimeout: ample, WriteTimeout: ample,
		Notify: func(e Event) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.events = append(n.events, e)
		},
	}
	if change != nil {
		change(&cfg)
	}
	if cfg.Listener == nil {
		cfg.Listener = listen(t)
	}
	var err error
	if n.Links, err = NewLinks(cfg); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(ample)
	defer deadline.Stop()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		case <-poll.C:
		}
	}
}

// pair gives two connected nodes, and the link from the first to the second.
func pair(t testing.TB, changeA, changeB func(*Config)) (a, b *node, link *Link) {
	t.Helper()
	a, b = start(t, "a", changeA), start(t, "b", changeB)
	return a, b, connect(t, a, b)
}

func connect(t testing.TB, a, b *node) *Link {
	t.Helper()
	link := a.Connect(b.cfg.Node, b.Addr().String())
	eventually(t, "a link in both directions", func() bool {
		return link.Connected() && linked(b.Links, a.cfg.Node)
	})
	return link
}

// linked reports whether there is a connection to a peer. Of one that only dials
// this end there is no Link at all while there is none.
func linked(l *Links, name string) bool {
	link := l.Link(name)
	return link != nil && link.Connected()
}

// ask sends one request and waits for its answer.
func ask(link *Link, op proto.FrameOp, timeout time.Duration, body ...[]byte) (proto.Header, string, error) {
	type answer struct {
		h    proto.Header
		body string
		err  error
	}
	done := make(chan answer, 16)
	call := &Call{Header: proto.Header{Op: op}, Timeout: timeout, Done: func(c *Call) {
		done <- answer{c.Answer, string(c.Body), c.Err}
	}}
	if err := link.Send(call, body...); err != nil {
		return proto.Header{}, "", err
	}
	select {
	case a := <-done:
		return a.h, a.body, a.err
	case <-time.After(2 * ample):
		return proto.Header{}, "", fmt.Errorf("Done was never called")
	}
}

// metric gives the value of the one line that begins with name and has all of
// parts; 0 if there is none.
func metric(l *Links, name string, parts ...string) (value float64) {
lines:
	for line := range strings.Lines(string(l.AppendMetrics(nil))) {
		if !strings.HasPrefix(line, name) {
			continue
		}
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		_, _ = fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &value)
		return value
	}
	return 0
}

// raw is a peer that a test plays byte by byte.
type raw struct {
	t       testing.TB
	c       net.Conn
	session *secure.Session
	in      []byte
	text    []byte
}

func dialRaw(t testing.TB, n *node) *raw {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &raw{t: t, c: ampleConn{c}}
}

// ampleConn gives each read and each write ample time.
type ampleConn struct{ net.Conn }

func (c ampleConn) Read(b []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(ample))
	return c.Conn.Read(b)
}

func (c ampleConn) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(ample))
	return c.Conn.Write(b)
}

func (r *raw) write(b []byte) {
	if _, err := r.c.Write(b); err != nil {
		r.t.Log("raw write:", err)
	}
}

// shake runs the handshake as the end that dialled.
func (r *raw) shake(k *secure.Keys) {
	r.t.Helper()
	h := k.Dial()
	out, _, _, _ := h.Step(nil, nil)
	r.write(out)
	b := make([]byte, 1)
	for r.session == nil {
		if _, err := r.c.Read(b); err != nil {
			r.t.Fatal(err)
		}
		var err error
		if _, _, r.session, err = h.Step(nil, b); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *raw) seal(text []byte) []byte {
	b, err := r.session.Seal(nil, text)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *raw) frame(h proto.Header, body []byte) { r.write(r.seal(proto.AppendFrame(nil, &h, body))) }

// next gives the next frame, or an error when the connection has ended.
func (r *raw) next() (proto.Header, []byte, error) {
	buf := make([]byte, 4096)
	for {
		if h, body, n, err := proto.ParseFrame(r.text); err != nil || n > 0 {
			r.text = r.text[n:]
			return h, body, err
		}
		text, used, err := r.session.Open(r.in)
		if err != nil {
			return proto.Header{}, nil, err
		}
		if used > 0 {
			r.text, r.in = append(r.text, text...), r.in[used:]
			continue
		}
		n, err := r.c.Read(buf)
		if err != nil {
			return proto.Header{}, nil, err
		}
		r.in = append(r.in, buf[:n]...)
	}
}

// hello is a hello as a node or client of this name says it.
func rawHello(name string, role proto.Role, change func(*proto.Hello)) []byte {
	h := proto.Hello{
		Lowest: 1, Highest: 1, Role: role, Credits: 100, Incarnation: incarnations.Add(1),
		Cluster: proto.ClusterHash("test"), Name: []byte(name),
	}
	if change != nil {
		change(&h)
	}
	return proto.AppendHello(nil, &h)
}

// greet runs handshake and hello.
func (r *raw) greet(name string, role proto.Role) {
	r.t.Helper()
	r.shake(testKeys(r.t))
	r.frame(proto.Header{Op: proto.FrameHello, ID: 7}, rawHello(name, role, nil))
	h, _, err := r.next()
	if err != nil || h.Op != proto.FrameHello || h.Flags != proto.FlagAnswer || h.ID != 7 {
		r.t.Fatalf("no hello: %+v, %v", h, err)
	}
}

// goodbye reads until the other end says goodbye, or the connection ends, and
// closes it. It gives the reason that was said, or 0.
func (r *raw) goodbye() (reason proto.CloseReason) {
	defer func() { _ = r.c.Close() }()
	for {
		h, body, err := r.next()
		if err != nil {
			return 0
		}
		if h.Op == proto.FrameGoodbye {
			var g proto.Goodbye
			if err := proto.DecodeGoodbye(body, &g); err != nil {
				r.t.Error(err)
			}
			return g.Reason
		}
	}
}

// ended waits until the other end has closed the connection, whatever it says.
func (r *raw) ended() {
	buf := make([]byte, 4096)
	for {
		if _, err := r.c.Read(buf); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() { // as the connection gives it
				r.t.Error("the connection stays open")
			}
			return
		}
	}
}

// refusing gives an address at which connections are refused, and that nobody else gets
// meanwhile: the near end of a connection has it.
func refusing(t testing.TB) string {
	t.Helper()
	ln := listen(t)
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = ln.Close()
	})
	return c.LocalAddr().String()
}

func u32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func listenAt(t testing.TB, address string) (ln net.Listener) {
	t.Helper()
	eventually(t, "the address is free", func() bool {
		var err error
		ln, err = net.Listen("tcp", address)
		return err == nil
	})
	return ln
}
