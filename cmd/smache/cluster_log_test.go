package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// told gives what a node's log says of other members, and of what followed: level and
// message, and of whom.
func told(p *process) (lines []string) {
	for _, line := range p.lines() {
		message, _ := line["msg"].(string)
		of := line["member"]
		if of == nil {
			of = line["of"]
		}
		if strings.HasPrefix(message, "cluster: ") && of != nil {
			lines = append(lines, fmt.Sprint(line["level"], " ", strings.TrimPrefix(message, "cluster: "), ": ", of))
		}
	}
	return lines
}

// TestMembersInTheLog: what becomes of a member is in the log of all others, once each, and
// a warning where nobody meant it; so is what became of its slots. It does not run beside
// other tests: a node that gets no processor for so long that it is counted dead is in the
// logs, too.
func TestMembersInTheLog(t *testing.T) {
	f := newFleet(t, 3, "--stop-timeout", "5m")
	f.begin(0, 1, 2)
	f.settle()
	others := []*process{f.nodes[0], f.nodes[1]}
	var before [2]int
	mark := func() {
		for i, p := range others {
			before[i] = len(told(p))
		}
	}
	member := f.name(2)
	expect := func(what string, lines ...string) {
		t.Helper()
		for i := range lines {
			lines[i] += ": " + member
		}
		for i, p := range others {
			poll(t, what+": "+f.name(i)+" says so", func() bool { return len(told(p)) >= before[i]+len(lines) })
			if got := told(p)[before[i]:]; !slices.Equal(got, lines) {
				t.Errorf("%s: the log of %s says\n%s\nwant\n%s", what, f.name(i), strings.Join(got, "\n"), strings.Join(lines, "\n"))
			}
		}
		mark()
	}
	const claimed = "INFO claimed slots that nobody held"
	// claims holds the lines about claims against what the member held.
	claims := func(what string, slots int) {
		t.Helper()
		sum := 0
		for _, p := range others {
			var last logLine
			for _, line := range p.lines() {
				if line["of"] == member {
					last = line
				}
			}
			n, _ := last["slots"].(float64)
			sum += int(n)
			text, _ := last["took"].(string)
			if took, err := time.ParseDuration(text); err != nil || took > soon || n == 0 {
				t.Errorf("%s: %v, %v", what, last, err)
			}
		}
		if sum != slots {
			t.Errorf("%s: %d slots were claimed, of %d", what, sum, slots)
		}
	}
	// Others may not have heard of a slot that has changed hands between two nodes.
	holds := func() int { return int(f.nodes[2].metric("smache_slots_held")) }
	// The first start may have had several steps.
	for i, p := range others {
		poll(t, f.name(i)+" knows of all", func() bool {
			return slices.Contains(told(p), "INFO a new member: "+member)
		})
	}
	mark()

	f.nodes[2].signal(syscall.SIGTERM)
	if code := f.nodes[2].exit(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	f.lb.remove(f.nodes[2].address)
	f.up[2] = false
	f.settle()
	expect("a planned leave", "INFO a member leaves, and hands over what it holds", "INFO a member has left")

	f.begin(2)
	f.settle()
	expect("a start", "INFO a new member")

	slots := holds()
	f.kill(2)
	f.settle()
	expect("kill -9", "WARN a member is gone without a farewell", claimed)
	claims("kill -9", slots)

	f.begin(2)
	f.settle()
	expect("a start after a crash", "INFO a new member")

	slots = holds()
	f.nodes[2].signal(syscall.SIGSTOP)
	f.up[2] = false
	f.settle()
	expect("a freeze", "WARN a member has fallen silent", claimed)
	claims("a freeze", slots)
	f.nodes[2].signal(syscall.SIGCONT)
	f.up[2] = true
	f.settle()
	expect("a thaw", "INFO a member is back")
	for _, line := range told(f.nodes[2]) {
		if strings.HasPrefix(line, "WARN") {
			t.Errorf("who stood still says of the others: %s", line)
		}
	}
}
