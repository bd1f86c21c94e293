package peer

import (
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/smache/smache/peer/hold"
)

// This file tells the log what becomes of the other members: a line for each thing that
// happens to one of them, and one for what its slots and the entries came to, when that is
// over. docs/OPERATIONS.md lists the lines.

// cause is what the machine was told when it changed its member list.
type cause struct {
	by      string // the member that said so; empty: this node has found it out
	refused bool   // nobody listens at the member's peer port
}

// teller is of the goroutine of the machine.
type teller struct {
	log   *slog.Logger
	self  string
	known []hold.Member            // as of the last lines
	since map[string]time.Duration // when members were told to be lost

	claims, dropped, failed growth
	lost                    []string // members whose slots are to be claimed
	lostAt                  time.Duration
}

// Counts are told of when they have stood still for tellAfter, or have grown for
// tellEvery: that what follows from one event takes one line, and what does not end is
// told of all the same.
const (
	tellAfter = 2 * time.Second
	tellEvery = 15 * time.Second
	// claimsFollow is how long after a member was lost claims count as those of its slots.
	claimsFollow = 30 * time.Second
)

// growth is a count that only grows, and how much of it was told of.
type growth struct {
	told, count uint64
	first, last time.Duration // when it began to grow after that, and grew last
}

// look takes note of the count. over: it is time to tell by how much it has grown.
func (t *growth) look(now time.Duration, count uint64) (over bool) {
	if count != t.count {
		if t.count == t.told {
			t.first = now
		}
		t.count, t.last = count, now
	}
	return now >= t.due()
}

// due is when there will be something to tell, if the count stands still.
func (t *growth) due() time.Duration {
	if t.count == t.told {
		return math.MaxInt64
	}
	return min(t.last+tellAfter, t.first+tellEvery)
}

// take gives by how much the count has grown since it was told of.
func (t *growth) take() (n uint64) {
	n, t.told = t.count-t.told, t.count
	return n
}

// due is when counts has something to tell.
func (t *teller) due() time.Duration {
	return min(t.claims.due(), t.dropped.due(), t.failed.due())
}

// counts tells of slots that were claimed, and of entries that were lost on a move. tooOld
// counts those that were refused because all that memory suffices for is younger.
func (t *teller) counts(now time.Duration, s *hold.Stats, tooOld uint64) {
	if t.claims.look(now, s.Claimed.Load()) {
		from := t.claims.first
		attrs := []any{"slots", t.claims.take()}
		if len(t.lost) > 0 {
			from = min(from, t.lostAt)
			attrs = append(attrs, "of", strings.Join(t.lost, ","))
			t.lost = nil
		}
		t.log.Info("cluster: claimed slots that nobody held", append(attrs, "took", short(t.claims.last-from))...)
	}
	if t.dropped.look(now, s.Dropped.Load()+s.AsideDropped.Load()) {
		t.log.Warn("cluster: entries were dropped: others have overtaken them, or may have", "entries", t.dropped.take())
	}
	if t.failed.look(now, s.Failed.Load()+tooOld) {
		t.log.Warn("cluster: entries that other nodes handed over did not fit; see --memory", "entries", t.failed.take())
	}
}

// short is a duration as a line has it.
func short(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }

// members tells of what has become of the other members. quiet says for how long one of
// them has left pings unanswered.
func (t *teller) members(now time.Duration, list []hold.Member, why cause, quiet func(name string) time.Duration) {
	if len(t.known) == len(list) && len(list) > 0 && &t.known[0] == &list[0] {
		return // a list is never changed, but replaced
	}
	known := t.known
	t.known = list
	for i := range list {
		o := &list[i]
		if o.Name == t.self {
			continue
		}
		var was *hold.Member
		if at := slices.IndexFunc(known, func(m hold.Member) bool { return m.Name == o.Name }); at >= 0 {
			was = &known[at]
		}
		if was == nil || *was != *o {
			t.member(now, was, o, why, quiet)
		}
	}
}

// member tells of one member, which was not known before, or as was.
func (t *teller) member(now time.Duration, was, o *hold.Member, why cause, quiet func(name string) time.Duration) {
	sameRun := was != nil && was.Incarnation/hold.RunStep == o.Incarnation/hold.RunStep
	attrs := []any{"member", o.Name}
	if why.by != "" && why.by != o.Name {
		attrs = append(attrs, "told_by", why.by)
	}
	if was != nil && was.Alive() && !sameRun { // the end of the run that was known was missed
		if was.State == hold.StateLeaving {
			t.log.Info("cluster: a member has left", attrs...)
		} else {
			t.lose(now, o.Name)
			t.log.Warn("cluster: a member is gone without a farewell", append(attrs, "why", "it was started anew")...)
		}
	}
	switch {
	case o.Alive() && !sameRun:
		delete(t.since, o.Name)
		t.log.Info("cluster: a new member", append(attrs, "state", stateName(o.State), "weight", o.Weight)...)
	case o.Alive() && !was.Alive():
		if at, ok := t.since[o.Name]; ok {
			attrs = append(attrs, "away", short(now-at))
			delete(t.since, o.Name)
		}
		t.log.Info("cluster: a member is back", attrs...)
	case o.Alive() && was.Incarnation != o.Incarnation:
		t.log.Info("cluster: a member is back, which others had counted dead", attrs...)
	case o.State == hold.StateLeaving && was.State != hold.StateLeaving:
		t.log.Info("cluster: a member leaves, and hands over what it holds", attrs...)
	case was != nil && sameRun && was.State == o.State: // nothing that is new
	case o.State == hold.StateSilent:
		t.lose(now, o.Name)
		reason := "another member says so"
		if why.by == "" {
			reason = "it has left pings unanswered"
			attrs = append(attrs, "for", short(quiet(o.Name)))
		}
		t.log.Warn("cluster: a member has fallen silent", append(attrs, "why", reason)...)
	case o.State == hold.StateGone:
		t.gone(now, was, o, why, attrs)
	}
}

// gone tells of a member that is gone for good.
func (t *teller) gone(now time.Duration, was, o *hold.Member, why cause, attrs []any) {
	switch {
	case was != nil && was.State == hold.StateSilent:
		t.log.Info("cluster: a silent member is given up", append(attrs, "silent", short(now-t.since[o.Name]))...)
		delete(t.since, o.Name)
	case why.refused:
		t.lose(now, o.Name)
		t.log.Warn("cluster: a member is gone without a farewell", append(attrs, "why", "its peer port refuses connections")...)
	case why.by == o.Name || was != nil && was.State == hold.StateLeaving:
		t.log.Info("cluster: a member has left", attrs...)
	default:
		t.lose(now, o.Name)
		t.log.Warn("cluster: a member is gone without a farewell", append(attrs, "why", "another member says so")...)
	}
}

// lose notes that the slots of a member will be claimed.
func (t *teller) lose(now time.Duration, name string) {
	t.since[name] = now
	if now-t.lostAt > claimsFollow && t.claims.count == t.claims.told {
		t.lost = nil // nobody had to claim anything of theirs here
	}
	if len(t.lost) == 0 {
		t.lostAt = now
	}
	if !slices.Contains(t.lost, name) {
		t.lost = append(t.lost, name)
	}
}
