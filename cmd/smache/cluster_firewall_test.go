package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// iptables changes the firewall of the node at a place.
func (l *lab) iptables(place int, args ...string) (string, error) {
	args = append([]string{"netns", "exec", l.space(place), "iptables", "-w"}, args...)
	output, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ip %q: %w: %s", args, err, output)
	}
	return string(output), nil
}

// newFirewalledLab makes a lab whose nodes' firewalls can drop what comes from other nodes. It
// returns nil where that is not possible, which is a failure where CI runs the tests.
func newFirewalledLab(t *testing.T, n int, args ...string) *lab {
	l := newLab(t, n, args...)
	if l == nil {
		return nil
	}
	if _, err := l.iptables(0, dropping("-A", "-m", "statistic", "--mode", "random", "--probability", "0")...); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must be able to drop packets by iptables: %v", err)
		}
		t.Logf("NOT TESTED: packets are dropped by iptables, and a kernel that does it: %v", err)
		return nil
	}
	l.pass(0)
	return l
}

// dropping is a rule that drops packets of other nodes.
func dropping(change string, match ...string) []string {
	return slices.Concat([]string{change, "INPUT", "-i", "peers"}, match, []string{"-j", "DROP"})
}

// drop has the node at a place not hear some of what other nodes send.
func (l *lab) drop(place int, match ...string) {
	l.t.Helper()
	if _, err := l.iptables(place, dropping("-A", match...)...); err != nil {
		l.t.Fatal(err)
	}
}

// pass ends what drop has begun, and says how many packets were dropped.
func (l *lab) pass(place int) (dropped int) {
	l.t.Helper()
	list, err := l.iptables(place, "-L", "INPUT", "-n", "-v", "-x")
	if err == nil {
		_, err = l.iptables(place, "-F", "INPUT")
	}
	if err != nil {
		l.t.Fatal(err)
	}
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "DROP" {
			n, err := strconv.Atoi(fields[0])
			if err != nil {
				l.t.Fatalf("%q: %v", line, err)
			}
			dropped += n
		}
	}
	return dropped
}

// TestLostPackets is P4 in a network that loses packets: links are slower for it, and that is
// all. A node joins and another leaves; nobody is counted dead, and no request fails.
func TestLostPackets(t *testing.T) {
	t.Parallel()
	f := newFirewalledLab(t, 4, unhurried...)
	if f == nil {
		return
	}
	f.begin(0, 1, 2)
	l := newLoad(t, "loss", &f.lb, quietKeys/2, busyKeys)
	l.fill()
	l.run(clients / 2)
	l.await(300)
	for place := range f.nodes {
		f.drop(place, "-m", "statistic", "--mode", "random", "--probability", "0.06")
	}
	l.await(300)
	claimed := f.claimed()
	f.launch(3)
	f.ready(3)
	t.Logf("settled %v after a node has joined", f.settle())
	l.await(300)
	claimed -= f.nodes[1].metric("smache_slots_claimed_total")
	f.leave(1)
	t.Logf("settled %v after a node has left", f.settle())
	l.await(300)
	for place, up := range f.up {
		if dropped := f.pass(place); dropped > 0 {
			t.Logf("%s did not hear %d packets", f.name(place), dropped)
		} else if up {
			t.Errorf("%s heard every packet", f.name(place))
		}
	}
	l.await(300)
	l.stop()
	f.audit(l)
	if slots := f.claimed() - claimed; slots != 0 {
		t.Errorf("the nodes have claimed %v slots", slots)
	}
	l.mustNotFail()
	l.check()
	f.mustNotEvict()
}

// TestPartialCut: two nodes do not hear each other, or one not the other, and those in
// between hear both. Nobody is counted dead for that (rule 16): each slot stays where it is,
// under its term, and who reaches its holder is served. Who does not refuses, and nothing is
// lost.
func TestPartialCut(t *testing.T) {
	t.Parallel()
	t.Run("one way, of three", func(t *testing.T) { untilFed(t, func() bool { return partialCut(t, 3, false) }) })
	t.Run("both ways, of four", func(t *testing.T) { untilFed(t, func() bool { return partialCut(t, 4, true) }) })
}

func partialCut(t *testing.T, n int, both bool) (starved bool) {
	t.Helper()
	f := newFirewalledLab(t, n, unhurried...)
	if f == nil {
		return false
	}
	places := []int{0, 1, 2, 3}[:n]
	f.launch(0, cautious...)
	f.launch(1, cautious...)
	for _, place := range places[2:] {
		f.launch(place)
	}
	for _, place := range places {
		f.ready(place)
	}
	f.settle()
	l := newLoad(t, "partial", &f.lb, 500, busyKeys)
	l.fill()
	l.mustNotFail()
	// These reach all holders; l also asks those that do not.
	between := &balancer{}
	for _, place := range places[2:] {
		between.add(f.nodes[place].address)
	}
	well := l.like(between)
	l.run(clients / 2)
	well.run(clients / 2)
	well.await(300)
	claimed, terms := f.claimed(), f.terms()

	f.drop(1, "-s", f.address(0, 0))
	if both {
		f.drop(0, "-s", f.address(0, 1))
	}
	poll(t, "both ends have given up their link", func() bool {
		return !f.connected(0, 1) && !f.connected(1, 0)
	})
	well.await(1000)
	var wrong []string
	for _, p := range f.nodes {
		for _, m := range p.members().Members {
			if m.State != "serving" {
				wrong = append(wrong, fmt.Sprintf("to %s, %s is %s", p.address, m.Name, m.State))
			}
		}
	}
	if got := f.terms(); !slices.Equal(got, terms) {
		wrong = append(wrong, fmt.Sprintf("of terms there were left, by node, %v, and are %v", terms, got))
	}
	if dropped := f.pass(1); dropped == 0 || both && f.pass(0) == 0 {
		t.Error("no packet was dropped")
	}

	poll(t, "the link is back", func() bool { return f.connected(0, 1) && f.connected(1, 0) })
	f.settle()
	again := l.like(&f.lb)
	again.run(clients / 2)
	again.await(500)
	for _, load := range []*load{l, well, again} {
		load.stop()
	}
	f.audit(l)
	if f.starved([]int{0}, []int{1}) {
		return true
	}
	for _, text := range wrong {
		t.Error(text)
	}
	if slots := f.claimed() - claimed; slots != 0 {
		t.Errorf("the nodes have claimed %v slots", slots)
	}
	l.mustOnlyRefuse()
	well.mustNotFail()
	again.mustNotFail()
	l.check()
	f.mustNotEvict()
	return false
}

// connected reports whether the node at a place has a link to another.
func (l *lab) connected(place, other int) bool {
	_, text := l.nodes[place].get("/metrics")
	v, ok := parseMetrics(text).sum("smache_peer_connected", strconv.Quote(l.name(other)))
	if !ok {
		l.t.Fatalf("%s knows nothing of %s", l.name(place), l.name(other))
	}
	return v > 0
}
