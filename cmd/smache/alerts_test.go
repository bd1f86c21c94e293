package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promtool finds Prometheus's own tool. The tests are to run on a machine that has Go and
// nothing else, where those that need it are skipped. CI installs it, and fails without.
func promtool(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("promtool, which judges the expressions, is not installed; Debian's package prometheus has it, and CI does not go without")
	}
	return tool
}

// alertRule finds the rules of alerts.yaml: each from its name to the next one's.
var alertRule = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)

// alertRules gives the text of each rule, and their names in order.
func alertRules(t *testing.T) (rules map[string]string, names []string) {
	t.Helper()
	text := prometheusFile(t, "alerts.yaml")
	starts := alertRule.FindAllStringSubmatchIndex(text, -1)
	rules = map[string]string{}
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name := text[at[2]:at[3]]
		names, rules[name] = append(names, name), text[at[0]:end]
	}
	if len(names) < 10 || len(rules) != len(names) {
		t.Fatalf("the alerts are %q", names)
	}
	return rules, names
}

// TestAlertsAreDocumented: docs/OPERATIONS.md says of every alert what to do, and of no
// other.
func TestAlertsAreDocumented(t *testing.T) {
	var documented []string
	for _, found := range regexp.MustCompile("(?m)^\\| `(Smache\\w+)` \\|").FindAllStringSubmatch(manualText(t), -1) {
		documented = append(documented, found[1])
	}
	if _, alerts := alertRules(t); !slices.Equal(alerts, documented) {
		t.Errorf("alerts   %q\nmanual   %q", alerts, documented)
	}
}

// alertTests gives what all tests of alerts_test.yaml begin with, and of each alert those
// that speak of it.
func alertTests(t *testing.T) (head string, tests map[string][]string) {
	t.Helper()
	head, text, _ := strings.Cut(prometheusFile(t, "alerts_test.yaml"), "\ntests:\n")
	tests = map[string][]string{}
	_, names := alertRules(t)
	for _, name := range names {
		for test := range strings.SplitSeq(text, "\n\n") {
			if strings.Contains(test, "alertname: "+name+"\n") || strings.Contains(test, "alertname: "+name+",") {
				tests[name] = append(tests[name], test)
			}
		}
	}
	return head, tests
}

// TestAlertsAreTested: every alert has a test of when it fires, and of when it does not.
func TestAlertsAreTested(t *testing.T) {
	_, tests := alertTests(t)
	_, names := alertRules(t)
	for _, name := range names {
		all := strings.Join(tests[name], "\n")
		fires := regexp.MustCompile(`alertname: ` + name + `\n +eval_time: \w+\n +exp_alerts:\n +- exp_labels`).MatchString(all)
		rests := regexp.MustCompile(`alertname: ` + name + `, eval_time: \w+, exp_alerts: \[\]`).MatchString(all)
		if !fires || !rests {
			t.Errorf("%s: a test has it fire: %t; has it rest: %t", name, fires, rests)
		}
	}
}

// What a rule can be made weaker or stronger in: its comparisons, with how they match
// series to each other, and how long they have to hold.
var (
	ruleComparison = regexp.MustCompile(` (==|<|>)( on \(job\) group_left \(\))? `)
	ruleDuration   = regexp.MustCompile(`(?m)^ +for: \w+\n`)
)

// mutants gives the rule with each condition made one that always holds, and one that
// never does, and without its duration, by what was done.
func mutants(rule string) map[string]string {
	all := map[string]string{}
	for _, at := range ruleComparison.FindAllStringSubmatchIndex(rule, -1) {
		operator, matching := rule[at[2]:at[3]], ""
		if at[4] >= 0 {
			matching = rule[at[4]:at[5]]
		}
		for what, bound := range map[string]string{"always": "-1e18", "never": "1e18"} {
			by := operator
			switch {
			case operator == "<":
				bound = map[string]string{"always": "1e18", "never": "-1e18"}[what]
			case operator == "==":
				by = ">="
			}
			all[what+" "+rule[at[0]:]] = rule[:at[0]] + " " + by + matching + " " + bound + " + " + rule[at[1]:]
		}
	}
	if at := ruleDuration.FindStringIndex(rule); at != nil {
		all["at once"] = rule[:at[0]] + rule[at[1]:]
	}
	return all
}

// TestAlerts has Prometheus's own tool hold the rules to what alerts_test.yaml says of
// them. Every condition has to be tested there, on both sides: a rule in which one is
// missing, or cannot be met, has to fail.
func TestAlerts(t *testing.T) {
	t.Parallel()
	tool := promtool(t)
	dir := filepath.Join(repository(t), "scripts", "prometheus")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(tool, args...)
		cmd.Dir = dir
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("promtool %q: %v\n%s", args, err, output)
		}
	}
	head, tests := alertTests(t)
	rules, names := alertRules(t)
	tried := 0
	for _, name := range names {
		own := tests[name] // alone, since each takes time
		passes := func(rule string) bool {
			t.Helper()
			scratch := t.TempDir()
			for file, text := range map[string]string{
				"alerts.yaml":      "groups:\n  - name: smache\n    rules:\n" + rule,
				"alerts_test.yaml": head + "\ntests:\n" + strings.Join(own, "\n\n") + "\n",
			} {
				if err := os.WriteFile(filepath.Join(scratch, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			check, test := exec.Command(tool, "check", "rules", "alerts.yaml"), exec.Command(tool, "test", "rules", "alerts_test.yaml")
			check.Dir, test.Dir = scratch, scratch
			if output, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s cannot be read: %s\n%s", name, output, rule)
			}
			return test.Run() == nil
		}
		if !passes(rules[name]) {
			t.Errorf("%s fails alone", name)
		}
		broken := mutants(rules[name])
		if len(broken) < 2 {
			t.Errorf("%s has no condition", name)
		}
		for what, rule := range broken {
			if tried++; passes(rule) {
				t.Errorf("%s: no test notices that it holds %s", name, what)
			}
		}
	}
	t.Logf("%d rules that are wrong are noticed", tried)
}
