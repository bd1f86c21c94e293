package store

import (
	"bytes"
	"slices"
	"testing"
	"unsafe"
)

// TestTouch: alone, all memory is touched when New returns; in a cluster at least what is
// needed first, the rest follows, and a store that is closed before does not go on.
func TestTouch(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		s, err := New(Config{ArenaBytes: 4 * ArenaUnit, Cluster: cluster})
		if err != nil {
			t.Fatal(err)
		}
		if left := s.Stats().Untouched; left > 3*ArenaUnit || left != 0 && !cluster {
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
	s, err := New(Config{ArenaBytes: 4 * ArenaUnit, Cluster: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s.touching.done.Wait()
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

// TestPopulate: what is in memory stays.
func TestPopulate(t *testing.T) {
	chunk := getChunk()
	defer putChunk(chunk)
	for i := range chunk {
		chunk[i] = byte(i % 251)
	}
	want := slices.Clone(chunk)
	if err := populate(chunk); err != nil {
		t.Skip("this system does not populate memory: ", err)
	}
	if !bytes.Equal(chunk, want) {
		t.Error("memory was changed")
	}
}
