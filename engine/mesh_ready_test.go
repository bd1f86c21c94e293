//go:build !race

package engine

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/smache/smache/proto"
)

// A node that says that it is ready serves every key, from then on: where several start
// together, whoever is done first must not say so while others have yet to claim slots.
func TestMeshReadyNodesServe(t *testing.T) {
	t.Run("one that does not wait, and others that join it", func(t *testing.T) {
		readyNodesServe(t, false)
	})
	t.Run("all join each other", func(t *testing.T) {
		readyNodesServe(t, true)
	})
}

// readyNodesServe starts nodes, and asks each for keys of all over the slots as soon as it
// is ready.
func readyNodesServe(t *testing.T, each bool) {
	const nodes, keys, clients = 5, 5000, 256
	m := &mesh{t: t}
	gossip, join := make([]string, nodes), make([]string, nodes)
	for i := range nodes {
		gossip[i], join[i] = ownAddresses()
	}
	var wait sync.WaitGroup
	var once sync.Once
	claimed := 0.0 // when the first was ready
	for i := range nodes {
		others := join[:1]
		if each {
			others = join
		} else if i == 0 {
			others = nil
		}
		n := m.startAt(fmt.Sprintf("n%02d", i), 100, 0, gossip[i], join[i], others)
		wait.Go(func() {
			await(t, n.name+" is ready", n.Ready)
			once.Do(func() {
				m.mu.Lock()
				defer m.mu.Unlock()
				claimed = m.metric("smache_slots_claimed_total")
			})
			var refused atomic.Int64
			var asking sync.WaitGroup
			for client := range clients {
				asking.Go(func() {
					for key := client; key < keys; key += clients {
						if op := n.do(proto.OpGet, fmt.Sprint("k", key), ""); op.Status != proto.StatusMiss && refused.Add(1) == 1 {
							t.Errorf("%s is ready, and answers %v", n.name, op.Status)
						}
					}
				})
			}
			asking.Wait()
			if refused := refused.Load(); refused > 0 {
				t.Errorf("%s is ready, and has not served %d of %d keys", n.name, refused, keys)
			}
		})
	}
	wait.Wait()
	m.settle()
	if later := m.metric("smache_slots_claimed_total") - claimed; later > 0 {
		t.Errorf("when the first node was ready nobody held %.0f slots", later)
	}
}
