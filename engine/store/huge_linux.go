package store

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// span is the addresses [from, to) of a mapping.
type span struct{ from, to uint64 }

// hugePages asks the kernel for huge pages for the memory that fastcache takes: one
// page fault in place of 512 while it is touched, and fewer entries of the TLB
// afterwards. The memory is touched as a whole anyway, so that it takes no more of it.
// fastcache does not say where its memory is, so that it is found among the mappings of
// the process, as what is new. Where the kernel gives no huge pages (its setting
// transparent_hugepage/enabled is "never"), or /proc is missing, nothing happens.
type hugePages struct {
	known   []span
	longest uint64
}

// beginHuge notes what is mapped already, before an arena of so many bytes is.
func beginHuge(arena int64) *hugePages {
	return &hugePages{known: anonymous(), longest: uint64(arena) + fcMapping}
}

// advise is to be called again when fastcache may have mapped more.
func (p *hugePages) advise() {
	for _, m := range anonymous() {
		if size := m.to - m.from; size > p.longest || slices.Contains(p.known, m) {
			continue
		}
		p.known = append(p.known, m)
		// Advice: whoever does not take it, does not fail.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(m.from), uintptr(m.to-m.from), unix.MADV_HUGEPAGE)
	}
}

// anonymous lists the process's private, writable mappings without a name that are as
// long as one of fastcache's, or longer.
func anonymous() (spans []span) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil
	}
	defer func() { _ = maps.Close() }()
	// A line is: from-to permissions offset device inode [name].
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 5 || fields[1] != "rw-p" {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		var m span
		var err1, err2 error
		m.from, err1 = strconv.ParseUint(from, 16, 64)
		m.to, err2 = strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil && m.to-m.from >= fcMapping {
			spans = append(spans, m)
		}
	}
	return spans
}
