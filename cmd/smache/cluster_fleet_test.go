package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/smache/smache/cmd/smache/internal/history"
	"github.com/smache/smache/peer/place"
	"github.com/smache/smache/proto"
)

// A fleet is the nodes of a cluster under test, each a process on this machine. A
// node has a place in it; one that is started again there has the same name and
// ports.
type fleet struct {
	t     *testing.T
	ports []string
	nodes []*process // by place; nil: never started
	up    []bool
	lb    balancer // the nodes that clients ask
	args  []string // for every node
	ended []*ending

	described sync.Once
}

// newFleet has places for n nodes. When the test fails, what they know is shown.
func newFleet(t *testing.T, n int, args ...string) *fleet {
	return &fleet{t: t, ports: clusterPorts(t, n), nodes: make([]*process, n), up: make([]bool, n), args: args}
}

// name is that of the node at a place.
func (f *fleet) name(place int) string { return "n" + f.ports[place] }

// launch starts the node at a place, and does not wait for it. Each joins all
// others, but for the first one, which begins alone.
func (f *fleet) launch(place int, args ...string) {
	f.t.Helper()
	join := []string{"127.0.0.1:" + f.ports[place]}
	for i, up := range f.up {
		if up && i != place {
			join = append(join, "127.0.0.1:"+f.ports[i])
		}
	}
	args = append(append([]string{"--join", strings.Join(join, ",")}, f.args...), args...)
	f.nodes[place] = serveOn(f.t, f.ports[place], aSecret, args...)
	f.up[place] = true
	f.describeAtEnd()
}

// describeAtEnd shows what the nodes know if the test fails. It is called after a
// node was started, so that it shows it before the node is killed.
func (f *fleet) describeAtEnd() {
	f.t.Cleanup(func() {
		if f.t.Failed() {
			f.described.Do(f.describe)
		}
	})
}

// ready waits until the node at a place is, and sends clients to it.
func (f *fleet) ready(place int) {
	f.t.Helper()
	p := f.nodes[place]
	poll(f.t, f.name(place)+" is ready", func() bool { status, _ := p.get("/readyz"); return status == http.StatusOK })
	f.lb.add(p.address)
}

// begin starts nodes, all at once: one after the other they would hand most slots over
// several times, which takes long and is the subject of other tests.
func (f *fleet) begin(places ...int) {
	f.t.Helper()
	for _, place := range places {
		f.launch(place)
	}
	for _, place := range places {
		f.ready(place)
	}
}

// kill ends a node by SIGKILL.
func (f *fleet) kill(place int) {
	f.t.Helper()
	p := f.nodes[place]
	if !slices.ContainsFunc(f.ended, func(e *ending) bool { return e.of == p }) {
		f.ended = append(f.ended, &ending{of: p, evicted: p.evicted()})
	}
	p.signal(syscall.SIGKILL)
	p.exit()
	f.lb.remove(p.address)
	f.up[place] = false
}

// live gives the nodes that are running.
func (f *fleet) live() (nodes []*process) {
	for i, p := range f.nodes {
		if f.up[i] {
			nodes = append(nodes, p)
		}
	}
	return nodes
}

// settle waits until the nodes agree, and nothing moves.
func (f *fleet) settle() time.Duration {
	f.t.Helper()
	begin := time.Now()
	poll(f.t, "the cluster settles", func() bool { return settled(f.live()...) })
	return time.Since(begin)
}

// An ending is what a node that was told to end has said last of what it has evicted.
type ending struct {
	of      *process
	evicted float64
	known   chan struct{} // closed when it can say no more; nil: it said that before
}

// term tells a node to leave, and has it say until its end what it evicts.
func (f *fleet) term(place int) {
	f.t.Helper()
	p := f.nodes[place]
	e := &ending{of: p, evicted: p.evicted(), known: make(chan struct{})}
	f.ended = append(f.ended, e)
	p.signal(syscall.SIGTERM)
	go func() {
		defer close(e.known)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
		for {
			select {
			case <-p.exited:
				return
			case <-ticker.C:
			}
			if response, err := client.Get("http://" + p.address + "/metrics"); err == nil {
				text, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if evicted, ok := evictedOf(string(text)); err == nil && ok {
					e.evicted = evicted
				}
			}
		}
	}()
}

// evictedOf gives how many entries a node has dropped, or not taken in, for want of
// memory.
func evictedOf(metrics string) (entries float64, ok bool) {
	set := parseMetrics(metrics)
	for _, name := range []string{"smache_evictions_total", "smache_merge_age_total", "smache_move_failed_entries_total"} {
		n, ok := set.sum(name, "")
		if !ok {
			return 0, false
		}
		entries += n
	}
	return entries, true
}

func (p *process) evicted() float64 {
	p.t.Helper()
	_, text := p.get("/metrics")
	entries, ok := evictedOf(text)
	if !ok {
		p.t.Fatalf("%s does not say what it has evicted: %s", p.address, text)
	}
	return entries
}

// mustNotEvict says that no node had to drop entries for want of memory, those that
// have ended included.
func (f *fleet) mustNotEvict() {
	f.t.Helper()
	for i, p := range f.nodes {
		if f.up[i] {
			if evicted := p.evicted(); evicted != 0 {
				f.t.Errorf("%s has evicted %v entries", f.name(i), evicted)
			}
		}
	}
	for _, e := range f.ended {
		if e.known != nil {
			<-e.known
		}
		if e.evicted != 0 {
			f.t.Errorf("the node at %s had evicted %v entries when it ended", e.of.address, e.evicted)
		}
	}
}

// claimed gives how many slots the nodes that are up have claimed, which is what the
// alert SmacheNodesFlap goes by.
func (f *fleet) claimed() (slots float64) {
	f.t.Helper()
	for i, p := range f.nodes {
		if f.up[i] {
			slots += p.metric("smache_slots_claimed_total")
		}
	}
	return slots
}

// terms gives how many each node has left: fewer when a slot changes hands, or a node is
// counted dead.
func (f *fleet) terms() (left []float64) {
	f.t.Helper()
	for _, p := range f.live() {
		left = append(left, p.metric("smache_slots_terms_left"))
	}
	return left
}

// metric asks a node for a metric.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	_, text := p.get("/metrics")
	v, ok := parseMetrics(text).sum(name, "")
	if !ok {
		p.t.Fatalf("there is no metric %s", name)
	}
	return v
}

// audit reads all keys of a load through every node. All must be answered; but nodes that
// do not wait long for each other may refuse while one gets no processor, and are asked again.
func (f *fleet) audit(l *load) {
	f.t.Helper()
	keys := slices.Concat(l.quiet, l.busy)
	wait := slices.Contains(f.args, "--peer-wait")
	for _, p := range f.live() {
		var one balancer
		one.add(p.address)
		for from := 0; from < len(keys); from += 200 {
			for tries := 0; ; tries++ {
				asking := l.like(&one)
				asking.timeout = patience // all run
				c := asking.client()
				c.mget(keys[from:min(from+200, len(keys))])
				c.close()
				if wait || asking.failed == 0 || asking.failed > asking.refused || tries == 20 {
					asking.mustNotFail()
					break
				}
			}
		}
	}
}

// heldBy says which keys a node may hold in a cluster that it is a member of, where all
// have the usual weight.
func heldBy(node string, members ...string) func(key string) bool {
	var list []place.Member
	for _, name := range members {
		list = append(list, place.Member{Name: name, Weight: 100})
	}
	return ownedBy(node, list...)
}

// ownedBy says which keys a node ought to hold in a cluster that it is a member of.
func ownedBy(node string, members ...place.Member) func(key string) bool {
	table := place.New(members)
	return func(key string) bool {
		canonical, err := proto.AppendKey(nil, []byte(key))
		if err != nil {
			panic(err)
		}
		owner := table.Owner(proto.SlotOf(canonical))
		return table.Members()[owner].Name == node
	}
}

// fault is the failure of the node at a place, at this moment, in a cluster with all
// that run.
func (f *fleet) fault(l *load, place int) history.Fault {
	members := []string{f.name(place)}
	for i, up := range f.up {
		if i != place && up {
			members = append(members, f.name(i))
		}
	}
	return history.Fault{At: l.now(), Held: heldBy(f.name(place), members...)}
}

// describe shows what the nodes know and what they have logged last.
func (f *fleet) describe() {
	const last = 30
	for i, p := range f.nodes {
		if p == nil {
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s at %s, up: %t\n", f.name(i), p.address, f.up[i])
		client := http.Client{Timeout: 2 * time.Second}
		for _, path := range []string{"/cluster", "/metrics"} {
			response, err := client.Get("http://" + p.address + path)
			if err != nil {
				fmt.Fprintf(&b, "  %s: %v\n", path, err)
				break
			}
			var text strings.Builder
			_ = response.Write(&text)
			for line := range strings.Lines(text.String()) {
				if path == "/cluster" && line[0] == '{' || strings.HasPrefix(line, "smache_slots") || strings.HasPrefix(line, "smache_move") ||
					strings.HasPrefix(line, "smache_cluster") || strings.HasPrefix(line, "smache_evictions") {
					fmt.Fprintf(&b, "  %s", line)
				}
			}
		}
		lines := p.lines()
		for _, line := range lines[max(0, len(lines)-last):] {
			if text, err := json.Marshal(line); err == nil {
				fmt.Fprintf(&b, "  %.600s\n", text)
			}
		}
		f.t.Log(b.String())
	}
}
