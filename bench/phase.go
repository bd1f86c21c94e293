package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// tickEvery is how often the loops look for time-outs, at most.
const tickEvery = 50 * time.Millisecond

// graceOnInterrupt is how long a run that was interrupted waits for answers.
const graceOnInterrupt = time.Second

// A phase is one pass over a workload: preparation, warm-up or measurement. Any
// goroutine may read it; the counters are atomic.
type phase struct {
	stage    Stage
	workload Workload
	first    uint64        // number of its first request
	limit    uint64        // of requests; zero for none
	length   time.Duration // zero for none
	pacer    Pacer         // nil in a closed loop
	last     bool          // no phase follows
	begin    int64         // on the run's clock
	deadline int64         // of sending, on the run's clock; zero for none
	cutoff   int64         // of waiting for answers, likewise

	stopped   atomic.Bool // no more requests
	abandoned atomic.Bool // no more waiting for answers either
	results   chan *tally // one from each loop, at its end of the phase

	_    [64]byte // next is written by all loops, what is above is read by all
	next atomic.Uint64
	_    [56]byte
}

func newPhase(stage Stage, w Workload, limit uint64, length time.Duration) *phase {
	return &phase{stage: stage, workload: w, limit: limit, length: length}
}

// The numbers at which the requests of the phases begin, so that no two phases ask
// for the same; maxRequests is the most of one phase.
const (
	maxRequests = 1 << 40
	warmupFirst = 1 << 50
)

// roundFirst is the number of a round's first request.
func roundFirst(round int) uint64 { return uint64(round) * maxRequests }

// take draws the number of the next request, which must then be sent.
func (p *phase) take(now int64) (n uint64, ok bool) {
	if p.deadline > 0 && now >= p.deadline || p.stopped.Load() {
		return 0, false
	}
	n = p.next.Add(1) - 1
	return p.first + n, p.limit == 0 || n < p.limit
}

// due is when request n is to be sent, on the run's clock, in an open loop.
func (p *phase) due(n uint64) int64 { return p.begin + int64(p.pacer.Due(n-p.first)) }

// open reports whether there may be requests left to send. Once false, it stays
// false.
func (p *phase) open(now int64) bool {
	return !p.stopped.Load() && (p.deadline == 0 || now < p.deadline) && (p.limit == 0 || p.next.Load() < p.limit)
}

// runPhase starts a phase on all loops and waits for its end. The tally is never
// nil.
func (r *run) runPhase(ctx context.Context, p *phase) (*tally, time.Duration, error) {
	p.results = make(chan *tally, len(r.loops))
	p.begin = r.now()
	switch {
	case p.pacer != nil: // what is late is still sent, for a while
		if p.length > 0 {
			within := dueWithin(p.pacer, p.length)
			if p.limit == 0 || within < p.limit {
				p.limit = within
			}
		}
		p.deadline = p.begin + int64(p.pacer.Due(p.limit)) + int64(r.cfg.Timeout)
		if p.length > 0 {
			p.deadline = min(p.deadline, p.begin+int64(p.length+r.cfg.Drain/2))
		}
	case p.length > 0:
		p.deadline = p.begin + int64(p.length)
	}
	if p.length > 0 {
		p.cutoff = p.begin + int64(p.length+r.cfg.Drain)
	}
	r.live.reset()
	for _, l := range r.loops {
		l.liveOK.Store(0)
		l.liveFailed.Store(0)
	}
	r.phase.Store(p)
	r.tickLoops()

	ticker := time.NewTicker(max(min(tickEvery, r.cfg.Timeout/4), time.Millisecond))
	defer ticker.Stop()
	var (
		total     = newTally(len(p.workload.Kinds()), p.begin, p.pacer != nil)
		got       int
		down      int64 // since when there has been no connection
		err       error
		cancelled = ctx.Done()
		grace     <-chan time.Time
	)
	for {
		select {
		case t := <-p.results:
			total.merge(t)
			total.series.merge(t.series)
			got++
		case <-ticker.C:
			r.tickLoops()
			r.showPhase(p)
			switch now := r.now(); {
			case r.connected.Load() > 0:
				down = 0
			case down == 0:
				down = now
			case now-down > int64(r.cfg.Timeout) && err == nil:
				err = fmt.Errorf("%w: no connection to %s for %v: %s", ErrUnreachable, r.address, r.cfg.Timeout, r.sampleOfDial())
				p.stopped.Store(true)
				p.abandoned.Store(true)
			}
		case <-cancelled:
			cancelled = nil
			err = ErrInterrupted
			p.stopped.Store(true)
			timer := time.NewTimer(min(graceOnInterrupt, r.cfg.Timeout))
			defer timer.Stop()
			grace = timer.C
		case <-grace:
			p.abandoned.Store(true)
		}
		// In this order: a loop that drew a number was ready before it did.
		if !p.open(r.now()) && got == r.readyLoops() {
			return total, p.elapsed(total, err), err
		}
	}
}

// elapsed is how long a phase took. What an open loop has not sent by its end is
// added to the failures.
func (p *phase) elapsed(t *tally, err error) time.Duration {
	d := time.Duration(max(t.lastEnd-p.begin, 0))
	if p.pacer == nil {
		return d
	}
	if err == nil && t.sent < p.limit {
		t.failed[FailUnsent] += p.limit - t.sent
		t.sample(FailUnsent, "no connection was free in time; see --rate and --clients")
	}
	return max(d, p.pacer.Due(t.sent))
}

// tickLoops makes every loop look at the phase, time-outs and counters.
func (r *run) tickLoops() {
	for _, l := range r.loops {
		if l.ready.Load() {
			l.reactor.execute(l.tick)
		}
	}
}

// readyLoops counts the loops that ever had a connection.
func (r *run) readyLoops() int {
	n := 0
	for _, l := range r.loops {
		if l.ready.Load() {
			n++
		}
	}
	return n
}

func (r *run) showPhase(p *phase) {
	var done, failed uint64
	for _, l := range r.loops {
		failed += l.liveFailed.Load()
		done += l.liveOK.Load()
	}
	done += failed
	failed += r.dialFails.Load()
	if p.limit > 0 && p.pacer == nil {
		share := float64(done) / float64(p.limit)
		if p.length > 0 { // what is nearer to its end ends the phase
			share = max(share, float64(r.now()-p.begin)/float64(p.length))
		}
		r.progress(p.stage, done, p.limit, share, failed)
		return
	}
	length := p.length
	if p.pacer != nil {
		length = p.pacer.Due(p.limit)
	}
	r.progress(p.stage, done, 0, float64(r.now()-p.begin)/float64(max(length, 1)), failed)
}

// explain says in one line what failed.
func explain(t *tally) string {
	text := fmt.Sprintf("%d of %d requests failed", t.failures(), t.sent)
	for _, kind := range Failures() {
		if n := t.failed[kind]; n > 0 {
			text += fmt.Sprintf("; %s: %d", kind, n)
			if t.samples[kind] != "" {
				text += " (" + t.samples[kind] + ")"
			}
		}
	}
	return text
}
