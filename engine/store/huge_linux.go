package store

import (
	"errors"

	"golang.org/x/sys/unix"
)

// adviseHuge asks the kernel for huge pages for memory of the arena: one page fault in
// place of 512 while it is touched, and fewer entries of the TLB afterwards. The memory
// is touched as a whole anyway, so that it takes no more of it. Where the kernel gives
// no huge pages (its setting transparent_hugepage/enabled is "never"), nothing happens.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// populate takes the memory of b from the system, which others may be writing to, and
// leaves alone what is in it. Kernels before 5.14 cannot, and say so.
func populate(b []byte) error {
	for {
		if err := unix.Madvise(b, unix.MADV_POPULATE_WRITE); !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return err
		}
	}
}
