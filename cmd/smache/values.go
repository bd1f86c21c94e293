package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A value is what a setting sets: it parses text, and shows what it holds in a
// form that it would parse to the same.
type value interface {
	Set(text string) error
	String() string
}

// byteUnits are the units of sizes. The decimal ones are those of SI; K, M and G
// alone mean the binary ones, as in systemd's MemoryMax.
var byteUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40},
	{"B", 1},
}

// sizeValue is a number of bytes.
type sizeValue int64

func (v *sizeValue) Set(text string) error {
	number, unit := strings.TrimSpace(text), int64(1)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 || number == "" || strings.ContainsAny(number, "xXpPeEnN_+-") {
		return errors.New("must be a number of bytes, with a unit if wanted: 65536, 64KiB, 256MiB, 1.5GiB")
	}
	bytes := n * float64(unit)
	if bytes != math.Trunc(bytes) || bytes > 1<<53 {
		return errors.New("must be a whole number of bytes, and at most 8192TiB")
	}
	*v = sizeValue(bytes)
	return nil
}

func (v *sizeValue) String() string { return formatSize(int64(*v)) }

// formatSize writes a number of bytes in the largest binary unit that divides it.
func formatSize(n int64) string {
	if n == 0 {
		return "0"
	}
	unit := byteUnits[len(byteUnits)-1]
	for _, u := range byteUnits[:4] {
		if n%u.bytes == 0 {
			unit = u
		}
	}
	return strconv.FormatInt(n/unit.bytes, 10) + unit.suffix
}

// durationValue is a span of time, never negative.
type durationValue time.Duration

func (v *durationValue) Set(text string) error {
	d, err := parseDuration(text)
	if err != nil {
		return err
	}
	*v = durationValue(d)
	return nil
}

func (v *durationValue) String() string { return formatDuration(time.Duration(*v)) }

// parseDuration reads Go's form, 1m30s, or a plain number of seconds.
func parseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	unitless := text
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		unitless += "s"
	}
	d, err := time.ParseDuration(unitless)
	if err != nil || d < 0 {
		return 0, errors.New("must be a duration: 500ms, 30s, 1m30s, 24h, or a number of seconds")
	}
	return d, nil
}

// formatDuration is Duration.String without the zeros: 1m, not 1m0s.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// intValue is a whole number from 0 to the 31-bit limit.
type intValue int

func (v *intValue) Set(text string) error {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("must be at most %d", math.MaxInt32)
	}
	if err != nil {
		return errors.New("must be a whole number, 0 or above")
	}
	*v = intValue(n)
	return nil
}

func (v *intValue) String() string { return strconv.Itoa(int(*v)) }

// shareValue is a part of a whole, from 0 to 1.
type shareValue float64

func (v *shareValue) Set(text string) error {
	share, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(share >= 0 && share <= 1) {
		return errors.New("must be a part of 1: 1 for all, 0.01 for one in a hundred, 0 for none")
	}
	*v = shareValue(share)
	return nil
}

func (v *shareValue) String() string { return strconv.FormatFloat(float64(*v), 'g', -1, 64) }

// stringValue is any text.
type stringValue string

func (v *stringValue) Set(text string) error { *v = stringValue(text); return nil }

func (v *stringValue) String() string { return string(*v) }

// listValue is a list of texts, separated by commas. The first Set replaces the
// default, each further one appends; reset starts over, when a flag takes
// precedence over a variable.
type listValue struct {
	items []string
	given bool
}

func (v *listValue) Set(text string) error {
	if !v.given {
		v.items, v.given = nil, true
	}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			v.items = append(v.items, item)
		}
	}
	return nil
}

func (v *listValue) String() string { return strings.Join(v.items, ",") }

func (v *listValue) reset() { v.given = false }

// boolValue is true or false. As a flag it needs no value.
type boolValue bool

func (v *boolValue) Set(text string) error {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("must be true or false")
	}
	*v = boolValue(b)
	return nil
}

func (v *boolValue) String() string { return strconv.FormatBool(bool(*v)) }

// choiceValue is one of a few words.
type choiceValue struct {
	word  string
	words []string
}

func (v *choiceValue) Set(text string) error {
	for _, w := range v.words {
		if w == text {
			v.word = text
			return nil
		}
	}
	return fmt.Errorf("must be one of %s", strings.Join(v.words, ", "))
}

func (v *choiceValue) String() string { return v.word }
