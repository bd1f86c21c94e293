package place

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// addresses gives n members with the names that nodes have by default.
func addresses(n int, weight func(i int) uint32) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{Name: fmt.Sprintf("smache@10.0.%d.%d:4000", i/250, 1+i%250), Weight: weight(i)}
	}
	return members
}

func equal(int) uint32 { return 100 }

// various gives as many weights as there are members, from 50 to 1,000.
func various(i int) uint32 { return uint32(50 + i*7919%951) }

// measure runs f b.N times and reports, beside the time, the processor time that
// the whole test process used: on a busy machine the two differ.
func measure(b *testing.B, f func()) {
	b.ReportAllocs()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64((used()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkTable makes the table of 1,000 members.
func BenchmarkTable(b *testing.B) {
	for _, c := range []struct {
		name   string
		weight func(int) uint32
	}{{"equal", equal}, {"various", various}} {
		members := addresses(1000, c.weight)
		b.Run(c.name, func(b *testing.B) {
			measure(b, func() { New(members) })
		})
	}
}

// BenchmarkChange lets one member join or leave so many others.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{4, 1000} {
		members := addresses(n+1, various)
		few, many := New(members[:n]), New(members)
		b.Run(fmt.Sprintf("join/%d", n), func(b *testing.B) {
			measure(b, func() { few.Change(members) })
		})
		b.Run(fmt.Sprintf("leave/%d", n), func(b *testing.B) {
			measure(b, func() { many.Change(members[:n]) })
		})
	}
}

// BenchmarkOwner looks slots up.
func BenchmarkOwner(b *testing.B) {
	t := New(addresses(1000, equal))
	slot, sum := proto.Slot(0), 0
	for b.Loop() {
		sum += t.Owner(slot)
		slot += 40503
	}
	if sum < 0 {
		b.Fatal("a slot has no owner")
	}
}
