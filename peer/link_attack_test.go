package peer

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// closed waits until a connection was closed for this reason, and counted.
func closed(t *testing.T, n *node, reason string) {
	t.Helper()
	eventually(t, reason, func() bool {
		return metric(n.Links, "smache_peer_closes_total", `reason="`+reason+`"`) > 0
	})
}

// What a stranger may send: each is closed for a reason of its own, and the node
// goes on.
func TestStrangers(t *testing.T) {
	other := func(cluster, secret string) *secure.Keys {
		k, err := secure.NewKeys(cluster, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := func(k *secure.Keys) []byte {
		out, _, _, _ := k.Dial().Step(nil, nil)
		return out
	}
	random := make([]byte, 100_000)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	random[0] = 'S'
	version := first(testKeys(t))
	version[6]++
	for name, c := range map[string]struct {
		send   []byte
		reason string
	}{
		"random bytes":  {random, "not_a_peer"},
		"http":          {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "not_a_peer"},
		"zeros":         {make([]byte, 1<<20), "not_a_peer"},
		"secret":        {first(other("test", "another secret of the tests")), "wrong_secret"},
		"cluster":       {first(other("prod", string(testSecret))), "wrong_cluster"},
		"version":       {version, "wrong_version"},
		"plaintext":     {first(secure.Plaintext("test")), "wrong_mode"},
		"nothing after": {append(first(testKeys(t)), random...), "record_size"},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, "a", nil)
			r := dialRaw(t, n)
			r.write(c.send)
			r.ended()
			closed(t, n, c.reason)
		})
	}
	t.Run("prefixes", func(t *testing.T) {
		n := start(t, "a", func(c *Config) { c.HandshakeTimeout = 100 * time.Millisecond })
		m := first(testKeys(t))
		for _, i := range []int{1, 8, 15, 16, 17, 63} {
			r := dialRaw(t, n)
			r.write(m[:i])
			r.ended()
		}
		eventually(t, "all time out", func() bool {
			return metric(n.Links, "smache_peer_closes_total", `reason="hello_timeout"`) == 6
		})
	})
}

// What somebody with the secret may do wrong. The peer is told why.
func TestBadPeers(t *testing.T) {
	ping := proto.AppendFrame(nil, &proto.Header{Op: proto.FramePing}, make([]byte, 8))
	long := bytes.Clone(ping)
	copy(long, u32(1<<31))
	unknown := bytes.Clone(ping)
	unknown[5] = 255
	for name, c := range map[string]struct {
		play   func(r *raw)
		reason proto.CloseReason
		label  string
	}{
		"data before the hello": {func(r *raw) {
			r.shake(testKeys(t))
			r.write(r.seal(ping))
		}, proto.CloseHello, "hello_expected"},
		"a second hello": {func(r *raw) {
			r.greet("b", proto.RoleNode)
			r.frame(proto.Header{Op: proto.FrameHello, ID: 7}, rawHello("b", proto.RoleNode, nil))
		}, proto.CloseHello, "hello_expected"},
		"another cluster in the hello": {func(r *raw) {
			r.shake(testKeys(t))
			r.frame(proto.Header{Op: proto.FrameHello}, rawHello("b", proto.RoleNode, func(h *proto.Hello) { h.Cluster++ }))
		}, proto.CloseCluster, "wrong_cluster"},
		"only later versions": {func(r *raw) {
			r.shake(testKeys(t))
			r.frame(proto.Header{Op: proto.FrameHello}, rawHello("b", proto.RoleNode, func(h *proto.Hello) { h.Lowest, h.Highest = 9, 9 }))
		}, proto.CloseVersions, "no_common_version"},
		"a malformed hello": {func(r *raw) {
			r.shake(testKeys(t))
			r.frame(proto.Header{Op: proto.FrameHello}, []byte("hi"))
		}, proto.CloseBody, "bad_body"},
		"a hostile length": {func(r *raw) {
			r.greet("b", proto.RoleNode)
			r.write(r.seal(long))
		}, proto.CloseFrameLength, "bad_length"},
		"an unknown opcode": {func(r *raw) {
			r.greet("b", proto.RoleNode)
			r.write(r.seal(unknown))
		}, proto.CloseFrameOpcode, "bad_opcode"},
		"an answer that nobody asked for": {func(r *raw) {
			r.greet("b", proto.RoleNode)
			r.frame(proto.Header{Op: proto.FramePing, Flags: proto.FlagAnswer, ID: 99}, make([]byte, 8))
		}, proto.CloseID, "unknown_answer"},
		"a broken record": {func(r *raw) {
			r.greet("b", proto.RoleNode)
			b := r.seal(ping)
			b[len(b)-1] ^= 1
			r.write(b)
		}, proto.CloseRecord, "bad_record"},
		"a replayed record": {func(r *raw) {
			r.greet("b", proto.RoleNode)
			b := r.seal(ping)
			r.write(append(bytes.Clone(b), b...))
		}, proto.CloseRecord, "bad_record"},
		"a record of 4 GiB": {func(r *raw) {
			r.greet("b", proto.RoleNode)
			r.write(u32(0xffffffff))
		}, proto.CloseRecord, "record_size"},
		"a client that takes slots": {func(r *raw) {
			r.greet("client", proto.RoleClient)
			r.frame(proto.Header{Op: proto.FrameSlots, ID: 1}, nil)
		}, proto.CloseRole, "not_a_node"},
		"more requests than credits": {func(r *raw) {
			r.greet("b", proto.RoleNode)
			var b []byte
			for i := range 65 {
				b = proto.AppendFrame(b, &proto.Header{Op: proto.FrameFlush, ID: uint32(i)}, make([]byte, 8))
			}
			r.write(r.seal(b))
		}, proto.CloseCredits, "too_many_requests"},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, "a", func(c *Config) {
				c.MaxInFlight = 64
				c.Handler = handlerFunc(func(r Request, reply Reply) {
					if r.Header.Op != proto.FrameFlush { // those are never answered
						echo(r, reply)
					}
				})
			})
			r := dialRaw(t, n)
			c.play(r)
			if reason := r.goodbye(); reason != c.reason {
				t.Errorf("goodbye: %v, want %v", reason.Err(), c.reason.Err())
			}
			closed(t, n, c.label)
		})
	}
}

// A client may read and write, and is no peer.
func TestClient(t *testing.T) {
	var role atomic.Int32
	n := start(t, "a", func(c *Config) {
		c.Handler = handlerFunc(func(r Request, reply Reply) {
			role.Store(int32(r.Role))
			echo(r, reply)
		})
	})
	for range 2 { // two clients of one name disturb nobody
		r := dialRaw(t, n)
		r.greet("client", proto.RoleClient)
		r.frame(proto.Header{Op: proto.FramePing, ID: 5}, make([]byte, 8))
		if h, _, err := r.next(); err != nil || h.ID != 5 || h.Flags != proto.FlagAnswer {
			t.Fatal(h, err)
		}
	}
	if proto.Role(role.Load()) != proto.RoleClient || n.Link("client") != nil {
		t.Error("a client is taken for a node")
	}
	if metric(n.Links, "smache_peer_received_frames_total", `"all clients"`) == 0 {
		t.Error("clients are not counted")
	}
}

// A peer that asks and does not read: what waits for it stays bounded, and it is
// closed.
func TestSlowReader(t *testing.T) {
	const outbox = 6 << 20
	t.Run("answers", func(t *testing.T) {
		var crowded atomic.Bool
		n := start(t, "a", func(c *Config) {
			c.OutboxBytes = outbox
			c.Handler = handlerFunc(func(r Request, reply Reply) {
				if reply.Crowded() {
					crowded.Store(true)
				}
				reply.Send(r.Header.Answer(proto.StatusOK, 0), make([]byte, 1<<20))
			})
		})
		r := dialRaw(t, n)
		r.greet("b", proto.RoleNode)
		var b []byte
		for i := range 100 {
			b = proto.AppendFrame(b, &proto.Header{Op: proto.FrameMultiGet, ID: uint32(i)}, nil)
		}
		r.write(r.seal(b))
		closed(t, n, "slow_reader")
		if !crowded.Load() {
			t.Error("Crowded never said so")
		}
	})
	t.Run("time", func(t *testing.T) {
		n := start(t, "a", func(c *Config) {
			c.WriteTimeout = 100 * time.Millisecond
			c.Handler = handlerFunc(func(r Request, reply Reply) {
				reply.Send(r.Header.Answer(proto.StatusOK, 0), make([]byte, 2<<20))
			})
		})
		r := dialRaw(t, n)
		r.greet("b", proto.RoleNode)
		for i := range 3 {
			r.frame(proto.Header{Op: proto.FrameMultiGet, ID: uint32(i)}, nil)
		}
		closed(t, n, "slow_reader")
	})
	t.Run("requests", func(t *testing.T) {
		n := start(t, "a", func(c *Config) { c.OutboxBytes, c.WriteTimeout = outbox, 2*time.Second })
		r := dialRaw(t, n)
		r.greet("b", proto.RoleNode)
		eventually(t, "linked", func() bool { return linked(n.Links, "b") })
		link := n.Link("b")
		var done, sent, full, most int
		results := make(chan error, 1000)
		eventually(t, "slow_reader", func() bool { // the kernel's buffers have to fill first
			for sent < cap(results) {
				err := link.Send(&Call{Header: proto.Header{Op: proto.FrameMultiSet}, Timeout: time.Minute, Done: func(c *Call) {
					results <- c.Err
				}}, make([]byte, 1<<20))
				_, _, queued := link.load()
				most = max(most, queued)
				if errors.Is(err, ErrOutboxFull) && StatusOf(err) == proto.StatusQueueFull {
					full++
				}
				if err != nil {
					break
				}
				sent++
			}
			return metric(n.Links, "smache_peer_closes_total", `reason="slow_reader"`) > 0
		})
		if full == 0 || most > outbox/2+2<<20 {
			t.Errorf("%d sent, %d refused, %d bytes wait", sent, full, most)
		}
		for done < sent {
			if err := <-results; !errors.Is(err, ErrLinkLost) || !errors.Is(err, proto.ErrLinkSlow) {
				t.Fatal(err)
			}
			done++
		}
	})
}

func TestPendingLimit(t *testing.T) {
	n := start(t, "a", func(c *Config) { c.MaxPending, c.HandshakeTimeout = 2, time.Minute })
	first, second := dialRaw(t, n), dialRaw(t, n)
	eventually(t, "two wait", func() bool { return n.pending.Load() == 2 })
	third := dialRaw(t, n)
	third.ended()
	closed(t, n, "too_many_links")
	_ = first.c.Close()
	_ = second.c.Close()
	eventually(t, "none waits", func() bool { return n.pending.Load() == 0 })
	r := dialRaw(t, n)
	r.greet("b", proto.RoleNode)
}
