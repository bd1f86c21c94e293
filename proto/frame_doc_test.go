package proto

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// docs/PROTOCOL.md lists every opcode, status, reason and kind of message under its
// number and name, says the limits, and shows some frames of the vectors.
func TestProtocolDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	section := func(title string) string {
		_, rest, ok := strings.Cut(doc, "\n## "+title+"\n")
		if !ok {
			t.Fatalf("there is no section %q", title)
		}
		body, _, _ := strings.Cut(rest, "\n## ")
		return body
	}
	hold := func(title string, rows []string) {
		t.Helper()
		body := section(title)
		for _, row := range rows {
			if !strings.Contains(body, "\n"+row) {
				t.Errorf("section %q has no %q", title, row)
			}
		}
		listed := 0
		for line := range strings.Lines(body) {
			var n int
			if _, err := fmt.Sscanf(line, "| %d | `", &n); err == nil {
				listed++
			}
		}
		if listed != len(rows) {
			t.Errorf("section %q lists %d, there are %d", title, listed, len(rows))
		}
	}
	var ops, statuses, reasons, kinds, figures []string
	for _, op := range FrameOps() {
		ops = append(ops, fmt.Sprintf("| %d | `%v` |", op, op))
	}
	for s := range statusLast + 1 {
		statuses = append(statuses, fmt.Sprintf("| %d | `%v` |", s, s))
	}
	for _, e := range CloseErrors() {
		again := "as usual"
		if e.Lasting {
			again = "seldom"
		}
		reasons = append(reasons, fmt.Sprintf("| %d | `%s` | %s | %s |", e.Reason, e.Name, e.Text, again))
	}
	for _, k := range SlotKinds() {
		kinds = append(kinds, fmt.Sprintf("| %d | `%v` |%s |", k, k, flagName(k.form().flags)))
	}
	for f := range FigureLatency + 1 {
		figures = append(figures, fmt.Sprintf("| %d | `%v` |", f, f))
	}
	hold("Stats", figures)
	hold("Opcodes", ops)
	hold("Statuses", statuses)
	hold("Closing", reasons)
	hold("Moving slots", kinds)

	limits := section("Limits")
	for name, n := range map[string]int{
		"MaxFrame": MaxFrame, "MaxValueLen": MaxValueLen, "MaxCanonicalLen": MaxCanonicalLen, "MaxTags": MaxTags,
		"MaxItems": MaxItems, "MaxSlotMessages": MaxSlotMessages, "MaxSources": MaxSources, "MaxMembers": MaxMembers,
		"MaxNameLen": MaxNameLen, "MaxHello": MaxHello, "MaxGoodbyeText": MaxGoodbyeText, "MaxSamples": MaxSamples,
	} {
		said := false
		for line := range strings.Lines(limits) {
			said = said || strings.HasSuffix(line, "| `"+name+"` |\n") && strings.Contains(line, "| "+thousands(n))
		}
		if !said {
			t.Errorf("section Limits does not say that %s is %s", name, thousands(n))
		}
	}
	if !strings.Contains(section("The frame"), "24 to "+thousands(MaxFrame-lengthLen)) {
		t.Error("the bounds of the length are not said")
	}
	shown := strings.Join(strings.Fields(doc), "")
	for _, v := range vectors(t) {
		if (v.name == "get/request" || v.name == "get/hit" || v.name == "slots/take, and take by a holder") && !strings.Contains(shown, fmt.Sprintf("%x", v.frame)) {
			t.Errorf("%s is not shown", v.name)
		}
	}
	for _, key := range []string{"i1", "i0", "saa", gKey} {
		if row := fmt.Sprintf("| `%s` | %d |", key, SlotOf([]byte(key))); !strings.Contains(doc, row) {
			t.Errorf("there is no %q", row)
		}
	}
}

// flagName is how the table of kinds names the flag that a message may have.
func flagName(flags uint8) string {
	var names []string
	for _, flag := range []struct {
		bit  uint8
		name string
	}{{slotDone, " *done*"}, {slotEmpty, " *empty*"}, {slotFound, " *found*"}} {
		if flags&flag.bit != 0 {
			names = append(names, flag.name)
		}
	}
	return strings.Join(names, ",")
}

// thousands writes n with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
