package peer

import "syscall"

// yield lets others have the processor, of this process and of other ones. Go's own
// Gosched lets only this process's goroutines: where the nodes of a test or a generator
// of load share processors, it is threads that wait.
func yield() { _, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
