package place

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/smache/smache/proto"
)

// runner is a member in the races.
type runner struct {
	seed   uint64 // of its name
	weight uint64 // above 0 in a race
	index  int    // among the members, by name: the lower wins a dead heat
}

// seedOf gives what a member's numbers start from: the first 8 bytes,
// little-endian, of its name's SHA-256. The names of a cluster differ in a digit
// or two, and nothing of that must be left. It is used once for each member and
// table.
func seedOf(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.LittleEndian.Uint64(sum[:])
}

// stepsTo is what a slot adds to a seed.
func stepsTo(slot proto.Slot) uint64 { return (uint64(slot) + 1) * 0xa0761d6478bd642f }

// number is what a member draws in a slot, state being its seed and the slot's
// steps: the slot-th output, the first for slot 0, of the generator wyrand started
// at the seed (Wang Yi, wyhash final version 3, public domain; Go's runtime uses it
// with the same constants). It takes one multiplication. SplitMix64, which takes
// two, spread the slots no better, and made a table cost 1.2 times as much.
func number(state uint64) uint64 {
	high, low := bits.Mul64(state, state^0xe7037ed1a0b428db)
	return high ^ low
}

// Times are fractions of this many bits, and so are the upper bits of a number,
// the only ones that count: one is 1<<fraction. The 6 bits above hold the longest
// time, 58·ln 2 = 40.2.
const (
	fraction = 58
	spare    = 64 - fraction

	one   = 1 << fraction
	ln2   = 0x2c5c85fdf473de6 // ln 2
	sqrt2 = 0x5a827999fcef324 // √2
)

// odd holds 1/3, 1/5, … of 1<<64.
var odd = [...]uint64{
	1 << 64 / 3, 1 << 64 / 5, 1 << 64 / 7, 1 << 64 / 9, 1 << 64 / 11, 1 << 64 / 13,
	1 << 64 / 15, 1 << 64 / 17, 1 << 64 / 19, 1 << 64 / 21, 1 << 64 / 23, 1 << 64 / 25,
}

// timeOf gives -ln(1-u), the time of a member of weight 1 whose number begins with
// u. It is never below u, for t is cut off at no less than u/2: limitOf relies on
// that.
//
// With 1-u = m/2ⁿ, m from √½ to √2, it is n·ln 2 - ln m, and the logarithm is a
// series: -ln m = 2·artanh t = 2(t + t³/3 + t⁵/5 + …), t = (1-m)/(1+m). As t² is
// below 0.03, twelve terms and the first are more than 58 bits. Small numbers, those
// that win, take two or three, and lose no digits.
func timeOf(u uint64) uint64 {
	m := one - u
	n := bits.LeadingZeros64(m) - (spare - 1)
	if m<<n > sqrt2 {
		n--
	}
	m <<= n
	distance := one - m
	if m > one {
		distance = m - one
	}
	t, _ := bits.Div64(distance, 0, one+m) // a fraction of 64 bits
	square, _ := bits.Mul64(t, t)
	sum, power := t, t
	for _, inverse := range odd {
		if power, _ = bits.Mul64(power, square); power == 0 {
			break
		}
		term, _ := bits.Mul64(power, inverse)
		sum += term
	}
	sum >>= spare - 1
	if m > one {
		sum = -sum
	}
	return uint64(n)*ln2 + sum
}

// wins says that a beats b. Their times are still to be divided by their weights:
// the fractions are multiplied out, and so compared exactly.
func wins(aTime uint64, a *runner, bTime uint64, b *runner) bool {
	aHigh, aLow := bits.Mul64(aTime, b.weight)
	bHigh, bLow := bits.Mul64(bTime, a.weight)
	return cmp.Or(cmp.Compare(aHigh, bHigh), cmp.Compare(aLow, bLow), cmp.Compare(a.index, b.index)) < 0
}

// limitOf gives the highest number with which a member of a weight, or a lesser
// one, can still beat best. Its time is no less than what its number begins with.
func limitOf(time uint64, best *runner, weight uint64) uint64 {
	high, low := bits.Mul64(time, weight)
	if high >= best.weight {
		return math.MaxUint64
	}
	u, _ := bits.Div64(high, low, best.weight)
	if u >= one {
		return math.MaxUint64
	}
	return u<<spare | (1<<spare - 1)
}

// field is a number of members who race together, the heaviest first.
type field struct {
	runners []runner
	seeds   []uint64 // theirs: all that is looked at of those who lose
}

// newField makes a field of runners, less those without weight. It reorders them.
func newField(runners []runner) field {
	runners = slices.DeleteFunc(runners, func(r runner) bool { return r.weight == 0 })
	slices.SortFunc(runners, func(a, b runner) int { return cmp.Compare(b.weight, a.weight) })
	seeds := make([]uint64, len(runners))
	for i, r := range runners {
		seeds[i] = r.seed
	}
	return field{runners: runners, seeds: seeds}
}

// nobody is the index of no member.
const nobody = math.MaxUint16

// closeBy is more than two numbers differ by whose times, as they are computed, are in
// another order than they themselves.
const closeBy = 1 << (spare + 12)

// race lets the field run in a slot against its owner so far, nil if there is
// none, and gives the winner's index, or nobody. The order among runners is total,
// so that it does not matter when each of them runs.
//
// Nearly all lose, and of them only the number is needed. The limit that a number
// must keep to is that of a heavier member at first, and exact from the one who
// keeps to it on; as the heaviest come first, few keep to it in vain.
func (f *field) race(slot proto.Slot, owner *runner) int {
	if len(f.runners) == 0 {
		return nobody
	}
	steps := stepsTo(slot)
	best, time := runner{weight: 1, index: nobody}, uint64(math.MaxUint64)
	i, limit := 0, uint64(math.MaxUint64)
	if owner != nil {
		drawn := number(owner.seed + steps)
		if f.runners[0].weight <= owner.weight && drawn < math.MaxUint64-closeBy {
			// Nobody is heavier: whoever has not drawn less, or nearly so, has lost.
			if i, _ = within(drawn+closeBy, f.seeds, steps); i == len(f.runners) {
				return owner.index
			}
		}
		best, time = *owner, timeOf(drawn>>spare)
	}
	for limit = limitOf(time, &best, f.runners[i].weight); ; i++ {
		n, drawn := within(limit, f.seeds[i:], steps)
		if i += n; i == len(f.runners) {
			return best.index
		}
		r := &f.runners[i]
		if t := timeOf(drawn >> spare); wins(t, r, time, &best) {
			best, time = *r, t
		}
		limit = limitOf(time, &best, r.weight)
	}
}

// within gives the first of seeds whose number keeps to limit, and the number, or
// else how many seeds there are. A table's time is spent here: inlined, the loop
// spills registers, and a table takes a twentieth longer.
//
//go:noinline
func within(limit uint64, seeds []uint64, steps uint64) (int, uint64) {
	for i, seed := range seeds {
		if drawn := number(seed + steps); drawn <= limit {
			return i, drawn
		}
	}
	return len(seeds), 0
}
