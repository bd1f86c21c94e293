package proto

import (
	"errors"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func canonical(t testing.TB, given string) string {
	t.Helper()
	k, err := AppendKey(nil, []byte(given))
	if err != nil {
		t.Fatalf("%q: %v", given, err)
	}
	return string(k)
}

func TestAppendKey(t *testing.T) {
	long := strings.Repeat("9", MaxKeyLen)
	for given, want := range map[string]string{
		"1": "i1", "0": "i0", "-0": "i0", "+0": "i0", "-000": "i0", "007": "i7", "+7": "i7", "-007": "i-7",
		"123456789012345678901234567890": "i123456789012345678901234567890",
		long:                             "i" + long,
		"aa":                             "saa", "12abc": "s12abc", "abc12": "sabc12", "1.0": "s1.0", "1e3": "s1e3",
		"+": "s+", "-": "s-", "--1": "s--1", "+-1": "s+-1", " 1": "s 1", "1 ": "s1 ", "1_0": "s1_0", "0x10": "s0x10",
		"Null": "sNull", "NULL": "sNULL", "nulls": "snulls", "true": "strue", "１": "s１", "é": "sé", "\x00": "s\x00",
		strings.Repeat("é", MaxKeyLen/2): "s" + strings.Repeat("é", MaxKeyLen/2),
	} {
		if got := canonical(t, given); got != want {
			t.Errorf("%.30q is %.30q, want %.30q", given, got, want)
		}
	}
	for given, want := range map[string]error{
		"": ErrKeyNil, "null": ErrKeyNil,
		strings.Repeat("k", MaxKeyLen+1): ErrKeyTooLong,
		strings.Repeat("0", MaxKeyLen+1): ErrKeyTooLong,
		"\xff":                           ErrKeyUTF8, "a\xc3": ErrKeyUTF8, "\xed\xa0\x80": ErrKeyUTF8,
	} {
		if got, err := AppendKey([]byte("dst"), []byte(given)); !errors.Is(err, want) || string(got) != "dst" {
			t.Errorf("%.30q: %q, %v, want %v", given, got, err, want)
		}
	}
}

func TestAppendKeyNumber(t *testing.T) {
	for literal, want := range map[string]string{
		"1": "i1", "-5": "i-5", "0": "i0", "-0": "i0", "123456789012345678901234567890": "i123456789012345678901234567890",
	} {
		if got, err := AppendKeyNumber(nil, []byte(literal)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v, want %q", literal, got, err, want)
		}
	}
	for literal, want := range map[string]error{
		"1.0": ErrKeyNotInteger, "1e2": ErrKeyNotInteger, "-0.0": ErrKeyNotInteger, "1E2": ErrKeyNotInteger,
		strings.Repeat("1", MaxKeyLen+1): ErrKeyTooLong,
	} {
		if _, err := AppendKeyNumber(nil, []byte(literal)); !errors.Is(err, want) {
			t.Errorf("%.30s: %v, want %v", literal, err, want)
		}
	}
}

// The table of the system before this one, and its collisions, which must not be
// ones here.
func TestSeedInteger(t *testing.T) {
	for given, want := range map[string]string{
		"1": "1", "-12": "-12", "aa": "24929", "aaa": "6381921", "abcd": "1633837924", "24929": "24929",
	} {
		if got := SeedInteger([]byte(canonical(t, given))).String(); got != want {
			t.Errorf("%q: %s, want %s", given, got, want)
		}
	}
	if canonical(t, "aa") == canonical(t, "24929") || canonical(t, "12abc") == canonical(t, "12") {
		t.Error("keys collide")
	}
	if SeedInteger(nil).Sign() != 0 {
		t.Error("no key is not 0")
	}
}

// The slots of some keys, computed once: the function is part of the protocol.
func TestSlotOfGolden(t *testing.T) {
	for given, want := range goldenSlots {
		if got := SlotOf([]byte(canonical(t, given))); got != want {
			t.Errorf("%q: slot %d, want %d", given, got, want)
		}
	}
}

// Keys that differ in little are spread evenly: chi-squared over 256 ranges of
// slots stays within five standard deviations of what chance gives.
func TestSlotOfSpreads(t *testing.T) {
	for _, format := range []func(int) string{
		func(i int) string { return big.NewInt(int64(i)).String() },
		func(i int) string { return "vehicle:" + big.NewInt(int64(i)).String() },
		func(i int) string { return strings.Repeat("x", 40) + big.NewInt(int64(i)).Text(2) },
	} {
		const n, ranges = 200_000, 256
		var counts [ranges]float64
		var k []byte
		for i := range n {
			k, _ = AppendKey(k[:0], []byte(format(i)))
			counts[int(SlotOf(k))*ranges/Slots]++
		}
		mean, chi := float64(n)/ranges, 0.0
		for _, c := range counts {
			chi += (c - mean) * (c - mean) / mean
		}
		if chi > ranges+5*22.6 { // the standard deviation is the root of 2·255
			t.Errorf("%q: chi-squared %.0f over %d ranges", format(7), chi, ranges)
		}
	}
}

var wholeNumber = regexp.MustCompile(`^[+-]?[0-9]+$`)

// sameByRule is the rule of when two keys are one, written independently of the
// code: both whole decimal integers of one value, or equal strings that are not.
func sameByRule(a, b string) bool {
	aInt, bInt := wholeNumber.MatchString(a), wholeNumber.MatchString(b)
	if aInt && bInt {
		x, _ := new(big.Int).SetString(a, 10)
		y, _ := new(big.Int).SetString(b, 10)
		return x.Cmp(y) == 0
	}
	return !aInt && !bInt && a == b
}

func FuzzSameKey(f *testing.F) {
	for _, pair := range [][2]string{
		{"1", "01"}, {"-0", "0"}, {"+5", "5"}, {"aa", "24929"}, {"12abc", "12"}, {"i1", "1"}, {"s", "ss"},
		{"-", "-0"}, {"", "null"}, {"1", "-1"}, {"é", "é"}, {"00", "-000"}, {"\xff", "x"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		ka, errA := AppendKey(nil, []byte(a))
		kb, errB := AppendKey(nil, []byte(b))
		for _, c := range []struct {
			given string
			err   error
		}{{a, errA}, {b, errB}} {
			ok := c.given != "" && c.given != "null" && len(c.given) <= MaxKeyLen && utf8.ValidString(c.given)
			if ok != (c.err == nil) {
				t.Fatalf("%q: %v", c.given, c.err)
			}
		}
		if errA != nil || errB != nil {
			return
		}
		if same := SameKey(ka, kb); same != sameByRule(a, b) {
			t.Fatalf("%q and %q: same is %v", a, b, same)
		}
		if SameKey(ka, kb) && SlotOf(ka) != SlotOf(kb) {
			t.Fatal("one key, two slots")
		}
		if len(ka) > MaxCanonicalLen {
			t.Fatalf("%q has %d bytes", ka, len(ka))
		}
		// The canonical text is itself a way to write the key.
		if again, err := AppendKey(nil, ka[1:]); err != nil || !SameKey(again, ka) {
			t.Fatalf("%q is not stable: %q, %v", ka, again, err)
		}
	})
}

func TestKeyAllocations(t *testing.T) {
	dst, text := make([]byte, 0, MaxCanonicalLen), []byte("vehicle:0001")
	if n := testing.AllocsPerRun(100, func() {
		k, _ := AppendKey(dst, text)
		_ = SlotOf(k)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
