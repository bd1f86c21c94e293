package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// The defaults and limits of a Config.
const (
	DefaultClients  = 900
	DefaultRequests = 50_000
	DefaultTimeout  = 10 * time.Second
	DefaultDrain    = time.Second
	// MinDuration is the least Config.Duration: below it a busy machine sends nothing.
	MinDuration = 10 * time.Millisecond
	// MaxClients bounds the connections of one run.
	MaxClients = 50_000
	// MaxThreads bounds the event loops of one run.
	MaxThreads = 64
	// MaxRounds bounds the rounds of one run.
	MaxRounds  = 100
	maxTimeout = 10 * time.Minute
)

// The errors of Run beside ErrConfig.
var (
	// ErrUnreachable says that the server could not be connected to, or has not
	// been reachable for the length of the time-out.
	ErrUnreachable = errors.New("bench: the server cannot be reached")
	// ErrPrepare says that a key could not be written before the measurement.
	ErrPrepare = errors.New("bench: the keys could not be written")
	// ErrInterrupted says that the context was cancelled.
	ErrInterrupted = errors.New("bench: interrupted")
)

// Config is one run.
type Config struct {
	// Workload says what is asked. Required.
	Workload Workload
	// Prepare, if set, is sent first and not counted in any figure: its requests
	// 0 to PrepareRequests-1, each once. If one fails the run ends there.
	Prepare Workload
	// PrepareRequests is the number of requests of Prepare.
	PrepareRequests uint64
	// Clients is the number of connections, each with one request under way at a
	// time; those for which no request is left send nothing. Zero means DefaultClients, or
	// Requests if those are fewer; at most MaxClients.
	Clients int
	// Requests is the number of requests to send, exactly unless Duration ends first. Zero means
	// DefaultRequests, unless Duration is given.
	Requests uint64
	// Duration, if above zero, at least MinDuration, is how long requests are sent; if Requests is given,
	// too, what comes first ends the measurement.
	Duration time.Duration
	// Drain is how long, after Duration, answers that are under way are waited for; for
	// half of it an open loop still sends what it is late with. What is left is counted
	// as FailUnfinished and FailUnsent. Zero means DefaultDrain.
	Drain time.Duration
	// Warmup is how long requests are sent and checked, but not counted, before
	// the measurement. Zero means not at all.
	Warmup time.Duration
	// Pacer, if set, says when each request is sent (open loop); without it each
	// client sends when it was answered (closed loop).
	Pacer Pacer
	// Rounds is how often the measurement is made, each time of Requests or
	// Duration. Zero means once. The spread between rounds is what Compare knows of
	// noise.
	Rounds int
	// Servers are the ids of the server's processes on this machine, whose CPU time
	// and memory are then part of the result. Linux only.
	Servers []int
	// Label names the run in comparisons.
	Label string
	// Timeout bounds the opening of a connection, and the wait for an answer.
	// Zero means DefaultTimeout; at most ten minutes.
	Timeout time.Duration
	// Threads is the number of event loops. Zero means a quarter of the cores,
	// and at least one; never more than Clients.
	Threads int
	// Retry sends a request once more, on a new connection, if its connection
	// was closed before any byte of the answer, as load balancers do. Without it
	// that is a failure.
	Retry bool
	// Progress, if set, is called about four times a second, by one goroutine.
	Progress func(Progress)

	reactor func(*loop) (reactor, error) // newReactor, unless a test says otherwise
}

// Stage is a part of a run.
type Stage string

// The stages, in their order.
const (
	StageConnect Stage = "connect"
	StagePrepare Stage = "prepare"
	StageWarmup  Stage = "warm-up"
	StageMeasure Stage = "measure"
)

// Progress is a glance at a run under way.
type Progress struct {
	Stage Stage
	// Done counts what the stage is about: connections, or requests that ended.
	Done uint64
	// Total is what Done goes up to; zero if the stage ends by the clock.
	Total uint64
	// Share is how much of the stage is over, 0 to 1.
	Share float64
	// Rate is in requests per second, since the last call.
	Rate float64
	// P99 is that of the latest right answers.
	P99 time.Duration
	// Failed counts the failures of the stage so far.
	Failed uint64
}

// withDefaults fills in and checks. The errors wrap ErrConfig.
func (c Config) withDefaults() (Config, error) {
	if c.Requests == 0 && c.Duration == 0 {
		c.Requests = DefaultRequests
	}
	if c.Clients == 0 {
		c.Clients = DefaultClients
		if c.Requests > 0 {
			c.Clients = int(min(uint64(c.Clients), c.Requests))
		}
	}
	if c.Rounds == 0 {
		c.Rounds = 1
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Drain == 0 {
		c.Drain = DefaultDrain
	}
	if c.Threads == 0 {
		c.Threads = max(1, runtime.NumCPU()/4)
	}
	c.Threads = min(c.Threads, c.Clients)
	if c.reactor == nil {
		c.reactor = newReactor
	}
	switch {
	case c.Workload == nil:
		return c, fmt.Errorf("%w: no workload", ErrConfig)
	case c.Clients < 0 || c.Clients > MaxClients:
		return c, fmt.Errorf("%w: --clients must be 1 to %d", ErrConfig, MaxClients)
	case c.Requests > maxRequests || c.PrepareRequests > maxRequests:
		return c, fmt.Errorf("%w: --requests is too large", ErrConfig)
	case c.Rounds < 0 || c.Rounds > MaxRounds:
		return c, fmt.Errorf("%w: --rounds must be 1 to %d", ErrConfig, MaxRounds)
	case c.Duration < 0 || c.Duration > 0 && c.Duration < MinDuration:
		return c, fmt.Errorf("%w: --duration must be at least %v", ErrConfig, MinDuration)
	case c.Warmup < 0 || c.Drain < 0:
		return c, fmt.Errorf("%w: --warmup and --drain must not be below zero", ErrConfig)
	case c.Timeout < time.Millisecond || c.Timeout > maxTimeout:
		return c, fmt.Errorf("%w: --timeout must be 1ms to %v", ErrConfig, maxTimeout)
	case c.Threads < 0 || c.Threads > MaxThreads:
		return c, fmt.Errorf("%w: --threads must be 1 to %d", ErrConfig, MaxThreads)
	case c.Prepare != nil && c.Prepare.Target() != c.Workload.Target():
		return c, fmt.Errorf("%w: preparation and workload have different endpoints", ErrConfig)
	}
	return c, checkFiles(c.Clients)
}

// run is one call of Run.
type run struct {
	cfg   Config
	base  time.Time
	loops []*loop
	phase atomic.Pointer[phase] // the present one
	live  live

	queue     chan *slot   // to be connected; has room for all of them
	address   *net.TCPAddr // of the server, resolved
	tls       *tls.Config  // nil: not over TLS
	stopping  atomic.Bool
	attempted atomic.Int64 // slots that were dialed for the first time
	connected atomic.Int64 // open connections
	opened    atomic.Uint64
	dialFails atomic.Uint64

	mu         sync.Mutex
	dialSample string

	shown     time.Time // of the last call of Progress
	shownDone uint64
}

// now is the time on the run's clock, in nanoseconds.
func (r *run) now() int64 { return int64(time.Since(r.base)) }

// Run carries out the configuration and gives what it measured. It returns when
// all is over, its connections and goroutines gone. Any number of runs may be
// under way at a time.
//
// The Result is nil if nothing was measured. Failed requests are no error: see
// Result.Failed. The errors wrap ErrConfig, ErrUnreachable, ErrPrepare or
// ErrInterrupted; with the latter, and with ErrUnreachable in the midst of the
// measurement, the Result holds what was measured until then.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, base: time.Now(), queue: make(chan *slot, cfg.Clients)}
	if _, err := readUsage(cfg.Servers); err != nil { // rather than behind the preparation
		return nil, err
	}
	if err := r.resolve(ctx); err != nil {
		return nil, err
	}
	stop, err := r.start(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	begin := r.now()
	if err := r.connectAll(ctx); err != nil {
		return nil, err
	}
	connecting := time.Duration(r.now() - begin)

	if cfg.Prepare != nil && cfg.PrepareRequests > 0 {
		p := newPhase(StagePrepare, cfg.Prepare, cfg.PrepareRequests, 0)
		t, _, err := r.runPhase(ctx, p)
		if err != nil {
			return nil, err
		}
		if t.failures() > 0 {
			return nil, fmt.Errorf("%w: %s", ErrPrepare, explain(t))
		}
	}
	var warmup *tally
	if cfg.Warmup > 0 {
		p := newPhase(StageWarmup, cfg.Workload, 0, cfg.Warmup)
		p.first, p.pacer = warmupFirst, cfg.Pacer
		if warmup, _, err = r.runPhase(ctx, p); err != nil {
			return nil, err
		}
	}
	m, err := r.measure(ctx)
	if m == nil {
		return nil, err
	}
	m.tally.failed[FailConnect] += r.dialFails.Load()
	m.tally.sample(FailConnect, r.sampleOfDial())
	m.warmup, m.connecting, m.opened = warmup, connecting, r.opened.Load()
	return m.result(), err
}

// measure goes through the rounds. The measurement is nil if none was made.
func (r *run) measure(ctx context.Context) (*measurement, error) {
	m := newMeasurement(&r.cfg)
	for round := range r.cfg.Rounds {
		p := newPhase(StageMeasure, r.cfg.Workload, r.cfg.Requests, r.cfg.Duration)
		p.first, p.pacer, p.last = roundFirst(round), r.cfg.Pacer, round == r.cfg.Rounds-1
		before, err := readUsage(r.cfg.Servers)
		if err != nil {
			return nil, err
		}
		t, elapsed, err := r.runPhase(ctx, p)
		after, gone := readUsage(r.cfg.Servers)
		m.add(t, elapsed, after.since(before))
		if err == nil {
			err = gone
		}
		if err != nil {
			return m, err
		}
	}
	return m, nil
}

// start starts loops and dialers. The function that it returns ends them and
// waits for them.
func (r *run) start(ctx context.Context) (stop func(), err error) {
	for i := range r.cfg.Threads {
		l := &loop{run: r, tally: newTally(0, 0, false)}
		if r.tls != nil {
			l.plain = make([]byte, plainBytes)
		}
		for k := range share(r.cfg.Clients, r.cfg.Threads, i) {
			s := &slot{loop: l, index: int32(k), parser: r.cfg.Workload.Reader()}
			s.session, _ = s.parser.(session)
			l.slots = append(l.slots, s)
		}
		if l.reactor, err = r.cfg.reactor(l); err == nil {
			err = l.reactor.start()
		}
		if err != nil {
			r.stopLoops()
			return nil, err
		}
		r.loops = append(r.loops, l)
	}
	ctx, cancel := context.WithCancel(ctx)
	var dialers sync.WaitGroup
	for range min(maxDialers, r.cfg.Clients) {
		dialers.Go(func() { r.dial(ctx) })
	}
	return func() {
		r.stopping.Store(true)
		cancel()
		dialers.Wait() // before the loops end: a dialer may wait for its loop
		r.stopLoops()
	}, nil
}

func (r *run) stopLoops() {
	for _, l := range r.loops {
		l.reactor.stop()
	}
}

// share is how many of n things the i-th of parts gets.
func share(n, parts, i int) int {
	k := n / parts
	if i < n%parts {
		k++
	}
	return k
}

// connectAll dials every slot once and waits until that is over. The slots that
// failed are dialed again later.
func (r *run) connectAll(ctx context.Context) error {
	for i := range r.loops[0].slots { // the loops in turn
		for _, l := range r.loops {
			if i < len(l.slots) {
				r.queue <- l.slots[i]
			}
		}
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for r.attempted.Load() < int64(r.cfg.Clients) {
		select {
		case <-tick.C:
			r.tickLoops()
			done := uint64(r.connected.Load())
			r.progress(StageConnect, done, uint64(r.cfg.Clients), float64(done)/float64(r.cfg.Clients), r.dialFails.Load())
		case <-ctx.Done():
			return ErrInterrupted
		}
	}
	if r.connected.Load() == 0 {
		return fmt.Errorf("%w: no connection to %s stays open: %s", ErrUnreachable, r.address, r.sampleOfDial())
	}
	return nil
}

// progress calls Config.Progress if it is time to.
func (r *run) progress(stage Stage, done, total uint64, share float64, failed uint64) {
	if r.cfg.Progress == nil {
		return
	}
	since := time.Since(r.shown)
	if !r.shown.IsZero() && since < 250*time.Millisecond {
		return
	}
	p := Progress{Stage: stage, Done: done, Total: total, Share: min(share, 1), Failed: failed}
	if done >= r.shownDone && !r.shown.IsZero() {
		p.Rate = float64(done-r.shownDone) / since.Seconds()
		p.P99 = r.live.p99()
	}
	r.shown, r.shownDone = time.Now(), done
	r.cfg.Progress(p)
}

// noteDial keeps why a connection could not be opened.
func (r *run) noteDial(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialSample = clip(text)
}

func (r *run) sampleOfDial() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dialSample
}
