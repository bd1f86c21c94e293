package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// ownLoopback gives a loopback address that no other test uses.
func ownLoopback() netip.AddrPort {
	n := loopbacks.Add(1)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(n >> 16), byte(n >> 8), byte(n)}), 24000)
}

// loopbacks begins anywhere, so that test processes do not meet.
var loopbacks = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(1<<16 + rand.Uint32N(200<<16))
	return &n
}()

var incarnations atomic.Uint64

// ample is more time than anything takes that is to happen in a test, however busy the
// machine is.
const ample = 2 * time.Minute

func testKey(fill byte) []byte { return bytes.Repeat([]byte{fill}, keyLen) }

// names is a Resolver. What is not in it does not exist.
type names struct {
	mu    sync.Mutex
	hosts map[string][]netip.Addr
	srv   map[string][]*net.SRV
	asked int
}

var errNoSuchName = errors.New("no such name")

func (r *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if all := r.hosts[host]; len(all) > 0 {
		return slices.Clone(all), nil
	}
	return nil, errNoSuchName
}

func (r *names) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if all := r.srv[name]; len(all) > 0 {
		return name, all, nil
	}
	return "", nil, errNoSuchName
}

func (r *names) set(host string, all ...netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hosts == nil {
		r.hosts = map[string][]netip.Addr{}
	}
	r.hosts[host] = all
}

func (r *names) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// node is a Gossip with a record of what it reported.
type node struct {
	*Gossip
	at netip.AddrPort

	mu       sync.Mutex
	there    map[string]Node
	found    []Node
	lost     []Node
	onlySelf int
	refused  []error
	changed  chan struct{} // closed at the next report
}

func (n *node) note(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.changed)
	n.changed = make(chan struct{})
}

// until waits for reports until ok, which is called under n.mu.
func (n *node) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(ample)
	for {
		n.mu.Lock()
		done, changed := ok(), n.changed
		n.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			n.mu.Lock()
			defer n.mu.Unlock()
			t.Fatalf("%s never saw: %s; found %v, lost %v, refused %v", n.cfg.Name, what, n.found, n.lost, n.refused)
		}
	}
}

// sees waits until n counts exactly these nodes as there, besides itself.
func (n *node) sees(t testing.TB, others ...*node) {
	t.Helper()
	n.until(t, fmt.Sprintf("%d others", len(others)), func() bool {
		for _, o := range others {
			if n.there[o.cfg.Name].Gossip != o.at {
				return false
			}
		}
		return len(n.there) == len(others)
	})
}

// start makes a node at an address of its own, fast, with a key; change alters its
// configuration. It is closed when the test ends.
func start(t testing.TB, name string, change func(*Config)) *node {
	t.Helper()
	n, err := tryStart(t, name, change)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func tryStart(t testing.TB, name string, change func(*Config)) (*node, error) {
	n := &node{there: map[string]Node{}, changed: make(chan struct{})}
	cfg := Config{
		Name: name, Incarnation: incarnations.Add(1), Cluster: "test", Keys: [][]byte{testKey(1)},
		Self:       Info{Peer: "127.0.0.1:14000", HTTP: "127.0.0.1:4000", Version: "1.2.3"},
		Bind:       ownLoopback().String(),
		Resolver:   &names{},
		GossipPort: func(http uint16) (uint16, bool) { return http, http != 0 },
		Logger:     logTo(t).With("node", name),
		Found: func(o Node) {
			n.note(func() { n.found = append(n.found, o); n.there[o.Name] = o })
		},
		Lost:     func(o Node) { n.note(func() { n.lost = append(n.lost, o); delete(n.there, o.Name) }) },
		OnlySelf: func() { n.note(func() { n.onlySelf++ }) },
		Refused:  func(err error) { n.note(func() { n.refused = append(n.refused, err) }) },
		pace: pace{
			first: 20 * time.Millisecond, alone: 100 * time.Millisecond, joined: 200 * time.Millisecond,
			patient: 200 * time.Millisecond, settle: 500 * time.Millisecond, recheck: 200 * time.Millisecond,
		},
		tune: func(c *memberlist.Config) {
			patient := memberlist.DefaultLANConfig()
			c.ProbeInterval, c.ProbeTimeout, c.SuspicionMult = patient.ProbeInterval, patient.ProbeTimeout, patient.SuspicionMult
			c.GossipInterval, c.PushPullInterval = 20*time.Millisecond, time.Second
		},
	}
	if change != nil {
		change(&cfg)
	}
	g, err := Start(cfg)
	if err != nil {
		return nil, err
	}
	n.Gossip, n.at = g, g.Advertised()
	t.Cleanup(func() { _ = g.Close() })
	return n, nil
}

// quick makes memberlist notice within a second that a node is dead, and forget it
// within two. On a busy machine it also counts live ones dead, for a while.
func quick(c *Config) {
	patient := c.tune
	c.tune = func(m *memberlist.Config) {
		patient(m)
		m.ProbeInterval, m.ProbeTimeout, m.SuspicionMult = 200*time.Millisecond, 100*time.Millisecond, 2
		m.GossipToTheDeadTime, m.AwarenessMaxMultiplier = time.Second, 2
	}
}

// joining makes a node's join list.
func joining(entries ...string) func(*Config) {
	return func(c *Config) { c.Join = entries }
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

// testLog shows nodes' logs with the test, if it fails or is verbose.
type testLog struct {
	mu sync.Mutex
	t  testing.TB // nil when the test has ended
}

func logTo(t testing.TB) *slog.Logger {
	l := &testLog{t: t}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.t = nil
	})
	return slog.New(slog.NewTextHandler(l, nil))
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Logf("%s", bytes.TrimRight(b, "\n"))
	}
	return len(b), nil
}
