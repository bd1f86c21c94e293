package main

import (
	"testing"

	"github.com/smache/smache/peer"
)

// A node of a cluster has a processor of the Go runtime more for each event loop of its
// links than one alone, unless its environment says how many there are.
func TestProcessors(t *testing.T) {
	processors := func(env []string, args ...string) int {
		t.Helper()
		args = append(args, "--memory", "256MiB", "--listen", "127.0.0.1:"+clusterPorts(t, 1)[0])
		return int(serve(t, env, args...).metric("go_threads_limit"))
	}
	alone := processors(nil)
	if got, want := processors(nil, "--insecure-cluster"), alone+peer.EventLoops(); got != want {
		t.Errorf("%d processors in a cluster, want %d", got, want)
	}
	if got := processors([]string{"GOMAXPROCS=7"}, "--insecure-cluster"); got != 7 {
		t.Errorf("%d processors, want the environment's 7", got)
	}
}
