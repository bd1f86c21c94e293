package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// userHz is the unit of CPU times in /proc, in ticks a second: that of all
// architectures for which Go makes Linux programs.
const userHz = 100

// otherUsage reads CPU time and resident memory of a process of this machine. The
// error wraps ErrConfig.
func otherUsage(pid int) (cpu time.Duration, resident int64, err error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("%w: --server-pid %d: there is no such process", ErrConfig, pid)
	}
	// The name, in parentheses, may hold anything. Behind it are, from the twelfth
	// on, user and system time, and as the 22nd the resident pages
	// (proc_pid_stat(5)).
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return 0, 0, fmt.Errorf("%w: --server-pid %d: /proc says too little", ErrConfig, pid)
	}
	var values [3]int64
	for i, at := range [3]int{11, 12, 21} {
		if values[i], err = strconv.ParseInt(string(fields[at]), 10, 64); err != nil {
			return 0, 0, fmt.Errorf("%w: --server-pid %d: %w", ErrConfig, pid, err)
		}
	}
	return time.Duration(values[0]+values[1]) * (time.Second / userHz), values[2] * int64(os.Getpagesize()), nil
}
