package engine

import (
	"fmt"
	"hash/fnv"

	"github.com/smache/smache/engine/httpapi"
	"github.com/smache/smache/proto"
)

// The states of a member, as /cluster shows them.
const (
	memberJoining = "joining"
	memberServing = "serving"
	memberLeaving = "leaving"
)

// Cluster describes the cluster as this node sees it: itself, with every slot.
func (n *Node) Cluster() httpapi.Cluster {
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

// epoch hashes the member list, with incarnations and states, into 16
// hexadecimal digits: equal epochs mean equal views.
func epoch(m httpapi.Member, incarnation uint64) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %d %s\n", m.Name, incarnation, m.State)
	return fmt.Sprintf("%016x", h.Sum64())
}
