package secure

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestRecords(t *testing.T) {
	for _, k := range []*Keys{keys(t, "c", secretA), Plaintext("c")} {
		d, a := sessions(t, k)
		random := rand.New(rand.NewPCG(1, 2))
		var wire, want, got []byte
		for range 300 {
			text := make([]byte, random.IntN(700))
			if random.IntN(30) == 0 {
				text = make([]byte, MaxRecord)
			}
			for i := range text {
				text[i] = byte(random.Uint32())
			}
			var err error
			if wire, err = d.Seal(wire, text); err != nil {
				t.Fatal(err)
			}
			want = append(want, text...)
		}
		// Bytes come in pieces; every strict prefix of a record is need more.
		var buffer []byte
		for len(wire) > 0 {
			n := min(1+random.IntN(5000), len(wire))
			buffer = append(buffer, wire[:n]...)
			wire = wire[n:]
			for {
				text, used, err := a.Open(buffer)
				if err != nil {
					t.Fatal(err)
				}
				if used == 0 {
					break
				}
				got = append(got, text...)
				buffer = buffer[used:]
			}
		}
		if !bytes.Equal(got, want) || len(buffer) != 0 {
			t.Fatal("what came is not what was sent")
		}
	}
}

func TestRecordPrefixes(t *testing.T) {
	d, a := sessions(t, keys(t, "c", secretA))
	record, _ := d.Seal(nil, []byte("some text"))
	for i := range record {
		if _, used, err := a.Open(record[:i]); used != 0 || err != nil {
			t.Fatalf("%d bytes of %d: %d, %v", i, len(record), used, err)
		}
	}
	if text, used, err := a.Open(record); used != len(record) || err != nil || string(text) != "some text" {
		t.Fatal(text, used, err)
	}
}

// Whatever is done to the records of a link, it ends with a named error, which
// stays.
func TestRecordAttacks(t *testing.T) {
	for name, attack := range map[string]func(r1, r2, back []byte) []byte{
		"replay":         func(r1, _, _ []byte) []byte { return append(bytes.Clone(r1), r1...) },
		"reorder":        func(r1, r2, _ []byte) []byte { return append(bytes.Clone(r2), r1...) },
		"left out":       func(_, r2, _ []byte) []byte { return r2 },
		"reflected":      func(_, _, back []byte) []byte { return back },
		"truncated":      func(r1, r2, _ []byte) []byte { return append(bytes.Clone(r1[:len(r1)-1]), r2...) },
		"shorter length": func(r1, _, _ []byte) []byte { r1[0]--; return r1 },
		"longer length":  func(r1, r2, _ []byte) []byte { r1[0]++; return append(r1, r2...) },
	} {
		d, a := sessions(t, keys(t, "c", secretA))
		r1, _ := d.Seal(nil, []byte("first"))
		r2, _ := d.Seal(nil, []byte("second"))
		back, _ := a.Seal(nil, []byte("first"))
		b := attack(r1, r2, back)
		var err error
		for range 3 {
			var used int
			if _, used, err = a.Open(b); err != nil {
				break
			}
			b = b[used:]
		}
		if !errors.Is(err, ErrRecord) || Reason(err) != "bad_record" {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, again := a.Open(r1); !errors.Is(again, err) {
			t.Errorf("%s: the error does not stay: %v", name, again)
		}
	}
}

func TestRecordBitFlips(t *testing.T) {
	k := keys(t, "c", secretA)
	d, _ := sessions(t, k)
	record, _ := d.Seal(nil, []byte("some text"))
	for bit := RecordHead * 8; bit < len(record)*8; bit++ {
		out, in := d.out.key, d.in.key
		receiver := newSession(in, out, d.binding)
		b := bytes.Clone(record)
		b[bit/8] ^= 1 << (bit % 8)
		if _, _, err := receiver.Open(b); !errors.Is(err, ErrRecord) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
}

func TestRecordLengths(t *testing.T) {
	for _, k := range []*Keys{keys(t, "c", secretA), Plaintext("c")} {
		for length, want := range map[uint32]error{
			MaxRecord + tagLen + 1: ErrRecordSize, math.MaxUint32: ErrRecordSize, 1 << 31: ErrRecordSize, MaxRecord: nil,
		} {
			_, a := sessions(t, k)
			head := binary.LittleEndian.AppendUint32(nil, length)
			var err error
			if n := testing.AllocsPerRun(10, func() { _, _, err = a.Open(head) }); n != 0 {
				t.Errorf("a length of %d costs %v allocations", length, n)
			}
			if !errors.Is(err, want) {
				t.Errorf("length %d: %v", length, err)
			}
		}
	}
	_, a := sessions(t, keys(t, "c", secretA))
	if _, _, err := a.Open(binary.LittleEndian.AppendUint32(nil, tagLen-1)); !errors.Is(err, ErrRecordSize) || Reason(err) != "record_size" {
		t.Error("shorter than a tag:", err)
	}
	d, _ := sessions(t, keys(t, "c", secretA))
	defer func() {
		if recover() == nil {
			t.Error("a text that is too long is sealed")
		}
	}()
	_, _ = d.Seal(nil, make([]byte, MaxRecord+1))
}

// Both ends take the new key at the same record, and the old one no longer opens.
func TestRekey(t *testing.T) {
	d, a := sessions(t, keys(t, "c", secretA))
	d.out.n, a.in.n = RekeyInterval-2, RekeyInterval-2
	before := d.out.key
	for i := range 5 {
		b, err := d.Seal(nil, []byte{byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		if text, _, err := a.Open(b); err != nil || text[0] != byte(i) {
			t.Fatal(i, err)
		}
	}
	if d.out.key == before || d.out.key != a.in.key || d.in.key != a.out.key {
		t.Error("the key did not change, or not at both ends, or in both directions")
	}
}

func TestExhausted(t *testing.T) {
	d, a := sessions(t, keys(t, "c", secretA))
	d.out.n, a.in.n = math.MaxUint64-1, math.MaxUint64-1
	b, err := d.Seal(nil, []byte("last"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Open(bytes.Clone(b)); err != nil {
		t.Fatal(err)
	}
	if out, err := d.Seal([]byte("x"), nil); !errors.Is(err, ErrExhausted) || string(out) != "x" {
		t.Error(err)
	}
	if _, _, err := a.Open(b); !errors.Is(err, ErrExhausted) || Reason(err) != "exhausted" {
		t.Error(err)
	}
}

func TestRecordAllocations(t *testing.T) {
	for _, k := range []*Keys{keys(t, "c", secretA), Plaintext("c")} {
		d, a := sessions(t, k)
		text, dst := make([]byte, 1000), make([]byte, 0, 1000+Overhead)
		if n := testing.AllocsPerRun(200, func() {
			b, err := d.Seal(dst, text)
			if err != nil {
				t.Fatal(err)
			}
			if _, used, err := a.Open(b); used == 0 || err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func FuzzOpen(f *testing.F) {
	var key [32]byte
	s := newSession(key, key, key)
	record, _ := s.Seal(nil, []byte("text"))
	f.Add(record)
	f.Add([]byte{255, 255, 255, 255, 0})
	f.Add([]byte{16, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range []*Session{newSession(key, key, key), {}} {
			rest := bytes.Clone(b)
			for {
				text, used, err := s.Open(rest)
				if used > len(rest) || len(text) > used || len(text) > MaxRecord || err != nil && used != 0 {
					t.Fatal(len(text), used, err)
				}
				if used == 0 {
					break
				}
				rest = rest[used:]
			}
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	k, err := NewKeys("c", secretA)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{100, 4 << 10, 64 << 10} {
		for name, k := range map[string]*Keys{"sealed": k, "plaintext": Plaintext("c")} {
			d, a := sessions(b, k)
			text, dst := make([]byte, size), make([]byte, 0, size+Overhead)
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for range b.N {
					r, _ := d.Seal(dst, text)
					if _, used, err := a.Open(r); used == 0 || err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkHandshake(b *testing.B) {
	k, err := NewKeys("c", secretA)
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		sessions(b, k)
	}
}

// Missing leads to a whole record, and never far beyond the bounds.
func TestMissing(t *testing.T) {
	d, a := sessions(t, keys(t, "c", secretA))
	record, _ := d.Seal(nil, []byte("some text"))
	var got []byte
	for range 2 {
		n := Missing(got)
		got = append(got, record[len(got):len(got)+n]...)
	}
	if text, used, err := a.Open(got); Missing(got) != 0 || used != len(record) || err != nil || string(text) != "some text" {
		t.Error(text, used, err)
	}
	if n := Missing([]byte{255, 255, 255, 255}); n != 0 {
		t.Errorf("%d bytes of a record that cannot be", n)
	}
}
