package engine

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/smache/smache/engine/httpapi"
	"github.com/smache/smache/engine/store"
	"github.com/smache/smache/peer"
	"github.com/smache/smache/proto"
)

// The states of a member. /cluster shows the first three.
const (
	memberJoining = "joining"
	memberServing = "serving"
	memberLeaving = "leaving"
	memberSilent  = "silent"
)

// alone is the cache of a node without others: its store, which holds every slot.
type alone struct{ store *store.Store }

func (a alone) Submit(op *proto.Op) bool { return a.store.Submit(op) }

func (a alone) Warm(slots []proto.Slot, keys [][]byte) { a.store.Warm(slots, keys) }

func (a alone) Flush() (applied, members int, err error) {
	if err := a.store.Flush(); err != nil {
		return 0, 1, err
	}
	return 1, 1, nil
}

// Cluster describes the cluster as this node sees it; its members are in the order
// of their names.
func (n *Node) Cluster() httpapi.Cluster {
	if n.members != nil {
		return n.describe(n.members.View(), false)
	}
	self := httpapi.Member{
		Name:    n.cfg.Name,
		State:   memberJoining,
		Slots:   proto.Slots,
		Version: n.build.Version,
	}
	switch n.state.Load() {
	case stateServing:
		self.State = memberServing
	case stateLeaving, stateClosed:
		self.State = memberLeaving
	}
	if address := n.address.Load(); address != nil {
		self.HTTP = *address
	}
	return httpapi.Cluster{
		Node:    n.cfg.Name,
		Epoch:   epoch(self, n.incarnation),
		Members: []httpapi.Member{self},
	}
}

// describe turns a view into the answer of /cluster, which has no nodes that have
// fallen silent: the metrics count those, and /stats shows them. The node itself is leaving from the first
// moment of its drain on, even though the others are not told before the drain
// delay is over.
func (n *Node) describe(view peer.View, silent bool) httpapi.Cluster {
	c := httpapi.Cluster{
		Node:    n.cfg.Name,
		Epoch:   fmt.Sprintf("%016x", view.Epoch),
		Moving:  view.Moving,
		Members: make([]httpapi.Member, 0, len(view.Members)),
	}
	for _, m := range view.Members {
		if m.State == memberSilent && !silent {
			continue
		}
		if m.Name == n.cfg.Name && n.state.Load() >= stateLeaving {
			m.State = memberLeaving
		}
		c.Members = append(c.Members, httpapi.Member(m))
	}
	slices.SortFunc(c.Members, func(a, b httpapi.Member) int { return cmp.Compare(a.Name, b.Name) })
	return c
}

// epoch hashes the member list, with incarnations and states, into 16
// hexadecimal digits: equal epochs mean equal views.
func epoch(m httpapi.Member, incarnation uint64) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %d %s\n", m.Name, incarnation, m.State)
	return fmt.Sprintf("%016x", h.Sum64())
}
