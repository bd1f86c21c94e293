package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestMembersTable holds the table of the members to the letter.
func TestMembersTable(t *testing.T) {
	for _, c := range []struct{ cluster, want string }{
		{`{"node":"a","epoch":"0c","members":[{"name":"a","state":"serving","slots":65536,"http":"127.0.0.1:4000","peer":"","version":"v1"}],"moving":0}`, `
MEMBER  STATE    SLOTS  SHARE   HTTP            PEER  VERSION
a       serving  65536  100.0%  127.0.0.1:4000  -     v1

epoch 0c, 0 slots moving

`},
		{`{"node":"smache@10.0.0.1:4000","epoch":"9f","members":[` +
			`{"name":"smache@10.0.0.1:4000","state":"serving","slots":32770,"http":"10.0.0.1:4000","peer":"10.0.0.1:14000","version":"v1.2.0"},` +
			`{"name":"smache@10.0.0.12:4000","state":"leaving","slots":32765,"http":"10.0.0.12:4000","peer":"10.0.0.12:14000","version":"v1.2.0"},` +
			`{"name":"three","state":"joining","slots":1,"http":"[fd00::3]:4000","peer":"[fd00::3]:14000","version":""}],"moving":1}`, `
MEMBER                 STATE    SLOTS  SHARE  HTTP            PEER             VERSION
smache@10.0.0.1:4000   serving  32770  50.0%  10.0.0.1:4000   10.0.0.1:14000   v1.2.0
smache@10.0.0.12:4000  leaving  32765  50.0%  10.0.0.12:4000  10.0.0.12:14000  v1.2.0
three                  joining  1      0.0%   [fd00::3]:4000  [fd00::3]:14000  -

epoch 9f, 1 slot moving

`},
	} {
		var cluster clusterBody
		if err := json.Unmarshal([]byte(c.cluster), &cluster); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		got.WriteByte('\n')
		printMembers(&got, cluster)
		if got.String() != c.want {
			t.Errorf("the table is%s, want%s", got.String(), c.want)
		}
	}
}

// TestStatusWaits: --wait asks until the node is ready, nobody joins and nothing moves, and says
// when that does not come about.
func TestStatusWaits(t *testing.T) {
	var asked atomic.Int64
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/readyz":
			if asked.Add(1) < 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		case "/cluster":
			state := "serving"
			if asked.Load() < 4 {
				state = "joining"
			}
			fmt.Fprintf(w, `{"node":"n","epoch":"1","members":[{"name":"m","state":"%s"}],"moving":%d}`, state, max(0, 3-asked.Load()))
		}
	}))
	defer node.Close()
	code, stdout, stderr := capture(t.Context(), "", nil, "status", "--server", node.URL, "--wait", "1m")
	if code != exitOK || asked.Load() != 4 || !strings.Contains(stdout, ", 0 slots moving") || stderr != "" {
		t.Errorf("exit %d after %d questions, %q, %q", code, asked.Load(), stdout, stderr)
	}
	for _, c := range []struct {
		asked int64 // before
		args  []string
		want  int
	}{
		{-1 << 40, []string{"--wait", "10ms"}, exitNo},
		{-1 << 40, []string{"--wait", "10ms", "--quiet"}, exitNo},
		{1, []string{"--quiet"}, exitOK},
		{1, nil, exitOK}, // ready, though slots move
		{3, []string{"--wait", "10ms", "--quiet"}, exitOK},
	} {
		asked.Store(c.asked)
		if code, _, _ := capture(t.Context(), "", nil, append([]string{"status", "--server", node.URL}, c.args...)...); code != c.want {
			t.Errorf("status %q, asked %d times before: exit %d, want %d", c.args, c.asked, code, c.want)
		}
	}
	node.Close()
	if code, _, stderr := capture(t.Context(), "", nil, "status", "--server", node.URL, "--wait", "10ms"); code != exitUnreachable || !strings.Contains(stderr, "--server") {
		t.Errorf("of nobody: exit %d, %q", code, stderr)
	}
}
