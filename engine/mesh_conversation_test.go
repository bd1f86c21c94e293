//go:build !race

package engine

import (
	"testing"

	"github.com/smache/smache/engine/internal/conversation"
)

// An answer of a node that has a third of the keys is what a lone node's is, but for what
// TestConformanceOfForwarding excepts, and the name of the holder. The conversations are
// those that get as far as a key.
func TestMeshConformance(t *testing.T) {
	names := []string{"smache@tes1", "smache@tes2", "smache@tes3"} // as long as the recorded one, for Content-Length
	eachConversation(t, "[bfrstw]*", func(t *testing.T, cfg *Config, all []conversation.Exchange) string {
		_, url := together(t, cfg, names, []uint32{DefaultWeight, DefaultWeight, DefaultWeight})
		except(all, loneFlush, `"applied":3,"members":3`)
		except(all, loneMember, `[{"name":"smache@tes1",…},{"name":"smache@tes2",…},{"name":"smache@tes3",…}]`)
		except(all, `"node":"smache@test"`, `"node":"smache@tes…"`)
		return url
	})
}
