package peer

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// Nodes that all dial each other at once end up with one connection for each pair,
// on several loops, and every pair can talk.
func TestMesh(t *testing.T) {
	const size = 8
	var nodes []*node
	for i := range size {
		nodes = append(nodes, start(t, fmt.Sprintf("n%d", i), func(c *Config) { c.Loops = 2 }))
	}
	var wg sync.WaitGroup
	for _, a := range nodes {
		wg.Go(func() {
			for _, b := range nodes {
				if a != b {
					a.Connect(b.cfg.Node, b.Addr().String())
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "one connection for each pair", func() bool {
		for _, a := range nodes {
			a.Links.mu.Lock()
			n := len(a.conns)
			a.Links.mu.Unlock()
			if n != size-1 {
				return false
			}
			for _, b := range nodes {
				if a != b && !linked(a.Links, b.cfg.Node) {
					return false
				}
			}
		}
		return true
	})
	for _, a := range nodes {
		for _, b := range nodes {
			if a == b {
				continue
			}
			wg.Go(func() {
				if _, body, err := ask(a.Link(b.cfg.Node), proto.FramePing, ample, []byte("12345678")); err != nil || body != "12345678" {
					t.Error(a.cfg.Node, b.cfg.Node, body, err)
				}
			})
		}
	}
	wg.Wait()
	for _, n := range nodes {
		up := map[string]bool{}
		n.mu.Lock()
		events := slices.Clone(n.events)
		n.mu.Unlock()
		// Several goroutines tell them: their numbers are their order.
		slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
		for i, e := range events {
			up[e.Peer] = e.Kind == LinkUp || up[e.Peer] && e.Kind == DialFailed
			if i > 0 && events[i-1].Seq == e.Seq {
				t.Error("two events of one number")
			}
		}
		for peer, ok := range up {
			if !ok {
				t.Errorf("%s was told that %s is down", n.cfg.Node, peer)
			}
		}
	}
}

// The other end of a link that this end, of the lesser name, had dialled, dials
// too: it is refused, and the old link probed. When that turns out dead, the next
// attempt succeeds.
func TestRefusedAndProbed(t *testing.T) {
	ln := listen(t)
	defer func() { _ = ln.Close() }()
	a := start(t, "a", func(c *Config) { c.MinBackoff, c.MaxBackoff = time.Minute, time.Minute })
	link := a.Connect("b", ln.Addr().String())
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c = ampleConn{c}
	old := &raw{t: t, c: c}
	shake := testKeys(t).Accept()
	b := make([]byte, 64)
	for old.session == nil {
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		var out []byte
		if out, _, old.session, err = shake.Step(nil, b[:n]); err != nil {
			t.Fatal(err)
		}
		old.write(out)
	}
	h, _, err := old.next()
	if err != nil || h.Op != proto.FrameHello {
		t.Fatal(h, err)
	}
	incarnation := incarnations.Add(1)
	same := func(h *proto.Hello) { h.Incarnation = incarnation }
	old.frame(proto.Header{Op: proto.FrameHello, Flags: proto.FlagAnswer, ID: h.ID}, rawHello("b", proto.RoleNode, same))
	eventually(t, "linked", link.Connected)

	again := func() *raw {
		r := dialRaw(t, a)
		r.shake(testKeys(t))
		r.frame(proto.Header{Op: proto.FrameHello}, rawHello("b", proto.RoleNode, same))
		return r
	}
	if reason := again().goodbye(); reason != proto.CloseReplaced {
		t.Fatalf("the second connection gets %v", reason.Err())
	}
	n, err := c.Read(b) // the probe: an empty record
	if err != nil {
		t.Fatal(err)
	}
	if text, used, err := old.session.Open(b[:n]); err != nil || used != n || len(text) != 0 || !link.Connected() {
		t.Fatal(text, used, n, err)
	}
	_ = c.Close()
	eventually(t, "the old one is seen to be dead", func() bool { return !link.Connected() })
	third := again()
	if h, _, err := third.next(); err != nil || h.Op != proto.FrameHello {
		t.Fatal(h, err)
	}
	eventually(t, "linked again", link.Connected)
}

func TestSetIncarnation(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	a.SetIncarnation(1 << 40)
	connect(t, a, b)
	if e := b.told(t, LinkUp, "a", 1); e.Incarnation != 1<<40 {
		t.Errorf("incarnation %d", e.Incarnation)
	}
}
