package main

import (
	"runtime"

	"github.com/smache/smache/peer"
)

// addProcessors gives the Go runtime a processor more for each event loop of the links, when
// those are made, and the HTTP loops, one for each processor so far, are counted. A loop
// that waits in the kernel keeps its processor for a while. With fewer processors than
// loops the runtime's monitor takes one from a sleeper, for the next that wakes, thousands
// of times a second, and loops wander from thread to thread (docs/PERFORMANCE.md, "A
// processor for each loop"). Who has set GOMAXPROCS keeps it. From here on the runtime does
// not follow changes of the control group's quota any more.
func addProcessors(env map[string]string) {
	if env["GOMAXPROCS"] == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + peer.EventLoops())
	}
}
