package store

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestHugePages: the arena lies in huge pages, alone and in a cluster, where the kernel
// gives them: where it gives one to memory of the test's own.
func TestHugePages(t *testing.T) {
	own, err := unix.Mmap(-1, 0, 4*portion, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(own) }()
	_ = unix.Madvise(own, unix.MADV_HUGEPAGE)
	for at := 0; at < len(own); at += pageLeast {
		own[at] = 1
	}
	gives := hugePages(t, [][]byte{own}) > 0
	for _, cluster := range []bool{false, true} {
		s, err := New(Config{ArenaBytes: 4 * ArenaUnit, Cluster: cluster})
		if err != nil {
			t.Fatal(err)
		}
		s.touching.done.Wait()
		// Half of it: free memory may be in pieces.
		if huge := hugePages(t, s.touching.portions); gives && huge < 2*ArenaUnit {
			t.Errorf("cluster %v: %d bytes of %d are in huge pages", cluster, huge, 4*ArenaUnit)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// hugePages gives how many bytes of the mappings that portions lie in are in huge pages.
func hugePages(t *testing.T, portions [][]byte) (n int) {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	counts := false
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var kilobytes int
		if _, err := fmt.Sscanf(line, "%x-%x ", &from, &to); err == nil {
			counts = slices.ContainsFunc(portions, func(b []byte) bool {
				at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
				return at >= from && at < to
			})
		} else if _, err := fmt.Sscanf(line, "AnonHugePages: %d kB", &kilobytes); err == nil && counts {
			n += kilobytes << 10
		}
	}
	return n
}
