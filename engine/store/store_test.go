package store

import (
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/fastcache"

	"github.com/smache/smache/proto"
)

func TestSetGetDelete(t *testing.T) {
	s := newTestStore(t, Config{Node: "smache@here"})
	wantMiss(t, s, "a")
	first := set(s, "a", `{"x":1}`)
	wantStatus(t, first, proto.StatusOK)
	if first.ETag == 0 || first.Node != "smache@here" || first.Remaining != proto.Forever {
		t.Fatalf("etag %d, node %q, remaining %d", first.ETag, first.Node, first.Remaining)
	}
	hit := wantHit(t, s, "a", `{"x":1}`)
	if hit.ETag != first.ETag || hit.Remaining != proto.Forever || hit.Node != "smache@here" || hit.Version != first.Version {
		t.Fatalf("the hit says %+v", hit)
	}
	second := set(s, "a", `{"x":2}`)
	if second.ETag == first.ETag || !first.Version.Less(second.Version) {
		t.Fatal("a new value needs a new ETag and a later version")
	}
	wantHit(t, s, "a", `{"x":2}`)
	wantStatus(t, do(s, &proto.Op{Code: proto.OpDelete, Key: key("a")}), proto.StatusOK)
	wantMiss(t, s, "a")
	wantStatus(t, do(s, &proto.Op{Code: proto.OpDelete, Key: key("a")}), proto.StatusMiss)
	checkAccounts(t, s)
}

// Where two keys have one hash, the later one's head takes the place of the
// earlier one's. The earlier key is lost, and nobody is given the other's value.
func TestHashCollision(t *testing.T) {
	ttl := &proto.Op{Code: proto.OpTouch, Key: key("a"), TTL: proto.Forever}
	for name, find := range map[string]func(*Store){
		"write": func(s *Store) { wantStatus(t, do(s, ttl), proto.StatusMiss) },
		"sweep": func(s *Store) {
			w := s.writers[0]
			for range proto.Slots / sweepEmpty {
				w.exclusive(func() { w.sweepSome(1, sweepEmpty) })
			}
		},
		"list": func(s *Store) {
			if keys := s.SlotKeys(proto.SlotOf(key("a"))); len(keys) != 0 {
				t.Errorf("%q are listed in the slot of a", keys)
			}
			s.DropSlot(proto.SlotOf(key("a")))
		},
	} {
		s := newTestStore(t, Config{Writers: 1})
		set(s, "a", "value of a")
		h := s.hash(slotOf("a"), key("a"))
		s.writers[0].cache.Set(h[:], appendHead(nil, s.epoch, &head{key: key("b"), value: []byte("value of b")}))
		wantMiss(t, s, "a")
		find(s)
		if st := s.Stats(); st.Lost != 1 || st.Entries != 0 {
			t.Errorf("%s: %d lost, %d entries left", name, st.Lost, st.Entries)
		}
		checkAccounts(t, s)
	}
}

func TestGetAppends(t *testing.T) {
	s := newTestStore(t, Config{})
	big := strings.Repeat("b", 100_000)
	set(s, "small", "s")
	set(s, "big", big)
	for name, value := range map[string]string{"small": "s", "big": big, "none": ""} {
		op := do(s, &proto.Op{Code: proto.OpGet, Key: key(name), Out: []byte("before:")})
		if string(op.Out) != "before:"+value {
			t.Errorf("%s: got %.20q…, %d bytes", name, op.Out, len(op.Out))
		}
	}
}

func TestGetLimit(t *testing.T) {
	s := newTestStore(t, Config{})
	for _, n := range []int{100, 50_000} {
		set(s, "k", strings.Repeat("v", n))
		for limit, want := range map[int]proto.Status{0: proto.StatusOK, n: proto.StatusOK, n - 1: proto.StatusTooLarge} {
			op := do(s, &proto.Op{Code: proto.OpGet, Key: key("k"), Limit: limit})
			wantStatus(t, op, want)
			if want != proto.StatusOK && len(op.Out) != 0 {
				t.Errorf("%d bytes beyond the limit", len(op.Out))
			}
		}
	}
}

func TestStringAndIntegerKeysDoNotCollide(t *testing.T) {
	s := newTestStore(t, Config{})
	set(s, "aa", "string")
	set(s, "24929", "integer")
	wantHit(t, s, "aa", "string")
	wantHit(t, s, "24929", "integer")
	wantHit(t, s, "+0024929", "integer")
}

func TestConditions(t *testing.T) {
	s := newTestStore(t, Config{})
	with := func(code proto.Opcode, value string, match, none proto.Match) *proto.Op {
		return do(s, &proto.Op{Code: code, Key: key("a"), Value: []byte(value), TTL: proto.Forever, IfMatch: match, IfNoneMatch: none})
	}
	star := proto.Match{Set: true, Any: true}
	tags := func(t ...proto.ETag) proto.Match { return proto.Match{Set: true, Tags: t} }
	no := proto.Match{}

	wantStatus(t, with(proto.OpSet, "1", star, no), proto.StatusPrecondition)
	wantStatus(t, with(proto.OpDelete, "", star, no), proto.StatusPrecondition)
	wantMiss(t, s, "a")
	created := with(proto.OpSet, "1", no, star)
	wantStatus(t, created, proto.StatusOK)
	failed := with(proto.OpSet, "2", no, star)
	wantStatus(t, failed, proto.StatusPrecondition)
	if failed.ETag != created.ETag {
		t.Fatal("a failed precondition names the entry that is there")
	}
	wantHit(t, s, "a", "1")
	wantStatus(t, with(proto.OpSet, "2", tags(created.ETag+1), no), proto.StatusPrecondition)
	second := with(proto.OpSet, "2", tags(7, created.ETag), no)
	wantStatus(t, second, proto.StatusOK)
	wantStatus(t, with(proto.OpSet, "3", no, tags(second.ETag)), proto.StatusPrecondition)
	wantStatus(t, with(proto.OpSet, "3", no, tags(created.ETag)), proto.StatusOK)
	third := get(s, "a")
	wantStatus(t, with(proto.OpGet, "", no, tags(third.ETag)), proto.StatusNotModified)
	wantStatus(t, with(proto.OpGet, "", no, star), proto.StatusNotModified)
	wantStatus(t, with(proto.OpGet, "", no, tags(created.ETag)), proto.StatusOK)
	wantStatus(t, with(proto.OpGet, "", tags(created.ETag), no), proto.StatusPrecondition)
	wantStatus(t, with(proto.OpTouch, "", tags(created.ETag), no), proto.StatusPrecondition)
	wantStatus(t, with(proto.OpDelete, "", tags(created.ETag), no), proto.StatusPrecondition)
	wantStatus(t, with(proto.OpDelete, "", tags(third.ETag), no), proto.StatusOK)
	wantMiss(t, s, "a")
}

// A write that replaces a value reads the arena only if the value may be the same,
// or if anything of the old entry matters.
func TestReplaceWithoutReading(t *testing.T) {
	s := newTestStore(t, Config{Writers: 1})
	reads := func() uint64 {
		var st fastcache.Stats
		s.writers[0].cache.UpdateStats(&st)
		return st.GetCalls
	}
	condition := &proto.Op{Code: proto.OpSet, Key: key("a"), Value: []byte("five"), TTL: proto.Forever}
	condition.IfMatch = proto.Match{Set: true, Any: true}
	for _, step := range []struct {
		name  string
		write func()
		read  bool
	}{
		{"new", func() { set(s, "a", "one") }, false},
		{"other value", func() { set(s, "a", "two") }, false},
		{"to be expired", func() { setTTL(s, "a", "three", time.Hour) }, false},
		{"expires", func() { set(s, "a", "four") }, true},
		{"same value", func() { set(s, "a", "four") }, true},
		{"condition", func() { do(s, condition) }, true},
		{"to be in pieces", func() { set(s, "a", strings.Repeat("p", s.inlineMax+1)) }, false},
		{"in pieces", func() { set(s, "a", "six") }, true},
	} {
		before := reads()
		step.write()
		if read := reads() != before; read != step.read {
			t.Errorf("%s: the write has read the arena: %v, want %v", step.name, read, step.read)
		}
	}
	wantHit(t, s, "a", "six")
	checkAccounts(t, s)
}
