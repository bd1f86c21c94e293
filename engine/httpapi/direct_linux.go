//go:build !race

package httpapi

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow are syscall.Read and syscall.Write without telling the
// runtime, which is right for calls that cannot block: the descriptor does not. p
// must not be empty.

func readNow(fd uintptr, p []byte) (int, syscall.Errno) { return direct(syscall.SYS_READ, fd, p) }

func writeNow(fd uintptr, p []byte) (int, syscall.Errno) { return direct(syscall.SYS_WRITE, fd, p) }

func direct(call, fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}
