package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
)

// TestTenThousandConnections holds 10,000 connections open at once and gets an
// answer on each, twice.
func TestTenThousandConnections(t *testing.T) {
	count := 10000
	if room := openFiles() - 500; openFiles() > 0 && room < count {
		// The limit is the machine's; CI's must be high enough.
		if os.Getenv("CI") != "" {
			t.Fatalf("the limit of open files, %d, is too low for %d connections", openFiles(), count)
		}
		t.Logf("the limit of open files, %d, allows no more than %d connections", openFiles(), room)
		count = room
	}
	// All are open before the first asks, which may take longer than a connection is given.
	p := serve(t, []string{"SMACHE_MEMORY=1GiB"}, "--max-connections", strconv.Itoa(count+100), "--read-timeout", "10m", "--idle-timeout", "10m")
	if status, body := post(p, `{"key":"k","data":{"a":1}}`); status != http.StatusOK {
		t.Fatalf("POST answers %d %s", status, body)
	}
	connections := make([]*keepAlive, count)
	defer func() {
		for _, k := range connections {
			if k != nil {
				_ = k.conn.Close()
			}
		}
	}()
	each(t, count, func(i int) error {
		k, err := dial(p.address)
		if err != nil {
			return err
		}
		connections[i] = k
		return nil
	})
	want := `{"key":"k","data":{"a":1},"node":"` + nodeName(p) + `"}`
	for range 2 {
		each(t, count, func(i int) error {
			status, answer, last, err := connections[i].ask(http.MethodGet, "/api?key=k", "")
			if err != nil || status != http.StatusOK || answer != want || last {
				return fmt.Errorf("connection %d: answered %d %s, last %t, %w", i, status, answer, last, err)
			}
			return nil
		})
	}
	// All of them are open still: the node counts them itself.
	_, text := p.get("/metrics")
	if open, ok := parseMetrics(text).sum("smache_http_connections", ""); !ok || int(open) < count {
		t.Errorf("the node counts %v connections, want %d or more", open, count)
	}
}

// each calls do for 0 to count-1 from some goroutines, and fails the test with
// the first few errors.
func each(t *testing.T, count int, do func(i int) error) {
	t.Helper()
	const workers = 32
	failures := make(chan error, count)
	var done sync.WaitGroup
	for w := range workers {
		done.Go(func() {
			for i := w; i < count; i += workers {
				if err := do(i); err != nil {
					failures <- err
				}
			}
		})
	}
	done.Wait()
	close(failures)
	shown := 0
	for err := range failures {
		if shown++; shown <= 3 {
			t.Error(err)
		}
	}
	if shown > 0 {
		t.Fatalf("%d of %d failed", shown, count)
	}
}
