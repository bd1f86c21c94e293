package bench

import (
	"math"
	"slices"
)

// median of values, of which there is at least one.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// A contrast is the difference of two runs in the logarithm of a figure.
type contrast struct {
	difference float64 // of the second from the first
	deviation  float64 // its standard error
	freedom    float64 // degrees of freedom of deviation
}

const (
	// runVariance is the variance between runs of the same, as a share of that within
	// one: another process, another hour and other neighbours make whole runs differ,
	// however many samples each has.
	runVariance = 0.75
	// maxCorrelation bounds the correlation of neighbouring samples that is believed.
	maxCorrelation = 0.8
	// maxFreedom is as good as normal.
	maxFreedom = 200
	// leastShare of the median stands for samples below it, such as 0.
	leastShare = 0.01
)

// newContrast compares the samples of two runs, at least two of each, in their order.
// Neighbours that resemble each other count for fewer: the variance is that of a
// process in which each sample depends on the one before (AR(1)). Whole runs differ by a
// deviation of drift, as a share, at least.
func newContrast(a, b []float64, drift float64) contrast {
	a, b = logarithms(a), logarithms(b)
	all := float64(len(a) + len(b))
	r := (correlation(a) + correlation(b)) / 2
	r += 2 * (1 + 4*r) / all // what it is estimated too low by, to the first order
	r = min(max(r, 0), maxCorrelation)
	inflation := (1 + r) / (1 - r)
	of := func(v []float64) (center, variance, freedom float64) {
		center, within := moments(v)
		n := max(float64(len(v))/inflation, 2)
		return center, within * inflation * (runVariance + 1/float64(len(v))), n - 1
	}
	first, va, fa := of(a)
	second, vb, fb := of(b)
	variance := va + vb + 2*drift*drift
	c := contrast{difference: second - first, deviation: math.Sqrt(variance), freedom: maxFreedom}
	if va+vb > 0 { // Welch and Satterthwaite; drift is no estimate
		c.freedom = min(variance*variance/(va*va/fa+vb*vb/fb), maxFreedom)
	}
	return c
}

// p is the chance of a difference as large as this between runs of the same.
func (c contrast) p() float64 {
	if c.difference == 0 {
		return 1
	}
	return studentTail(math.Abs(c.difference)/c.deviation, c.freedom)
}

// interval is the range in which the ratio of the two lies with 95 %.
func (c contrast) interval() (low, high float64) {
	t := 0.0
	for step := 16.0; step > 1e-2; step /= 2 {
		if studentTail(t+step, c.freedom) > .05 {
			t += step
		}
	}
	return math.Exp(c.difference - t*c.deviation), math.Exp(c.difference + t*c.deviation)
}

func logarithms(values []float64) []float64 {
	least := max(median(values)*leastShare, 1e-9)
	logs := make([]float64, len(values))
	for i, v := range values {
		logs[i] = math.Log(max(v, least))
	}
	return logs
}

// moments gives mean and variance.
func moments(values []float64) (mean, variance float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		variance += (v - mean) * (v - mean) / float64(len(values)-1)
	}
	return mean, variance
}

// correlation is that of each sample with the next.
func correlation(values []float64) float64 {
	mean, variance := moments(values)
	if variance == 0 {
		return 0
	}
	sum := 0.0
	for i := range len(values) - 1 {
		sum += (values[i] - mean) * (values[i+1] - mean)
	}
	return sum / variance / float64(len(values)-1)
}

// studentTail is the chance that Student's t of some degrees of freedom, at least one,
// is beyond t on either side; by Simpson's rule over the angle, where it is smooth.
func studentTail(t, freedom float64) float64 {
	const steps = 40
	end := math.Atan(t / math.Sqrt(freedom))
	if math.IsInf(t, 1) {
		return 0
	}
	// With x = sqrt(freedom) tan(angle) the density becomes a power of the cosine.
	f := func(i int) float64 { return math.Pow(math.Cos(end*float64(i)/steps), freedom-1) }
	sum := f(0) + f(steps)
	for i := 1; i < steps; i++ {
		sum += float64(2+2*(i%2)) * f(i)
	}
	up, _ := math.Lgamma((freedom + 1) / 2)
	down, _ := math.Lgamma(freedom / 2)
	within := 2 * math.Exp(up-down) / math.Sqrt(math.Pi) * sum * end / steps / 3
	return max(1-within, 0)
}

// holm corrects p-values for their number: whichever are called significant below a
// level, the chance that one of them is so by chance alone is below that level (Sture
// Holm, 1979).
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, k int) int {
		switch {
		case p[i] < p[k]:
			return -1
		case p[i] > p[k]:
			return 1
		}
		return 0
	})
	corrected, least := make([]float64, len(p)), 0.0
	for rank, i := range order {
		least = max(least, min(p[i]*float64(len(p)-rank), 1))
		corrected[i] = least
	}
	return corrected
}
