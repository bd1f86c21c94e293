package proto

import "encoding/binary"

// FeatureTrace is the bit in the features of a hello that says: FlagTraced is known.
const FeatureTrace uint64 = 2

// Trace is where a request stands in a distributed trace, as W3C Trace Context
// (level 1 and 2, section 3.2) has it in the header traceparent. In a frame with
// FlagTraced it lies in front of the body:
//
//	offset size
//	 0      16  trace id, not all zeros
//	16      8   id of the span that asks, not all zeros
//	24      1   flags: 1 sampled, 2 the trace id is random; the others are reserved
type Trace struct {
	ID    [16]byte
	Span  [8]byte
	Flags uint8
}

const (
	// TraceLen is the length of a Trace in a frame.
	TraceLen = 25
	// TraceSampled says that whoever began the trace, or passed it on, records it.
	TraceSampled uint8 = 1
	// TraceFlags are the flags that have a meaning.
	TraceFlags = TraceSampled | 2
)

// Valid says whether t can be a trace: neither id is zero.
func (t *Trace) Valid() bool {
	return binary.LittleEndian.Uint64(t.ID[:])|binary.LittleEndian.Uint64(t.ID[8:]) != 0 && t.Span != [8]byte{}
}

// AppendTrace appends t, which must be valid. The body of the frame comes behind it.
func AppendTrace(dst []byte, t *Trace) []byte {
	return append(append(append(dst, t.ID[:]...), t.Span[:]...), t.Flags)
}

// DecodeTrace reads the Trace in front of the body of a frame with FlagTraced, which
// it gives. The errors are ErrBody and ErrFrameReserved.
func DecodeTrace(b []byte, t *Trace) (body []byte, err error) {
	if len(b) < TraceLen {
		return nil, ErrBody
	}
	copy(t.ID[:], b)
	copy(t.Span[:], b[16:])
	t.Flags = b[24]
	if t.Flags&^TraceFlags != 0 {
		return nil, ErrFrameReserved
	}
	if !t.Valid() {
		return nil, ErrBody
	}
	return b[TraceLen:], nil
}
