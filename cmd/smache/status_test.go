package main

import (
	"encoding/json"
	"strings"
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
