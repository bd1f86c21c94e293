package store

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// renew replaces memory of the arena, which nobody uses, by untouched memory, and asks
// the kernel for huge pages for it: one page fault in place of 512 while it is touched,
// and fewer entries of the TLB afterwards. The memory is touched as a whole anyway, so
// that it takes no more of it. Where the kernel gives no huge pages (its setting
// transparent_hugepage/enabled is "never"), it has small ones.
//
// It must be replaced: getChunk has read a byte of each chunk (Go's check for nil), and
// the kernel gives no huge page where there has been a small one.
func renew(b []byte) error {
	_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_FIXED)
	if err == nil {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	}
	return err
}

// populate takes the memory of b from the system, which others may be writing to, and
// leaves alone what is in it. Kernels before 5.14 cannot, and say so.
func populate(b []byte) error {
	for {
		if err := unix.Madvise(b, unix.MADV_POPULATE_WRITE); !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return err
		}
	}
}
