package proto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// checkFrame is what must hold of any bytes: nothing panics, a whole frame comes
// out as it went in, and none of its prefixes is an error.
func checkFrame(t *testing.T, b []byte) {
	t.Helper()
	h, body, n, err := ParseFrame(b)
	if err != nil || n == 0 {
		if n != 0 || body != nil || h != (Header{}) {
			t.Fatalf("%+v, %d bytes of body, length %d beside %v", h, len(body), n, err)
		}
		var c *CloseError
		if err != nil && (!errors.As(err, &c) || !strings.HasPrefix(err.Error(), "proto: ")) {
			t.Fatalf("error %v is not in the table", err)
		}
		return
	}
	if n > len(b) || n > MaxFrame || n != HeaderLen+len(body) || cap(body) != len(body) {
		t.Fatalf("a frame of %d bytes with a body of %d in %d", n, len(body), len(b))
	}
	if again := AppendFrame(nil, &h, body); !bytes.Equal(again, b[:n]) {
		t.Fatalf("% x\nis written again as\n% x", b[:n], again)
	}
	for i := range n {
		if h, body, m, err := ParseFrame(b[:i]); err != nil || m != 0 || body != nil || h != (Header{}) {
			t.Fatalf("the first %d bytes of %d: length %d, %v", i, n, m, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.frame)
		f.Add(append(bytes.Clone(v.frame), v.frame...))
		f.Add(v.frame[:len(v.frame)-1])
	}
	f.Add([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) { checkFrame(t, b) })
}

// Whatever is wrong with a header is said by name, as soon as the header is
// there, and before anything is allocated.
func TestParseFrameErrors(t *testing.T) {
	request := AppendFrame(nil, &Header{Op: FrameGet, ID: 7}, nil)
	answer := AppendFrame(nil, &Header{Op: FrameGet, ID: 7, Flags: FlagAnswer}, nil)
	set := func(b []byte, at int, to ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], to)
		return b
	}
	for _, c := range []struct {
		name  string
		frame []byte
		err   error
		from  int // bytes after which it is known
	}{
		{"length 0", set(request, 0, 0, 0, 0, 0), ErrFrameLength, 4},
		{"length below the header", set(request, 0, 23, 0, 0, 0), ErrFrameLength, 4},
		{"length above MaxFrame", binary.LittleEndian.AppendUint32(nil, MaxFrame-3), ErrFrameLength, 4},
		{"length 2^32-1", bytes.Repeat([]byte{0xff}, 4), ErrFrameLength, 4},
		{"version 0", set(request, 4, 0), ErrFrameVersion, 5},
		{"version 2", set(request, 4, 2), ErrFrameVersion, 5},
		{"opcode 0", set(request, 5, 0), ErrFrameOpcode, 28},
		{"opcode 6", set(request, 5, 6), ErrFrameOpcode, 28},
		{"opcode 255", set(request, 5, 255), ErrFrameOpcode, 28},
		{"unknown flag of a request", set(request, 7, 16), ErrFrameFlags, 28},
		{"unknown flag of an answer", set(request, 7, 1|128), ErrFrameFlags, 28},
		{"more of a request", set(request, 7, 4), ErrFrameFlags, 28},
		{"more of a single answer", set(answer, 7, 5), ErrFrameFlags, 28},
		{"forwarded answer", set(answer, 7, 3), ErrFrameFlags, 28},
		{"answer to a goodbye", set(answer, 5, 34), ErrFrameFlags, 28},
		{"status of a request", set(request, 6, 1), ErrFrameStatus, 28},
		{"unknown status", set(answer, 6, byte(statusLast)+1), ErrFrameStatus, 28},
		{"reserved", set(request, 26, 1), ErrFrameReserved, 28},
		{"reserved", set(request, 27, 1), ErrFrameReserved, 28},
		{"a ping of a mebibyte", set(set(request, 0, 0, 0, 16, 0), 5, 33), ErrFrameLength, 28},
		{"an answer to a set of a mebibyte", set(set(answer, 0, 0, 0, 16, 0), 5, 2), ErrFrameLength, 28},
	} {
		for n := range len(c.frame) + 1 {
			h, body, length, err := ParseFrame(c.frame[:n])
			var want error
			if n >= c.from {
				want = c.err
			}
			if !errors.Is(err, want) || want == nil && err != nil || length != 0 || body != nil || h != (Header{}) {
				t.Fatalf("%s: the first %d bytes: %d, %v, want %v", c.name, n, length, err, want)
			}
		}
		if n := testing.AllocsPerRun(10, func() { _, _, _, _ = ParseFrame(c.frame) }); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func TestFrameInPlace(t *testing.T) {
	h := Header{Op: FrameGet, Flags: FlagAnswer, ID: 9, Slot: 3}
	front := []byte("what is there already")
	dst := BeginFrame(bytes.Clone(front), &h)
	dst, err := EndFrame(ReserveMeta(dst), len(front))
	if err != nil {
		t.Fatal(err)
	}
	PutMeta(dst[len(front)+HeaderLen:], &gMeta)
	got, body, n, err := ParseFrame(dst[len(front):])
	var a Answer
	if err != nil || got != h || n != HeaderLen+MetaLen || DecodeAnswer(OpGet, 0, body, &a) != nil || a.Meta != gMeta {
		t.Errorf("%+v, %d, %v", got, n, err)
	}
	SetFrameStatus(dst, len(front), StatusNotModified)
	if got, _, _, err = ParseFrame(dst[len(front):]); err != nil || got.Status != StatusNotModified {
		t.Errorf("%+v, %v", got, err)
	}
	long := append(BeginFrame(bytes.Clone(front), &h), make([]byte, MaxBody+1)...)
	if long, err = EndFrame(long, len(front)); !errors.Is(err, ErrFrameLength) || !bytes.Equal(long, front) {
		t.Errorf("%d bytes, %v", len(long), err)
	}
	longest := AppendFrame(nil, &h, make([]byte, MaxBody))
	if _, body, n, err := ParseFrame(longest); err != nil || n != MaxFrame || len(body) != MaxBody {
		t.Errorf("the longest frame: %d, %v", n, err)
	}
	request := Header{Op: FrameSet, Flags: FlagForwarded, ID: 4, Term: 8, Epoch: 15, Slot: 16}
	if a := request.Answer(StatusMoved, 23); a != (Header{FrameSet, StatusMoved, FlagAnswer, 4, 8, 23, 16}) {
		t.Errorf("answer %+v", a)
	}
}

func TestFrameOps(t *testing.T) {
	names := map[string]bool{}
	for _, op := range FrameOps() {
		rule := op.rule()
		if names[op.String()] || rule.request > MaxBody || rule.answer > MaxBody || rule.oneWay && (rule.answer != 0 || rule.parts) {
			t.Errorf("opcode %d: %+v", op, rule)
		}
		names[op.String()] = true
		code, multi, ok := op.Opcode()
		if ok && FrameOpOf(code, multi) != op {
			t.Errorf("%v is %d, multi %v", op, code, multi)
		}
		if ok != (op < FrameHello) {
			t.Errorf("%v: is an operation: %v", op, ok)
		}
	}
	if len(names) != 17 || FrameOp(0).String() != "unknown" || FrameOp(255).String() != "unknown" {
		t.Errorf("%d opcodes", len(names))
	}
}

// The table of reasons is whole: every Err… of frame_close.go is in it, under its
// own number and name.
func TestCloseErrors(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "frame_close.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	errs, reasons := 0, 0
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for _, name := range v.Names {
				switch {
				case strings.HasPrefix(name.Name, "Err"):
					errs++
				case strings.HasPrefix(name.Name, "Close"):
					reasons++
				}
			}
		}
		return true
	})
	names := map[string]bool{}
	for i, e := range CloseErrors() {
		if e == nil || int(e.Reason) != i+1 || names[e.Name] || e.Name == "" || e.Text == "" || e.Reason.Err() != e {
			t.Fatalf("reason %d: %+v", i+1, e)
		}
		names[e.Name] = true
		if CloseReasonOf(fmt.Errorf("link: %w", e)) != e.Reason {
			t.Errorf("%v is not found in an error that wraps it", e)
		}
	}
	if len(names) != errs || len(names) != reasons {
		t.Errorf("%d rows, %d errors, %d reasons", len(names), errs, reasons)
	}
	if CloseReasonOf(errors.New("other")) != CloseInternal {
		t.Error("an unknown error has a reason")
	}
	if e := CloseReason(200).Err(); e.Reason != 200 || e.Name != "unknown" || CloseReason(0).Err().Name != "unknown" {
		t.Errorf("an unknown reason is %+v", e)
	}
}

func TestStatusNames(t *testing.T) {
	names := map[string]bool{}
	for s := range statusLast + 1 {
		names[s.String()] = true
	}
	if n := int(statusLast) + 1; len(names) != n || len(statusNames) != n || (statusLast+1).String() != "unknown" {
		t.Errorf("%d names of %d statuses", len(names), statusLast+1)
	}
	for _, s := range []Status{StatusMoved, StatusBusy, StatusEpoch} {
		if FailureOf(s) != FailBusy {
			t.Errorf("%v: %v", s, FailureOf(s))
		}
	}
}
