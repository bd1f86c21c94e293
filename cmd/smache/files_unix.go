//go:build unix

package main

import (
	"math"
	"syscall"
)

// openFiles gives the number of descriptors that the process may have open; 0 if
// it is unknown. The Go runtime has raised the soft limit to the hard one.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), math.MaxInt32)) // signed on FreeBSD
}
