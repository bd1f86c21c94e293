package peer

import (
	"sync"
	"time"

	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// PeerStats is what another node has said of how it fares.
type PeerStats struct {
	Name string
	// Answer says which of the following there is.
	Answer StatsAnswer
	Stats  proto.Stats
}

// StatsAnswer says how a node has answered the question for its samples.
type StatsAnswer uint8

// The answers.
const (
	// StatsGiven: PeerStats.Stats is set.
	StatsGiven StatsAnswer = 0
	// StatsSilent: it is counted dead, and was not asked.
	StatsSilent StatsAnswer = 1
	// StatsNone: there is no link, or the time was over.
	StatsNone StatsAnswer = 2
	// StatsNotKnown: its build does not know the question.
	StatsNotKnown StatsAnswer = 3
)

// AskStats asks all other members for their last samples, all at once, and returns
// when they have answered or the time is over: one that does not answer keeps the
// others' from nobody. Any goroutine; the samples are the caller's.
func (c *Cluster) AskStats(last int, within time.Duration) []PeerStats {
	k := c.keeper
	body := proto.AppendStatsAsk(nil, last)
	var all []PeerStats
	for _, o := range k.seen.Load().members {
		if o.State != hold.StateGone && o.Name != k.cfg.Name {
			all = append(all, PeerStats{Name: o.Name, Answer: StatsNone})
			if o.State == hold.StateSilent {
				all[len(all)-1].Answer = StatsSilent
			}
		}
	}
	var wait sync.WaitGroup
	for i := range all {
		p := &all[i]
		link := k.links.Link(p.Name)
		switch {
		case p.Answer == StatsSilent || link == nil || !link.Connected():
			continue
		case !link.Has(proto.FeatureStats):
			p.Answer = StatsNotKnown
			continue
		}
		call := &Call{Header: proto.Header{Op: proto.FrameStats, Epoch: k.epochs.Load()}, Timeout: within}
		call.Done = func(call *Call) {
			defer wait.Done()
			var s proto.Stats
			if call.Err != nil || call.Answer.Status != proto.StatusOK || proto.DecodeStats(call.Body, &s) != nil {
				return
			}
			s.Samples = append([]byte(nil), s.Samples...) // the body is the link's
			p.Answer, p.Stats = StatsGiven, s
		}
		wait.Add(1)
		if link.Send(call, body) != nil {
			wait.Done()
		}
	}
	wait.Wait()
	return all
}

// serveStats gives another node this one's samples.
func (k *keeper) serveStats(r Request, reply Reply) {
	last, err := proto.DecodeStatsAsk(r.Body)
	if err != nil || k.cfg.Stats == nil || reply.Crowded() {
		reply.Send(r.Header.Answer(proto.StatusBusy, k.epochs.Load()))
		return
	}
	s := k.cfg.Stats(min(last, proto.MaxSamples))
	reply.Send(r.Header.Answer(proto.StatusOK, k.epochs.Load()), proto.AppendStats(nil, &s))
}

// Load gives how many operations were sent to other nodes since the start, and how
// many slots this node has yet to take over or to give away. Any goroutine.
func (c *Cluster) Load() (forwarded uint64, moving int) {
	c.links.mu.Lock()
	defer c.links.mu.Unlock()
	for _, p := range c.links.peers {
		forwarded += p.forward.sent.Load()
	}
	return forwarded + c.links.forgotten.Load(), int(c.keeper.m.Stats().Misplaced.Load())
}
