package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// The sweeper comes by every place once in sweepRound, however many entries there are,
// and whatever comes and goes meanwhile: what expired so long ago, and the time between
// two steps, is gone.
func TestSweepRound(t *testing.T) {
	const (
		ttl   = 20 * time.Second
		slack = 2 * sweepRest
		once  = ttl + sweepRound + slack
	)
	many := shorter(200_000, 10_000)
	for _, c := range []struct {
		what    string
		writers int
		burst   int // entries with a time to live, at the beginning
		rate    int // entries that are written in each second after it
		ttl     time.Duration
		run     time.Duration
	}{
		{"a few", 1, 1000, 0, 0, once},
		{"some, while others come and stay", 1, 20_000, 100, proto.Forever, once},
		{"many", 1, many, 0, 0, once},
		{"many, of several writers", 4, many, 0, 0, once},
		{"many, while others come and stay", 1, many, many / 100, proto.Forever, once},
		{"a stream", 1, 0, many / 20, ttl, 3 * once},
		{"a stream, of several writers", 4, 0, many / 20, ttl, 3 * once},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			clock := newTestClock()
			s := newTestStore(t, Config{Clock: clock, Writers: c.writers, ArenaBytes: 8 * ArenaUnit})
			endTicks(s) // the test takes the steps
			written := 0
			write := func(n int, ttl time.Duration) {
				for ; n > 0; n-- {
					wantStatus(t, setTTL(s, fmt.Sprint("k", written), "value", ttl), proto.StatusOK)
					written++
				}
			}
			write(c.burst, ttl)
			begin := clock.Now()
			due := make([]int64, c.writers) // the next step of each writer
			for end := begin + int64(c.run); clock.Now() < end; {
				clock.advance(10 * time.Millisecond)
				for i, w := range s.writers {
					if now := clock.Now(); due[i] <= now {
						due[i] = now + int64(w.sweepOn())
					}
				}
				write(int(int64(c.rate)*(clock.Now()-begin)/int64(time.Second))+c.burst-written, c.ttl)
			}
			if n := overdue(s, clock.Now()-int64(sweepRound+slack)); n != 0 {
				t.Errorf("of %d entries %d expired more than %v ago, and are there", written, n, sweepRound+slack)
			}
			st := s.Stats()
			if c.ttl == ttl {
				t.Logf("%d a second: at most %d entries", c.rate, st.Entries)
				if limit := int((ttl + sweepRound + slack).Seconds()) * c.rate; st.Entries > limit {
					t.Errorf("%d entries are there, want at most %d", st.Entries, limit)
				}
			}
			if st.Evicted != 0 || st.Expired == 0 {
				t.Errorf("%d evicted, %d expired", st.Evicted, st.Expired)
			}
			checkAccounts(t, s)
		})
	}
}

// Where there are few entries, what has expired is gone within seconds.
func TestSweepFew(t *testing.T) {
	clock := newTestClock()
	s := newTestStore(t, Config{Clock: clock, Writers: 1})
	endTicks(s)
	for i := range 1000 {
		setTTL(s, fmt.Sprint("k", i), "value", 20*time.Second)
	}
	for begin, pause := clock.Now(), sweepTick; clock.Now()-begin < int64(25*time.Second); {
		clock.advance(pause)
		pause = s.writers[0].sweepOn()
	}
	if n := s.Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// overdue counts the entries that expired at this time or before.
func overdue(s *Store, at int64) (n int) {
	for _, w := range s.writers {
		w.exclusive(func() {
			for i := w.index; i < proto.Slots; i += len(s.writers) {
				for _, r := range w.slots[i].records {
					var e head
					h := r.hash(uint16(i))
					if !r.free() && w.readHead(uint16(i), &h, &w.move, &e) && e.expired(at) {
						n++
					}
				}
			}
		})
	}
	return n
}

// BenchmarkSweep measures what a walk costs for each entry that it keeps, and for each
// that it drops, in ns, and how long a step takes on average, in ms. Run it with
// -benchtime 1x.
func BenchmarkSweep(b *testing.B) {
	const entries = 4_000_000
	for b.Loop() {
		clock := newTestClock()
		s := newTestStore(b, Config{Clock: clock, Writers: 1, ArenaBytes: 32 * ArenaUnit})
		endTicks(s)
		for i := range entries {
			setTTL(s, fmt.Sprint("key", i), "a value of forty bytes, as they often are", sweepRound+sweepRest)
		}
		w := s.writers[0]
		walk := func(what string) {
			steps, begin, end := 0, time.Now(), clock.Now()+int64(sweepRound)
			for pause := sweepTick; clock.Now() < end; steps++ {
				clock.advance(pause)
				pause = w.sweepOn()
			}
			took := time.Since(begin)
			b.ReportMetric(float64(took.Nanoseconds())/entries, what+"-ns")
			b.ReportMetric(took.Seconds()*1000/float64(steps), what+"-step-ms")
		}
		walk("kept")
		if w.entries != entries {
			b.Fatalf("%d of %d entries are left", w.entries, entries)
		}
		clock.advance(2 * sweepRest)
		w.sweepOn()
		walk("dropped")
		if w.entries > entries/100 {
			b.Fatalf("%d of %d entries are left", w.entries, entries)
		}
	}
}
