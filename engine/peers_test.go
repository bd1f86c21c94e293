package engine

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smache/smache/peer"
	"github.com/smache/smache/proto"
)

// fakeMembers is a cluster that a test plays.
type fakeMembers struct {
	mu    sync.Mutex
	calls []string
	ready bool
	// startErr is what Start answers; leave, if set, is Leave.
	startErr error
	leave    func(context.Context) error
	onClose  func()
	view     peer.View
	ask      func(last int) []peer.PeerStats
}

// note records a call.
func (f *fakeMembers) note(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
}

// order gives the calls so far.
func (f *fakeMembers) order() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, " ")
}

func (f *fakeMembers) setReady(ready bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = ready
}

func (f *fakeMembers) Ready() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ready
}

func (f *fakeMembers) Start() error { f.note("start"); return f.startErr }

func (f *fakeMembers) Submit(op *proto.Op) bool {
	op.Status = proto.StatusBusy
	return true
}

func (f *fakeMembers) Flush() (applied, members int, err error) { return 2, 3, nil }

func (f *fakeMembers) Leave(ctx context.Context) error {
	f.note("leave")
	if f.leave == nil {
		return nil
	}
	return f.leave(ctx)
}

func (f *fakeMembers) Close() error {
	f.note("close")
	if f.onClose != nil {
		f.onClose()
	}
	return nil
}

func (f *fakeMembers) View() peer.View { return f.view }

func (f *fakeMembers) Load() (forwarded uint64, moving int) { return 0, f.view.Moving }

func (f *fakeMembers) AskStats(last int, _ time.Duration) []peer.PeerStats {
	if f.ask == nil {
		return nil
	}
	return f.ask(last)
}

func (f *fakeMembers) AppendMetrics(dst []byte) []byte {
	return appendSingle(dst, "smache_fake", "gauge", "A metric of the cluster.", 1)
}

// keep puts an entry into a node's store, which need not hold its slot.
func keep(t *testing.T, node *Node, key string) {
	t.Helper()
	canonical, err := proto.AppendKey(nil, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	entry := proto.Entry{Key: canonical, Value: []byte(`{}`), Meta: proto.Meta{
		ETag: 1, Version: proto.Version{Term: 1, Clock: 1}, Remaining: proto.Forever,
	}}
	if status := node.store.Merge(proto.SlotOf(canonical), &entry); status != proto.StatusOK {
		t.Fatalf("the entry is not taken: %v", status)
	}
}

// clustered is a configuration of a node that is one of several.
func clustered(name string) Config {
	cfg := small(name)
	cfg.Memory = 160 << 20
	cfg.Cluster = &ClusterConfig{PeerListen: "127.0.0.1:0", GossipListen: "127.0.0.1:0", Weight: DefaultWeight}
	return cfg
}

// buildFake builds a node with a fake cluster, not started.
func buildFake(t *testing.T, fake *fakeMembers, change func(*Config)) *Node {
	t.Helper()
	cfg := clustered("b")
	if change != nil {
		change(&cfg)
	}
	node, err := build(cfg, func(*Config, peer.Store, told, string) (members, error) { return fake, nil })
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// startFake starts a node and gives its listener's address.
func startFake(t *testing.T, node *Node) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(listener); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

// TestJoining: before the node has joined it lives, is not ready, and says so;
// requests go to the cluster, and what that cannot answer is 503.
func TestJoining(t *testing.T) {
	fake := &fakeMembers{view: peer.View{
		Epoch: 0xabc, Moving: 7,
		Members: []peer.ViewMember{
			{Name: "c", State: memberServing, Slots: 65000, HTTP: "10.0.0.3:4000", Peer: "10.0.0.3:14000", Version: "v2"},
			{Name: "a", State: memberSilent, HTTP: "10.0.0.1:4000"},
			{Name: "b", State: memberJoining, Slots: 536, HTTP: "10.0.0.2:4000", Peer: "10.0.0.2:14000", Version: "v1"},
		},
	}}
	node := buildFake(t, fake, nil)
	if fake.order() != "" {
		t.Errorf("before Start the cluster saw %s", fake.order())
	}
	url := "http://" + startFake(t, node)
	for path, want := range map[string]int{"/livez": 200, "/healthcheck": 200, "/readyz": 503, "/cluster": 200, "/api?key=k": 503} {
		if status, answer := ask(t, "GET", url+path, ""); status != want {
			t.Errorf("%s answers %d %s, want %d", path, status, answer, want)
		}
	}
	if _, answer := ask(t, "GET", url+"/api?key=k", ""); !strings.Contains(answer, `"busy"`) {
		t.Errorf("a read is answered %s", answer)
	}
	const want = `{"node":"b","epoch":"0000000000000abc","members":[` +
		`{"name":"b","state":"joining","slots":536,"http":"10.0.0.2:4000","peer":"10.0.0.2:14000","version":"v1"},` +
		`{"name":"c","state":"serving","slots":65000,"http":"10.0.0.3:4000","peer":"10.0.0.3:14000","version":"v2"}],"moving":7}`
	if _, answer := ask(t, "GET", url+"/cluster", ""); answer != want {
		t.Errorf("/cluster answers %s, want %s", answer, want)
	}
	if _, answer := ask(t, "POST", url+"/api/flush", `{}`); answer != `{"flushed":true,"applied":2,"members":3}` {
		t.Errorf("flush answers %s", answer)
	}
	fake.setReady(true)
	if status, _ := ask(t, "GET", url+"/readyz", ""); status != 200 {
		t.Errorf("once it has joined /readyz answers %d", status)
	}
	if _, text := ask(t, "GET", url+"/metrics", ""); !strings.Contains(text, "\nsmache_fake 1\n") || !strings.Contains(text, "\nsmache_ready 1\n") {
		t.Error("the metrics lack the cluster's, or say that the node is not ready")
	}
	if err := node.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDrainOrder: a node hands over while it serves, then stops listening, and
// only then closes the cluster and the store.
func TestDrainOrder(t *testing.T) {
	fake := &fakeMembers{ready: true, view: peer.View{Members: []peer.ViewMember{{Name: "b", State: memberServing}}}}
	node := buildFake(t, fake, nil)
	address := startFake(t, node)
	url := "http://" + address
	fake.leave = func(context.Context) error {
		for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/api?key=k": 503} {
			if status, answer := ask(t, "GET", url+path, ""); status != want {
				t.Errorf("while it leaves, %s answers %d %s", path, status, answer)
			}
		}
		if state := node.Cluster().Members[0].State; state != memberLeaving {
			t.Errorf("while it leaves its state is %s", state)
		}
		return nil
	}
	keep(t, node, "k")
	fake.onClose = func() {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			t.Error("the API still listens when the cluster is closed")
		}
		if node.Len() != 1 {
			t.Error("the store is closed before the cluster")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := node.Drain(ctx); err != nil {
		t.Error(err)
	}
	if got := fake.order(); got != "start leave close" {
		t.Errorf("the cluster saw %s", got)
	}
	if node.Len() != 0 {
		t.Error("the store is open after the drain")
	}
}

// TestLeaveCutShort: the hand-over ends early enough for the requests under way,
// and the failure is the drain's.
func TestLeaveCutShort(t *testing.T) {
	fake := &fakeMembers{ready: true}
	node := buildFake(t, fake, nil)
	address := startFake(t, node)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	whole, _ := ctx.Deadline()
	fake.leave = func(part context.Context) error {
		if deadline, ok := part.Deadline(); !ok || whole.Sub(deadline) < leaveReserve-time.Second {
			t.Errorf("the hand-over has until %v of %v", deadline, whole)
		}
		return context.DeadlineExceeded
	}
	if err := node.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v", err)
	}
	if got := fake.order(); got != "start leave close" {
		t.Errorf("the cluster saw %s", got)
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Error("the node still listens")
	}
}

// TestStartFails: a cluster that cannot start leaves nothing open.
func TestStartFails(t *testing.T) {
	fake := &fakeMembers{startErr: errors.New("the gossip port is taken")}
	node := buildFake(t, fake, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(listener); !errors.Is(err, fake.startErr) {
		t.Errorf("Start: %v", err)
	}
	if node.Ready() {
		t.Error("the node is ready")
	}
	if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("the listener is open")
	}
	if err := node.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if got := fake.order(); got != "start close" {
		t.Errorf("the cluster saw %s", got)
	}
}

// TestNewClusterFails: what cannot be built is not left behind.
func TestNewClusterFails(t *testing.T) {
	wrong := errors.New("no such thing")
	_, err := build(clustered("n"), func(*Config, peer.Store, told, string) (members, error) { return nil, wrong })
	if !errors.Is(err, wrong) {
		t.Errorf("build: %v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	cfg := clustered("n")
	cfg.Cluster.PeerListen = taken.Addr().String()
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "--peer-listen") {
		t.Errorf("on a taken port: %v", err)
	}
}

// TestClosedByDefault is P7: without a secret, nobody but this machine gets to the
// peer ports unless a flag says that this is meant.
func TestClosedByDefault(t *testing.T) {
	secret := [][]byte{[]byte("0123456789abcdef")}
	const inside, outside = "127.0.0.1:14000", "0.0.0.0:14000"
	for _, c := range []struct {
		about   string
		cluster ClusterConfig
		want    error
		flag    string
	}{
		{"loopback", ClusterConfig{PeerListen: inside, GossipListen: inside}, nil, ""},
		{"loopback, IPv6", ClusterConfig{PeerListen: "[::1]:0", GossipListen: "localhost:1"}, nil, ""},
		{"a secret", ClusterConfig{PeerListen: outside, GossipListen: outside, Secrets: secret}, nil, ""},
		{"insecure", ClusterConfig{PeerListen: outside, GossipListen: outside, Insecure: true}, nil, ""},
		{"open peers", ClusterConfig{PeerListen: outside, GossipListen: inside}, ErrInsecure, "--peer-listen"},
		{"open gossip", ClusterConfig{PeerListen: inside, GossipListen: ":24000"}, ErrInsecure, "--gossip-listen"},
		{"a network's address", ClusterConfig{PeerListen: "10.0.0.1:1", GossipListen: inside}, ErrInsecure, "--secret-file"},
		{"all IPv6 addresses", ClusterConfig{PeerListen: "[::]:1", GossipListen: inside}, ErrInsecure, "--insecure-cluster"},
		{"a name", ClusterConfig{PeerListen: "cache.example:1", GossipListen: inside}, ErrInsecure, "smache secret"},
		{"both", ClusterConfig{PeerListen: inside, GossipListen: inside, Secrets: secret, Insecure: true}, ErrCluster, "--insecure-cluster"},
		{"no port", ClusterConfig{PeerListen: "127.0.0.1", GossipListen: inside}, ErrCluster, "--peer-listen"},
		{"a wrong name", ClusterConfig{Name: "my cluster", PeerListen: inside, GossipListen: inside}, ErrCluster, "--cluster"},
	} {
		err := c.cluster.check()
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.flag) {
			t.Errorf("%s: %v, want %v naming %s", c.about, err, c.want, c.flag)
		}
	}
	cfg := clustered("n")
	cfg.Cluster.PeerListen = outside
	if _, err := New(cfg); !errors.Is(err, ErrInsecure) {
		t.Errorf("New: %v", err)
	}
}
