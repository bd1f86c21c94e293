package peer

import (
	"errors"
	"testing"
	"time"

	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// TestAskStats asks members of every kind: each says what it can, and those that say
// nothing hold nobody up beyond the time given.
func TestAskStats(t *testing.T) {
	var asked int
	teller := &keeper{cfg: &ClusterConfig{Stats: func(last int) proto.Stats {
		asked = last
		var s proto.Sample
		s[proto.FigureHits] = 42
		return proto.Stats{Run: 5, Age: 3 * time.Millisecond, Figures: proto.FigureCount, Samples: proto.AppendSample(nil, &s)}
	}}}
	a, _, link := pair(t, nil, func(c *Config) { c.Handler = handlerFunc(teller.serveStats) })
	eventually(t, "the feature is known", func() bool { return link.Has(proto.FeatureStats) })

	// One that says nothing, and one of an earlier build.
	for name, features := range map[string]uint64{"mute": proto.FeatureStats, "old": 0} {
		r := dialRaw(t, a)
		r.shake(testKeys(t))
		r.frame(proto.Header{Op: proto.FrameHello, ID: 7}, rawHello(name, proto.RoleNode, func(h *proto.Hello) { h.Features = features }))
		eventually(t, name+" is connected", func() bool { l := a.Link(name); return l != nil && l.Connected() })
	}
	k := &keeper{cfg: &ClusterConfig{Name: "a"}, links: a.Links}
	members := []member{}
	for _, m := range []struct {
		name  string
		state hold.State
	}{
		{"a", hold.StateServing}, {"b", hold.StateServing}, {"gone", hold.StateGone}, {"mute", hold.StateServing},
		{"nowhere", hold.StateJoining}, {"old", hold.StateServing}, {"silent", hold.StateSilent},
	} {
		members = append(members, member{Member: hold.Member{ID: hold.ID{Name: m.name}, State: m.state}})
	}
	k.seen.Store(&snapshot{members: members})
	c := &Cluster{keeper: k, links: a.Links}

	got := c.AskStats(1000, 3*time.Second) // as long as the mute one is waited for
	want := []PeerStats{
		{Name: "b", Answer: StatsGiven}, {Name: "mute", Answer: StatsNone}, {Name: "nowhere", Answer: StatsNone},
		{Name: "old", Answer: StatsNotKnown}, {Name: "silent", Answer: StatsSilent},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range got {
		if got[i].Name != want[i].Name || got[i].Answer != want[i].Answer {
			t.Errorf("%s: answer %d, want %s: %d", got[i].Name, got[i].Answer, want[i].Name, want[i].Answer)
		}
	}
	if s := &got[0].Stats; s.Run != 5 || s.Age != 3*time.Millisecond || s.Count() != 1 || s.Figure(0, proto.FigureHits) != 42 {
		t.Errorf("b says %+v", s)
	}
	if asked != proto.MaxSamples {
		t.Errorf("b was asked for %d", asked)
	}
}

// TestServeStats: what cannot be told, or read, is answered busy.
func TestServeStats(t *testing.T) {
	_, _, link := pair(t, nil, func(c *Config) {
		c.Handler = handlerFunc((&keeper{cfg: &ClusterConfig{}}).serveStats)
	})
	for _, body := range [][]byte{proto.AppendStatsAsk(nil, 1), make([]byte, 8)} {
		if h, _, err := ask(link, proto.FrameStats, ample, body); err != nil || h.Status != proto.StatusBusy {
			t.Errorf("% x: %v, %v", body, h.Status, err)
		}
	}
	if _, _, err := ask(link, proto.FrameStats, ample, make([]byte, 9)); !errors.Is(err, ErrLinkLost) {
		t.Errorf("a request that is too long: %v", err)
	}
}
