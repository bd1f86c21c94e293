package gossip

import (
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// A node that comes back under its name and address is found under its new
// incarnation at once, although nobody has noticed that the old one is dead.
func TestRestart(t *testing.T) {
	a := start(t, "a", nil)
	b := start(t, "b", joining(a.at.String()))
	c := start(t, "c", joining(a.at.String()))
	c.sees(t, a, b)
	for range 3 {
		_ = b.Close()
		b = start(t, "b", func(cfg *Config) { cfg.Bind, cfg.Join = b.at.String(), []string{a.at.String()} })
		for _, n := range []*node{a, c} {
			n.until(t, "the new incarnation", func() bool { return n.there["b"].Incarnation == b.cfg.Incarnation })
		}
		b.sees(t, a, c)
	}
	for _, n := range []*node{a, c} {
		n.mu.Lock()
		if len(n.lost) != 0 {
			t.Errorf("%s has lost %v meanwhile", n.cfg.Name, n.lost)
		}
		n.mu.Unlock()
	}
	if len(b.refused) != 0 {
		t.Error(b.refused)
	}
}

// So is one that comes back at another address, once the old one does not answer;
// also if the clock was set back meanwhile.
func TestRestartElsewhere(t *testing.T) {
	for _, back := range []bool{false, true} {
		a := start(t, "a", nil)
		c := start(t, "c", joining(a.at.String()))
		b := start(t, "b", func(cfg *Config) { cfg.Join, cfg.Incarnation = []string{a.at.String()}, 1<<50 })
		c.sees(t, a, b)
		_ = b.Close()
		b = start(t, "b", func(cfg *Config) {
			cfg.Join = []string{a.at.String()}
			if !back {
				cfg.Incarnation = 1<<50 + 1
			}
		})
		a.sees(t, b, c)
		c.sees(t, a, b)
		b.sees(t, a, c)
		if a.roster.doubly+b.roster.doubly+c.roster.doubly != 0 {
			t.Error("a restart is taken for two live nodes")
		}
	}
}

// The second of two live nodes with one name is refused, says why, and nobody ever
// takes it for the first.
func TestSameName(t *testing.T) {
	a := start(t, "a", nil)
	b := start(t, "b", joining(a.at.String()))
	c := start(t, "c", joining(a.at.String()))
	c.sees(t, a, b)
	eventually(t, "b has its name", func() bool { return b.own().settled })
	// With an earlier clock, too, the second is the second.
	for _, incarnation := range []uint64{1, 1 << 60} {
		second := start(t, "b", func(cfg *Config) { cfg.Join, cfg.Incarnation = []string{c.at.String()}, incarnation })
		second.until(t, "its refusal", func() bool { return len(second.refused) == 1 })
		if err := second.refused[0]; !errors.Is(err, ErrNameTaken) || !strings.Contains(err.Error(), "--name") || !strings.Contains(err.Error(), b.at.String()) {
			t.Errorf("refused with %v", err)
		}
		if len(second.found) != 0 || second.roster.doubly != 1 {
			t.Errorf("it has found %v, and counts %d conflicts", second.found, second.roster.doubly)
		}
		_ = second.Close()
	}
	a.sees(t, b, c)
	b.sees(t, a, c)
	c.sees(t, a, b)
	for _, n := range []*node{a, b, c} {
		n.mu.Lock()
		for _, o := range n.found {
			if o.Name == "b" && o.Gossip != b.at {
				t.Errorf("%s has found %v", n.cfg.Name, o)
			}
		}
		if len(n.lost)+len(n.refused) != 0 {
			t.Errorf("%s has lost %v, and was refused %v", n.cfg.Name, n.lost, n.refused)
		}
		n.mu.Unlock()
	}
	// The name is free when the first has gone.
	_ = b.Close()
	b = start(t, "b", joining(a.at.String()))
	a.sees(t, b, c)
}

// Of two that are started together under one name, one is refused.
func TestSameNameTogether(t *testing.T) {
	for range 5 {
		a := start(t, "a", nil)
		list := []string{a.at.String()}
		b := []*node{start(t, "b", joining(list...)), start(t, "b", joining(list...))}
		eventually(t, "one is refused", func() bool {
			n := 0
			for _, one := range b {
				one.mu.Lock()
				n += len(one.refused)
				one.mu.Unlock()
			}
			return n == 1
		})
		stays := b[0]
		if len(stays.refused) != 0 {
			stays = b[1]
		}
		a.sees(t, stays)
		stays.sees(t, a)
	}
}

// A node that was cut off while another took its name is refused when it returns.
func TestReplaced(t *testing.T) {
	addrs := []string{ownLoopback().String(), ownLoopback().String(), ownLoopback().String()}
	var cut atomic.Bool
	begin := func(name string, i int) *node {
		return start(t, name, func(c *Config) {
			quick(c)
			c.Bind, c.Join = addrs[i], addrs
			c.cut = isolate(addrs[1], addrs[i], &cut)
		})
	}
	a := begin("a", 0)
	older := begin("b", 1)
	a.sees(t, older)
	eventually(t, "b has its name", func() bool { return older.own().settled })
	cut.Store(true)
	a.sees(t)
	newer := begin("b", 2)
	a.sees(t, newer)
	eventually(t, "the new b has its name", func() bool { return newer.own().settled })
	cut.Store(false)
	older.until(t, "its refusal", func() bool { return len(older.refused) == 1 })
	a.sees(t, newer)
	if len(newer.refused) != 0 {
		t.Error(newer.refused)
	}
}

// Two nodes never both yield, and one of them does once they know enough of each other.
func TestYields(t *testing.T) {
	for _, a := range []run{{key: "n#1"}, {key: "n#1", settled: true}} {
		for _, b := range []run{{key: "n#2"}, {key: "n#2", settled: true}} {
			// What each knows of the other may be from before it was settled.
			for _, seenA := range []run{a, {key: a.key}} {
				for _, seenB := range []run{b, {key: b.key}} {
					aGoes, bGoes := yields(a, seenB), yields(b, seenA)
					if aGoes && bGoes {
						t.Errorf("both go: %v %v %v %v", a, seenA, b, seenB)
					}
					if seenA == a && seenB == b && aGoes == bGoes {
						t.Errorf("%v goes: %t, %v goes: %t", a, aGoes, b, bGoes)
					}
				}
			}
		}
	}
}

// Runs that ended long ago leave nothing behind, here or in memberlist.
func TestReaping(t *testing.T) {
	a := start(t, "a", quick)
	for i := range 5 {
		b := start(t, "b", joining(a.at.String()))
		a.sees(t, b)
		if i%2 == 0 {
			_ = b.Leave(time.Second)
		}
		_ = b.Close()
	}
	a.sees(t)
	merged := &mergeCount{}
	observer := start(t, "observer", func(c *Config) {
		quick(c)
		faster := c.tune
		c.tune = func(m *memberlist.Config) { faster(m); m.Merge = merged }
	})
	eventually(t, "memberlist has forgotten them", func() bool {
		_, err := observer.list.Join([]string{a.at.String()})
		return err == nil && merged.last.Load() == 2
	})
	a.roster.mu.Lock()
	defer a.roster.mu.Unlock()
	if len(a.roster.claims) != 1 || len(a.roster.lost) > 5 {
		t.Errorf("%d names and %d addresses are kept", len(a.roster.claims), len(a.roster.lost))
	}
}

// mergeCount counts the nodes, dead ones included, that another one knows.
type mergeCount struct{ last atomic.Int64 }

func (m *mergeCount) NotifyMerge(nodes []*memberlist.Node) error {
	m.last.Store(int64(len(nodes)))
	return nil
}

// isolate gives what cuts one address off from the rest, for a node at own.
func isolate(victim, own string, when *atomic.Bool) func(netip.AddrPort) bool {
	return func(to netip.AddrPort) bool { return when.Load() && (own == victim) != (to.String() == victim) }
}
