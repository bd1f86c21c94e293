package place

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/smache/smache/proto"
)

// The expected values here were computed by another program, in another language,
// with decimal logarithms of 34 digits. They never change: two versions that
// disagree about owners would hand slots back and forth.

func TestGoldenNumbers(t *testing.T) {
	seed := seedOf("smache@10.0.0.1:4000")
	if seed != 0x210ccdc720c7bbbc {
		t.Errorf("the seed is %#x", seed)
	}
	for slot, want := range map[proto.Slot]uint64{
		0:     11349647220107114739,
		1:     5577611032727700963,
		65535: 2713990449664856463,
	} {
		if got := number(seed + stepsTo(slot)); got != want {
			t.Errorf("slot %d: %d, not %d", slot, got, want)
		}
	}
}

// goldenTables holds the SHA-256 of tables: of the names of the owners of slots 0
// to 65,535, each with a line feed behind it.
var goldenTables = []struct {
	name    string
	members []Member
	want    string
}{
	{
		"one",
		[]Member{{"a", 1}},
		"209a453c6ce3fdacc5c9f49d959ab1e372cc79dcaa06a063c9c9b0d5c741ac1d",
	},
	{
		"three",
		addresses(3, equal),
		"4dd8547a221895eb0f247783ce60aa4c7a4a13d0007744c77a2b9df4c87676ef",
	},
	{
		"weights",
		[]Member{{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}, {"e", 0}, {"f", 4294}},
		"080b36041f20ccb961d6f605e565dae8db2953f80e6a4d50cd47f3732c0077ea",
	},
	{
		"extremes",
		[]Member{{"small", 1}, {"large", 4294967295}, {"larger", 4294967295}},
		"f1e227adadadb277f17def86b9ce978110252582b8522124773b6b6a03e2af06",
	},
	{
		"hundred",
		addresses(100, func(i int) uint32 { return uint32(50 + (i+1)*37%151) }),
		"ec2ea5fb1de27fd9c956ea167c9f5ca4353efe683f1696ea65ac462e60f59675",
	},
}

func TestGoldenTables(t *testing.T) {
	for _, c := range goldenTables {
		t.Run(c.name, func(t *testing.T) {
			if got := fingerprint(New(c.members)); got != c.want {
				t.Errorf("the table's fingerprint is %s", got)
			}
			reversed := slices.Clone(c.members)
			slices.Reverse(reversed)
			if got := fingerprint(New(reversed)); got != c.want {
				t.Errorf("with the members in reverse it is %s", got)
			}
		})
	}
}

func fingerprint(t *Table) string {
	h := sha256.New()
	for slot := range proto.Slots {
		fmt.Fprintln(h, t.Members()[t.Owner(proto.Slot(slot))].Name)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
