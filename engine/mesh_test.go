//go:build !race

// Several state machines of 65,536 slots each on the same two cores: under the race
// detector they are too slow to keep their leases. .ci/run runs them without.

package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smache/smache/engine/store"
	"github.com/smache/smache/peer"
	"github.com/smache/smache/proto"
)

// A mesh is a cluster in this process: real stores, links and gossip over loopback,
// without the API.
type mesh struct {
	t     *testing.T
	mu    sync.Mutex
	nodes []*meshNode

	cleaning sync.Once
}

type meshNode struct {
	*peer.Cluster
	store *store.Store
	name  string
	join  string // what others give for --join
}

// skewed is a clock whose wall is off.
type skewed struct {
	store.Clock
	by time.Duration
}

func (c skewed) Wall() int64 { return c.Clock.Wall() + c.by.Microseconds() }

// start adds a node, which joins the first.
func (m *mesh) start(name string, weight uint32, skew time.Duration) *meshNode {
	m.t.Helper()
	gossip, join := ownAddresses()
	m.mu.Lock()
	var others []string
	if len(m.nodes) > 0 {
		others = []string{m.nodes[0].join}
	}
	m.mu.Unlock()
	return m.startAt(name, weight, skew, gossip, join, others)
}

// startAt adds a node with addresses from ownAddresses, which joins others.
func (m *mesh) startAt(name string, weight uint32, skew time.Duration, gossip, join string, others []string) *meshNode {
	t := m.t
	t.Helper()
	s, err := store.New(store.Config{
		ArenaBytes: 32 << 20, MaxEntries: 200_000, Writers: 1, Node: name, Cluster: true,
		Clock: skewed{store.SystemClock(), skew},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	level := slog.LevelError
	if os.Getenv("VERBOSE") != "" {
		level = slog.LevelDebug
	}
	c, err := peer.NewCluster(peer.ClusterConfig{
		Name: name, Cluster: "mesh", Secrets: [][]byte{[]byte("a secret of some length")}, Weight: weight,
		Peer: l, Advertise: l.Addr().String(), Gossip: gossip, Join: others, Store: s,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("node", name),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	n := &meshNode{Cluster: c, store: s, name: name, join: join}
	m.mu.Lock()
	m.nodes = append(m.nodes, n)
	m.mu.Unlock()
	m.cleaning.Do(func() { t.Cleanup(m.crashAll) }) // for all: a node that has gone is to be forgotten
	return n
}

// startMesh starts a first node, and then n-1 others at the same moment.
func startMesh(t *testing.T, n int) *mesh {
	t.Helper()
	m := &mesh{t: t}
	first := m.start("n00", 100, 0)
	await(t, "the first node serves", first.Ready)
	for i := 1; i < n; i++ {
		m.start(fmt.Sprintf("n%02d", i), 100, 0)
	}
	m.settle()
	return m
}

// crash ends a node without a word, as far as its entries go.
func (m *mesh) crash(n *meshNode) {
	m.remove(n)
	_ = n.Close()
	_ = n.store.Close()
}

func (m *mesh) crashAll() {
	var wait sync.WaitGroup // at once: those that stay longer would take over from the others
	for _, n := range slices.Clone(m.nodes) {
		wait.Go(func() { m.crash(n) })
	}
	wait.Wait()
}

func (m *mesh) remove(n *meshNode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, o := range m.nodes {
		if o == n {
			m.nodes = slices.Delete(m.nodes, i, i+1)
			return
		}
	}
}

// leave makes a node hand over what it has, and go.
func (m *mesh) leave(n *meshNode) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.Leave(ctx); err != nil {
		m.t.Errorf("%s leaves: %v", n.name, err)
	}
	m.crash(n)
}

// settle waits until all nodes see the same members, and every slot is where it
// belongs.
func (m *mesh) settle() {
	m.t.Helper()
	defer func() {
		if m.t.Failed() {
			for _, n := range m.nodes {
				m.t.Logf("%s: %+v", n.name, n.View())
				for line := range strings.Lines(string(n.AppendMetrics(nil))) {
					if strings.HasPrefix(line, "smache_slots") || strings.HasPrefix(line, "smache_cluster") || strings.HasPrefix(line, "smache_move") {
						m.t.Log(strings.TrimSpace(line))
					}
				}
			}
		}
	}()
	await(m.t, "the cluster settles", func() bool {
		slots := 0
		m.mu.Lock()
		defer m.mu.Unlock()
		epoch := m.nodes[0].View().Epoch
		for _, n := range m.nodes {
			v := n.View()
			if !n.Ready() || v.Moving > 0 || v.Epoch != epoch || len(v.Members) != len(m.nodes) {
				return false
			}
			for _, o := range v.Members {
				if o.Name == n.name {
					slots += o.Slots
				}
			}
		}
		return slots == proto.Slots
	})
}

// await waits until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(2 * time.Minute); !ok(); <-ticker.C {
		if time.Now().After(end) {
			t.Fatalf("it did not come to that %s", what)
		}
	}
}

// do carries out an operation through a node.
func (n *meshNode) do(code proto.Opcode, key, value string) *proto.Op {
	op := &proto.Op{Code: code, Key: []byte("s" + key), Value: []byte(value), TTL: proto.Forever}
	op.Slot = proto.SlotOf(op.Key)
	done := make(chan struct{})
	op.Done = func(*proto.Op) { close(done) }
	if !n.Submit(op) {
		<-done
	}
	return op
}

// fill writes keys through all nodes in turn.
func (m *mesh) fill(keys int, value string) {
	m.t.Helper()
	for i := range keys {
		if op := m.nodes[i%len(m.nodes)].do(proto.OpSet, fmt.Sprint("k", i), value); op.Status != proto.StatusOK {
			m.t.Fatalf("key %d is not written: %v", i, op.Status)
		}
	}
}

// count reads keys through all nodes in turn, and says how many give the value,
// nothing, and something else or an error.
func (m *mesh) count(keys int, value string) (right, missing, wrong int) {
	for i := range keys {
		op := m.nodes[i%len(m.nodes)].do(proto.OpGet, fmt.Sprint("k", i), "")
		switch {
		case op.Status == proto.StatusOK && string(op.Out) == value:
			right++
		case op.Status == proto.StatusMiss:
			missing++
		default:
			wrong++
		}
	}
	return right, missing, wrong
}

// metric gives the sum of a metric over the nodes.
func (m *mesh) metric(name string) (sum float64) {
	for _, n := range m.nodes {
		sum += n.metric(name)
	}
	return sum
}

// metric gives a metric; below zero, if there is none.
func (n *meshNode) metric(name string) float64 {
	for line := range strings.Lines(string(n.AppendMetrics(nil))) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			if v, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				return v
			}
		}
	}
	return -1
}
