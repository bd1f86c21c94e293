package httpapi

import "sync/atomic"

// The sizes at which a body or an answer is charged. Up to mediumFrom bytes it
// is part of what a connection holds anyway.
const (
	mediumFrom = 8 << 10
	largeFrom  = 64 << 10
)

// budget bounds the bytes of one size class that are in memory at once, over all
// connections. It is lock-free; any goroutine may use it.
type budget struct {
	limit   int64
	used    atomic.Int64
	granted atomic.Uint64 // reservations made
	refused atomic.Uint64 // reservations refused
}

// reserve takes n bytes, or says that there are none left.
func (b *budget) reserve(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		b.refused.Add(1)
		return false
	}
	b.granted.Add(1)
	return true
}

// release gives n bytes back.
func (b *budget) release(n int64) { b.used.Add(-n) }

// charges is what one connection owes to the budgets. The goroutine that serves
// the connection charges; settle may come from any.
type charges struct {
	medium, large atomic.Int64
}

// charge reserves n bytes of the class that n belongs to, for what the current
// request keeps in memory until its answer is written. False: there is no room,
// and nothing was charged.
func (s *Server) charge(to *charges, n int) bool {
	switch {
	case n <= mediumFrom:
		return true
	case n <= largeFrom:
		if !s.medium.reserve(int64(n)) {
			return false
		}
		to.medium.Add(int64(n))
	default:
		if !s.large.reserve(int64(n)) {
			return false
		}
		to.large.Add(int64(n))
	}
	return true
}

// recharge is charge for something that grows from before to n bytes. If it is
// refused, the charge for before stays.
func (s *Server) recharge(to *charges, before, n int) bool {
	if n <= before || n <= mediumFrom {
		return true
	}
	if before > largeFrom { // charge the difference, whatever its size
		d := int64(n - before)
		if !s.large.reserve(d) {
			return false
		}
		to.large.Add(d)
		return true
	}
	if !s.charge(to, n) {
		return false
	}
	if before > mediumFrom {
		to.medium.Add(-int64(before))
		s.medium.release(int64(before))
	}
	return true
}

// settle gives back everything that was charged.
func (s *Server) settle(c *charges) {
	if c.medium.Load() != 0 {
		s.medium.release(c.medium.Swap(0))
	}
	if c.large.Load() != 0 {
		s.large.release(c.large.Swap(0))
	}
}
