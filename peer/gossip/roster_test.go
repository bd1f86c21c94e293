package gossip

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// book is a roster that is driven by hand, with a record of who is there.
type book struct {
	*roster
	t     *testing.T
	own   run
	now   time.Time
	there map[string]Node
	alive map[string]bool // runs that answer, by key
}

func newBook(t *testing.T) *book {
	own := run{key: runKey("self", 5, 0), settled: true, node: Node{Name: "self", Gossip: netip.MustParseAddrPort("10.0.0.1:1")}}
	return &book{
		roster: newRoster(own.key, pace{recheck: time.Second, linger: time.Minute}), t: t, own: own,
		now: time.Now(), there: map[string]Node{}, alive: map[string]bool{},
	}
}

// hears gives what memberlist would say of a run, whose address ends in host.
func hears(name string, born uint64, host byte) *memberlist.Node {
	data, _ := (&meta{incarnation: born, settled: true}).encode()
	return &memberlist.Node{Name: runKey(name, born, 0), Addr: net.IPv4(10, 0, 0, host).To4(), Port: 1, Meta: data}
}

// up and down are memberlist's news of a run; answering says that it lives.
func (b *book) up(name string, born uint64, host byte, answering bool) {
	n := hears(name, born, host)
	b.alive[n.Name] = answering
	b.NotifyJoin(n)
}

func (b *book) down(name string, born uint64, host byte) {
	n := hears(name, born, host)
	delete(b.alive, n.Name)
	b.NotifyLeave(n)
}

// turn decides until nothing is left to check, and compares who is there.
func (b *book) turn(want string) (refused *run) {
	b.t.Helper()
	for range 10 {
		d := b.decide(b.now, b.own)
		for _, n := range d.lost {
			delete(b.there, n.Name)
		}
		for _, n := range d.found {
			b.there[n.Name] = n
		}
		refused = d.refused
		for _, q := range d.checks {
			answered := map[string]bool{}
			for _, one := range q.runs {
				answered[one.key] = b.alive[one.key]
			}
			b.answer(q, answered)
		}
		if len(d.checks) == 0 {
			break
		}
	}
	got := ""
	for _, n := range b.nodes() {
		got += fmt.Sprintf("%s %d ", n.Name, n.Incarnation)
		if b.there[n.Name] != n {
			b.t.Errorf("Members has %v, Found was told %v", n, b.there[n.Name])
		}
	}
	if got != want {
		b.t.Errorf("there are %q, want %q", got, want)
	}
	return refused
}

// Runs of one name come and go in all ways, and the node is who lives.
func TestRoster(t *testing.T) {
	b := newBook(t)
	b.up("n", 10, 2, true)
	b.turn("n 10 ")
	b.up("n", 11, 2, true) // restarted
	b.turn("n 11 ")
	b.up("n", 10, 2, false) // an old rumour
	b.turn("n 11 ")
	b.up("n", 13, 2, false)
	b.turn("n 13 ")
	b.down("n", 13, 2) // and yet the runs before it do not come back
	b.alive[runKey("n", 11, 0)] = false
	b.turn("")
	b.up("n", 14, 3, true) // elsewhere
	b.turn("n 14 ")
	b.down("n", 10, 2)
	b.down("n", 11, 2)
	b.turn("n 14 ")
	b.up("n", 12, 3, true) // at its address, with the clock set back
	b.turn("n 14 ")
	b.down("n", 14, 3)
	b.turn("n 12 ")
	b.up("n", 20, 4, true) // a second one
	b.turn("n 12 ")
	b.alive[runKey("n", 12, 0)] = false // the first dies
	b.now = b.now.Add(time.Minute)
	b.turn("n 20 ")
	b.alive[runKey("n", 20, 0)] = false // this node is cut off
	b.now = b.now.Add(time.Minute)
	b.turn("n 20 ")
	b.up("m", 1, 9, true)
	b.turn("m 1 n 20 ")
	b.down("n", 20, 4)
	b.down("n", 12, 3)
	b.turn("m 1 ")
	if len(b.claims) != 1 || b.found != 3 || b.gone != 2 {
		t.Errorf("%d names, %d found, %d lost", len(b.claims), b.found, b.gone)
	}
	members, lost := b.addresses()
	if len(members) != 1 || len(lost) != 3 {
		t.Errorf("members at %v, lost %v", members, lost)
	}
}

// A node's own name: earlier runs of it do not matter, live ones do.
func TestRosterOwnName(t *testing.T) {
	b := newBook(t)
	b.up("self", 4, 1, true) // at this node's address
	b.up("self", 3, 7, false)
	b.up("n", 1, 2, true)
	if refused := b.turn("n 1 "); refused != nil {
		t.Errorf("refused for %v", refused)
	}
	b.up("self", 2, 8, true) // began earlier: it goes
	if refused := b.turn("n 1 "); refused != nil {
		t.Errorf("refused for %v", refused)
	}
	b.up("self", 9, 9, true)
	if refused := b.turn("n 1 "); refused == nil || refused.node.Incarnation != 9 {
		t.Errorf("refused for %v", refused)
	}
	b.up("m", 1, 3, true)
	b.turn("n 1 ")
}

// Who did not answer is asked again, and judged by the last answer: of this node's own name,
// and of another's.
func TestRosterAsksAgain(t *testing.T) {
	b := newBook(t)
	b.up("n", 10, 2, true)
	b.turn("n 10 ")
	b.up("n", 11, 3, false) // another run, while neither answers
	b.alive[runKey("n", 10, 0)] = false
	b.turn("n 10 ")
	b.alive[runKey("n", 11, 0)] = true
	b.now = b.now.Add(time.Minute)
	b.turn("n 11 ")

	b = newBook(t)
	b.up("self", 9, 9, false)
	if refused := b.turn(""); refused != nil {
		t.Errorf("refused for %v", refused)
	}
	b.alive[runKey("self", 9, 0)] = true
	b.now = b.now.Add(time.Minute)
	d := b.decide(b.now, b.own)
	if len(d.checks) != 1 || len(d.checks[0].runs) != 1 || d.checks[0].runs[0].key != runKey("self", 9, 0) {
		t.Fatalf("it asks %+v", d.checks)
	}
	b.answer(d.checks[0], map[string]bool{runKey("self", 9, 0): true})
	if d := b.decide(b.now, b.own); d.refused == nil || d.refused.node.Incarnation != 9 {
		t.Errorf("refused for %v", d.refused)
	}
}

// As long as this node does not have its name, nobody is found.
func TestRosterUnnamed(t *testing.T) {
	b := newBook(t)
	b.own.settled = false
	b.up("self", 3, 7, false)
	b.up("n", 1, 2, true)
	if d := b.decide(b.now, b.own); len(d.found) != 0 || d.named || len(d.checks) != 1 {
		t.Errorf("%+v", d)
	}
	if d := b.decide(b.now, b.own); len(d.checks) != 0 {
		t.Error("asked twice")
	}
	b.claims["self"].checking = false
	b.turn("")
	if d := b.decide(b.now, b.own); !d.named {
		t.Error("the name is not free although nobody answers for it")
	}
	b.own.settled = true
	b.turn("n 1 ")
}

// Of lost nodes' addresses only some are kept, and not for ever.
func TestLostAddresses(t *testing.T) {
	b := newBook(t)
	for i := range uint64(2 * maxLost) {
		n := hears("n", i+1, 2)
		n.Port = uint16(i + 1)
		b.NotifyJoin(n)
		b.NotifyLeave(n)
	}
	if _, lost := b.addresses(); len(lost) != maxLost {
		t.Errorf("%d addresses", len(lost))
	}
	b.pace.linger = -1
	if _, lost := b.addresses(); len(lost) != 0 {
		t.Errorf("%d addresses", len(lost))
	}
}
