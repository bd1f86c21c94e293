package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/cmd/smache/internal/history"
)

// A lab is a fleet whose nodes have a network namespace each. What they say to each
// other passes through a namespace with two bridges: a node plugged into the other
// one is cut off, and nobody tells it so. Clients reach them by another network.
type lab struct {
	fleet
	id     string // begins the names of all that is made
	subnet int    // 198.18.subnet.0 is the nodes' network, subnet+1 the clients'
}

// labs counts those that were made.
var labs atomic.Int64

// newLab makes a lab for n nodes, which are given the arguments. It returns nil where
// that is not possible, which is a failure where CI runs the tests.
func newLab(t *testing.T, n int, args ...string) *lab {
	number := int(labs.Add(1))
	id := fmt.Sprintf("sm%d-%d", os.Getpid()%100_000, number)
	l := &lab{fleet: fleet{t: t, ports: make([]string, n), nodes: make([]*process, n), up: make([]bool, n), args: args}, id: id, subnet: (os.Getpid() + number) % 127 * 2}
	for place := range l.ports {
		l.ports[place] = fmt.Sprintf("-%d", place)
	}
	try := func(args ...string) error {
		output, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, output)
		}
		return nil
	}
	if err := try("netns", "add", id+"sw"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must be able to make network namespaces, as root with iproute2: %v", err)
		}
		t.Logf("NOT TESTED: network namespaces need root and iproute2: %v", err)
		return nil
	}
	t.Cleanup(func() {
		_ = try("netns", "del", id+"sw")
		_ = try("link", "del", id+"br")
		for place := range n {
			_ = try("netns", "del", l.space(place))
		}
	})
	do := func(command string, args ...any) {
		t.Helper()
		if err := try(strings.Fields(fmt.Sprintf(command, args...))...); err != nil {
			t.Fatal(err)
		}
	}
	for bridge := range 2 {
		do("-n %ssw link add br%d type bridge", id, bridge)
		do("-n %ssw link set br%d up", id, bridge)
	}
	do("link add %sbr type bridge", id)
	do("address add %s/24 dev %sbr", l.address(1, 253), id)
	do("link set %sbr up", id)
	for place := range n {
		space := l.space(place)
		do("netns add %s", space)
		do("-n %s link set lo up", space)
		do("-n %s link add peers type veth peer name port%d netns %ssw", space, place, id)
		do("-n %ssw link set port%d master br0 up", id, place)
		do("-n %s address add %s/24 dev peers", space, l.address(0, place))
		do("-n %s link set peers up", space)
		do("-n %s link add clients type veth peer name %sv%d netns 1", space, id, place)
		do("link set %sv%d master %sbr up", id, place, id)
		do("-n %s address add %s/24 dev clients", space, l.address(1, place))
		do("-n %s link set clients up", space)
	}
	return l
}

func (l *lab) space(place int) string { return fmt.Sprintf("%sn%d", l.id, place) }

// address gives that of a node in the nodes' network, 0, or the clients', 1.
func (l *lab) address(network, place int) string {
	return fmt.Sprintf("198.18.%d.%d", l.subnet+network, place+1)
}

// plug connects nodes to a bridge.
func (l *lab) plug(bridge int, places ...int) {
	l.t.Helper()
	for _, place := range places {
		args := []string{"-n", l.id + "sw", "link", "set", fmt.Sprintf("port%d", place), "master", fmt.Sprintf("br%d", bridge)}
		if output, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			l.t.Fatalf("ip %q: %v: %s", args, err, output)
		}
	}
}

// mending is held while the sides of a cluster come together. All slots are claimed anew
// then; where several clusters do that at once, on few cores, messages that are late are
// repeated, and they take minutes in place of seconds.
var mending sync.Mutex

// mend plugs nodes that were cut off in again, and waits until all agree, and nothing
// moves. It says when that began.
func (l *lab) mend(places ...int) (began time.Time) {
	l.t.Helper()
	mending.Lock()
	defer mending.Unlock()
	began = time.Now()
	l.plug(0, places...)
	l.t.Logf("settled %v after the cut was mended", l.settle())
	return began
}

// untilFed runs a test in which a node that gets no processor for 2.5 seconds is counted
// dead, and costs what it held, until none was.
func untilFed(t *testing.T, starved func() bool) {
	t.Parallel()
	for range 4 {
		if !starved() || t.Failed() {
			return
		}
	}
	t.Fatal("one node always counts another dead, which it reaches")
}

// starved reports whether a node has counted another dead by itself, though nothing was
// cut between them: they are not of different sides. Then it ends all.
func (l *lab) starved(sides ...[]int) bool {
	l.t.Helper()
	side := func(name any) int {
		for i, places := range sides {
			if slices.ContainsFunc(places, func(place int) bool { return l.name(place) == name }) {
				return i
			}
		}
		return -1
	}
	for place, p := range l.nodes {
		for _, line := range p.lines() {
			if line["msg"] != "cluster: a member has fallen silent" || line["why"] != "it has left pings unanswered" {
				continue
			}
			if of, by := side(line["member"]), side(l.name(place)); of >= 0 && by >= 0 && of != by {
				continue
			}
			l.t.Logf("%v has not answered %s: once more", line["member"], l.name(place))
			for place := range l.nodes {
				l.kill(place)
			}
			return true
		}
	}
	return false
}

// cautious is for nodes that others do not reach: they do not let requests wait for them
// for long, but for longer than one may get no processor without being counted dead.
var cautious = []string{"--peer-wait", "5s"}

// launch starts the node at a place, which joins all others.
func (l *lab) launch(place int, args ...string) {
	l.t.Helper()
	var join []string
	for other := range l.nodes {
		join = append(join, l.address(0, other)+":4000")
	}
	command := slices.Concat([]string{"netns", "exec", l.space(place), binary, "serve",
		"--name", l.name(place), "--listen", l.address(1, place) + ":4000", "--memory", "160MiB",
		"--peer-listen", l.address(0, place) + ":14000", "--gossip-listen", l.address(0, place) + ":24000",
		"--join", strings.Join(join, ",")}, l.args, args)
	p := launch(l.t, exec.Command("ip", command...), "SMACHE_SECRET="+aSecret)
	l.nodes[place], l.up[place] = p, true
	l.describeAtEnd()
	address, ok := p.await("serving")["address"].(string)
	if !ok {
		l.t.Fatal("the log line names no address")
	}
	p.address = address
}

// begin starts nodes, all at once, and waits until nothing moves.
func (l *lab) begin(places ...int) {
	l.t.Helper()
	for _, place := range places {
		l.launch(place)
	}
	for _, place := range places {
		l.ready(place)
	}
	l.settle()
}

// TestPartition cuts a cluster in two. Both sides go on, and each side by itself
// keeps P1. Then they come together: all nodes say the same of every key, and what
// both sides have deleted or overwritten does not come back, nor what a side has,
// unless the other one has written it.
func TestPartition(t *testing.T) {
	t.Parallel()
	t.Run("two and two", func(t *testing.T) { untilFed(t, func() bool { return partition(t, []int{0, 1}, []int{2, 3}) }) })
	t.Run("three and one", func(t *testing.T) { untilFed(t, func() bool { return partition(t, []int{0, 1, 2}, []int{3}) }) })
}

func partition(t *testing.T, sides ...[]int) (starved bool) {
	t.Helper()
	f := newLab(t, 4, cautious...)
	if f == nil {
		return false
	}
	f.begin(0, 1, 2, 3)
	before := newLoad(t, "cut", &f.lb, 400, 150)
	before.fill()
	before.run(clients)
	before.await(1000)
	before.stop()
	f.audit(before)
	if f.starved() {
		return true
	}
	before.mustNotFail()
	before.check()

	f.plug(1, sides[1]...)
	cut := before.now()
	parts := make([]*load, len(sides))
	faults := make([][]history.Fault, len(sides))
	for i, side := range sides {
		nodes := &balancer{}
		for _, place := range side {
			nodes.add(f.nodes[place].address)
		}
		for _, place := range sides[1-i] {
			fault := f.fault(before, place)
			fault.At = cut
			faults[i] = append(faults[i], fault)
		}
		parts[i] = before.part(fmt.Sprintf("side%d-", i), nodes)
		parts[i].run(clients / 2)
	}
	var took [2]time.Duration
	for i, part := range parts {
		// Some keys are written by one side only, some by both.
		took[i] = recovery(part, part.busy[i*50:i*50+50])
	}
	for _, part := range parts {
		part.await(500)
	}
	for _, part := range parts {
		part.stop()
	}
	if f.starved(sides...) {
		return true
	}
	for i, part := range parts {
		if took[i] > soon {
			t.Errorf("side %d takes %v until its keys are writable", i, took[i])
		}
		part.check(faults[i]...)
	}

	f.mend(sides[1]...)
	// What expires between two reads would make nodes seem to disagree.
	poll(t, "what was written for a time expires", func() bool {
		return before.now() > max(parts[0].expiry(), parts[1].expiry())
	})
	if f.starved(sides...) {
		return true
	}
	after := before.part("after-", &f.lb)
	said := f.agree(after)
	for i, part := range parts {
		// What the nodes say now is held against what each side knows of it.
		var known []history.Op
		wrote := part.wrote()
		for _, o := range said {
			if o.Outcome == history.Done && wrote[o.Seen] {
				known = append(known, o)
			}
		}
		t.Logf("side %d knows of %d values, of %d keys", i, len(known), len(said))
		part.log.Add(known...)
		for _, v := range history.Check(part.log.Ops(), faults[i]) {
			// What a side had not, while it was cut off, may be there again.
			if v.Rule != history.RuleMiss && v.Rule != history.RuleUnmet {
				t.Error(v.String())
			}
		}
	}
	// From here on the promises are whole again.
	again := before.part("again-", &f.lb)
	again.log = &history.Log{}
	for _, o := range said {
		if o.Outcome == history.Done {
			again.log.Add(history.Op{Kind: history.Set, Outcome: history.Done, Key: o.Key, Wrote: o.Seen, Begin: o.Begin, End: o.End, Note: "was there"})
		}
	}
	again.run(clients)
	again.await(1000)
	again.stop()
	f.audit(again)
	if f.starved(sides...) {
		return true
	}
	again.mustNotFail()
	for i, place := range f.nodes {
		if status, _ := place.get("/readyz"); status != http.StatusOK {
			t.Errorf("%s is not ready", f.name(i))
		}
	}
	f.mustNotEvict()
	return false
}

// TestPartitionUnderLoad cuts a cluster in two, and mends that, under clients that go on
// asking the nodes of both sides all the time. history.Cut has what must hold.
func TestPartitionUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("two and two", func(t *testing.T) {
		untilFed(t, func() bool { return partitionUnderLoad(t, [2][]int{{0, 1}, {2, 3}}) })
	})
	t.Run("three and one", func(t *testing.T) {
		untilFed(t, func() bool { return partitionUnderLoad(t, [2][]int{{0, 1, 2}, {3}}) })
	})
}

func partitionUnderLoad(t *testing.T, sides [2][]int) (starved bool) {
	t.Helper()
	f := newLab(t, 4, cautious...)
	if f == nil {
		return false
	}
	f.begin(0, 1, 2, 3)
	whole := newLoad(t, "torn", &f.lb, 500, 150)
	whole.fill()
	whole.mustNotFail()
	var parts [2]*load
	var faults [2][]history.Fault
	for i, side := range sides {
		nodes := &balancer{}
		for _, place := range side {
			nodes.add(f.nodes[place].address)
		}
		parts[i] = whole.like(nodes)
		parts[i].label, parts[i].log = fmt.Sprintf("side%d-", i), &history.Log{}
		parts[i].run(clients / 2)
	}
	for _, part := range parts {
		part.await(500)
	}

	var cut history.Cut
	cut.Begin = whole.now()
	f.plug(1, sides[1]...)
	cut.Done = whole.now()
	for i := range sides {
		for _, place := range sides[1-i] {
			fault := f.fault(whole, place)
			fault.At = cut.Done
			faults[i] = append(faults[i], fault)
		}
	}
	for i, part := range parts {
		recovery(part, part.quiet[i*100:i*100+100]) // each side writes these once, and nobody else does
	}
	for _, part := range parts {
		part.await(500)
	}

	cut.Heal = f.mend(sides[1]...).Sub(whole.base)
	cut.Whole = whole.now()
	whole.run(clients / 2)
	whole.await(500)
	f.audit(whole)
	for _, l := range append(parts[:], whole) {
		l.stop()
	}
	// Nobody writes any more: the second time each node must say what all said the first.
	f.audit(whole)
	f.audit(whole)
	if f.starved(sides[:]...) {
		return true
	}
	whole.mustNotFail()

	for i, part := range parts {
		t.Logf("side %d: %d operations on keys; %d requests failed", i, part.log.Len(), part.failed)
	}
	told := [2][]history.Op{slices.Concat(whole.log.Ops(), parts[0].log.Ops()), parts[1].log.Ops()}
	report(t, cut.Check(told, faults))
	f.mustNotEvict()
	return false
}

// agree reads every key through every node, which must say the same, and gives what
// they say.
func (f *lab) agree(l *load) (said []history.Op) {
	f.t.Helper()
	from := l.now()
	f.audit(l)
	ops := map[string]history.Op{}
	for _, o := range l.log.Ops() {
		if o.Kind != history.Get || o.Begin < from {
			continue
		}
		if first, ok := ops[o.Key]; !ok {
			ops[o.Key] = o
			said = append(said, o)
		} else if first.Seen != o.Seen {
			f.t.Errorf("key %s:\n%s\n%s", o.Key, first.String(), o.String())
		}
	}
	return said
}

// part makes a load on the same keys for other nodes. Its history begins as that
// of l is now, and goes its own way; its values are its own.
func (l *load) part(label string, nodes *balancer) *load {
	part := l.like(nodes)
	part.label = label
	part.log = &history.Log{}
	part.log.Add(l.log.Ops()...)
	return part
}

// expiry gives the moment at which the last entry that was written with a time to
// live has expired, even if the write took effect late.
func (l *load) expiry() (last time.Duration) {
	for _, o := range l.log.Ops() {
		if o.TTL > 0 {
			last = max(last, o.End+o.TTL+time.Second)
		}
	}
	return last
}

// wrote gives the values that the history knows of.
func (l *load) wrote() map[string]bool {
	values := map[string]bool{}
	for _, o := range l.log.Ops() {
		values[o.Wrote] = true
	}
	return values
}
