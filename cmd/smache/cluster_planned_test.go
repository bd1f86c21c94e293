package main

import (
	"strings"
	"testing"
)

// unhurried is for nodes of which none fails: many of them share a few processors here,
// so that one may get none for longer than P5 lets others wait for it, and takes its time to
// hand over.
var unhurried = []string{"--peer-wait", "30s", "--stop-timeout", "5m"}

// unhurriedNodes are the variables for nodes of a cluster that a script starts.
var unhurriedNodes = []string{"SMACHE_PEER_WAIT=30s", "SMACHE_STOP_TIMEOUT=5m"}

// TestGrow is P4: a cluster grows from one node to four under load.
func TestGrow(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4, unhurried...)
	f.begin(0)
	f.settle()
	l := newLoad(t, "grow", &f.lb, quietKeys, busyKeys)
	l.fill()
	l.run(clients)
	for place := 1; place < 4; place++ {
		l.await(1000)
		f.begin(place)
	}
	t.Logf("settled %v after the last was ready", f.settle())
	l.await(1000)
	l.stop()
	f.audit(l)
	l.mustNotFail()
	l.check()
	f.mustNotEvict()
}

// TestRollingRestart is P4: four nodes are restarted one after the other, under
// load.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4, unhurried...)
	f.begin(0, 1, 2, 3)
	f.settle()
	l := newLoad(t, "rolling", &f.lb, quietKeys, busyKeys)
	l.fill()
	l.run(clients)
	for place := range 4 {
		l.await(500)
		f.leave(place)
		l.await(200)
		f.begin(place)
		f.settle()
	}
	l.await(500)
	l.stop()
	f.audit(l)
	if slots := f.claimed(); slots != 0 {
		t.Errorf("since they were restarted, the nodes have claimed %v slots", slots)
	}
	l.mustNotFail()
	l.check()
	f.mustNotEvict()
}

// TestOverlap is P4: nodes join and leave without waiting for each other.
func TestOverlap(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 6, unhurried...)
	f.begin(0, 1, 2)
	f.settle()
	l := newLoad(t, "overlap", &f.lb, quietKeys, busyKeys)
	l.fill()
	l.run(clients)
	l.await(500)
	f.launch(3)
	f.launch(4)
	f.ready(3)
	f.term(0)
	f.ready(4)
	f.launch(5)
	f.term(1)
	f.left(0)
	f.ready(5)
	f.left(1)
	f.begin(0)
	f.settle()
	l.await(500)
	l.stop()
	f.audit(l)
	l.mustNotFail()
	l.check()
	f.mustNotEvict()
}

// TestTenTogether: nodes that are started at the same time find each other.
func TestTenTogether(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 10, unhurried...)
	join := "127.0.0.1:" + strings.Join(f.ports, ",127.0.0.1:")
	for place := range f.ports {
		f.launch(place, "--join", join)
	}
	for place := range f.ports {
		f.ready(place)
	}
	t.Logf("settled after %v", f.settle())
	l := newLoad(t, "ten", &f.lb, 500, 10)
	l.fill()
	f.audit(l)
	l.mustNotFail()
	l.check()
	for _, p := range f.nodes {
		if c := p.members(); len(c.Members) != 10 {
			t.Errorf("%s sees %d members", c.Node, len(c.Members))
		}
	}
}

// leave ends the node at a place by SIGTERM. Clients go on asking it until it is
// gone.
func (f *fleet) leave(place int) {
	f.t.Helper()
	f.term(place)
	f.left(place)
}

// left waits for the end of a node that was told to leave.
func (f *fleet) left(place int) {
	f.t.Helper()
	p := f.nodes[place]
	if code := p.exit(); code != exitOK {
		f.t.Errorf("%s exits with %d", f.name(place), code)
	}
	f.lb.remove(p.address)
	f.up[place] = false
}
