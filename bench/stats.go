package bench

import (
	"math"
	"math/rand/v2"
	"slices"
)

// median of values, of which there is at least one.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// rankTest is the two-sided p-value of the Mann-Whitney test: the chance of ranks
// as uneven as these if both samples came from the same source. It is exact but
// for ties, which count for the even side, and for samples of more than 30.
func rankTest(a, b []float64) float64 {
	u := 0.0 // pairs in which a's value is the smaller one
	for _, x := range a {
		for _, y := range b {
			switch {
			case x < y:
				u++
			case x == y:
				u += .5
			}
		}
	}
	n, m := len(a), len(b)
	u = math.Min(u, float64(n*m)-u)
	if n > 30 || m > 30 {
		mean, deviation := float64(n*m)/2, math.Sqrt(float64(n*m*(n+m+1))/12)
		return math.Min(1, math.Erfc((mean-u-.5)/deviation/math.Sqrt2))
	}
	return math.Min(1, 2*rankTail(n, m, int(math.Ceil(u))))
}

// rankTail is the chance that at most limit of the n*m pairs are in one order.
func rankTail(n, m, limit int) float64 {
	// ways[j][u] is the number of orders of i and j values with u such pairs: the
	// largest value is one of the i, above all j of the others, or one of the j.
	ways := make([][]float64, m+1)
	for j := range ways {
		ways[j] = make([]float64, n*m+1)
		ways[j][0] = 1
	}
	for range n {
		for j := range ways {
			next := make([]float64, n*m+1)
			for u := range next {
				if u >= j {
					next[u] = ways[j][u-j]
				}
				if j > 0 {
					next[u] += ways[j-1][u]
				}
			}
			ways[j] = next
		}
	}
	tail, all := 0.0, 0.0
	for u, w := range ways[m] {
		all += w
		if u <= limit {
			tail += w
		}
	}
	return tail / all
}

// ratioInterval is the range in which the ratio of the medians of b and a lies with
// 95 %, by bootstrapping; the same for the same samples.
func ratioInterval(a, b []float64) (low, high float64) {
	const draws = 2000
	random := rand.New(rand.NewPCG(1, 2))
	draw := func(from []float64) float64 {
		sample := make([]float64, len(from))
		for i := range sample {
			sample[i] = from[random.IntN(len(from))]
		}
		return median(sample)
	}
	ratios := make([]float64, 0, draws)
	for range draws {
		if base := draw(a); base > 0 {
			ratios = append(ratios, draw(b)/base)
		}
	}
	if len(ratios) == 0 {
		return 0, math.MaxFloat64
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/40], ratios[len(ratios)-1-len(ratios)/40]
}
