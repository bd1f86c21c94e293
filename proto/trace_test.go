package proto

import (
	"bytes"
	"errors"
	"testing"
)

var gTrace = Trace{
	ID:   [16]byte{0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c},
	Span: [8]byte{0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31}, Flags: TraceSampled,
}

func TestTraceErrors(t *testing.T) {
	good := AppendTrace(nil, &gTrace)
	set := func(from, to int, value byte) []byte {
		b := append(bytes.Clone(good), "body"...)
		for i := from; i < to; i++ {
			b[i] = value
		}
		return b
	}
	for name, c := range map[string]struct {
		b   []byte
		err error
	}{
		"as it is":       {set(0, 0, 0), nil},
		"random":         {set(24, 25, 3), nil},
		"not sampled":    {set(24, 25, 0), nil},
		"half an id":     {set(0, 8, 0), nil},
		"no id":          {set(0, 16, 0), ErrBody},
		"no span":        {set(16, 24, 0), ErrBody},
		"a flag of old":  {set(24, 25, 4), ErrFrameReserved},
		"a flag of late": {set(24, 25, 129), ErrFrameReserved},
		"short":          {good[:TraceLen-1], ErrBody},
	} {
		var got Trace
		body, err := DecodeTrace(c.b, &got)
		if !errors.Is(err, c.err) || (err == nil) != (string(body) == "body") {
			t.Errorf("%s: %q, %v, want %v", name, body, err, c.err)
		}
	}
}

// Only requests for keys are traced, and only whole ones.
func TestTracedFrames(t *testing.T) {
	for _, op := range FrameOps() {
		_, _, operation := op.Opcode()
		for n, want := range map[int]error{TraceLen - 1: ErrFrameLength, TraceLen: nil} {
			if !operation {
				want = ErrFrameFlags
			}
			frame := AppendFrame(nil, &Header{Op: op, Flags: FlagTraced, ID: 7}, make([]byte, n))
			if _, _, _, err := ParseFrame(frame); !errors.Is(err, want) {
				t.Errorf("%v, traced, %d bytes: %v, want %v", op, n, err, want)
			}
		}
		answer := AppendFrame(nil, &Header{Op: op, Flags: FlagTraced | FlagAnswer, ID: 7}, make([]byte, TraceLen))
		if _, _, _, err := ParseFrame(answer); !errors.Is(err, ErrFrameFlags) {
			t.Errorf("a traced answer to %v: %v", op, err)
		}
	}
	longest := Header{Op: FrameGet, Flags: FlagTraced, ID: 7}
	if _, _, _, err := ParseFrame(AppendFrame(nil, &longest, make([]byte, maxKeyed+TraceLen))); err != nil {
		t.Error(err)
	}
	if _, _, _, err := ParseFrame(AppendFrame(nil, &longest, make([]byte, maxKeyed+TraceLen+1))); !errors.Is(err, ErrFrameLength) {
		t.Errorf("a get that is too long: %v", err)
	}
}
