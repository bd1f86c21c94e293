package bench

import (
	"fmt"
	"time"
)

const (
	// bottleneckShare is the share of its event loops' time from which on the generator
	// is taken for the bottleneck of a closed loop, and in an open one for the cause of
	// all that was late: that no connection was free may mean that it did not come to
	// read the answers.
	bottleneckShare = 0.9
	// lateBusyShare is the share of requests that it may send late by its own fault; it
	// is the bottleneck of an open loop above that.
	lateBusyShare = 0.01
)

// A measurement gathers the rounds of a run.
type measurement struct {
	cfg        *Config
	tally      *tally
	elapsed    time.Duration
	used       usage
	rounds     []Round
	warmup     *tally // nil if there was none
	connecting time.Duration
	opened     uint64
}

func newMeasurement(cfg *Config) *measurement {
	return &measurement{cfg: cfg, tally: newTally(len(cfg.Workload.Kinds()), 0, cfg.Pacer != nil)}
}

// add adds a round.
func (m *measurement) add(t *tally, elapsed time.Duration, used usage) {
	m.tally.merge(t)
	m.tally.series.append(t.series)
	m.elapsed += elapsed
	m.used = m.used.plus(used)
	l := t.latency().summary()
	m.rounds = append(m.rounds, Round{
		Requests: t.sent, OK: t.ok, Failed: t.failures(), Seconds: elapsed.Seconds(),
		RequestsPerSecond: perSecond(t.ok, elapsed),
		P50:               l.P50, P99: l.P99, P999: l.P999, Max: l.Max,
		GeneratorCPU: perRequest(used.own.sum(), t.sent), ServerCPU: perRequest(used.servers, t.sent),
	})
}

// result makes the Result.
func (m *measurement) result() *Result {
	cfg, t := m.cfg, m.tally
	r := &Result{
		Label:          cfg.Label,
		Scenario:       cfg.Workload.Name(),
		About:          cfg.Workload.About(),
		Settings:       cfg.settings(),
		URL:            cfg.Workload.Target().URL(),
		Clients:        cfg.Clients,
		Threads:        cfg.Threads,
		TimeoutSeconds: cfg.Timeout.Seconds(),
		WarmupSeconds:  cfg.Warmup.Seconds(),
		Requests:       t.sent,
		OK:             t.ok,
		Abandoned:      t.abandoned,
		Failures:       map[string]uint64{},
		Connections:    m.opened,
		ConnectSeconds: m.connecting.Seconds(),
		Reconnects:     t.reconnects,
		Retried:        t.retried,
		Seconds:        m.elapsed.Seconds(),
		BytesSent:      t.bytesOut,
		BytesReceived:  t.bytesIn,
		BytesBody:      t.bytesBody,
		Latency:        t.latency().summary(),
		Intervals:      t.series.summary(),
		Histogram:      t.series.histogram(),

		RequestsPerSecond: perSecond(t.ok, m.elapsed),
	}
	m.addFailures(r)
	m.addOperations(r)
	m.addCPU(r)
	m.addPace(r)
	r.Warning = r.warning()
	if len(m.rounds) > 1 {
		r.Rounds = m.rounds
	}
	return r
}

func (m *measurement) addFailures(r *Result) {
	t := m.tally
	for _, kind := range Failures() {
		r.Failures[kind.String()] = t.failed[kind]
		if t.samples[kind] != "" && t.failed[kind] > 0 {
			if r.Samples == nil {
				r.Samples = map[string]string{}
			}
			r.Samples[kind.String()] = t.samples[kind]
		}
	}
	if len(t.statuses) > 0 {
		r.Statuses = t.statuses
	}
	if m.warmup != nil {
		r.WarmupFailures = m.warmup.failures()
	}
}

func (m *measurement) addOperations(r *Result) {
	names := m.cfg.Workload.Kinds()
	if len(names) < 2 {
		return
	}
	for i, k := range m.tally.kinds {
		r.Operations = append(r.Operations, OperationSummary{
			Name: names[i], OK: k.latency.Count(), Failed: k.failed, Latency: k.latency.summary(),
		})
	}
}

func (m *measurement) addPace(r *Result) {
	if m.cfg.Pacer == nil {
		return
	}
	r.Rate = m.cfg.Pacer.Rate()
	r.Pace = &PaceSummary{Late: m.tally.late, LateBusy: m.tally.lateBusy, Delay: m.tally.delay.summary()}
	if r.CPU.Bottleneck {
		r.Pace.LateBusy = r.Pace.Late
	}
	r.CPU.Bottleneck = float64(r.Pace.LateBusy) > lateBusyShare*float64(m.tally.sent)
}

// addCPU says what generator and server used, and whether the former was the
// bottleneck; of an open loop, addPace has the last word.
func (m *measurement) addCPU(r *Result) {
	own := m.used.own
	r.CPU = CPUSummary{
		UserSeconds: own.user.Seconds(), SystemSeconds: own.system.Seconds(),
		PerRequest: perRequest(own.sum(), m.tally.sent),
	}
	if m.elapsed > 0 && m.cfg.Threads > 0 {
		r.CPU.Share = round3(min(float64(own.sum())/float64(m.elapsed)/float64(m.cfg.Threads), 1))
	}
	r.CPU.Bottleneck = r.CPU.Share >= bottleneckShare
	if len(m.cfg.Servers) > 0 {
		r.Server = &ServerSummary{
			CPUSeconds: m.used.servers.Seconds(), PerRequest: perRequest(m.used.servers, m.tally.sent), Resident: m.used.resident,
		}
	}
}

// warning says in words why the figures are not the server's alone; "" if they are.
func (r *Result) warning() string {
	const it = "the generator itself was the bottleneck, or got no core in time"
	switch {
	case !r.CPU.Bottleneck:
		return ""
	case r.Pace == nil:
		return it + ": a faster server would not show; give it more --threads or another machine."
	default:
		return fmt.Sprintf("%s: it sent %.1f%% of the requests more than 1 ms late by its own fault. Latency counts from the intended time, so that this delay (of all requests p99 %.3f ms, at most %.3f) is in the latency given for the server; lower the --rate, or give the generator another machine or more --threads.",
			it, 100*float64(r.Pace.LateBusy)/float64(r.Requests), r.Pace.Delay.P99, r.Pace.Delay.Max)
	}
}

// perRequest is CPU time of one request in microseconds.
func perRequest(cpu time.Duration, requests uint64) float64 {
	if requests == 0 {
		return 0
	}
	return round3(float64(cpu.Nanoseconds()) / 1e3 / float64(requests))
}

func perSecond(n uint64, elapsed time.Duration) float64 {
	if elapsed <= 0 {
		return 0
	}
	return float64(n) / elapsed.Seconds()
}

// summary gives a series as lists.
func (s *series) summary() Intervals {
	v := Intervals{Seconds: time.Duration(s.width).Seconds(), OK: []uint64{}, Failed: []uint64{}, P50: []float64{}, P99: []float64{}}
	for i := range s.list {
		e := &s.list[i]
		v.OK, v.Failed = append(v.OK, e.ok), append(v.Failed, e.failed)
		v.P50 = append(v.P50, round3(e.took.quantile(.5)/1e6))
		v.P99 = append(v.P99, round3(e.took.quantile(.99)/1e6))
	}
	return v
}

// histogram gives the distribution over all of the series.
func (s *series) histogram() Histogram {
	var all [sketchSteps]uint64
	for i := range s.list {
		for step, n := range s.list[i].took {
			all[step] += uint64(n)
		}
	}
	h := Histogram{FromMS: []float64{}, ToMS: []float64{}, Count: []uint64{}}
	for step, n := range all {
		if n > 0 {
			h.FromMS = append(h.FromMS, round3(sketchFloor(step)/1e6))
			h.ToMS = append(h.ToMS, round3(sketchFloor(step+1)/1e6))
			h.Count = append(h.Count, n)
		}
	}
	return h
}
