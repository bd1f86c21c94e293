package bench

import "math"

// zipf draws numbers from 0 to count-1, k with a chance proportional to
// 1/(k+1)^skew, by rejection-inversion (W. Hörmann, G. Derflinger, "Rejection-
// inversion to generate variates from monotone discrete distributions", ACM TOMACS
// 6(3), 1996): no table, whatever the count, and for any exponent above zero, one
// included.
type zipf struct {
	count       float64
	skew        float64
	first, last float64 // the area's ends
	near        float64 // this close to a number, no test is needed
}

func newZipf(count uint64, skew float64) zipf {
	z := zipf{count: float64(count), skew: skew}
	z.first = z.area(1.5) - 1
	z.last = z.area(z.count + 0.5)
	z.near = 2 - z.invert(z.area(2.5)-z.weight(2))
	return z
}

// draw is the number that belongs to seed and n.
func (z *zipf) draw(seed, n uint64) uint64 {
	state := mix(seed + n*golden64)
	for {
		state += golden64
		u := z.last + float64(mix(state)>>11)/(1<<53)*(z.first-z.last)
		x := z.invert(u)
		k := math.Max(1, math.Min(math.Round(x), z.count))
		if k-x <= z.near || u >= z.area(k+0.5)-z.weight(k) {
			return uint64(k) - 1
		}
	}
}

func (z *zipf) weight(x float64) float64 { return math.Exp(-z.skew * math.Log(x)) }

// area is the integral of weight, up to a constant.
func (z *zipf) area(x float64) float64 {
	l := math.Log(x)
	return expm1Over((1-z.skew)*l) * l
}

// invert is the inverse of area.
func (z *zipf) invert(u float64) float64 {
	t := math.Max(u*(1-z.skew), -1)
	return math.Exp(log1pOver(t) * u)
}

// expm1Over is (e^x-1)/x, which is 1 at 0.
func expm1Over(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Expm1(x) / x
	}
	return 1 + x/2
}

// log1pOver is ln(1+x)/x, which is 1 at 0.
func log1pOver(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Log1p(x) / x
	}
	return 1 - x/2
}
