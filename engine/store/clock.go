package store

import "time"

// Clock is where the store takes its time from. Tests inject their own; both
// methods may be called from any goroutine.
type Clock interface {
	// Now is the monotonic time in nanoseconds since some fixed moment: it never
	// goes back, whatever is done to the machine's clock. Expiry and age count
	// on it.
	Now() int64
	// Wall is the time of day in microseconds since 1970. It may jump. Only the
	// hybrid logical clock looks at it.
	Wall() int64
}

// SystemClock is the machine's clock. Its Now begins at twelve years, so that an
// entry that comes from elsewhere can be older than this process.
func SystemClock() Clock { return systemClock{start: time.Now().Add(-clockStart)} }

const clockStart = 12 * 365 * 24 * time.Hour

type systemClock struct{ start time.Time }

func (c systemClock) Now() int64  { return int64(time.Since(c.start)) }
func (c systemClock) Wall() int64 { return time.Now().UnixMicro() }

// hlc is a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks",
// 2014) in one word: microseconds since 1970 in the upper 52 bits, a counter in
// the lower 12. It follows the wall clock, never goes back, and gives each
// value once; a counter that overflows borrows from the microseconds. It belongs
// to one writer and is used only in the writer's turn.
type hlc struct {
	last uint64
	// offset is the wall clock less the monotonic one, in microseconds, as of
	// the last sync: this spares each write a second look at a clock.
	offset int64
	// base is what offset was when the store began (Store.epoch), and stays as long
	// as nobody sets the wall clock: entries written under it are shorter.
	base int64
}

const hlcCounterBits = 12

// hlcSlack, in microseconds, is what two looks at the clocks may differ by though
// nobody has set one: what passes between the look at either.
const hlcSlack = 1000

func (h *hlc) sync(c Clock) {
	h.offset = clockOffset(c)
	if d := h.offset - h.base; -hlcSlack < d && d < hlcSlack {
		h.offset = h.base
	}
}

// clockOffset gives the wall clock less the monotonic one, in microseconds.
func clockOffset(c Clock) int64 { return c.Wall() - c.Now()/1000 }

// next gives a value above all that were given or seen; now is Clock.Now.
func (h *hlc) next(now int64) uint64 {
	physical := uint64(max(now/1000+h.offset, 1)) << hlcCounterBits
	h.last = max(physical, h.last+1)
	return h.last
}

// clockAhead is how far another clock may be ahead of the wall clock: more than
// clocks that anybody looks after are apart, and far from where the word ends.
const clockAhead = 10 * time.Minute

// bound gives the highest clock from elsewhere to believe; now is Clock.Now.
func (h *hlc) bound(now int64) uint64 {
	return uint64(max(now/1000+h.offset+clockAhead.Microseconds(), 1)) << hlcCounterBits
}

// see moves the clock past a value that came from elsewhere.
func (h *hlc) see(clock uint64) { h.last = max(h.last, clock) }
