package history

import (
	"slices"
	"time"
)

// A Cut is a partition into two sides, under clients that go on asking both. What it
// promises is less than P1, and not the same all the time:
//
//   - Until Begin the cluster is one, and so is its history.
//   - From then on each side keeps P1 by itself. What was asked of the other side, and
//     not answered by Begin, may or may not have been carried out where this side sees
//     it. What the other side held this side may lose, from Done on: that is a Fault.
//   - From Heal on the sides come together. Who is asked may find nothing; one of the
//     values of either side; but not what its own side had overwritten or deleted by then.
//   - From Whole on, which is when nodes say that nothing is moving any more, the cluster
//     is one again. All that was answered before counts by then, but for what was beaten:
//     of what each side knows the latest is left, or what the other side has.
type Cut struct {
	Begin, Done time.Duration // the network was being cut
	Heal        time.Duration // and is about to be mended
	Whole       time.Duration
}

// Check gives the broken promises: of what each side was told, with the faults of the
// other's nodes. What was answered before the cut, or asked after it, may be of either.
func (c *Cut) Check(sides [2][]Op, faults [2][]Fault) (found []Violation) {
	for i, own := range sides {
		found = append(found, Check(c.apart(own, sides[1-i]), faults[i])...)
		found = append(found, check(c.side(own, sides[1-i]), faults[i], c.Whole)...)
	}
	// What each value is, and how long it lives, is the same on both sides.
	for _, v := range Check(slices.Concat(sides[0], sides[1]), nil) {
		switch v.Rule {
		case RuleForeign, RuleRefused, RuleFuture, RuleExpired:
			found = append(found, v)
		}
	}
	return found
}

// apart gives the history as one side sees it until it meets the other again.
func (c *Cut) apart(own, other []Op) (ops []Op) {
	for _, o := range c.side(own, other) {
		if o.Begin < c.Heal && (o.End < c.Heal || o.Kind != Get) { // what is written meanwhile may be seen
			ops = append(ops, o)
		}
	}
	return ops
}

// side gives the history as one side sees it: own is what was asked of its nodes, other
// what was asked of the other side's.
func (c *Cut) side(own, other []Op) (ops []Op) {
	known := map[string]bool{} // by this side, when it meets the other
	for _, o := range other {
		switch {
		case o.End <= c.Begin:
			known[o.Wrote] = true
			ops = append(ops, o)
		case o.Begin >= c.Whole:
			ops = append(ops, o)
		case o.Kind != Get:
			o = c.late(o, Elsewhere)
			if o.Begin >= c.Done && o.TTL == 0 { // how long it lives counts from its begin
				o.Begin = max(o.Begin, c.Heal)
			}
			ops = append(ops, o)
		}
	}
	var meeting []Op
	for _, o := range own {
		switch {
		case o.End < c.Heal:
			known[o.Wrote] = true
			ops = append(ops, o)
		case o.Begin >= c.Whole:
			ops = append(ops, o)
		default:
			meeting = append(meeting, o)
		}
	}
	for _, o := range meeting {
		if o.Kind != Get {
			ops = append(ops, c.late(o, Done))
		} else if o.Outcome == Done && known[o.Seen] {
			ops = append(ops, o)
		}
	}
	return ops
}

// late gives what is left of a write or a delete that others may see as late as when
// the sides are one again. What it says of what it found is not held against them.
func (c *Cut) late(o Op, done Outcome) Op {
	o.End = max(o.End, c.Whole)
	if o.Kind != Delete && o.Kind != Flush {
		o.Kind, o.Seen = Set, ""
	}
	switch o.Outcome {
	case Done:
		o.Outcome = done
	case Missed: // it leaves a record of the key all the same, which may win
		o.Outcome = Elsewhere
	case Unmet, Unknown, Refused, Elsewhere:
	}
	return o
}
