package main

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/cmd/smache/internal/history"
)

// A load is clients that ask all nodes of a cluster for all sorts of things, and
// write down what they are told. It ends with stop.
type load struct {
	t     *testing.T
	log   *history.Log
	base  time.Time // times in log count from it
	label string    // begins the names of values
	nodes *balancer // those that are asked
	// Quiet keys are written once, by fill, and only read afterwards: they are
	// there until the end. Busy ones come and go.
	quiet, busy []string
	timeout     time.Duration // of one request

	ended   chan struct{}
	running sync.WaitGroup
	done    atomic.Int64  // requests answered
	clients *atomic.Int64 // made so far, by this load and those like it

	mu       sync.Mutex
	failures []string // the first
	failed   int
	refused  int                      // of those that failed, all that the answer says of it is busy or unreachable
	slowest  map[string]time.Duration // by node
}

// newLoad makes a load on nodes, which writes in log; the logs of several loads may
// be one. Its keys begin with name.
func newLoad(t *testing.T, name string, nodes *balancer, quiet, busy int) *load {
	l := &load{
		t: t, log: &history.Log{}, base: time.Now(), nodes: nodes, timeout: patience,
		ended: make(chan struct{}), clients: &atomic.Int64{}, slowest: map[string]time.Duration{},
	}
	for i := range quiet {
		l.quiet = append(l.quiet, fmt.Sprintf("%s-quiet-%d", name, i))
	}
	for i := range busy {
		l.busy = append(l.busy, fmt.Sprintf("%s-busy-%d", name, i))
	}
	return l
}

// like makes a load on the same keys, with the same history, for other nodes.
func (l *load) like(nodes *balancer) *load {
	return &load{
		t: l.t, log: l.log, base: l.base, label: l.label, nodes: nodes, quiet: l.quiet, busy: l.busy, timeout: l.timeout,
		ended: make(chan struct{}), clients: l.clients, slowest: map[string]time.Duration{},
	}
}

func (l *load) now() time.Duration { return time.Since(l.base) }

// fill writes the quiet keys.
func (l *load) fill() {
	l.t.Helper()
	c := l.client()
	for from := 0; from < len(l.quiet); from += 100 {
		c.mset(l.quiet[from:min(from+100, len(l.quiet))])
	}
	c.close()
}

// run begins n clients, each of which asks at most every 20 ms.
func (l *load) run(n int) {
	for range n {
		c := l.client()
		l.running.Go(func() {
			defer c.close()
			ticker := time.NewTicker(20 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-l.ended:
					return
				case <-ticker.C:
					c.step()
				}
			}
		})
	}
}

// stop ends the clients and waits for them.
func (l *load) stop() {
	close(l.ended)
	l.running.Wait()
}

// await waits until n more requests were answered.
func (l *load) await(n int64) {
	l.t.Helper()
	from := l.done.Load()
	poll(l.t, "requests are answered", func() bool { return l.done.Load() >= from+n })
}

// refuse is fail for a request, or a part of one, that was answered with a code.
func (l *load) refuse(code, format string, args ...any) {
	if code == "busy" || code == "unreachable" {
		l.mu.Lock()
		l.refused++
		l.mu.Unlock()
	}
	l.fail(format, args...)
}

// fail notes a request that was not answered as it should be.
func (l *load) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed++
	if len(l.failures) < 20 {
		l.failures = append(l.failures, fmt.Sprintf("%.1f ms: ", float64(l.now())/1e6)+fmt.Sprintf(format, args...))
	}
}

// mustNotFail says that every request was answered, which planned changes allow.
func (l *load) mustNotFail() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed > 0 {
		l.t.Errorf("%d requests failed, of %d:\n%s", l.failed, l.done.Load(), strings.Join(l.failures, "\n"))
	}
}

// mustOnlyRefuse says that what could not be done was refused as docs/CLUSTER.md says, and
// that all else was answered.
func (l *load) mustOnlyRefuse() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Logf("%d operations were refused, of %d requests", l.refused, l.done.Load())
	if l.failed > l.refused {
		l.t.Errorf("%d requests failed, and %d were refused:\n%s", l.failed, l.refused, strings.Join(l.failures, "\n"))
	}
}

// check holds what was told against the promises.
func (l *load) check(faults ...history.Fault) {
	l.t.Helper()
	ops := l.log.Ops()
	found := history.Check(ops, faults)
	counts := map[string]int{}
	for i := range ops {
		counts[ops[i].Kind.String()+" "+ops[i].Outcome.String()]++
	}
	l.mu.Lock()
	l.t.Logf("%d operations on keys: %v; %d requests failed; slowest by node: %v", len(ops), counts, l.failed, l.slowest)
	l.mu.Unlock()
	report(l.t, found)
}

// report shows what is broken, of each rule the first.
func report(t *testing.T, found []history.Violation) {
	t.Helper()
	rules := map[string]int{}
	for i := range found {
		if rules[found[i].Rule]++; rules[found[i].Rule] <= 3 {
			t.Error(found[i].String())
		}
	}
	if len(found) > 0 {
		t.Errorf("broken: %v", rules)
	}
}
