package history

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The rules, by the names that a Violation carries.
const (
	RuleForeign = "P1: a value that nobody wrote to this key"
	RuleRefused = "P1: a value whose write was refused"
	RuleFuture  = "P1: a value before it was written"
	RuleOrder   = "P1: an older value after a newer one"
	RuleTwice   = "P1: a value was replaced twice"
	RuleMiss    = "P1: no value, and nothing excuses it"
	RuleUnmet   = "P1: a condition was refused that held"
	RuleReturn  = "P3: a value after it was deleted"
	RuleExpired = "P3: a value after its time to live"
)

// lateness is how much longer than its time to live a value may be seen: what
// rounding costs. earliness is how much sooner it may be gone: a value that moves
// loses the time that the way takes.
const (
	lateness  = 20 * time.Millisecond
	earliness = 2 * time.Second
)

// Violation is a broken promise.
type Violation struct {
	Key, Rule, What string
	// Ops are the operations on the key around it, in the order of their begins.
	Ops []Op
}

func (v *Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: key %s: %s\n", v.Rule, v.Key, v.What)
	for i := range v.Ops {
		fmt.Fprintf(&b, "    %s\n", v.Ops[i].String())
	}
	return b.String()
}

// Check gives the broken promises of a history, at most one of each rule for a key.
func Check(ops []Op, faults []Fault) (found []Violation) { return check(ops, faults, 0) }

// check is Check, but what was not there before a time is not looked into.
func check(ops []Op, faults []Fault, from time.Duration) (found []Violation) {
	keys := map[string][]*Op{}
	var flushes []*Op
	for i := range ops {
		if o := &ops[i]; o.Kind == Flush {
			flushes = append(flushes, o)
		} else {
			keys[o.Key] = append(keys[o.Key], o)
		}
	}
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := newChecker(name, append(keys[name], flushes...), faults)
		c.from = from
		c.check()
		found = append(found, c.found...)
	}
	return found
}

// checker looks at one key.
type checker struct {
	key    string
	ops    []*Op // by their begins
	faults []Fault
	from   time.Duration // when what is not there begins to count
	values map[string]*value
	order  []*value // by the begins of their writes
	gone   []*Op    // deletes and flushes
	found  []Violation
}

// value is a write, with all that is known of when its value was there.
type value struct {
	name  string
	write *Op
	// first is the earliest end of an operation that says that the value was
	// there: it was so at that moment. last is the latest begin: it was so after
	// it, if at all.
	first, last time.Duration
	replaced    *Op // by an answered Replace
}

// before reports whether v was certainly there before w.
func (v *value) before(w *value) bool { return v.first < w.last }

func newChecker(key string, ops []*Op, faults []Fault) *checker {
	c := &checker{key: key, ops: ops, faults: faults, values: map[string]*value{}}
	slices.SortStableFunc(c.ops, func(a, b *Op) int { return int(a.Begin - b.Begin) })
	for _, o := range c.ops {
		switch o.Kind {
		case Set, Create, Replace:
			v := &value{name: o.Wrote, write: o, first: o.end(), last: o.Begin}
			if o.Outcome == Elsewhere {
				v.first = never // unless it is seen
			}
			c.values[o.Wrote] = v
			if o.Outcome != Unmet && o.Outcome != Refused {
				c.order = append(c.order, v)
			}
		case Delete, Flush:
			if o.Outcome != Refused {
				c.gone = append(c.gone, o)
			}
		case Get:
		}
	}
	return c
}

// fail notes a violation, with the operations from one time to another.
func (c *checker) fail(rule string, from, to time.Duration, format string, args ...any) {
	for i := range c.found {
		if c.found[i].Rule == rule {
			return
		}
	}
	const most, around = 60, 2 * time.Second
	v := Violation{Key: c.key, Rule: rule, What: fmt.Sprintf(format, args...)}
	for _, o := range c.ops {
		if o.end() >= from-around && o.Begin <= to+around && len(v.Ops) < most {
			v.Ops = append(v.Ops, *o)
		}
	}
	c.found = append(c.found, v)
}

func (c *checker) check() {
	for _, o := range c.ops {
		if o.Kind == Get && o.Outcome == Done || o.Kind == Replace && o.Outcome == Done {
			c.see(o)
		}
	}
	c.checkOrder()
	for _, o := range c.ops {
		switch {
		case o.Begin < c.from:
		case o.Kind == Get && o.Outcome == Missed, o.Kind == Delete && o.Outcome == Missed, o.Kind == Create && o.Outcome == Done:
			c.checkAbsent(o)
		case o.Kind == Replace && o.Outcome == Unmet:
			if v := c.values[o.Seen]; v != nil {
				c.checkNot(v, o)
			}
		case o.Kind == Create && o.Outcome == Unmet, o.Kind == Delete && o.Outcome == Done:
			c.checkPresent(o)
		}
	}
}

// see takes note of a value that was there.
func (c *checker) see(o *Op) {
	v := c.values[o.Seen]
	switch {
	case v == nil:
		c.fail(RuleForeign, o.Begin, o.End, "%q", o.Seen)
		return
	case v.write.Outcome == Unmet || v.write.Outcome == Refused:
		c.fail(RuleRefused, v.write.Begin, o.End, "%q", o.Seen)
		return
	case o.End < v.write.Begin:
		c.fail(RuleFuture, o.Begin, v.write.End, "%q", o.Seen)
	case v.write.TTL > 0 && v.write.Outcome == Done && o.Begin > v.write.End+v.write.TTL+lateness:
		c.fail(RuleExpired, v.write.Begin, o.End, "%q, %.1f ms too late", o.Seen, ms(o.Begin-v.write.End-v.write.TTL))
	}
	v.first, v.last = min(v.first, o.End), max(v.last, o.Begin)
	if v.write.Outcome == Elsewhere {
		v.first = min(v.first, v.write.End) // it has not come later
	}
	if o.Kind == Replace {
		if v.replaced != nil {
			c.fail(RuleTwice, min(v.replaced.Begin, o.Begin), o.End, "%q, by %q and by %q", o.Seen, v.replaced.Wrote, o.Wrote)
		}
		v.replaced = o
	}
}

// checkOrder looks for values that were there both before and after another one,
// and both before and after a delete.
func (c *checker) checkOrder() {
	for i, v := range c.order {
		for _, w := range c.order[i+1:] {
			if v.before(w) && w.before(v) {
				c.fail(RuleOrder, min(v.first, w.first), max(v.last, w.last), "%q and %q are each older than the other", v.name, w.name)
			}
		}
		for _, d := range c.gone {
			if d.Outcome != Elsewhere && v.first < d.Begin && d.end() < v.last {
				c.fail(RuleReturn, v.first, v.last, "%q, deleted from %.1f to %.1f ms", v.name, ms(d.Begin), ms(d.End))
			}
		}
	}
}

// checkAbsent looks for a value that o should have found.
func (c *checker) checkAbsent(o *Op) {
	for _, v := range c.order {
		if v.write != o && v.first < o.Begin && !c.mayBeGone(v, o.End) {
			c.fail(RuleMiss, v.first, o.End, "%q was there, and from %.1f to %.1f ms nothing is", v.name, ms(o.Begin), ms(o.End))
			return
		}
	}
}

// checkNot looks whether o was told rightly that v is not there.
func (c *checker) checkNot(v *value, o *Op) {
	if v.first >= o.Begin || c.mayBeGone(v, o.End) {
		return
	}
	for _, w := range c.order {
		if w != v && w.write.Begin < o.End && !w.before(v) {
			return // it may have been replaced
		}
	}
	c.fail(RuleUnmet, v.first, o.End, "%q is there", v.name)
}

// checkPresent looks whether something may have been there that o was told of.
func (c *checker) checkPresent(o *Op) {
	if len(c.order) == 0 {
		c.fail(RuleForeign, o.Begin, o.End, "a %s finds a value, and there never was one", o.Kind)
		return
	}
	for _, v := range c.order {
		if v.write.Begin < o.End && !c.mustBeGone(v, o.Begin) {
			return
		}
	}
	c.fail(RuleReturn, o.Begin, o.End, "a %s finds a value, and all are gone", o.Kind)
}

// mayBeGone reports whether something may have taken v, and what came after it,
// away by a time.
func (c *checker) mayBeGone(v *value, by time.Duration) bool {
	for _, d := range c.gone {
		if d.Outcome != Missed && d.Begin < by && d.end() >= v.last {
			return true
		}
	}
	for _, w := range c.order {
		if (w == v || !w.before(v)) && w.write.Begin < by && (w.mayExpire(by) || c.mayBeLost(w)) {
			return true
		}
	}
	return false
}

// mayExpire reports whether the value may have expired by a time.
func (v *value) mayExpire(by time.Duration) bool {
	return v.write.TTL > 0 && v.write.Begin+v.write.TTL-earliness <= by
}

// mayBeLost reports whether a fault may have taken a value away. What was seen
// after it was not lost; and what is elsewhere, and was never seen, was not there.
func (c *checker) mayBeLost(v *value) bool {
	if v.write.Outcome == Elsewhere && v.first == never {
		return false
	}
	for _, f := range c.faults {
		if v.last <= f.At && f.Held(c.key) {
			return true
		}
	}
	return false
}

// mustBeGone reports whether v was certainly not there any more at a time.
func (c *checker) mustBeGone(v *value, at time.Duration) bool {
	if w := v.write; w.TTL > 0 && w.Outcome == Done && w.End+w.TTL+lateness < at {
		return true
	}
	for _, d := range c.gone {
		if d.Outcome != Elsewhere && v.first < d.Begin && d.end() < at {
			return true
		}
	}
	return false
}
