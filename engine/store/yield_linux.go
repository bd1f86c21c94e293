package store

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// lowest is the least that a thread can ask for of the processors.
const lowest = 19

// yieldToOthers gives the thread of the calling goroutine the lowest priority. Both
// end together: the thread never runs another goroutine.
func yieldToOthers() {
	runtime.LockOSThread()
	// Where it is not allowed, it does without.
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), lowest)
}
