package gossip

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// roster is who is there: the runs that memberlist counts alive, and which of them
// is the node of its name. Memberlist's callbacks write to it, under memberlist's
// lock; the goroutine that reports to Config.Found reads.
type roster struct {
	self string // this node's run
	pace pace
	kick chan struct{} // there may be something to decide

	mu     sync.Mutex
	claims map[string]*claim // by node name
	lost   map[netip.AddrPort]time.Time
	closed bool
	found  uint64
	gone   uint64
	doubly uint64 // names that two live nodes have
}

// claim is what is known of one name.
type claim struct {
	runs     map[string]run            // alive as memberlist sees it, by key
	latest   map[netip.AddrPort]string // key of the last run seen at an address that runs has
	current  string                    // key of the run that is the node; "": none
	reported Node

	judged   string // the runs that the last check was about
	answered map[string]bool
	checking bool
	due      time.Time // of the next check, if there still are several runs
	quarrel  string    // the live runs that were complained of last
}

// check is a question that decide leaves to its caller: which of these runs
// answer? The answer goes to answer.
type check struct {
	name   string
	judged string
	runs   []run
}

// decision is what has changed.
type decision struct {
	lost, found []Node
	checks      []check
	quarrels    [][]run       // live runs of one name
	refused     *run          // has this node's name, and keeps it
	named       bool          // nobody else has this node's name
	wait        time.Duration // until decide has something to do without being kicked
}

const (
	maxLost  = 128
	longWait = time.Hour
)

func newRoster(self string, pace pace) *roster {
	return &roster{
		self: self, pace: pace, kick: make(chan struct{}, 1),
		claims: map[string]*claim{}, lost: map[netip.AddrPort]time.Time{},
	}
}

// wake makes decide run soon.
func (r *roster) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// NotifyAlive refuses nodes whose data cannot be read. Called by memberlist.
func (r *roster) NotifyAlive(n *memberlist.Node) error {
	_, err := readRun(n)
	return err
}

// NotifyJoin notes a run. Called by memberlist, under its lock.
func (r *roster) NotifyJoin(n *memberlist.Node) { r.NotifyUpdate(n) }

// NotifyUpdate notes a run. Called by memberlist, under its lock.
func (r *roster) NotifyUpdate(n *memberlist.Node) {
	one, err := readRun(n)
	if err != nil || n.Name == r.self {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	c := r.claims[one.node.Name]
	if c == nil {
		c = &claim{runs: map[string]run{}, latest: map[netip.AddrPort]string{}}
		r.claims[one.node.Name] = c
	}
	c.runs[one.key] = one
	c.latest[one.node.Gossip] = max(c.latest[one.node.Gossip], one.key)
	delete(r.lost, one.node.Gossip)
	r.wake()
}

// NotifyLeave notes that a run is dead, or has left. Called by memberlist, under
// its lock.
func (r *roster) NotifyLeave(n *memberlist.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.claims {
		if one, ok := c.runs[n.Name]; ok && !r.closed {
			delete(c.runs, n.Name)
			if !c.has(one.node.Gossip) {
				delete(c.latest, one.node.Gossip)
			}
			r.lose(one.node.Gossip)
			r.wake()
		}
	}
}

// lose remembers an address, for a while, so that it is tried again.
func (r *roster) lose(at netip.AddrPort) {
	now := time.Now()
	maps.DeleteFunc(r.lost, func(_ netip.AddrPort, when time.Time) bool {
		return now.Sub(when) > r.pace.linger
	})
	if len(r.lost) < maxLost {
		r.lost[at] = now
	}
}

// close ends all reports.
func (r *roster) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// addresses gives the gossip addresses that are members', and those that were.
func (r *roster) addresses() (members map[netip.AddrPort]bool, lost []netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	members = map[netip.AddrPort]bool{}
	for _, c := range r.claims {
		for _, one := range c.runs {
			members[one.node.Gossip] = true
		}
	}
	now := time.Now()
	for at, when := range r.lost {
		if !members[at] && now.Sub(when) <= r.pace.linger {
			lost = append(lost, at)
		}
	}
	return members, lost
}

// nodes gives what Found was last told of each node that is there.
func (r *roster) nodes() []Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Node
	for _, c := range r.claims {
		if c.current != "" {
			all = append(all, c.reported)
		}
	}
	slices.SortFunc(all, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// answer notes which runs of a check have answered.
func (r *roster) answer(q check, answered map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.claims[q.name]; c != nil {
		c.checking, c.judged, c.answered = false, q.judged, answered
		c.due = time.Now().Add(r.pace.recheck)
	}
	r.wake()
}

// decide says what has changed since it was last called. own is this node's run;
// as long as it is not settled, nobody is found: this node may be refused.
func (r *roster) decide(now time.Time, own run) (d decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d.wait = longWait
	if r.closed {
		return d
	}
	d.named = r.decideOwn(now, own, &d)
	if d.refused != nil || !own.settled {
		return d
	}
	for _, name := range slices.Sorted(maps.Keys(r.claims)) {
		if name != own.node.Name {
			r.decideOther(now, name, &d)
		}
	}
	return d
}

// decideOwn deals with other runs under this node's name, true if none is alive.
func (r *roster) decideOwn(now time.Time, own run, d *decision) bool {
	c := r.claims[own.node.Name]
	if c == nil {
		return true
	}
	if len(c.runs) == 0 {
		delete(r.claims, own.node.Name)
		return true
	}
	rivals := slices.DeleteFunc(contenders(c), func(one run) bool {
		return one.node.Gossip == own.node.Gossip // what was here before
	})
	if len(rivals) == 0 {
		return true
	}
	if !r.judge(now, c, own.node.Name, rivals, d) {
		return false
	}
	rivals = slices.DeleteFunc(rivals, func(one run) bool { return !c.answered[one.key] })
	for _, one := range rivals {
		if yields(own, one) {
			r.closed = true
			r.doubly++
			d.refused = &one
			return false
		}
	}
	r.complain(c, append(rivals, own), d)
	return len(rivals) == 0
}

// decideOther chooses among the runs of another node's name.
func (r *roster) decideOther(now time.Time, name string, d *decision) {
	c := r.claims[name]
	chosen, known := r.choose(now, c, name, d)
	if !known {
		return // soon; until then what was reported stays
	}
	switch one, ok := c.runs[chosen]; {
	case ok && (chosen != c.current || one.node != c.reported):
		if c.current == "" {
			r.found++
		}
		c.current, c.reported = chosen, one.node
		d.found = append(d.found, one.node)
	case !ok && c.current != "":
		r.gone++
		c.current = ""
		d.lost = append(d.lost, c.reported)
	}
	if len(c.runs) == 0 {
		delete(r.claims, name)
	}
}

// choose gives the key of the run that is the node, "" if none is, or that this is
// not known yet.
func (r *roster) choose(now time.Time, c *claim, name string, d *decision) (key string, known bool) {
	live := contenders(c)
	switch {
	case len(live) == 0:
		return "", true
	case len(live) == 1 && c.latest[live[0].node.Gossip] == live[0].key:
		return live[0].key, true
	case !r.judge(now, c, name, live, d):
		return "", false
	}
	answering := slices.DeleteFunc(slices.Clone(live), func(one run) bool { return !c.answered[one.key] })
	if len(answering) == 0 { // maybe it is this node that is cut off
		answering = slices.DeleteFunc(live, func(one run) bool { return one.key != c.current })
	}
	if len(answering) == 0 {
		return "", true
	}
	r.complain(c, answering, d)
	chosen := answering[0]
	for _, one := range answering[1:] {
		if one.key == c.current || chosen.key != c.current && yields(chosen, one) {
			chosen = one
		}
	}
	return chosen.key, true
}

// has says whether a run at an address counts as alive.
func (c *claim) has(at netip.AddrPort) bool {
	for _, one := range c.runs {
		if one.node.Gossip == at {
			return true
		}
	}
	return false
}

// contenders gives the runs of a name, in the order of their keys, less those whose
// address a later one has: that process is gone. One whose address a later one had,
// which is not there any more, is doubtful: its process must be gone, too, unless
// the clock was set back.
func contenders(c *claim) []run {
	all := slices.SortedFunc(maps.Values(c.runs), func(a, b run) int { return strings.Compare(a.key, b.key) })
	latest := map[netip.AddrPort]string{}
	for _, one := range all {
		latest[one.node.Gossip] = one.key
	}
	return slices.DeleteFunc(all, func(one run) bool { return latest[one.node.Gossip] != one.key })
}

// judge says whether it is known which of the runs answer. If it is not, or not
// lately, it asks.
func (r *roster) judge(now time.Time, c *claim, name string, runs []run, d *decision) bool {
	keys := make([]string, len(runs))
	for i, one := range runs {
		keys[i] = one.key
	}
	judged := strings.Join(keys, " ")
	known := c.judged == judged
	if !c.checking && (!known || !now.Before(c.due)) {
		c.checking = true
		d.checks = append(d.checks, check{name: name, judged: judged, runs: slices.Clone(runs)}) // the caller goes on with runs
	}
	if !c.checking {
		d.wait = min(d.wait, c.due.Sub(now))
	}
	return known
}

// complain reports several live runs of a name, once.
func (r *roster) complain(c *claim, live []run, d *decision) {
	if len(live) < 2 {
		return
	}
	var keys strings.Builder
	for _, one := range live {
		keys.WriteString(one.key + " ")
	}
	if c.quarrel == keys.String() {
		return
	}
	c.quarrel = keys.String()
	r.doubly++
	d.quarrels = append(d.quarrels, live)
}

// yields says which of two live runs of one name has to go: a, or else b. See the
// package comment. Each of the two decides by what it knows of itself for sure, and
// of the other maybe from some time ago; as no run ever gets unsettled, they never
// both go, and at last one does.
func yields(a, b run) bool {
	if a.settled != b.settled {
		return b.settled
	}
	return a.key < b.key // began earlier
}
