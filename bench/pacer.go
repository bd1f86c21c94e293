package bench

import (
	"fmt"
	"math"
	"sort"
	"time"
)

// A Pacer says when each request is to be sent. A run with one is an open loop:
// requests come as they do from people, whether or not earlier ones were answered,
// and latency counts from the intended time, so that a server that stands still
// for a second shows it in all the requests of that second. Its methods may be
// called from any goroutine.
type Pacer interface {
	// Due is when request n is to be sent, after the beginning of the phase. It
	// follows from n alone and does not fall as n rises.
	Due(n uint64) time.Duration
	// Rate is the mean number of requests in a second.
	Rate() float64
}

// MaxRate bounds the rate of ConstantRate.
const MaxRate = 10_000_000

// ConstantRate makes the pacer that sends at equal distances. The error wraps
// ErrConfig.
func ConstantRate(perSecond float64) (Pacer, error) {
	if !(perSecond >= 0.001 && perSecond <= MaxRate) {
		return nil, fmt.Errorf("%w: --rate must be 0.001 to %d", ErrConfig, MaxRate)
	}
	return constantRate(perSecond), nil
}

type constantRate float64

func (r constantRate) Due(n uint64) time.Duration {
	return time.Duration(math.Min(float64(n)/float64(r)*1e9, math.MaxInt64/4))
}

func (r constantRate) Rate() float64 { return float64(r) }

// dueWithin is the number of requests that a pacer wants sent before d is over.
func dueWithin(p Pacer, d time.Duration) uint64 {
	n := sort.Search(int(maxRequests), func(n int) bool { return p.Due(uint64(n)) >= d })
	return uint64(n)
}
