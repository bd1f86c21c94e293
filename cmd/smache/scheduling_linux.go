package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// schedBatch is the kernel's SCHED_BATCH, of sched(7): like the default, but a thread
// that wakes does not interrupt another one that runs.
const schedBatch = 3

// scheduleInBatches makes all threads of this process SCHED_BATCH, and with them those
// that they will start. An event loop that is woken for each request that comes
// interrupts the one that sends them, serves that one and sleeps again; if it waits until
// the processor is free, it finds many, and where one is idle it begins as soon as before.
func scheduleInBatches() error {
	done := map[int]bool{}
	for more := true; more; { // threads that began meanwhile may be a former one's
		more = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("the threads are not known: %w", err)
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil || done[id] {
				continue
			}
			done[id], more = true, true
			if err := schedule(id, schedBatch); err != nil {
				return err
			}
		}
	}
	return nil
}

// schedule sets the policy of a thread of this process, unless it has it.
func schedule(thread, policy int) error {
	now, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETSCHEDULER, uintptr(thread), 0, 0)
	if errno == 0 && int(now) == policy {
		return nil
	}
	priority := int32(0) // struct sched_param
	_, _, errno = syscall.RawSyscall(syscall.SYS_SCHED_SETSCHEDULER, uintptr(thread), uintptr(policy), uintptr(unsafe.Pointer(&priority)))
	if errno != 0 && !errors.Is(errno, syscall.ESRCH) { // it has ended
		return os.NewSyscallError("sched_setscheduler", errno)
	}
	return nil
}
