package place

import (
	"cmp"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/smache/smache/proto"
)

// TestTime holds the logarithm against that of the standard library, for numbers
// of all sizes.
func TestTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	numbers := []uint64{0, 1, 2, one / 4, one/2 - 1, one / 2, one/2 + 1, one - 2, one - 1}
	for i := range 100_000 {
		numbers = append(numbers, r.Uint64()>>(spare+i%fraction), one-1-r.Uint64()>>(spare+i%fraction))
	}
	for _, u := range numbers {
		got := timeOf(u)
		if got < u {
			t.Fatalf("%d takes %d", u, got)
		}
		// Log1p of numbers near 1 would see what rounding has left of them.
		want := -math.Log1p(-float64(u) / one)
		if u > one/2 {
			want = -math.Log(float64(one-u) / one)
		}
		// Numbers so small that a float has more digits are right to the last of theirs.
		if off := math.Abs(float64(got) - want*one); off > 2+want*one/(1<<50) {
			t.Fatalf("%d takes %d, not %.0f", u, got, want*one)
		}
	}
}

// TestRaceIsTheOrder: shortcuts and the order of running do not matter. The
// winner is whom a plain comparison of exact fractions gives.
func TestRaceIsTheOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	weights := []func() uint64{
		func() uint64 { return 100 },
		func() uint64 { return 1 + r.Uint64N(1000) },
		func() uint64 { return 1 + r.Uint64N(3)*(math.MaxUint32/3) },
		func() uint64 { return 1 + r.Uint64N(1<<r.Uint64N(32)) },
	}
	for round := range 4000 {
		weight := weights[round%len(weights)]
		runners := make([]runner, 1+r.IntN(40))
		for i := range runners {
			runners[i] = runner{seed: r.Uint64(), weight: weight(), index: i}
			if i > 0 && r.IntN(10) == 0 { // a dead heat
				runners[i].seed, runners[i].weight = runners[i-1].seed, runners[i-1].weight
			}
		}
		slot := proto.Slot(r.Uint32())
		want := slices.MinFunc(runners, func(a, b runner) int {
			return cmp.Or(exact(slot, &a).Cmp(exact(slot, &b)), cmp.Compare(a.index, b.index))
		}).index

		r.Shuffle(len(runners), func(i, j int) { runners[i], runners[j] = runners[j], runners[i] })
		all := newField(slices.Clone(runners))
		if got := all.race(slot, nil); got != want {
			t.Fatalf("round %d: %d wins, not %d", round, got, want)
		}
		// The same in two heats: some of them, and the others against the best of those.
		some := r.IntN(len(runners) + 1)
		first, second := newField(slices.Clone(runners[:some])), newField(slices.Clone(runners[some:]))
		got := first.race(slot, nil)
		if some < len(runners) {
			var owner *runner
			if i := slices.IndexFunc(runners, func(r runner) bool { return r.index == got }); i >= 0 {
				owner = &runners[i]
			}
			got = second.race(slot, owner)
		}
		if got != want {
			t.Fatalf("round %d: %d wins after heats, not %d", round, got, want)
		}
	}
}

func exact(slot proto.Slot, r *runner) *big.Rat {
	time := new(big.Int).SetUint64(timeOf(number(r.seed+stepsTo(slot)) >> spare))
	return new(big.Rat).SetFrac(time, new(big.Int).SetUint64(r.weight))
}

// TestLimit: the number at the limit may win, and the next one cannot.
func TestLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100_000 {
		best := runner{weight: 1 + r.Uint64N(1<<r.Uint64N(33)), index: 1}
		time := timeOf(r.Uint64() >> (spare + r.Uint64N(fraction)))
		a := runner{weight: 1 + r.Uint64N(1<<r.Uint64N(33)), index: 0}
		limit := limitOf(time, &best, a.weight)
		if limit == math.MaxUint64 {
			continue
		}
		// The least time that such a number can have is what it begins with.
		if u := limit >> spare; !wins(u, &a, time, &best) || wins(u+1, &a, time, &best) {
			t.Fatalf("the limit against %d of weight %d is %d for weight %d", time, best.weight, limit, a.weight)
		}
	}
}

func TestLimitOfAnything(t *testing.T) {
	best := runner{weight: 7, index: 1}
	for _, c := range []struct{ time, weight, limit uint64 }{
		{one - 2, 7, math.MaxUint64 - 1<<spare},
		{one - 1, 7, math.MaxUint64},
		{one, 7, math.MaxUint64},
		{one + 1, 7, math.MaxUint64},
		{math.MaxUint64, math.MaxUint32, math.MaxUint64},
		{0, 7, 1<<spare - 1},
	} {
		if got := limitOf(c.time, &best, c.weight); got != c.limit {
			t.Errorf("against %d for weight %d the limit is %#x, not %#x", c.time, c.weight, got, c.limit)
		}
	}
}

// TestWithin: the limit itself is within it.
func TestWithin(t *testing.T) {
	seeds := []uint64{seedOf("a"), seedOf("b"), seedOf("c")}
	steps := stepsTo(12345)
	for i, seed := range seeds {
		drawn := number(seed + steps)
		if n, got := within(drawn, seeds[i:], steps); n != 0 || got != drawn {
			t.Errorf("%d is not found under its own number", i)
		}
		if n, _ := within(drawn-1, seeds[i:i+1], steps); n != 1 {
			t.Errorf("%d is found under less than its number", i)
		}
	}
}
