package gossip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// Nodes that are started at the same moment, each with a list of all, form one
// cluster.
func TestStartedAtOnce(t *testing.T) {
	for _, count := range []int{2, 10} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			addrs, list := make([]netip.AddrPort, count), make([]string, count)
			for i := range addrs {
				addrs[i] = ownLoopback()
				list[i] = addrs[i].String()
			}
			nodes := make([]*node, count)
			var wg sync.WaitGroup
			for i := range nodes {
				wg.Go(func() {
					nodes[i] = start(t, fmt.Sprintf("smache@n%d", i), func(c *Config) { c.Bind, c.Join = list[i], list })
				})
			}
			wg.Wait()
			for i, n := range nodes {
				others := append(append([]*node(nil), nodes[:i]...), nodes[i+1:]...)
				n.sees(t, others...)
				if got := n.Members(); len(got) != count-1 {
					t.Errorf("%d members, want %d", len(got), count-1)
				}
				if n.OnlySelf() {
					t.Error("a node believes to be alone")
				}
			}
		})
	}
}

// A new node introduces itself to all members, also if no gossip ever comes by.
func TestGreeting(t *testing.T) {
	silent := func(list ...string) func(*Config) {
		return func(c *Config) {
			c.Join = list
			c.pace.greet = time.Minute // a busy machine may take long for what is new
			c.tune = func(m *memberlist.Config) {
				m.GossipInterval, m.PushPullInterval, m.ProbeInterval = 0, 0, time.Hour
			}
		}
	}
	a := start(t, "a", silent())
	b := start(t, "b", silent(a.at.String()))
	a.sees(t, b)
	c := start(t, "c", silent(a.at.String()))
	a.sees(t, b, c)
	b.sees(t, a, c)
	c.sees(t, a, b)
}

// What a node says of itself arrives, and so do changes of it.
func TestInfo(t *testing.T) {
	a := start(t, "a", nil)
	b := start(t, "b", func(c *Config) {
		c.Join = []string{a.at.String()}
		c.Self = Info{Peer: "10.0.0.2:14000", HTTP: "10.0.0.2:4000", Version: "v9"}
	})
	a.sees(t, b)
	a.until(t, "what b is", func() bool {
		return a.there["b"] == Node{Name: "b", Incarnation: b.cfg.Incarnation, Info: b.cfg.Self, Gossip: b.at}
	})
	info := Info{Peer: "10.0.0.3:14000", HTTP: "[::1]:4000"}
	if err := b.Update(1<<60, info); err != nil {
		t.Fatal(err)
	}
	a.until(t, "b's new incarnation", func() bool { return a.there["b"].Incarnation == 1<<60 && a.there["b"].Info == info })
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.found) != 2 || len(a.lost) != 0 {
		t.Errorf("found %v, lost %v", a.found, a.lost)
	}
	long := Info{Peer: strings.Repeat("p", 255), HTTP: strings.Repeat("h", 255), Version: "v"}
	if err := b.Update(1<<61, long); !errors.Is(err, ErrMeta) {
		t.Errorf("data of %d bytes: %v", len(long.Peer)+len(long.HTTP), err)
	}
	if own := b.own(); own.node.Incarnation != 1<<60 || own.node.Info != info {
		t.Errorf("a change that failed is kept: %v", own.node)
	}
}

// A node that leaves is lost at once, and knows when it is too late to leave.
func TestLeave(t *testing.T) {
	a := start(t, "a", nil)
	b := start(t, "b", joining(a.at.String()))
	a.sees(t, b)
	b.sees(t, a)
	if err := b.Leave(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	a.sees(t)
	_ = b.Close()
	_ = b.Close()
	if err := b.Leave(time.Second); !errors.Is(err, ErrClosed) {
		t.Errorf("leaving after closing: %v", err)
	}
}

// A node of another cluster, or with another secret, at an address that is known,
// is never found, and neither finds anybody; the operator can see that.
func TestStrangers(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"cluster":        func(c *Config) { c.Cluster = "other" },
		"secret":         func(c *Config) { c.Keys = [][]byte{testKey(2)} },
		"without secret": func(c *Config) { c.Keys = nil },
	} {
		t.Run(name, func(t *testing.T) {
			at := ownLoopback()
			a := start(t, "a", joining(at.String()))
			stranger := start(t, "stranger", func(c *Config) {
				c.Bind, c.Join = at.String(), []string{a.at.String()}
				change(c)
			})
			friend := start(t, "friend", joining(at.String(), a.at.String()))
			a.sees(t, friend)
			friend.sees(t, a)
			for _, n := range []*node{a, stranger, friend} {
				eventually(t, "a stranger was met", func() bool { return n.seeker.joins[outcomeStrange].Load() >= 3 })
			}
			if got := append(stranger.Members(), a.Members()[1:]...); len(got) != 0 {
				t.Errorf("clusters have merged: %v", got)
			}
		})
	}
}

// Without a secret there is a cluster, too.
func TestWithoutSecret(t *testing.T) {
	plain := func(c *Config) { c.Keys = nil }
	a := start(t, "a", plain)
	b := start(t, "b", func(c *Config) { plain(c); c.Join = []string{a.at.String()} })
	a.sees(t, b)
	b.sees(t, a)
}

// While the secret is rotated, node by node, all stay together.
func TestRotation(t *testing.T) {
	older, newer := testKey(1), testKey(2)
	with := func(keys ...[]byte) func(*Config) { return func(c *Config) { c.Keys = keys } }
	a := start(t, "a", with(older))
	join := func(name string, keys ...[]byte) *node {
		return start(t, name, func(c *Config) { with(keys...)(c); c.Join = []string{a.at.String()} })
	}
	b := join("b", older, newer)
	a.sees(t, b)
	b.sees(t, a)
	_ = a.Leave(time.Second)
	_ = a.Close()
	a = start(t, "a", func(c *Config) { with(newer, older)(c); c.Join = []string{b.at.String()} })
	a.sees(t, b)
	b.sees(t, a)
	_ = b.Leave(time.Second)
	_ = b.Close()
	b = join("b", newer)
	a.sees(t, b)
	b.sees(t, a)
}

// The sides of a cluster that was cut find each other again by themselves, and
// so does a node that was started meanwhile.
func TestCutAndHeal(t *testing.T) {
	addrs := []netip.AddrPort{ownLoopback(), ownLoopback(), ownLoopback(), ownLoopback()}
	left := map[netip.AddrPort]bool{addrs[0]: true, addrs[1]: true}
	var cut atomic.Bool
	begin := func(i int, list ...string) *node {
		return start(t, fmt.Sprintf("n%d", i), func(c *Config) {
			quick(c)
			c.Bind, c.Join = addrs[i].String(), list
			c.cut = func(to netip.AddrPort) bool { return cut.Load() && left[addrs[i]] != left[to] }
		})
	}
	n0 := begin(0)
	n1 := begin(1, addrs[0].String())
	n2 := begin(2, addrs[0].String())
	n0.sees(t, n1, n2)
	n2.sees(t, n0, n1)
	cut.Store(true)
	n0.sees(t, n1)
	n2.sees(t)
	n3 := begin(3, addrs[2].String())
	n2.sees(t, n3)
	cut.Store(false)
	for i, n := range []*node{n0, n1, n2, n3} {
		all := []*node{n0, n1, n2, n3}
		n.sees(t, append(all[:i:i], all[i+1:]...)...)
	}
}

// A cut heals even if no join list names anybody on the other side.
func TestHealWithoutList(t *testing.T) {
	at, names := []string{ownLoopback().String(), ownLoopback().String()}, &names{}
	first, second := netip.MustParseAddrPort(at[0]), netip.MustParseAddrPort(at[1])
	names.set("first.example", first.Addr())
	var cut atomic.Bool
	a := start(t, "a", func(c *Config) { quick(c); c.Bind, c.cut = at[0], isolate(at[0], at[0], &cut) })
	b := start(t, "b", func(c *Config) {
		quick(c)
		c.Bind, c.cut = at[1], isolate(at[0], at[1], &cut)
		c.Join, c.Resolver = []string{"first.example:24000"}, names
	})
	a.sees(t, b)
	b.sees(t, a)
	names.set("first.example", second.Addr())
	asked := names.count()
	eventually(t, "the list names b itself", func() bool { return names.count() > asked+1 })
	cut.Store(true)
	a.sees(t)
	b.sees(t)
	cut.Store(false)
	a.sees(t, b)
	b.sees(t, a)
}

func TestBadConfig(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, c := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"no name":        {func(c *Config) { c.Name = "" }, ErrConfig},
		"blank in name":  {func(c *Config) { c.Name = "a b" }, ErrConfig},
		"no incarnation": {func(c *Config) { c.Incarnation = 0 }, ErrConfig},
		"short key":      {func(c *Config) { c.Keys = [][]byte{make([]byte, 16)} }, ErrConfig},
		"any address":    {func(c *Config) { c.Bind = "0.0.0.0:0" }, ErrConfig},
		"no port":        {func(c *Config) { c.Advertise = "10.0.0.1" }, ErrConfig},
		"unknown name":   {func(c *Config) { c.Advertise = "nowhere.example:1" }, ErrConfig},
		"join":           {func(c *Config) { c.Join = []string{"http://example.org"} }, ErrJoin},
		"port taken":     {func(c *Config) { c.Bind = taken.Addr().String() }, ErrListen},
		"no such bind":   {func(c *Config) { c.Bind = "192.0.2.1:0" }, ErrListen},
		"long data":      {func(c *Config) { c.Self.Version = strings.Repeat("v", 256) }, ErrMeta},
	} {
		n, err := tryStart(t, "n", c.change)
		if !errors.Is(err, c.want) || n != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// What is advertised is what others dial, also if it is given as a name.
func TestAdvertise(t *testing.T) {
	names := &names{}
	at := ownLoopback()
	names.set("me.example", netip.MustParseAddr("2001:db8::1"), at.Addr())
	n := start(t, "n", func(c *Config) { c.Bind, c.Advertise, c.Resolver = "0.0.0.0:0", "me.example:0", names })
	if want := netip.AddrPortFrom(at.Addr(), n.Addr().Port()); n.Advertised() != want {
		t.Errorf("%v is advertised, not %v", n.Advertised(), want)
	}
	n = start(t, "n", func(c *Config) { c.Bind, c.Advertise = "0.0.0.0:0", "10.1.2.3:77" })
	if got := n.Advertised().String(); got != "10.1.2.3:77" {
		t.Errorf("%v is advertised", got)
	}
	// Names as long as they may be still fit what is sent.
	long := strings.Repeat("n", 255)
	a := start(t, long, nil)
	b := start(t, long[1:], func(c *Config) {
		c.Join, c.Self = []string{a.at.String()}, Info{Peer: long, HTTP: long[:maxTexts-len(long)]}
	})
	a.sees(t, b)
	b.sees(t, a)
}
