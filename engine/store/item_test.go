package store

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// slotKey appends to dst a canonical key of 12 bytes that is in the slot of the
// key named like: they have one CRC-32C. n makes the keys differ.
func slotKey(dst []byte, like string, n int) []byte {
	start := len(dst)
	dst = fmt.Appendf(dst, "s%07d", n)
	// Run the CRC backwards from where it must end, over four bytes that are zero:
	// what it must be in front of them, less what it is, is what they must be.
	state := ^crc32.Checksum(key(like), castagnoli)
	for range 4 {
		for i := range castagnoli {
			if castagnoli[i]>>24 == state>>24 {
				state = (state^castagnoli[i])<<8 | uint32(i)
				break
			}
		}
	}
	state ^= ^crc32.Checksum(dst[start:], castagnoli)
	return append(dst, byte(state), byte(state>>8), byte(state>>16), byte(state>>24))
}

// A slot of very many keys is listed, given away and dropped.
func TestHugeSlot(t *testing.T) {
	slot := slotOf("a")
	n := shorter(200_000, 40_000)
	s := newClusterStore(t, Config{ArenaBytes: 4 * ArenaUnit, Writers: 1, MaxEntries: 1 << 20, RecordBytes: 64 << 20})
	s.Remember(slot, true)
	var k []byte
	for i := range n {
		k = slotKey(k[:0], "a", i)
		op := &proto.Op{Code: proto.OpSet, Key: k, Value: k[:8], TTL: proto.Forever}
		if i%8 == 0 {
			op.Code = proto.OpDelete
		}
		if do(s, op); op.Slot != slot || op.Status > proto.StatusMiss {
			t.Fatalf("slot %d, status %v", op.Slot, op.Status)
		}
	}
	if got := s.SlotLen(slot); got != n {
		t.Fatalf("%d entries and records", got)
	}
	keys := s.SlotKeys(slot)
	if len(keys) != n {
		t.Fatalf("%d keys", len(keys))
	}
	var buf []byte
	var e proto.Entry
	last := proto.Version{Term: 2}
	for i, k := range keys {
		var found bool
		if buf, found = s.Item(slot, []byte(k), buf[:0], &e); !found || string(e.Key) != k {
			t.Fatalf("key %d is not there", i)
		}
		if e.Gone != (i >= n*7/8) || !e.Gone && (!e.Meta.Version.Less(last) || string(e.Value) != k[:8]) {
			t.Fatalf("key %d: gone %t, %v after %v, value %q", i, e.Gone, e.Meta.Version, last, e.Value)
		}
		last = e.Meta.Version
	}
	// What is handed on is removed key by key, from the front.
	for _, k := range keys[:n/2] {
		s.RemoveKey(slot, []byte(k))
	}
	if got := s.SlotLen(slot); got != n/2 {
		t.Fatalf("%d entries and records", got)
	}
	if got := s.DropSlot(slot); got != n*7/8-n/2 { // the rest are records
		t.Fatalf("dropped %d", got)
	}
	if s.SlotLen(slot) != 0 || len(s.SlotKeys(slot)) != 0 || s.Stats().Records != 0 {
		t.Error("something is left")
	}
	checkAccounts(t, s)
}

// An item is what was stored, whatever its size, behind what the buffer held.
func TestItem(t *testing.T) {
	clock := newTestClock()
	s := newClusterStore(t, Config{ArenaBytes: 4 * ArenaUnit, Writers: 2, Clock: clock})
	for _, size := range []int{0, 1, s.inlineMax, s.inlineMax + 1, s.pieceSize + 1, s.maxValue} {
		for _, ttl := range []time.Duration{time.Second, proto.Forever} {
			value := strings.Repeat("v", size)
			put := setTTL(s, "k", value, ttl)
			clock.advance(300 * time.Millisecond)
			left := ttl
			if ttl != proto.Forever {
				left -= 300 * time.Millisecond
			}
			var e proto.Entry
			buf, found := s.Item(slotOf("k"), key("k"), []byte("before"), &e)
			want := proto.Meta{Version: put.Version, ETag: put.ETag, Remaining: left, Age: 300 * time.Millisecond}
			if !found || e.Gone || string(e.Value) != value || string(e.Key) != string(key("k")) || e.Meta != want {
				t.Fatalf("%d bytes: found %t: %q, %d bytes, %+v, want %+v", size, found, e.Key, len(e.Value), e.Meta, want)
			}
			if !bytes.HasPrefix(buf, []byte("before")) {
				t.Error("the buffer was written over")
			}
			if ttl == proto.Forever {
				continue
			}
			// At the instant of expiry it is gone, remembered or not.
			clock.advance(left)
			if _, found = s.Item(slotOf("k"), key("k"), nil, &e); !found || !e.Gone || e.Meta != (proto.Meta{Version: put.Version}) {
				t.Fatalf("%d bytes, expired: found %t, %+v", size, found, e)
			}
			if s.Knows(slotOf("k"), key("k")) {
				t.Error("a slot that does not remember knows what has expired")
			}
		}
		remove(s, "k")
		if buf, found := s.Item(slotOf("k"), key("k"), []byte("before"), new(proto.Entry)); found || string(buf) != "before" {
			t.Fatalf("%d bytes: found what was deleted; %q", size, buf)
		}
	}
	checkAccounts(t, s)
}

// An entry whose pieces are gone is no item, and leaves a record: it must not
// come back from elsewhere in an older form.
func TestItemBroken(t *testing.T) {
	s := newClusterStore(t, Config{Writers: 1})
	slot := slotOf("k")
	s.Remember(slot, true)
	put := set(s, "k", strings.Repeat("v", 100_000))
	w := s.writers[0]
	w.exclusive(func() {
		old := w.lookup(uint16(slot), key("k"), ptr(s.hash(slot, key("k"))))
		k := pieceKey(ptr(s.hash(slot, key("k"))), old.pieceID, 3, old.salts[3])
		w.cache.Del(k[:])
	})
	if _, found := item(s, "k"); found {
		t.Fatal("found half of it")
	}
	wantGone(t, s, "k", put.Version)
	if n := s.Stats().Lost; n != 1 {
		t.Errorf("%d lost", n)
	}
	checkAccounts(t, s)
}

func ptr[T any](v T) *T { return &v }

// RemoveKey leaves no trace of an entry or a record, and touches no other key.
func TestRemoveKey(t *testing.T) {
	s := newClusterStore(t, Config{Writers: 1})
	names := sameSlot("k", 3)
	slot := slotOf("k")
	s.Remember(slot, true)
	version := set(s, names[0], "v").Version
	remove(s, names[1])
	set(s, names[2], strings.Repeat("v", 50_000))
	s.Release(slot)
	for _, name := range names[:2] {
		s.RemoveKey(slot, key(name))
		s.RemoveKey(slot, key(name))
		if s.Knows(slot, key(name)) {
			t.Errorf("%s is known", name)
		}
	}
	if keys := s.SlotKeys(slot); !slices.Equal(keys, []string{string(key(names[2]))}) {
		t.Errorf("left: %q", keys)
	}
	if st := merge(s, names[0], "v", version); st != proto.StatusOK {
		t.Errorf("the same copy again: %v", st)
	}
	checkAccounts(t, s)
}

// SlotKeys misses nothing that only expires and is evicted meanwhile: what has
// left the entries is in the records.
func TestSlotKeysWhileGoing(t *testing.T) {
	clock := newTestClock()
	s := newClusterStore(t, Config{Writers: 1, Clock: clock, RecordBytes: 64 << 20})
	slot := slotOf("a")
	s.Remember(slot, true)
	const n = 5000
	for round := range 20 {
		var k []byte
		for i := range n {
			k = slotKey(k[:0], "a", i)
			do(s, &proto.Op{Code: proto.OpSet, Key: k, Value: fmt.Append(nil, round), TTL: time.Second})
		}
		s.Release(slot)
		clock.advance(time.Second)
		swept := make(chan struct{})
		go func() {
			defer close(swept)
			w := s.writers[0]
			for range 200 {
				w.exclusive(func() { w.sweepSome(1000, sweepEmpty) })
			}
		}()
		keys := s.SlotKeys(slot)
		<-swept
		slices.Sort(keys)
		if keys = slices.Compact(keys); len(keys) != n {
			t.Fatalf("round %d: %d keys of %d", round, len(keys), n)
		}
		s.Hold(slot, uint32(round+2), false)
	}
	checkAccounts(t, s)
}
