//go:build linux && !race

package loop

import (
	"syscall"
	"unsafe"
)

// receive and send are read and write on a socket without telling the runtime, which
// is right for calls that cannot block: the descriptor does not. p must not be empty.

func receive(fd int, p []byte) (int, syscall.Errno) {
	return direct(syscall.SYS_RECVFROM, fd, p, 0)
}

func send(fd int, p []byte) (int, syscall.Errno) {
	return direct(syscall.SYS_SENDTO, fd, p, syscall.MSG_NOSIGNAL)
}

func direct(call uintptr, fd int, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}
