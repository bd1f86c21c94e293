package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// All threads of a node are scheduled in batches, those that begin later too, unless it is
// told to leave them as they are.
func TestScheduling(t *testing.T) {
	own, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	for word, want := range map[string]int{"": schedBatch, "batch": schedBatch, "inherit": int(own)} {
		var env []string
		if word != "" {
			env = []string{"SMACHE_SCHEDULING=" + word}
		}
		n := serve(t, env)
		for range 50 { // threads come and go
			resp, err := http.Get("http://" + n.address + "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", n.cmd.Process.Pid))
		if err != nil || len(threads) < 3 {
			t.Fatal(threads, err)
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(filepath.Base(thread))
			if err != nil {
				t.Fatal(err)
			}
			policy, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETSCHEDULER, uintptr(id), 0, 0)
			if errno == 0 && int(policy) != want {
				t.Errorf("%q: thread %d has policy %d, want %d", word, id, policy, want)
			}
		}
	}
}
