package hold

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each rule of docs/CLUSTER.md names a switch, in brackets, that turns it off; each switch
// is named there. That each is tried is TestMutantsAreCaught's to hold.
func TestRulesHaveSwitches(t *testing.T) {
	switches := declared(t)
	doc, err := os.ReadFile("../../docs/CLUSTER.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "\n## The rules\n")
	text, _, _ = strings.Cut(text, "\n## ")
	rules, _, _ := strings.Cut(text, "\n### ")
	parts := regexp.MustCompile(`(?m)^\d+\. \*\*`).Split(rules, -1)[1:]
	if len(parts) < 15 {
		t.Fatalf("docs/CLUSTER.md has %d rules", len(parts))
	}
	named := map[string]bool{}
	for i, part := range parts {
		n := 0
		for _, bracket := range regexp.MustCompile(`\((`+"`"+`\w+`+"`"+`(,\s+)?)+\)`).FindAllString(part, -1) {
			for _, name := range regexp.MustCompile(`\w+`).FindAllString(bracket, -1) {
				if !slices.Contains(switches, name) {
					t.Errorf("rule %d names %s, which is no switch", i+1, name)
				}
				named[name] = true
				n++
			}
		}
		if n == 0 {
			t.Errorf("rule %d names no switch: %.60s", i+1, part)
		}
	}
	for _, name := range switches {
		if !named[name] {
			t.Errorf("no rule names the switch %s", name)
		}
	}
}

// declared gives the switches that mutant.go declares.
func declared(t *testing.T) (names []string) {
	source, err := os.ReadFile("mutant.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^\t(\w+)\s+mutant = (\d+)`).FindAllStringSubmatch(string(source), -1) {
		if match[1] != "whole" {
			names = append(names, match[1])
		}
	}
	return names
}
