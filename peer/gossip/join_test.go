package gossip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParseJoin(t *testing.T) {
	for text, want := range map[string]struct {
		addr, host string
		port       uint16
		srv        bool
	}{
		"localhost":                {host: "localhost", port: 4000},
		"smache@localhost":         {host: "localhost", port: 4000},
		"smache_two@localhost":     {host: "localhost", port: 4000},
		"smache@10.0.0.1:4001":     {addr: "10.0.0.1", port: 4001},
		"10.0.0.1":                 {addr: "10.0.0.1", port: 4000},
		"::1":                      {addr: "::1", port: 4000},
		"[::1]":                    {addr: "::1", port: 4000},
		"[2001:db8::2]:4002":       {addr: "2001:db8::2", port: 4002},
		"::ffff:10.0.0.1":          {addr: "10.0.0.1", port: 4000},
		"uplink:45535":             {host: "uplink", port: 45535},
		"Smache_2.Example.Org.":    {host: "Smache_2.Example.Org.", port: 4000},
		"_smache._tcp.example.org": {host: "_smache._tcp.example.org", port: 4000, srv: true},
		"x@_smache._tcp.a.":        {host: "_smache._tcp.a.", port: 4000, srv: true},
	} {
		got, err := parseJoin([]string{text}, DefaultGossipPort)
		if err != nil || len(got) != 1 {
			t.Errorf("%q: %v, %d entries", text, err, len(got))
			continue
		}
		e := got[0]
		if e.addr.IsValid() && e.addr.String() != want.addr || e.addr.IsValid() != (want.addr != "") ||
			e.host != want.host || e.port != want.port || e.srv != want.srv {
			t.Errorf("%q: %+v", text, e)
		}
	}
	for _, text := range []string{
		"@", "smache@", ":4000", "host:", "host:0", "host:65536", "host:http", "host:45536", "10.0.0.1:60000",
		"http://host:4000", "host/x", "[::1", "[::1]4000", "[::1]:", "[host]:4000", "::1:2:3:4:5:6:7:8:9",
		"10.0.0.256", "4001", "0.0.0.0", "[::]:4000", "224.0.0.1", "fe80::1%eth0", "a..b", "ä.example", "*.example.org",
		"_smache._tcp.example.org:4000", "_smache", "_smache._tcp", strings.Repeat("a", 64), strings.Repeat("a.", 130) + "a",
	} {
		got, err := parseJoin([]string{"good.example", text}, DefaultGossipPort)
		if !errors.Is(err, ErrJoin) || !strings.Contains(err.Error(), "--join") || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, %d entries", text, err, len(got))
		}
	}
	got, err := parseJoin([]string{"a, b", "", "c:1 ,\td"}, DefaultGossipPort)
	if err != nil || len(got) != 4 {
		t.Errorf("a list: %v, %d entries", err, len(got))
	}
}

func TestResolve(t *testing.T) {
	addr := netip.MustParseAddr
	r := &names{
		hosts: map[string][]netip.Addr{
			"two.example": {addr("10.0.0.1"), addr("2001:db8::1")},
			"t1.example.": {addr("::ffff:10.0.0.2")},
			"odd.example": {addr("0.0.0.0"), addr("fe80::1%eth0")},
		},
		srv: map[string][]*net.SRV{
			"_smache._tcp.example": {{Target: "t1.example.", Port: 4100}, {Target: "gone.example.", Port: 1}, {Target: "t1.example.", Port: 60000}},
			"_bad._tcp.example":    {{Target: "gone.example.", Port: 1}},
		},
	}
	cfg := Config{Resolver: r, GossipPort: DefaultGossipPort}
	for text, want := range map[string]string{
		"10.1.1.1:5000":        "10.1.1.1:25000",
		"two.example":          "10.0.0.1:24000 [2001:db8::1]:24000",
		"odd.example":          "[fe80::1]:24000",
		"_smache._tcp.example": "10.0.0.2:24100",
		"gone.example":         "",
		"_bad._tcp.example":    "",
		"_none._tcp.example":   "",
	} {
		entries, err := parseJoin([]string{text}, cfg.GossipPort)
		if err != nil {
			t.Fatal(err)
		}
		found, err := entries[0].resolve(context.Background(), &cfg)
		var got []string
		for _, at := range found {
			got = append(got, at.String())
		}
		if strings.Join(got, " ") != want || (err == nil) != (want != "") {
			t.Errorf("%s: %v, %v; want %s", text, got, err, want)
		}
	}
	if _, ok := DefaultGossipPort(45536); ok {
		t.Error("a port above 65535")
	}
}

// A name is resolved for the node's whole life: whoever it comes to stand for is
// joined, whether the node was alone before or not.
func TestNamesChange(t *testing.T) {
	r := &names{}
	a := start(t, "a", func(c *Config) { c.Join, c.Resolver = []string{"smache@all.example:24000"}, r })
	eventually(t, "some failures", func() bool { return a.seeker.unresolved.Load() > 3 })
	b, c := start(t, "b", nil), start(t, "c", nil)
	r.set("all.example", b.at.Addr())
	a.sees(t, b)
	r.set("all.example", c.at.Addr(), a.at.Addr())
	a.sees(t, b, c)
	b.sees(t, a, c)
	// An answer that fails leaves the last good one.
	r.set("all.example")
	failures := a.seeker.unresolved.Load()
	eventually(t, "a failure", func() bool { return a.seeker.unresolved.Load() > failures })
	if found := a.seeker.entries[0].addresses(a.seeker); !slices.Contains(found, c.at) {
		t.Errorf("the list has become %v", found)
	}
}

func (e *entry) addresses(s *seeker) []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.found
}

func TestJoinBySRV(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	r := &names{srv: map[string][]*net.SRV{"_smache._tcp.example": {
		{Target: "a.example.", Port: a.at.Port()}, {Target: "b.example.", Port: b.at.Port()},
	}}}
	r.set("a.example.", a.at.Addr())
	r.set("b.example.", b.at.Addr())
	c := start(t, "c", func(c *Config) { c.Join, c.Resolver = []string{"_smache._tcp.example"}, r })
	for _, n := range []struct{ n, x, y *node }{{a, b, c}, {b, a, c}, {c, a, b}} {
		n.n.sees(t, n.x, n.y)
	}
}

// A node that finds only itself in the list knows at once, and one that does not
// know whether there are others does not believe it.
func TestOnlySelf(t *testing.T) {
	self, nobody := ownLoopback(), ownLoopback()
	for name, c := range map[string]struct {
		join  []string
		hosts map[string][]netip.Addr
		all   bool // it is bound to all addresses of the machine
		alone bool
	}{
		"empty list":         {alone: true},
		"own address":        {join: []string{self.String()}, alone: true},
		"own name":           {join: []string{"me:24000", "x@" + self.String()}, hosts: map[string][]netip.Addr{"me": {self.Addr()}}, alone: true},
		"localhost":          {join: []string{"localhost:24000"}, hosts: map[string][]netip.Addr{"localhost": {netip.IPv6Loopback(), self.Addr()}}, alone: true},
		"all addresses":      {hosts: map[string][]netip.Addr{"localhost": {netip.IPv6Loopback(), self.Addr()}}, all: true, alone: true},
		"another":            {join: []string{self.String(), nobody.String()}},
		"another's name":     {join: []string{"other:24000"}, hosts: map[string][]netip.Addr{"other": {nobody.Addr()}}},
		"another port":       {join: []string{"localhost:24001"}, hosts: map[string][]netip.Addr{"localhost": {netip.IPv6Loopback(), self.Addr()}}},
		"no address yet":     {join: []string{"me:24000", "later.example"}, hosts: map[string][]netip.Addr{"me": {self.Addr()}}},
		"another and itself": {join: []string{"all:24000"}, hosts: map[string][]netip.Addr{"all": {self.Addr(), netip.MustParseAddr("192.0.2.7")}}},
	} {
		t.Run(name, func(t *testing.T) {
			begin := func() (*node, error) {
				return tryStart(t, "n", func(cfg *Config) {
					cfg.Bind, cfg.Join, cfg.Resolver = self.String(), c.join, &names{hosts: c.hosts}
					if c.all {
						port := freePort(t)
						cfg.Bind, cfg.Advertise, cfg.Join = "0.0.0.0:"+port, self.Addr().String()+":0", []string{"localhost:" + port}
					}
				})
			}
			n, err := begin()
			for c.all && errors.Is(err, ErrListen) { // somebody else was faster
				n, err = begin()
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.alone {
				n.until(t, "that it is alone", func() bool { return n.onlySelf == 1 })
			}
			eventually(t, "it has its name", func() bool { return n.own().settled })
			if n.OnlySelf() != c.alone || n.onlySelf > 1 {
				t.Errorf("alone: %t, told %d times", n.OnlySelf(), n.onlySelf)
			}
			if got := n.seeker.joins[outcomeJoined].Load() + n.seeker.joins[outcomeStrange].Load(); got != 0 {
				t.Errorf("joined itself %d times", got)
			}
		})
	}
}

// freePort gives a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	_, port, err := net.SplitHostPort(free.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// The seed's walk: two nodes on localhost, at two ports, and either is told
// localhost.
func TestSeedWalk(t *testing.T) {
	at := ownLoopback()
	r := &names{}
	r.set("localhost", netip.IPv6Loopback(), at.Addr())
	begin := func(name, port string) *node {
		return start(t, name, func(c *Config) {
			c.Bind, c.Join, c.Resolver = net.JoinHostPort(at.Addr().String(), port), []string{"smache@localhost"}, r
			c.GossipPort = DefaultGossipPort
		})
	}
	first := begin("smache@localhost", "24000")
	first.until(t, "that it is alone", func() bool { return first.onlySelf == 1 })
	second := begin("smache_two@localhost", "24001")
	first.sees(t, second)
	second.sees(t, first)
	if second.OnlySelf() {
		t.Error("the second believes to be alone")
	}
}
