package store

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/smache/smache/proto"
)

// TestTouch: alone, all memory is touched when New returns; in a cluster at least what is
// needed first, the rest follows, and a store that is closed before does not go on.
func TestTouch(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		s, err := New(Config{ArenaBytes: 2 * ArenaUnit, Cluster: cluster})
		if err != nil {
			t.Fatal(err)
		}
		if left := s.Stats().Untouched; left > ArenaUnit || left != 0 && !cluster {
			t.Errorf("cluster %v: %d bytes are not touched when New returns", cluster, left)
		}
		s.touching.done.Wait()
		if left := s.Stats().Untouched; left != 0 {
			t.Errorf("cluster %v: %d bytes are left in the end", cluster, left)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	s, err := New(Config{ArenaBytes: 2 * ArenaUnit, Cluster: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s.touching.done.Wait()
}

// TestTouchedAhead: what is written comes off the lead of what touches the rest, which
// hurries while it has too little of it, and only then.
func TestTouchedAhead(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 2 * ArenaUnit, Cluster: true})
	for slot := range proto.Slots {
		s.Hold(proto.Slot(slot), 1, false)
	}
	s.ServeUntil(proto.Forever)
	s.touching.done.Wait()
	if ahead := s.touchedAhead(); ahead != 2*ArenaUnit {
		t.Errorf("all is touched, nothing written: %d bytes ahead, want %d", ahead, 2*ArenaUnit)
	}
	value := strings.Repeat("v", 1000)
	for i := range 10_000 {
		wantStatus(t, set(s, fmt.Sprint("k", i), value), proto.StatusOK)
	}
	if ahead := s.touchedAhead(); ahead > 2*ArenaUnit-10_000*1000 || ahead < 2*ArenaUnit-10_000*1200 {
		t.Errorf("10 MB are written: %d bytes ahead, of %d", ahead, 2*ArenaUnit)
	}
	const took = time.Millisecond
	for _, c := range []struct {
		portions int
		hurried  time.Duration
		eased    time.Duration
	}{
		{64, touchRest * took, restAtEase * took},
		{1 << 15, touchRest * took, touchRest * took}, // 64 GiB: it would take too long
		{6000, touchRest * took, 20 * took},           // 12 GiB
	} {
		t1 := touching{most: touchWithin / time.Duration(c.portions)}
		if hurried, eased := t1.restAfter(took, touchLead-1), t1.restAfter(took, touchLead); hurried != c.hurried || eased != c.eased {
			t.Errorf("%d portions: after %v it rests for %v when it is late, and %v when it is not; want %v and %v", c.portions, took, hurried, eased, c.hurried, c.eased)
		}
	}
	if touchAhead >= touchLead {
		t.Error("what is touched at the start is the whole lead already")
	}
}

// TestTouchAll: the portions are all of the arena, each byte of it once, and none is longer
// than a huge page, or reaches into a second one.
func TestTouchAll(t *testing.T) {
	s, err := New(Config{ArenaBytes: 2 * ArenaUnit})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	sum, end := 0, uintptr(0)
	for _, b := range s.touching.portions {
		from := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
		if from < end || from/portion != (from+uintptr(len(b))-1)/portion {
			t.Fatalf("a portion of %d bytes at %x, behind one that ends at %x", len(b), from, end)
		}
		sum, end = sum+len(b), from+uintptr(len(b))
	}
	if sum != 2*ArenaUnit {
		t.Errorf("portions of %d bytes, of %d", sum, 2*ArenaUnit)
	}
}
