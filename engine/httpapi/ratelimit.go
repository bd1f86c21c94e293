package httpapi

import (
	"hash/maphash"
	"math"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// The size of a limiter: 1 MiB, however many addresses there are.
const (
	limitSets = 8192 // a power of two
	limitWays = 8
)

// limiter bounds the requests of each address. Each has a bucket of burst tokens
// that fills at rate a second, and a request takes one. Of a bucket only the moment
// is kept at which it will be full again (the generic cell rate algorithm), so a
// bucket that is full is the same as none. Buckets lie in a table of fixed size; an
// address for which there is no room takes the place of the one that is full soonest,
// whose owner gains least. Any goroutine may use it.
type limiter struct {
	seed      maphash.Seed
	interval  int64 // nanoseconds in which one token comes
	tolerance int64 // how far ahead of now a bucket's moment may be
	sets      []limitSet
}

type limitSet struct {
	mu      sync.Mutex
	buckets [limitWays]struct {
		key  uint64 // hash of the address; 0: none
		full int64  // when it is full again
	}
}

func newLimiter(rate, burst int) *limiter {
	interval := max(int64(time.Second)/int64(rate), 1)
	return &limiter{
		seed: maphash.MakeSeed(), interval: interval, tolerance: int64(burst-1) * interval,
		sets: make([]limitSet, limitSets),
	}
}

// take takes a token for addr at the time now. 0: it had one; else the time until
// there is one.
func (l *limiter) take(addr netip.Addr, now int64) (wait int64) {
	key := maphash.Comparable(l.seed, limitedBy(addr)) | 1
	set := &l.sets[key>>1&(limitSets-1)]
	set.mu.Lock()
	defer set.mu.Unlock()
	place, soonest := -1, int64(math.MaxInt64)
	for i := range set.buckets {
		b := &set.buckets[i]
		if b.key == key {
			place = i
			break
		}
		if b.full < soonest {
			place, soonest = i, b.full
		}
	}
	b := &set.buckets[place]
	if b.key != key {
		b.key, b.full = key, now
	}
	full := max(b.full, now)
	if ahead := full - now; ahead > l.tolerance {
		return ahead - l.tolerance
	}
	b.full = full + l.interval
	return 0
}

// limitedBy gives what of an address is limited together: of IPv6 the network, for
// one customer has 2^64 addresses.
func limitedBy(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	network, err := addr.Prefix(64)
	if err != nil { // the zero address
		return addr
	}
	return network.Addr()
}

// limit refuses a request whose client has had its share. Probes are not counted:
// a node must not seem dead to the load balancer that many clients come through.
func (s *Server) limit(ctx *fasthttp.RequestCtx, r *request) refusal {
	if s.limiter == nil || r.conn == nil {
		return refusal{}
	}
	if rt, _ := s.routeOf(r, ctx.Path()); routes[rt].access == accessOpen {
		return refusal{}
	}
	wait := s.limiter.take(s.clientOf(r), r.start)
	if wait == 0 {
		return refusal{}
	}
	seconds := (wait + int64(time.Second) - 1) / int64(time.Second)
	r.value = strconv.AppendInt(r.value[:0], seconds, 10)
	ctx.Response.Header.SetCanonical(headerRetryAfter, r.value)
	return refusal{fail: proto.FailRateLimited}
}
