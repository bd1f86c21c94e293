package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/smache/smache/bench"
)

// 10,000 clients are open at once, and each asks and is answered. Where the limit of open
// files is too low for that, the error says what to raise.
func TestBenchTenThousandClients(t *testing.T) {
	enough := openFiles() <= 0 || openFiles() > 10_500
	if !enough && os.Getenv("CI") != "" {
		t.Fatalf("the limit of open files, %d, is too low", openFiles())
	}
	// No time-out is the subject.
	p := serve(t, []string{"SMACHE_MEMORY=1GiB"}, "--max-connections", "10100", "--read-timeout", "10m", "--idle-timeout", "10m")
	code, stdout, stderr := runBenchTest(t.Context(), "get", "--addr", p.address, "--clients", "10000", "--requests", "20000",
		"--keys", "100", "--threads", "2", "--timeout", patience.String(), "--json")
	if !enough {
		if code != exitUsage || !strings.Contains(stderr, "ulimit -Hn") {
			t.Errorf("code %d, %s", code, stderr)
		}
		return
	}
	var r bench.Result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK {
		t.Fatalf("code %d, %v, %s", code, err, stderr)
	}
	if r.OK != 20_000 || r.Connections != 10_000 || r.Reconnects != 0 || r.Clients != 10_000 {
		t.Errorf("%d right, %d connections, %d ended", r.OK, r.Connections, r.Reconnects)
	}
}
