package proto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// checkBody is what must hold of any body: nothing panics, and what is decoded is
// encoded to the same bytes.
func checkBody(t *testing.T, h *Header, b []byte) (decoded bool) {
	t.Helper()
	v, err := decodeBody(h, b)
	if err != nil {
		var c *CloseError
		if !errors.As(err, &c) {
			t.Fatalf("%v: error %v is not in the table", h.Op, err)
		}
		return false
	}
	if again := encodeBody(nil, h, v); !bytes.Equal(again, b) {
		t.Fatalf("%v, status %v, flags %d: % x\nis\n%+v\nwhich is written as % x", h.Op, h.Status, h.Flags, b, v, again)
	}
	return true
}

func FuzzBody(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.frame[5], v.frame[6], v.frame[7], v.frame[HeaderLen:])
	}
	for _, op := range FrameOps() {
		f.Add(uint8(op), uint8(0), uint8(0), make([]byte, 80))
		f.Add(uint8(op), uint8(0), FlagAnswer, bytes.Repeat([]byte{0xff}, 80))
	}
	f.Fuzz(func(t *testing.T, op, status, flags uint8, b []byte) {
		h := Header{Op: FrameOp(op), Status: Status(status), Flags: flags}
		if h.check(len(b)) != nil {
			return
		}
		checkBody(t, &h, b)
	})
}

// Every byte of every vector changed in several ways, and every prefix: nothing
// panics, and what still decodes comes out as it went in.
func TestBodiesMutated(t *testing.T) {
	for _, v := range vectors(t) {
		h, body, _, err := ParseFrame(v.frame)
		if err != nil {
			t.Fatal(err)
		}
		for i := range body {
			checkBody(t, &h, body[:i:i])
			for _, x := range []byte{0, 1, 2, 4, 8, 16, 64, 127, 128, 255} {
				b := bytes.Clone(body)
				b[i] = x
				checkBody(t, &h, b)
			}
		}
		if checkBody(t, &h, append(bytes.Clone(body), 0)) && !openEnded(&h) {
			t.Errorf("%s: a byte too many is taken", v.name)
		}
	}
}

// openEnded says that a body ends in something that may be longer: a value, a
// text.
func openEnded(h *Header) bool {
	if h.Flags&FlagAnswer == 0 {
		return h.Op == FrameSet || h.Op == FrameMerge || h.Op == FrameHello
	}
	return h.Op == FrameHello || h.Op == FrameGet && h.Status == StatusOK
}

// What is encoded is decoded to the same value: bodies of all kinds, made at
// random, in frames.
func TestRoundTrip(t *testing.T) {
	r := random{rand.New(rand.NewPCG(1, 2))}
	for _, op := range FrameOps() {
		for range 25 {
			h := Header{Op: op, ID: r.Uint32(), Term: r.Uint32(), Epoch: r.Uint64(), Slot: Slot(r.Uint32())}
			if !op.rule().oneWay && r.IntN(2) == 0 {
				h.Flags = FlagAnswer
				if r.IntN(2) == 0 {
					h.Status = Status(r.IntN(int(statusLast) + 1))
				}
			}
			want := r.body(&h)
			frame := AppendFrame(nil, &h, encodeBody(nil, &h, want))
			got, body, n, err := ParseFrame(frame)
			if err != nil || n != len(frame) || got != h {
				t.Fatalf("%+v: %+v, %d of %d, %v", h, got, n, len(frame), err)
			}
			v, err := decodeBody(&h, body)
			if err != nil {
				t.Fatalf("%+v: %v: %+v", h, err, want)
			}
			if !alike(v, want) {
				t.Fatalf("%+v:\n%+v\nwant\n%+v", h, v, want)
			}
			checkFrame(t, frame[:min(len(frame), 1024)])
		}
	}
}

// The limits: what is just within is taken, what is just beyond is refused by
// name.
func TestBodyLimits(t *testing.T) {
	check := func(name string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) || want == nil && got != nil {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	key := append([]byte("s"), make([]byte, MaxKeyLen)...)
	tags := make([]ETag, MaxTags+1)
	most := Op{Code: OpSet, Key: key, Value: make([]byte, MaxValueLen), TTL: Forever,
		IfMatch: Match{Set: true, Tags: tags[1:]}, IfNoneMatch: Match{Set: true, Tags: tags[1:]}}
	check("the largest request", CheckRequest(&most), nil)
	var w MultiWriter
	dst := AppendRequest(w.Request(w.Begin(nil, 0), 1, 2), &most)
	if n := len(w.End(dst)); n > MaxBody || n != RequestLen(&most)+MultiOverhead+ItemOverhead {
		t.Errorf("the largest request has %d bytes, which do not fit", n)
	}
	var q Request
	check("the largest request", DecodeRequest(OpSet, AppendRequest(nil, &most), &q), nil)

	for name, change := range map[string]func(op *Op) error{
		"value too long":       func(op *Op) error { op.Value = make([]byte, MaxValueLen+1); return ErrBodyLimit },
		"too many tags":        func(op *Op) error { op.IfMatch = Match{Set: true, Tags: tags}; return ErrBodyLimit },
		"too many tags too":    func(op *Op) error { op.IfNoneMatch = Match{Set: true, Tags: tags}; return ErrBodyLimit },
		"key too long":         func(op *Op) error { op.Key = slices.Concat(key, []byte("x")); return ErrBodyKey },
		"key without text":     func(op *Op) error { op.Key = []byte("s"); return ErrBodyKey },
		"no key":               func(op *Op) error { op.Key = nil; return ErrBodyKey },
		"key of another kind":  func(op *Op) error { op.Key = []byte("x1"); return ErrBodyKey },
		"no time to live":      func(op *Op) error { op.TTL = 0; return ErrBody },
		"negative":             func(op *Op) error { op.TTL = -1; return ErrBody },
		"too long":             func(op *Op) error { op.TTL = MaxTTL + 1; return ErrBody },
		"nearly forever":       func(op *Op) error { op.TTL = Forever - 1; return ErrBody },
		"longest time to live": func(op *Op) error { op.TTL = MaxTTL; return nil },
	} {
		op := Op{Code: OpSet, Key: []byte("sx"), TTL: Forever}
		want := change(&op)
		check("CheckRequest: "+name, CheckRequest(&op), want)
		check("DecodeRequest: "+name, DecodeRequest(OpSet, AppendRequest(nil, &op), &q), want)
	}
	merge := Op{Code: OpMerge, Key: []byte("sx"), TTL: Forever, ETag: 1}
	check("merge", CheckRequest(&merge), nil)
	merge.Age = -1
	check("merge from the future", CheckRequest(&merge), ErrBody)
	check("merge from the future", DecodeRequest(OpMerge, AppendRequest(nil, &merge), &q), ErrBody)
	merge.Age, merge.ETag = 0, 0
	check("merge without ETag", CheckRequest(&merge), ErrBody)
	check("merge without ETag", DecodeRequest(OpMerge, AppendRequest(nil, &merge), &q), ErrBody)
	merge.ETag, merge.IfMatch.Set = 1, true
	check("merge with a condition", CheckRequest(&merge), ErrBody)
	check("no such operation", CheckRequest(&Op{Code: 6}), ErrFrameOpcode)
	check("no such operation", DecodeRequest(6, nil, &q), ErrFrameOpcode)
	check("no such operation", DecodeAnswer(0, 0, nil, &Answer{}), ErrFrameOpcode)
	check("no such status", DecodeAnswer(OpGet, statusLast+1, nil, &Answer{}), ErrFrameStatus)
	check("value too long", DecodeAnswer(OpGet, StatusOK, append(AppendMeta(nil, &gMeta), make([]byte, MaxValueLen+1)...), &Answer{}), ErrBodyLimit)

	check("slot", CheckSlot(35525, []byte(gKey)), nil)
	check("slot", CheckSlot(35526, []byte(gKey)), ErrBodySlot)
	check("name", CheckName(gA), nil)
	check("no name", CheckName(""), ErrBody)
	check("name with a space", CheckName("a b"), ErrBody)
	check("name beyond ASCII", CheckName("é"), ErrBody)
	check("name too long", CheckName(make([]byte, MaxNameLen+1)), ErrBodyLimit)
	check("state", CheckMember(&Member{Name: []byte("a")}), ErrBody)
	check("state", CheckMember(&Member{Name: []byte("a"), State: MemberGone + 1}), ErrBody)
	check("address", CheckMember(&Member{Name: []byte("a"), State: MemberGone, HTTP: []byte("a b")}), ErrBody)
	check("too much hello", DecodeHello(make([]byte, MaxHello+1), &Hello{}), ErrBodyLimit)
	check("text too long", DecodeGoodbye(append([]byte{1}, make([]byte, MaxGoodbyeText+1)...), &Goodbye{}), ErrBodyLimit)
	check("reason", DecodeGoodbye([]byte{0}, &Goodbye{}), ErrBody)
	if b := AppendGoodbye(nil, &Goodbye{1, append([]byte("\n"), make([]byte, 300)...)}); len(b) != 1+MaxGoodbyeText || b[1] != '?' || DecodeGoodbye(b, &Goodbye{}) != nil {
		t.Errorf("goodbye %q", b)
	}
	big := binary.LittleEndian.AppendUint32(nil, MaxItems+1)
	check("too many items", second(DecodeMultiRequest(append(big, 0, 0, 0, 0))), ErrBodyLimit)
	check("too many members", second(DecodeMembers(big)), ErrBodyLimit)
	none := make([]byte, 16)
	check("no items", second(DecodeMultiAnswer(none[:8])), ErrBody)
	check("no members", second(DecodeMembers(none[:4])), nil)
	check("flush without a number", second(DecodeFlush(none[:8])), ErrBody)
	check("reserved in a flush", second(DecodeFlush([]byte{1, 0, 0, 0, 0, 0, 0, 1})), ErrFrameReserved)
}

func second[T any](_ T, err error) error { return err }

func TestMultiWriterUndo(t *testing.T) {
	var w MultiWriter
	op := Op{Code: OpDelete, Key: []byte("i7")}
	dst := w.Begin([]byte("front"), 0)
	dst = AppendRequest(w.Request(dst, 1, 1), &op)
	dst = AppendRequest(w.Request(dst, 2, 1), &op)
	dst = w.Undo(dst)
	dst = AppendRequest(w.Request(dst, 3, 1), &op)
	dst = AppendRequest(w.Request(dst, 4, 1), &op)
	dst = w.End(w.Undo(dst))
	items, err := DecodeMultiRequest(dst[len("front"):])
	var a, b, c Item
	if err != nil || w.Count() != 2 || items.Count != 2 || !items.Next(&a) || !items.Next(&b) || items.Next(&c) ||
		a.Slot != 1 || b.Slot != 3 || b.Index != 1 {
		t.Errorf("%v: %+v, %+v", err, a, b)
	}
	dst = w.Answer(w.Begin(nil, 0), 5, StatusOK, 1)
	w.SetStatus(dst, StatusMiss, 9)
	items, err = DecodeMultiAnswer(w.End(dst))
	if err != nil || !items.Next(&a) || a.Index != 5 || a.Status != StatusMiss || a.Term != 9 || len(a.Body) != 0 {
		t.Errorf("%v: %+v", err, a)
	}
}

func TestHelloCommon(t *testing.T) {
	for _, c := range []struct{ a, b, c, d, want uint8 }{
		{1, 1, 1, 1, 1}, {1, 3, 2, 5, 3}, {2, 5, 1, 3, 3}, {1, 1, 2, 2, 0}, {3, 4, 1, 2, 0}, {1, 255, 255, 255, 255},
	} {
		got, err := (&Hello{Lowest: c.a, Highest: c.b}).Common(&Hello{Lowest: c.c, Highest: c.d})
		if c.want == 0 && !errors.Is(err, ErrLinkVersions) || c.want != 0 && (err != nil || got != c.want) {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
	if ClusterHash("smache") != 0xc39decab67d21ace {
		t.Errorf("%#x", ClusterHash("smache"))
	}
}

// Times that do not fit are held to what does.
func TestRedirectWait(t *testing.T) {
	var r Redirect
	for wait, want := range map[time.Duration]time.Duration{
		-1: 0, 1: 0, time.Millisecond: time.Millisecond, math.MaxInt64: (1<<32 - 1) * time.Millisecond,
	} {
		if err := DecodeRedirect(StatusBusy, AppendRedirect(nil, &Redirect{Wait: wait}), &r); err != nil || r.Wait != want {
			t.Errorf("%v: %v, %v", wait, r.Wait, err)
		}
	}
	if err := DecodeRedirect(StatusMoved, AppendRedirect(nil, &Redirect{}), &r); !errors.Is(err, ErrBody) {
		t.Errorf("moved to nobody: %v", err)
	}
}
