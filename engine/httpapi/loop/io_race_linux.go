//go:build linux && race

package loop

import "syscall"

// The race detector learns from syscall.Read and syscall.Write which bytes are
// touched, and that what was done before a write was done before the read at the
// other end.

func receive(fd int, p []byte) (int, syscall.Errno) { return told(syscall.Read, fd, p) }

func send(fd int, p []byte) (int, syscall.Errno) { return told(syscall.Write, fd, p) }

func told(call func(int, []byte) (int, error), fd int, p []byte) (int, syscall.Errno) {
	for {
		n, err := call(fd, p)
		if err == nil {
			return n, 0
		}
		if errno, ok := err.(syscall.Errno); !ok || errno != syscall.EINTR { // nobody wraps it
			return 0, errno
		}
	}
}
