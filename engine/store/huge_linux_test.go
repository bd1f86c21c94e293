package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestHugePages: the arena lies in huge pages, alone and in a cluster, where the kernel
// gives them: where it gives so many to memory of the test's own.
func TestHugePages(t *testing.T) {
	own, err := unix.Mmap(-1, 0, 4*ArenaUnit, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Madvise(own, unix.MADV_HUGEPAGE)
	for at := 0; at < len(own); at += pageLeast {
		own[at] = 1
	}
	gives := hugePages(t, [][]byte{own}) > 3*ArenaUnit
	if err := unix.Munmap(own); err != nil { // they are free again
		t.Fatal(err)
	}
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

// TestPopulate: memory is there afterwards, and what was in it stays.
// Only a kernel before 5.14 may be unable to, for it has no MADV_POPULATE_WRITE (madvise(2)),
// and a node then does without; CI has to have a later one.
func TestPopulate(t *testing.T) {
	own, err := unix.Mmap(-1, 0, 2*portion, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(own) }()
	_ = unix.Madvise(own, unix.MADV_NOHUGEPAGE) // one could bring memory of the other half
	written := own[:portion]
	for i := range written {
		written[i] = byte(i % 251)
	}
	want := slices.Clone(written)
	if before := resident(t, own); before > 2*portion*3/4 {
		t.Fatalf("%d of %d bytes are there before anybody has asked for half of them", before, len(own))
	}
	if err := populate(own); err != nil {
		var name unix.Utsname
		var major, minor int
		if err := unix.Uname(&name); err != nil {
			t.Fatal(err)
		}
		if n, _ := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); n == 2 && (major < 5 || major == 5 && minor < 14) &&
			errors.Is(err, unix.EINVAL) && os.Getenv("CI") == "" {
			t.Skipf("Linux %d.%d has no MADV_POPULATE_WRITE, which came with 5.14: %v", major, minor, err)
		}
		t.Fatal(err)
	}
	if n := resident(t, own); n != len(own) {
		t.Errorf("%d of %d bytes are there", n, len(own))
	}
	if !bytes.Equal(written, want) {
		t.Error("memory was changed")
	}
	for i, b := range own[portion:] {
		if b != 0 {
			t.Fatalf("byte %d of new memory is %d", i, b)
		}
	}
}

// resident gives how many bytes of a mapping of its own are in memory.
func resident(t *testing.T, b []byte) (n int) {
	t.Helper()
	page := os.Getpagesize()
	pages := make([]byte, (len(b)+page-1)/page)
	if _, _, code := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(unsafe.Pointer(unsafe.SliceData(pages)))); code != 0 {
		t.Fatal(code)
	}
	for _, p := range pages {
		n += int(p&1) * page
	}
	return n
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
