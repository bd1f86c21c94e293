package engine

import (
	"time"

	"github.com/smache/smache/engine/httpapi"
	"github.com/smache/smache/engine/store"
	"github.com/smache/smache/peer"
	"github.com/smache/smache/proto"
)

const (
	// sampleEvery is the time from one sample of the node's figures to the next.
	sampleEvery = time.Second
	// statsWithin is how long the members are waited for that are asked for their
	// samples: one that is frozen must not hold up who looks at the others.
	statsWithin = 250 * time.Millisecond
	// maxShown bounds the samples of all members together in one answer.
	maxShown = 40 * proto.MaxSamples
	// maxLooking bounds how many may ask the members at once.
	maxLooking = 4
)

// totals are the counters that samples are made of, at one moment.
type totals struct {
	at        time.Time
	api       httpapi.Counts
	store     store.Stats
	forwarded uint64
	moving    int
	processor float64
	resident  int64
}

func (n *Node) totals() (t totals) {
	t.at, t.api, t.store = time.Now(), n.api.Counts(), n.store.Stats()
	if n.members != nil {
		t.forwarded, t.moving = n.members.Load()
	}
	// 0 where the system does not tell.
	t.processor, _ = processorSeconds()
	t.resident, _ = residentBytes()
	return t
}

// sample takes a sample each n.sampling, until stop is closed. What requests cost is
// not touched: it reads the counters that they keep anyway.
func (n *Node) sample(stop <-chan struct{}) {
	ticker := time.NewTicker(n.sampling)
	defer ticker.Stop()
	before := n.totals()
	for {
		select {
		case <-ticker.C:
			now := n.totals()
			s := now.since(&before)
			s[proto.FigureMemory] = uint64(n.plan.Total)
			n.history.add(&s, now.at)
			before = now
		case <-stop:
			return
		}
	}
}

// since makes the sample from one moment to the other.
func (t *totals) since(b *totals) (s proto.Sample) {
	for f, v := range map[proto.Figure][2]uint64{
		proto.FigureReads:       {b.api.Reads, t.api.Reads},
		proto.FigureWrites:      {b.api.Writes, t.api.Writes},
		proto.FigureDeletes:     {b.api.Deletes, t.api.Deletes},
		proto.FigureFailed:      {b.api.Failed, t.api.Failed},
		proto.FigureHits:        {b.api.Hits, t.api.Hits},
		proto.FigureMisses:      {b.api.Misses, t.api.Misses},
		proto.FigureForwarded:   {b.forwarded, t.forwarded},
		proto.FigureEvictions:   {b.store.Evicted, t.store.Evicted},
		proto.FigureExpirations: {b.store.Expired, t.store.Expired},
		proto.FigureReceived:    {b.api.Received, t.api.Received},
		proto.FigureSent:        {b.api.Sent, t.api.Sent},
		proto.FigureProcessor:   {uint64(b.processor * 1e6), uint64(t.processor * 1e6)},
	} {
		s[f] = v[1] - min(v[0], v[1]) // counters are read one by one, while they grow
	}
	for class := range t.api.Latency {
		s[int(proto.FigureLatency)+class] = t.api.Latency[class] - min(b.api.Latency[class], t.api.Latency[class])
	}
	s[proto.FigureSpan] = uint64(t.at.Sub(b.at).Milliseconds())
	s[proto.FigureEntries] = uint64(t.store.Entries)
	s[proto.FigureLive], s[proto.FigureArena] = uint64(t.store.LiveBytes), uint64(t.store.ArenaBytes)
	s[proto.FigureArenaAge] = uint64(t.store.OldestAge.Milliseconds())
	s[proto.FigureResident] = uint64(t.resident)
	s[proto.FigureConnections], s[proto.FigureInFlight] = uint64(t.api.Connections), uint64(t.api.InFlight)
	s[proto.FigureMoving] = uint64(t.moving)
	return s
}

// Stats gives the last samples of every member, the node itself included, in the
// order of their names: of large clusters fewer than asked for. The others are asked
// at the moment, and have statsWithin for their answers. It is false when too many
// callers are at it.
func (n *Node) Stats(last int) (httpapi.Stats, bool) {
	if n.members == nil {
		cluster := n.Cluster()
		s := httpapi.Stats{Node: cluster.Node, Epoch: cluster.Epoch, Moving: cluster.Moving}
		for _, m := range cluster.Members {
			s.Members = append(s.Members, httpapi.MemberStats{Member: m, Samples: n.history.last(last)})
		}
		return s, true
	}
	select {
	case n.looking <- struct{}{}:
		defer func() { <-n.looking }()
	default:
		return httpapi.Stats{}, false
	}
	cluster := n.describe(n.members.View(), true)
	last = max(min(last, maxShown/max(len(cluster.Members), 1)), 1)
	told := map[string]peer.PeerStats{}
	for _, p := range n.members.AskStats(last, statsWithin) {
		told[p.Name] = p
	}
	s := httpapi.Stats{Node: cluster.Node, Epoch: cluster.Epoch, Moving: cluster.Moving}
	for _, m := range cluster.Members {
		one := httpapi.MemberStats{Member: m, Why: httpapi.WhyNoAnswer}
		switch p, asked := told[m.Name]; {
		case m.Name == n.cfg.Name:
			one.Why, one.Samples = "", n.history.last(last)
		case !asked:
		default:
			one.Why, one.Samples = whyNot[p.Answer], p.Stats
		}
		s.Members = append(s.Members, one)
	}
	return s, true
}

// whyNot says in the API's words why there are no samples of a member.
var whyNot = map[peer.StatsAnswer]string{
	peer.StatsGiven: "", peer.StatsSilent: httpapi.WhySilent,
	peer.StatsNone: httpapi.WhyNoAnswer, peer.StatsNotKnown: httpapi.WhyNotKnown,
}
