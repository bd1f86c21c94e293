//go:build unix

package bench

import (
	"fmt"
	"syscall"
	"time"
)

// processCPU gives the CPU time that this process has used so far.
func processCPU() cpuTime {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return cpuTime{}
	}
	return cpuTime{time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())}
}

// spareFiles are the descriptors left for everything that is no connection.
const spareFiles = 64

// checkFiles says early that the process may not open enough files. The Go
// runtime has raised the soft limit to the hard one already. Where gnet
// runs the loops, a connection that is handed over has two descriptors. The errors wrap ErrConfig.
func checkFiles(clients int) error {
	var limit syscall.Rlimit
	need := int64(clients + maxDialers + spareFiles)
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	// A limit below zero, read with a sign, is none.
	if have := int64(limit.Cur); err == nil && have >= 0 && have < need {
		return fmt.Errorf("%w: --clients %d needs %d open files, and the hard limit is %d: raise it with ulimit -Hn, as root, or LimitNOFILE= of a unit", ErrConfig, clients, need, have)
	}
	return nil
}
