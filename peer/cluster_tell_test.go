package peer

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/peer/hold"
)

// told is a teller of node "a", and the lines that it writes, without their time.
func newTold() (t *teller, lines func() []string) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return &teller{log: log, self: "a", since: map[string]time.Duration{}}, func() []string {
		defer text.Reset()
		return slices.Collect(strings.SplitSeq(strings.TrimSuffix(text.String(), "\n"), "\n"))
	}
}

// TestMembersAreTold: whatever becomes of another member takes one line, which says who it
// is and why, and is a warning if nobody meant it. What is no news takes none.
func TestMembersAreTold(t *testing.T) {
	const run = hold.RunStep
	b := func(incarnation uint64, state hold.State) hold.Member {
		return hold.Member{ID: hold.ID{Name: "b", Incarnation: incarnation}, State: state, Weight: 100}
	}
	none := hold.Member{}
	self := cause{}
	by := func(name string) cause { return cause{by: name} }
	for _, c := range []struct {
		what     string
		from, to hold.Member
		why      cause
		want     string
	}{
		{"comes", none, b(run, hold.StateJoining), by("b"), `level=INFO msg="cluster: a new member" member=b state=joining weight=100`},
		{"is told of", none, b(run, hold.StateServing), by("c"), `level=INFO msg="cluster: a new member" member=b told_by=c state=serving weight=100`},
		{"is silent, and was not known", none, b(run, hold.StateSilent), by("c"), `level=WARN msg="cluster: a member has fallen silent" member=b told_by=c why="another member says so"`},
		{"serves", b(run, hold.StateJoining), b(run, hold.StateServing), by("b"), ``},
		{"is as it was", b(run, hold.StateServing), b(run, hold.StateServing), self, ``},
		{"leaves", b(run, hold.StateServing), b(run, hold.StateLeaving), by("b"), `level=INFO msg="cluster: a member leaves, and hands over what it holds" member=b`},
		{"has left", b(run, hold.StateLeaving), b(run, hold.StateGone), by("b"), `level=INFO msg="cluster: a member has left" member=b`},
		{"has left, says another", b(run, hold.StateLeaving), b(run, hold.StateGone), by("c"), `level=INFO msg="cluster: a member has left" member=b told_by=c`},
		{"leaves, and is killed", b(run, hold.StateLeaving), b(run, hold.StateGone), cause{refused: true}, `level=WARN msg="cluster: a member is gone without a farewell" member=b why="its peer port refuses connections"`},
		{"is killed", b(run, hold.StateServing), b(run, hold.StateGone), cause{refused: true}, `level=WARN msg="cluster: a member is gone without a farewell" member=b why="its peer port refuses connections"`},
		{"is killed, says another", b(run, hold.StateServing), b(run, hold.StateGone), by("c"), `level=WARN msg="cluster: a member is gone without a farewell" member=b told_by=c why="another member says so"`},
		{"is killed and started", b(run, hold.StateServing), b(2*run, hold.StateJoining), by("b"),
			`level=WARN msg="cluster: a member is gone without a farewell" member=b why="it was started anew"` + "\n" + `level=INFO msg="cluster: a new member" member=b state=joining weight=100`},
		{"leaves and is started", b(run, hold.StateLeaving), b(2*run, hold.StateJoining), by("b"),
			`level=INFO msg="cluster: a member has left" member=b` + "\n" + `level=INFO msg="cluster: a new member" member=b state=joining weight=100`},
		{"is started again", b(run, hold.StateGone), b(2*run, hold.StateJoining), by("b"), `level=INFO msg="cluster: a new member" member=b state=joining weight=100`},
		{"falls silent", b(run, hold.StateServing), b(run, hold.StateSilent), self, `level=WARN msg="cluster: a member has fallen silent" member=b for=2.6s why="it has left pings unanswered"`},
		{"falls silent, says another", b(run, hold.StateServing), b(run, hold.StateSilent), by("c"), `level=WARN msg="cluster: a member has fallen silent" member=b told_by=c why="another member says so"`},
		{"is back", b(run, hold.StateSilent), b(run+1, hold.StateServing), by("b"), `level=INFO msg="cluster: a member is back" member=b`},
		{"is back for others", b(run, hold.StateServing), b(run+1, hold.StateServing), by("b"), `level=INFO msg="cluster: a member is back, which others had counted dead" member=b`},
		{"is given up", b(run, hold.StateSilent), b(run, hold.StateGone), self, `level=INFO msg="cluster: a silent member is given up" member=b silent=0s`},
		{"is gone still", b(run, hold.StateGone), b(run+1, hold.StateGone), by("c"), ``},
	} {
		teller, lines := newTold()
		own := hold.Member{ID: hold.ID{Name: "a", Incarnation: run}, State: hold.StateServing}
		list := func(o hold.Member) []hold.Member {
			if o == none {
				return []hold.Member{own}
			}
			return []hold.Member{own, o}
		}
		teller.known = list(c.from)
		to := list(c.to)
		quiet := func(name string) time.Duration { return 2604 * time.Millisecond }
		teller.members(0, to, c.why, quiet)
		teller.members(0, to, self, quiet)
		own.State = hold.StateLeaving // its own state is not told of here
		teller.members(0, list(c.to), self, quiet)
		if got := strings.Join(lines(), "\n"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.what, got, c.want)
		}
	}
	// How long a member was away.
	teller, lines := newTold()
	for i, o := range []hold.Member{b(run, hold.StateServing), b(run, hold.StateSilent), b(run+1, hold.StateServing)} {
		teller.members(time.Duration(i)*time.Minute, []hold.Member{o}, by("b"), func(string) time.Duration { return 0 })
	}
	if got := lines(); len(got) != 3 || !strings.HasSuffix(got[2], "is back\" member=b away=1m0s") {
		t.Errorf("it says %q", got)
	}
}

// TestCountsAreTold: slots that are claimed, and entries that are lost, take one line for
// what belongs together, once it is over; and one now and then if it does not end.
func TestCountsAreTold(t *testing.T) {
	teller, lines := newTold()
	var stats hold.Stats
	now, old := time.Hour, uint64(0)
	// pass lets time go by, as the goroutine of the machine does: it looks when there is
	// something to tell, and when it is woken.
	pass := func(d time.Duration) {
		for end := now + d; now < end; now = min(now+100*time.Millisecond, end) {
			teller.counts(now, &stats, old)
		}
	}
	want := func(what string, want ...string) {
		t.Helper()
		got := lines()
		if len(want) == 0 {
			want = []string{""}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	pass(time.Minute)
	want("nothing")
	stats.Claimed.Add(65536) // of a node that begins
	pass(tellAfter / 2)
	want("not over yet")
	pass(tellAfter)
	want("the first start", `level=INFO msg="cluster: claimed slots that nobody held" slots=65536 took=0s`)

	teller.lose(now, "b")
	teller.lose(now, "c")
	pass(400 * time.Millisecond)
	for range 5 {
		stats.Claimed.Add(100)
		pass(100 * time.Millisecond)
	}
	if due := teller.due(); due <= now || due > now+tellAfter {
		t.Errorf("it is to be told in %v", due-now)
	}
	pass(10 * time.Minute)
	want("two members", `level=INFO msg="cluster: claimed slots that nobody held" slots=500 of=b,c took=800ms`)

	// Nothing of d's is claimed here; what is long after is not of d.
	teller.lose(now, "d")
	pass(time.Minute)
	teller.lose(now, "e")
	stats.Claimed.Add(1)
	pass(10 * time.Second)
	want("another", `level=INFO msg="cluster: claimed slots that nobody held" slots=1 of=e took=0s`)

	stats.Dropped.Add(7)
	stats.Failed.Add(3)
	pass(10 * time.Second)
	want("lost", `level=WARN msg="cluster: entries were dropped: others have overtaken them, or may have" entries=7`,
		`level=WARN msg="cluster: entries that other nodes handed over did not fit; see --memory" entries=3`)

	stats.Older.Add(5) // which others have overtaken
	pass(10 * time.Second)
	want("overtaken")
	stats.Older.Add(9)
	old += 4
	stats.Failed.Add(2)
	pass(10 * time.Second)
	want("too old", `level=WARN msg="cluster: entries that other nodes handed over did not fit; see --memory" entries=6`)

	for range 90 { // without end
		stats.Failed.Add(1)
		pass(time.Second)
	}
	if got := lines(); len(got) < 5 || len(got) > 7 {
		t.Errorf("of what goes on for 90 seconds it says %d lines", len(got))
	}
	pass(time.Minute)
	lines()
	if due := teller.due(); due < 1<<62 {
		t.Errorf("it is to tell of nothing in %v", due-now)
	}
}
