package main

import (
	"slices"
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "65536": 64 << 10, "64KiB": 64 << 10, "256MiB": 256 << 20, "1.5GiB": 3 << 29,
		"1GB": 1e9, "10kB": 1e4, "2 MiB": 2 << 20, "1G": 1 << 30, "512B": 512, "1TiB": 1 << 40,
	} {
		var v sizeValue
		if err := v.Set(text); err != nil || int64(v) != want {
			t.Errorf("%q is %d, %v; want %d", text, int64(v), err, want)
		}
		var again sizeValue
		if err := again.Set(v.String()); err != nil || again != v {
			t.Errorf("%q is shown as %q, which is %d, %v", text, v.String(), int64(again), err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "+1", "1e3", "0x10", "1.0001KiB", "1PiB", "many", "NaN", "Inf", "9000TiB", "1_000", "1,5GiB"} {
		var v sizeValue
		if err := v.Set(text); err == nil {
			t.Errorf("%q is taken as %d", text, int64(v))
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "30": 30 * time.Second, "1.5": 1500 * time.Millisecond, "500ms": 500 * time.Millisecond,
		"1m30s": 90 * time.Second, "24h": 24 * time.Hour, "2m": 2 * time.Minute,
	} {
		var v durationValue
		if err := v.Set(text); err != nil || time.Duration(v) != want {
			t.Errorf("%q is %v, %v; want %v", text, time.Duration(v), err, want)
		}
		var again durationValue
		if err := again.Set(v.String()); err != nil || again != v {
			t.Errorf("%q is shown as %q, which is %v, %v", text, v.String(), time.Duration(again), err)
		}
	}
	for _, text := range []string{"", "-1s", "-3", "1 minute", "NaN", "soon", "1e300"} {
		var v durationValue
		if err := v.Set(text); err == nil {
			t.Errorf("%q is taken as %v", text, time.Duration(v))
		}
	}
}

func TestOtherValues(t *testing.T) {
	var n intValue
	for _, text := range []string{"", "-1", "1.5", "3000000000", "ten"} {
		if err := n.Set(text); err == nil {
			t.Errorf("the number %q is taken as %d", text, int(n))
		}
	}
	var s shareValue
	for _, text := range []string{"", "-0.1", "1.01", "NaN", "1%", "all"} {
		if err := s.Set(text); err == nil {
			t.Errorf("the share %q is taken as %v", text, float64(s))
		}
	}
	for _, text := range []string{"0", "1", "0.01", "1e-06"} {
		if err := s.Set(text); err != nil || s.String() != text {
			t.Errorf("the share %s is %s, %v", text, s.String(), err)
		}
	}
	var b boolValue
	if err := b.Set("perhaps"); err == nil {
		t.Error("the switch takes perhaps")
	}
	c := choiceValue{"a", []string{"a", "b"}}
	if err := c.Set("c"); err == nil || c.word != "a" {
		t.Errorf("the choice of a and b takes c: %v", err)
	}
	if err := c.Set("b"); err != nil || c.String() != "b" {
		t.Errorf("the choice of a and b does not take b: %v", err)
	}
	l := listValue{items: []string{"default"}}
	for _, text := range []string{"x, y", ",z,"} {
		if err := l.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(l.items, []string{"x", "y", "z"}) {
		t.Errorf("the list is %q", l.items)
	}
}
