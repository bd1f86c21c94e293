package store

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/smache/smache/proto"
)

// Values at, below and above each boundary: inline, one piece, many, the limit.
func TestValueSizes(t *testing.T) {
	s := newTestStore(t, Config{ArenaBytes: 4 * ArenaUnit, Writers: 2})
	p, in := s.pieceSize, s.inlineMax
	sizes := []int{
		0, 1, in - 1, in, in + 1, p - 1, p, p + 1, 2*p - 1, 2 * p, 2*p + 1, 65535, 65536, 65537,
		s.maxValue - 1, s.maxValue,
	}
	random := bytes.Repeat([]byte("0123456789abcde"), s.maxValue/15+1)
	for _, from := range sizes {
		for _, to := range sizes {
			a, b := string(random[:from]), string(random[1:1+to])
			wantStatus(t, set(s, "k", a), proto.StatusOK)
			wantHit(t, s, "k", a)
			wantStatus(t, set(s, "k", b), proto.StatusOK)
			wantHit(t, s, "k", b)
		}
	}
	checkAccounts(t, s)
	before := get(s, "k")
	wantStatus(t, set(s, "k", string(random[:s.maxValue+1])), proto.StatusTooLarge)
	wantHit(t, s, "k", string(before.Out))
	wantStatus(t, do(s, &proto.Op{Code: proto.OpDelete, Key: key("k")}), proto.StatusOK)
	wantMiss(t, s, "k")
	if st := s.Stats(); st.Entries != 0 || st.Pieces != 0 || st.LiveBytes != 0 {
		t.Fatalf("something is left: %+v", st)
	}
}

func TestLongestKey(t *testing.T) {
	s := newTestStore(t, Config{})
	name := strings.Repeat("k", proto.MaxKeyLen)
	for _, n := range []int{1, s.inlineMax, s.maxValue} {
		value := strings.Repeat("v", n)
		set(s, name, value)
		wantHit(t, s, name, value)
	}
	checkAccounts(t, s)
}

// The longest value is 1 MiB wherever a 64th of the arena is as much.
func TestMaxValue(t *testing.T) {
	for units, want := range map[int64]int{1: ArenaUnit / 64, 2: 1 << 20, 3: 1 << 20, 4: 1 << 20, 8: 1 << 20} {
		s := newTestStore(t, Config{ArenaBytes: units * ArenaUnit, Writers: 1})
		if s.MaxValue() != want {
			t.Errorf("%d units: %d bytes, want %d", units, s.MaxValue(), want)
		}
		value := strings.Repeat("v", want)
		set(s, "k", value)
		wantHit(t, s, "k", value)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want error
	}{
		{Config{ArenaBytes: 1}, ErrArena},
		{Config{ArenaBytes: -ArenaUnit}, ErrArena},
		{Config{ArenaBytes: ArenaUnit, Writers: 2}, ErrArena},
		{Config{ArenaBytes: 3 * ArenaUnit, Writers: 3}, ErrArena},
		{Config{ArenaBytes: maxWriterArena, Writers: 1}, ErrArena},
		{Config{ArenaBytes: ArenaUnit, MaxValue: ArenaUnit/64 + 1}, ErrMaxValue},
		{Config{ArenaBytes: 64 * ArenaUnit, MaxValue: 3 << 20}, ErrMaxValue},
	} {
		if _, err := New(c.cfg); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.cfg, err, c.want)
		}
	}
}

// TestFill: the figure to scale on is 1 when the first live entry has to go, be it for
// want of arena or of index, and in proportion before.
func TestFill(t *testing.T) {
	for _, c := range []struct {
		of   string
		cfg  Config
		size int
	}{
		{"the arena", Config{ArenaBytes: 2 * ArenaUnit, Writers: 2, MaxEntries: 1 << 20}, 5000},
		{"the index", Config{ArenaBytes: 2 * ArenaUnit, Writers: 2, MaxEntries: 4000}, 10},
	} {
		s := newTestStore(t, c.cfg)
		if st := s.Stats(); st.Fill != 0 {
			t.Errorf("an empty store is filled to %f", st.Fill)
		}
		value, half := strings.Repeat("v", c.size), 0
		n := 0
		for ; s.Stats().Evicted == 0; n++ {
			wantStatus(t, set(s, "k"+strconv.Itoa(n), value), proto.StatusOK)
			for i := range 3 { // the ring turns all the time
				wantStatus(t, set(s, "k"+strconv.Itoa((n*3+i)%(n+1)), value+strconv.Itoa(n%10)), proto.StatusOK)
			}
			if half == 0 && s.Stats().Fill >= 0.5 {
				half = n
			}
		}
		if st := s.Stats(); st.Fill < 0.97 || st.Fill > 1.03 {
			t.Errorf("%s: at %f the first of %d entries is evicted", c.of, st.Fill, n)
		}
		if half < n*45/100 || half > n*55/100 {
			t.Errorf("%s: half full with %d of %d", c.of, half, n)
		}
	}
}
