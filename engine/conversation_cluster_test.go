package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/engine/internal/conversation"
	"github.com/smache/smache/peer"
	"github.com/smache/smache/proto"
)

// twoClocks is a store whose entries live by its own clock, which a test moves, and whose
// cluster lives by the machine's.
type twoClocks struct {
	peer.Store
	began time.Time
}

func (s *twoClocks) Now() time.Duration { return time.Since(s.began) }

// ServeUntil takes a lease that has not ended for one without an end: it would be on the
// other clock, and here no node fails.
func (s *twoClocks) ServeUntil(t time.Duration) {
	if t > s.Now() {
		t = proto.Forever
	} else {
		t = 0
	}
	s.Store.ServeUntil(t)
}

// ownAddresses gives an address for the gossip, and the HTTP port that stands for it, at a
// loopback address that nothing else uses: a port that was free a moment ago may be taken by
// now, by a connection, too.
func ownAddresses() (gossip, join string) {
	n := loopbacks.Add(1)
	host := netip.AddrFrom4([4]byte{127, byte(n >> 16), byte(n >> 8), byte(n)})
	return netip.AddrPortFrom(host, 24000).String(), netip.AddrPortFrom(host, 4000).String()
}

// loopbacks begins anywhere, so that test processes do not meet.
var loopbacks = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(1<<16 + rand.Uint32N(200<<16))
	return &n
}()

// together starts nodes of one cluster, one after the other, with the
// configuration but for the names, and the weights, and waits until nothing moves. It gives
// the URL of the last.
func together(t *testing.T, cfg *Config, names []string, weights []uint32) (nodes []*Node, url string) {
	t.Helper()
	var join []string
	for i, name := range names {
		c := *cfg
		c.Name, c.Memory = name, 160<<20
		gossip, address := ownAddresses()
		c.Cluster = &ClusterConfig{
			PeerListen: "127.0.0.1:0", GossipListen: gossip, HTTP: name + ":1", Weight: weights[i],
			Join: join, Wait: patience,
		}
		join = append(join, address)
		node, err := build(c, func(cfg *Config, s peer.Store, tell told, version string) (members, error) {
			return newMembers(cfg, &twoClocks{Store: s, began: time.Now()}, tell, version)
		})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Start(l); err != nil {
			t.Fatal(err)
		}
		url = "http://" + l.Addr().String()
		poll(t, name+" is ready", node.Ready)
		nodes = append(nodes, node)
	}
	t.Cleanup(func() {
		at, cancel := context.WithCancel(context.Background())
		cancel() // nobody needs what they hold
		var wait sync.WaitGroup
		for _, n := range nodes {
			wait.Go(func() {
				if err := n.Drain(at); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("draining %s: %v", n.cfg.Name, err)
				}
			})
		}
		wait.Wait()
	})
	poll(t, "the cluster settles", func() bool {
		slots := 0
		for _, n := range nodes {
			c := n.Cluster()
			if !n.Ready() || c.Moving > 0 || len(c.Members) != len(nodes) || c.Epoch != nodes[0].Cluster().Epoch {
				return false
			}
			for _, m := range c.Members {
				if m.HTTP == "" || m.Peer == "" { // the link is there before its member's addresses are known
					return false
				}
				if m.Name == n.cfg.Name {
					slots += m.Slots
				}
			}
		}
		return slots == proto.Slots
	})
	return nodes, url
}

// What the conversations with a lone node have that is otherwise in a cluster.
const (
	loneFlush  = `"applied":1,"members":1`
	loneMember = `[{"name":"smache@test","state":"serving","slots":65536,"http":"…","peer":"","version":"test"}]`
)

// except has all answers be other than recorded.
func except(all []conversation.Exchange, text, by string) {
	for i := range all {
		all[i].Expect(text, by)
	}
}

// An answer of a node that has none of the keys is what a lone node's is, but for how many
// nodes have carried out a flush, and the list of members.
func TestConformanceOfForwarding(t *testing.T) {
	eachConversation(t, "*", func(t *testing.T, cfg *Config, all []conversation.Exchange) string {
		nodes, url := together(t, cfg, []string{"smache@test", "another"}, []uint32{DefaultWeight, 0})
		except(all, loneFlush, `"applied":2,"members":2`)
		except(all, `{"node":"smache@test","epoch":"…","members":`+loneMember,
			`{"node":"another","epoch":"…","members":[{"name":"another","state":"serving","slots":0,"http":"another:1","peer":"…","version":"test"},`+
				`{"name":"smache@test","state":"serving","slots":65536,"http":"smache@test:1","peer":"…","version":"test"}]`)
		t.Cleanup(func() {
			if n := nodes[1].store.Len(); n != 0 {
				t.Errorf("the node that was asked has %d entries itself", n)
			}
		})
		return url
	})
}
