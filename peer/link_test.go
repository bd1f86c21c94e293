package peer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

func TestAskBothWays(t *testing.T) {
	for name, keys := range map[string]*secure.Keys{"sealed": nil, "plaintext": secure.Plaintext("test")} {
		t.Run(name, func(t *testing.T) {
			change := func(c *Config) {
				if keys != nil {
					c.Keys = keys
				}
			}
			a, b, link := pair(t, change, change)
			for range 100 {
				h, body, err := ask(link, proto.FramePing, ample, []byte("12"), nil, []byte("345678"))
				if err != nil || body != "12345678" || h.Op != proto.FramePing || h.Flags != proto.FlagAnswer || h.Epoch != 1 {
					t.Fatalf("%+v, %q, %v", h, body, err)
				}
				if _, body, err := ask(b.Link("a"), proto.FramePing, ample, []byte("backward")); err != nil || body != "backward" {
					t.Fatal(body, err)
				}
			}
			// All of it went over one connection.
			if n := metric(a.Links, "smache_peer_dials_total", `"b"`); n != 1 {
				t.Errorf("%v dials", n)
			}
			if n := len(b.conns) + len(a.conns); n != 2 {
				t.Errorf("%d ends", n)
			}
		})
	}
}

// Answers find their requests in whatever order they come, from whatever
// goroutine.
func TestManyAtOnce(t *testing.T) {
	var later sync.WaitGroup
	handler := handlerFunc(func(r Request, reply Reply) {
		if r.Body[0]%2 == 0 {
			reply.Send(r.Header.Answer(proto.StatusOK, 0), r.Body)
			return
		}
		body := bytes.Clone(r.Body)
		later.Go(func() { reply.Send(r.Header.Answer(proto.StatusOK, 0), body) })
	})
	_, _, link := pair(t, nil, func(c *Config) { c.Handler = handler })
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 200 {
				want := fmt.Sprintf("%c%03d%04d", 'a'+i%7, g, i)
				if _, body, err := ask(link, proto.FramePing, ample, []byte(want)); err != nil || body != want {
					t.Errorf("%q, %v, want %q", body, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
	later.Wait()
}

func TestLargeFrames(t *testing.T) {
	a, b, link := pair(t, nil, nil)
	for _, n := range []int{0, 1, 65535, 65536, 1 << 20, proto.MaxBody} {
		value := bytes.Repeat([]byte{byte(n), 7, 9}, n/3+1)[:n]
		if _, body, err := ask(link, proto.FrameMultiGet, ample, value); err != nil || body != string(value) {
			t.Fatalf("%d bytes: %d, %v", n, len(body), err)
		}
	}
	if _, _, err := ask(link, proto.FrameMultiGet, ample, make([]byte, proto.MaxBody+1)); !errors.Is(err, ErrFrameTooLarge) {
		t.Error(err)
	}
	if n := metric(b.Links, "smache_peer_received_bytes_total", `"a"`); n < proto.MaxBody {
		t.Errorf("%v bytes received", n)
	}
	_ = a
}

func TestAnswerTooLarge(t *testing.T) {
	sent := make(chan bool, 1)
	_, _, link := pair(t, nil, func(c *Config) {
		c.Handler = handlerFunc(func(r Request, reply Reply) {
			sent <- reply.Send(r.Header.Answer(proto.StatusOK, 0), make([]byte, proto.MaxBody), []byte("x"))
		})
	})
	h, body, err := ask(link, proto.FrameMultiGet, ample)
	if err != nil || h.Status != proto.StatusTooLarge || body != "" || <-sent {
		t.Error(h, len(body), err)
	}
}

func TestAnswerInParts(t *testing.T) {
	_, _, link := pair(t, nil, func(c *Config) {
		c.Handler = handlerFunc(func(r Request, reply Reply) {
			for i := range 3 {
				h := r.Header.Answer(proto.StatusOK, 0)
				if i < 2 {
					h.Flags |= proto.FlagMore
				}
				reply.Send(h, []byte{byte('0' + i)})
			}
		})
	})
	parts := make(chan string, 8)
	call := &Call{Header: proto.Header{Op: proto.FrameMultiGet}, Timeout: ample, Done: func(c *Call) {
		parts <- fmt.Sprint(string(c.Body), c.Answer.Flags&proto.FlagMore != 0, c.Err)
	}}
	if err := link.Send(call); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"0true<nil>", "1true<nil>", "2false<nil>"} {
		if got := <-parts; strings.ReplaceAll(got, " ", "") != want {
			t.Errorf("part %d: %s", i, got)
		}
	}
	if n, _, _ := link.load(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// A request past its deadline is completed once, keeps its credit, and gives it
// back when the answer comes.
func TestDeadline(t *testing.T) {
	var mu sync.Mutex
	var held []func()
	a, _, link := pair(t, nil, func(c *Config) {
		c.Handler = handlerFunc(func(r Request, reply Reply) {
			h := r.Header
			mu.Lock()
			defer mu.Unlock()
			held = append(held, func() { reply.Send(h.Answer(proto.StatusOK, 0), make([]byte, 8)) })
		})
	})
	began := time.Now()
	if _, _, err := ask(link, proto.FramePing, 30*time.Millisecond, make([]byte, 8)); !errors.Is(err, ErrDeadline) {
		t.Fatal(err)
	}
	if d := time.Since(began); d < 30*time.Millisecond {
		t.Errorf("the deadline acted after %v", d)
	}
	if n, _, _ := link.load(); n != 1 {
		t.Errorf("%d in flight after the deadline", n)
	}
	eventually(t, "the request has come", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(held) == 1
	})
	mu.Lock()
	held[0]()
	mu.Unlock()
	eventually(t, "the credit is back", func() bool { n, _, _ := link.load(); return n == 0 })
	// It is counted a moment later.
	eventually(t, "the late answer is counted", func() bool { return metric(a.Links, "smache_peer_late_answers_total", `"b"`) == 1 })
	if n := metric(a.Links, "smache_peer_deadlines_total", `"b"`); n != 1 {
		t.Errorf("%v deadlines", n)
	}
	if !link.Connected() {
		t.Error("a late answer closes the link")
	}
}

func TestInFlightLimit(t *testing.T) {
	silent := handlerFunc(func(Request, Reply) {})
	// A link that is lost stays so: a request to one that is up again would be taken.
	_, _, link := pair(t, func(c *Config) { c.MinBackoff, c.MaxBackoff = time.Hour, time.Hour },
		func(c *Config) { c.Handler, c.MaxInFlight = silent, 32 })
	var done atomic.Int32
	send := func(urgent bool) error {
		return link.Send(&Call{
			Header: proto.Header{Op: proto.FramePing}, Timeout: time.Minute, Urgent: urgent,
			Done: func(c *Call) {
				if !errors.Is(c.Err, ErrLinkLost) {
					t.Error(c.Err)
				}
				done.Add(1)
			},
		}, make([]byte, 8))
	}
	for i := range 28 {
		if err := send(false); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := send(false); !errors.Is(err, ErrInFlight) || StatusOf(err) != proto.StatusQueueFull {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := send(true); err != nil {
			t.Fatal("urgent", i, err)
		}
	}
	if err := send(true); !errors.Is(err, ErrInFlight) {
		t.Fatal(err)
	}
	link.fail(proto.ErrLinkSlow)
	eventually(t, "all calls are completed", func() bool { return done.Load() == 32 })
	if err := send(true); !errors.Is(err, ErrNotConnected) || StatusOf(err) != proto.StatusUnreachable {
		t.Error(err)
	}
}

// A lost link completes every request once, while others go on sending.
func TestLostLink(t *testing.T) {
	silent := handlerFunc(func(Request, Reply) {})
	a, b, link := pair(t, nil, func(c *Config) { c.Handler = silent })
	var sent, done atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var once atomic.Int32
				err := link.Send(&Call{Header: proto.Header{Op: proto.FramePing}, Timeout: time.Minute, Done: func(c *Call) {
					if once.Add(1) != 1 || !errors.Is(c.Err, ErrLinkLost) {
						t.Errorf("%d times: %v", once.Load(), c.Err)
					}
					done.Add(1)
				}}, make([]byte, 8))
				if err == nil {
					sent.Add(1)
				} else if !errors.Is(err, ErrInFlight) {
					return // the link is gone
				}
			}
		})
	}
	eventually(t, "requests in flight", func() bool { return sent.Load() > 1000 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	close(stop)
	eventually(t, "all are completed", func() bool { return done.Load() == sent.Load() })
	if n := metric(a.Links, "smache_peer_closes_total", `"b"`, `reason="done"`, `by="peer"`); n != 1 {
		t.Errorf("the reason is not counted: %s", a.AppendMetrics(nil))
	}
	eventually(t, "refused", func() bool {
		e, _ := a.saw(DialFailed, "b")
		return errors.Is(e.Err, ErrRefused)
	})
	a.told(t, LinkDown, "b", 1)
	if _, n := a.saw(LinkDown, "b"); n != 1 {
		t.Errorf("%d times down", n)
	}
}

// Both dial at the same moment, again and again: there is one connection in the
// end, and requests pass in both directions.
func TestCrossingDials(t *testing.T) {
	for round := range 30 {
		a, b := start(t, "a", nil), start(t, "b", nil)
		var wg sync.WaitGroup
		wg.Go(func() { a.Connect("b", b.Addr().String()) })
		wg.Go(func() { b.Connect("a", a.Addr().String()) })
		wg.Wait()
		settled := func(n *node) int {
			n.Links.mu.Lock()
			defer n.Links.mu.Unlock()
			return len(n.conns)
		}
		eventually(t, "one connection", func() bool {
			return linked(a.Links, "b") && linked(b.Links, "a") && settled(a) == 1 && settled(b) == 1
		})
		if _, _, err := ask(a.Link("b"), proto.FramePing, ample, make([]byte, 8)); err != nil {
			t.Fatal(round, err)
		}
		if _, _, err := ask(b.Link("a"), proto.FramePing, ample, make([]byte, 8)); err != nil {
			t.Fatal(round, err)
		}
		_ = a.Close()
		_ = b.Close()
	}
}

// A node that comes back under its name and address, as a new incarnation, is
// linked again, and an older one is not.
func TestRestart(t *testing.T) {
	a, b, link := pair(t, nil, nil)
	b.Connect("a", a.Addr().String())
	address := b.Addr().String()
	_ = b.Close()
	eventually(t, "down", func() bool { return !link.Connected() })
	b = start(t, "b", func(c *Config) { c.Listener = listenAt(t, address) })
	b.Connect("a", a.Addr().String())
	eventually(t, "up again", link.Connected)
	if e := a.told(t, LinkUp, "b", 2); e.Incarnation != b.cfg.Incarnation {
		t.Errorf("incarnation %d, want %d", e.Incarnation, b.cfg.Incarnation)
	}
	if _, n := a.saw(LinkUp, "b"); n != 2 {
		t.Errorf("%d times up", n)
	}
	if n := metric(a.Links, "smache_peer_reconnects_total", `"b"`); n != 1 {
		t.Errorf("%v reconnects", n)
	}
	old := dialRaw(t, a)
	old.shake(testKeys(t))
	old.frame(proto.Header{Op: proto.FrameHello}, rawHello("b", proto.RoleNode, func(h *proto.Hello) { h.Incarnation = 1 }))
	if reason := old.goodbye(); reason != proto.CloseIncarnation {
		t.Errorf("an old incarnation gets %v", reason.Err())
	}
	if !link.Connected() {
		t.Error("an old incarnation took the link")
	}
}

// A peer that has lost its end without this end knowing gets its new link at once
// if it had dialled the old one.
func TestReplaced(t *testing.T) {
	a := start(t, "a", nil)
	incarnation := incarnations.Add(1)
	same := func(h *proto.Hello) { h.Incarnation = incarnation }
	greet := func() *raw {
		r := dialRaw(t, a)
		r.shake(testKeys(t))
		r.frame(proto.Header{Op: proto.FrameHello}, rawHello("b", proto.RoleNode, same))
		if h, _, err := r.next(); err != nil || h.Op != proto.FrameHello {
			t.Fatal(h, err)
		}
		return r
	}
	first := greet()
	second := greet()
	if reason := first.goodbye(); reason != proto.CloseReplaced {
		t.Errorf("the first connection gets %v", reason.Err())
	}
	second.frame(proto.Header{Op: proto.FramePing, ID: 3}, make([]byte, 8))
	if h, _, err := second.next(); err != nil || h.ID != 3 {
		t.Error(h, err)
	}
	if _, n := a.saw(LinkDown, "b"); n != 0 {
		t.Error("a replaced link is told as down")
	}
}

func TestWrongPeerAndSelf(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	a.Connect("c", b.Addr().String())
	a.Connect("d", a.Addr().String())
	eventually(t, "refusals", func() bool {
		c, _ := a.saw(DialFailed, "c")
		d, _ := a.saw(DialFailed, "d")
		return errors.Is(c.Err, ErrWrongPeer) && errors.Is(d.Err, proto.ErrLinkSelf)
	})
	twin := start(t, "a", nil)
	twin.Connect("x", a.Addr().String())
	eventually(t, "the name is taken", func() bool {
		e, _ := twin.saw(DialFailed, "x")
		return errors.Is(e.Err, proto.ErrLinkName)
	})
	for _, name := range []string{"c", "d"} {
		if _, n := a.saw(LinkUp, name); n != 0 {
			t.Errorf("a is linked to %s", name)
		}
	}
	// b, which is told the name of a, takes it for linked until a hangs up, each time.
	a.Forget("c")
	eventually(t, "a has hung up", func() bool { return !linked(b.Links, "a") })
}

func TestDialErrors(t *testing.T) {
	a := start(t, "a", nil)
	address := refusing(t)
	a.Connect("gone", address)
	a.Connect("named", strings.Replace(address, "127.0.0.1", "localhost", 1))
	eventually(t, "both fail", func() bool {
		gone, n := a.saw(DialFailed, "gone")
		named, _ := a.saw(DialFailed, "named")
		return n >= 3 && errors.Is(gone.Err, ErrRefused) && errors.Is(named.Err, ErrUnreachable)
	})
	if named, _ := a.saw(DialFailed, "named"); errors.Is(named.Err, ErrRefused) {
		t.Error("a name that is refused proves nothing")
	}
	if err := a.Link("gone").Send(&Call{}); !errors.Is(err, ErrNotConnected) {
		t.Error(err)
	}
	a.Forget("gone")
	a.Forget("gone")
	eventually(t, "forgotten", func() bool { return a.Link("gone") == nil })
}

func TestPanics(t *testing.T) {
	_, b, link := pair(t, nil, func(c *Config) {
		c.Handler = handlerFunc(func(r Request, reply Reply) {
			if r.Header.Op == proto.FrameFlush {
				panic("in the handler")
			}
			echo(r, reply)
		})
	})
	other := start(t, "other", nil)
	bystander := connect(t, other, b)
	if _, _, err := ask(link, proto.FrameFlush, ample, make([]byte, 8)); !errors.Is(err, ErrLinkLost) || !errors.Is(err, proto.ErrLinkInternal) {
		t.Fatal(err)
	}
	eventually(t, "up again", link.Connected)
	if n := metric(b.Links, "smache_peer_closes_total", `reason="panic"`); n != 1 || metric(b.Links, "smache_peer_panics_total") != 1 {
		t.Errorf("%s", b.AppendMetrics(nil))
	}
	if _, n := other.saw(LinkDown, "b"); n != 0 || !bystander.Connected() {
		t.Error("another link was closed too")
	}

	// In Done, when an answer comes and when the deadline does.
	for _, timeout := range []time.Duration{ample, time.Nanosecond} {
		_, before := link.links.events("b")
		done := make(chan struct{}, 1)
		eventually(t, "sent", func() bool {
			return link.Send(&Call{Header: proto.Header{Op: proto.FramePing}, Timeout: timeout, Done: func(*Call) {
				done <- struct{}{}
				panic("in Done")
			}}, make([]byte, 8)) == nil
		})
		<-done
		eventually(t, "closed for the panic, and up again", func() bool {
			_, now := link.links.events("b")
			return now > before && link.Connected()
		})
	}
}

// events gives how often the peer's link came up; ups is guarded by the lock.
func (l *Links) events(peer string) (string, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return peer, l.peers[peer].ups
}

func TestSilentPeers(t *testing.T) {
	const timeout = 2 * time.Second // the empty records are to come in time on a busy machine, too
	quick := func(c *Config) { c.ReadTimeout, c.HandshakeTimeout = timeout, timeout }
	// Two nodes that have nothing to say to each other stay linked: see below.
	idle, other := start(t, "idle", quick), start(t, "other", quick)
	link := connect(t, idle, other)
	began := time.Now()
	a := start(t, "a", quick)
	half := dialRaw(t, a) // says nothing
	mute := dialRaw(t, a) // says nothing after its hello
	mute.greet("mute", proto.RoleNode)
	half.ended()
	if reason := mute.goodbye(); reason != proto.CloseSilent {
		t.Errorf("a silent peer gets %v", reason.Err())
	}
	if metric(a.Links, "smache_peer_closes_total", `peer=""`, `reason="hello_timeout"`) != 1 ||
		metric(a.Links, "smache_peer_closes_total", `reason="silent"`) > 1 {
		t.Errorf("%s", a.AppendMetrics(nil))
	}
	eventually(t, "some time-outs", func() bool { return time.Since(began) > 5*timeout/2 })
	if _, n := idle.saw(LinkDown, "other"); n != 0 || !link.Connected() {
		t.Error("an idle link is closed")
	}
}

func TestConfigErrors(t *testing.T) {
	good := Config{Node: "a", Incarnation: 1, Keys: testKeys(t), Handler: echo, Listener: listen(t)}
	defer func() { _ = good.Listener.Close() }()
	for name, change := range map[string]func(*Config){
		"name": func(c *Config) { c.Node = "a b" }, "keys": func(c *Config) { c.Keys = nil },
		"incarnation": func(c *Config) { c.Incarnation = 0 }, "loops": func(c *Config) { c.Loops = -1 },
		"in flight": func(c *Config) { c.MaxInFlight = 3 }, "outbox": func(c *Config) { c.OutboxBytes = 5 },
		"time-out": func(c *Config) { c.ReadTimeout = -1 }, "back-off": func(c *Config) { c.MinBackoff = time.Hour },
	} {
		cfg := good
		change(&cfg)
		if _, err := NewLinks(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l, err := NewLinks(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil { // never started
		t.Error(err)
	}
}
