package proto

import "encoding/binary"

// A frame is what crosses a link between nodes: a header of fixed length, then a
// body that the opcode and the status give its form (little-endian; body*.go,
// docs/PROTOCOL.md):
//
//	offset size
//	 0      4   length: the bytes after this field, 24 and the body
//	 4      1   protocol version, 1
//	 5      1   opcode
//	 6      1   status: of an answer; 0 in a request
//	 7      1   flags: 1 answer, 2 forwarded, 4 more to come, 8 traced
//	 8      4   request id
//	12      4   term of the slot
//	16      8   epoch of the sender
//	24      2   slot
//	26      2   reserved, 0
//	28      …   body
const (
	// HeaderLen is the length of a frame's header, the length field included.
	HeaderLen = 28
	// MaxFrame is the length of the longest frame, header included: a value of
	// MaxValueLen with its key, its conditions and what surrounds them.
	MaxFrame = MaxValueLen + 64<<10
	// MaxBody is the length of the longest body.
	MaxBody = MaxFrame - HeaderLen
	// MaxValueLen is the length of the longest value that crosses a link. The
	// store takes none that is longer.
	MaxValueLen = 2 << 20
	// FrameVersion is the version of the protocol that this package speaks.
	FrameVersion uint8 = 1

	lengthLen  = 4 // the length field, which the length does not count
	versionLen = 5 // from here on the version is known
)

// The flags of a header. Append only: they cross the wire. All others are
// reserved, and 0.
const (
	// FlagAnswer marks the answer to the request of the same id.
	FlagAnswer uint8 = 1
	// FlagForwarded marks a request that is not to be sent on to a third node:
	// who does not hold the slot answers StatusMoved or StatusBusy.
	FlagForwarded uint8 = 2
	// FlagMore marks an answer that another frame with the same id continues.
	// Only answers to multi operations come in parts.
	FlagMore uint8 = 4
	// FlagTraced marks a request for keys that has a Trace in front of its body. It
	// goes only to nodes whose hello has FeatureTrace.
	FlagTraced uint8 = 8

	flagsKnown = FlagAnswer | FlagForwarded | FlagMore | FlagTraced
)

// Header is a frame's header, without its length and version.
type Header struct {
	Op FrameOp
	// Status is 0 in a request.
	Status Status
	Flags  uint8
	// ID is the asker's: unique among its requests in flight on one link. The
	// answer repeats it.
	ID uint32
	// Term is, in a request, the term under which the sender believes the slot
	// to be held, 0 if it does not know; in an answer the answerer's. It is 0
	// where the frame is of no single slot.
	Term uint32
	// Epoch is the hash of the member list that the sender sees; 0 for a client,
	// which sees none.
	Epoch uint64
	// Slot is the key's. It is 0 where the frame is of no single slot.
	Slot Slot
}

// Answer gives the header of an answer to h: its opcode, id, slot and term.
func (h *Header) Answer(status Status, epoch uint64) Header {
	return Header{Op: h.Op, Status: status, Flags: FlagAnswer, ID: h.ID, Term: h.Term, Epoch: epoch, Slot: h.Slot}
}

// BeginFrame appends the header of a frame whose body the caller appends next.
// EndFrame makes the frame whole.
func BeginFrame(dst []byte, h *Header) []byte {
	dst = binary.LittleEndian.AppendUint64(dst,
		uint64(FrameVersion)<<32|uint64(h.Op)<<40|uint64(h.Status)<<48|uint64(h.Flags)<<56)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.ID)|uint64(h.Term)<<32)
	dst = binary.LittleEndian.AppendUint64(dst, h.Epoch)
	return binary.LittleEndian.AppendUint32(dst, uint32(h.Slot))
}

// EndFrame writes the length of the frame that begins at dst[start] and goes to
// dst's end. A frame above MaxFrame is cut off dst again, with ErrFrameLength.
func EndFrame(dst []byte, start int) ([]byte, error) {
	if len(dst)-start > MaxFrame {
		return dst[:start], ErrFrameLength
	}
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start-lengthLen))
	return dst, nil
}

// SetFrameStatus changes the status of the frame that begins at dst[start], for
// answers whose status is known only when their body has been appended.
func SetFrameStatus(dst []byte, start int, status Status) { dst[start+6] = byte(status) }

// AppendFrame appends a whole frame. The body must not be above MaxBody, which
// is a bug of the caller.
func AppendFrame(dst []byte, h *Header, body []byte) []byte {
	start := len(dst)
	dst, err := EndFrame(append(BeginFrame(dst, h), body...), start)
	if err != nil {
		panic("proto: BUG: the body is above MaxBody")
	}
	return dst
}

// ParseFrame reads the frame at the front of b. n is its length; body points into
// b and is valid as long as b is. With n == 0 and no error b holds the beginning
// of a frame: call again with more. Nothing is allocated, whatever b says.
//
// A header is judged as soon as it is there, before its body is: who gets an
// error has buffered no more than a header for it. The errors are ErrFrameLength,
// ErrFrameVersion, ErrFrameOpcode, ErrFrameFlags, ErrFrameStatus and
// ErrFrameReserved, all of type *CloseError; the stream cannot be read on.
func ParseFrame(b []byte) (h Header, body []byte, n int, err error) {
	if len(b) < HeaderLen {
		return Header{}, nil, 0, checkStart(b)
	}
	length := binary.LittleEndian.Uint32(b)
	word := binary.LittleEndian.Uint64(b[8:])
	h = Header{
		Op: FrameOp(b[5]), Status: Status(b[6]), Flags: b[7],
		ID: uint32(word), Term: uint32(word >> 32),
		Epoch: binary.LittleEndian.Uint64(b[16:]),
		Slot:  Slot(binary.LittleEndian.Uint16(b[24:])),
	}
	if err := checkStart(b); err != nil {
		return Header{}, nil, 0, err
	}
	if b[26]|b[27] != 0 {
		return Header{}, nil, 0, ErrFrameReserved
	}
	if err := h.check(int(length) - (HeaderLen - lengthLen)); err != nil {
		return Header{}, nil, 0, err
	}
	n = lengthLen + int(length)
	if len(b) < n {
		return Header{}, nil, 0, nil
	}
	return h, b[HeaderLen:n:n], n, nil
}

// checkStart judges the length and the version, as far as they are there.
func checkStart(b []byte) error {
	if len(b) < lengthLen {
		return nil
	}
	if n := binary.LittleEndian.Uint32(b); n < HeaderLen-lengthLen || n > MaxFrame-lengthLen {
		return ErrFrameLength
	}
	if len(b) >= versionLen && b[4] != FrameVersion {
		return ErrFrameVersion
	}
	return nil
}

// check judges the header of a frame whose body has n bytes.
func (h *Header) check(n int) error {
	rule := h.Op.rule()
	if rule.name == "" {
		return ErrFrameOpcode
	}
	if h.Flags&FlagAnswer == 0 {
		if h.Flags&^flagsKnown != 0 || h.Flags&FlagMore != 0 {
			return ErrFrameFlags
		}
		if h.Status != 0 {
			return ErrFrameStatus
		}
		if h.Flags&FlagTraced != 0 {
			if _, _, ok := h.Op.Opcode(); !ok {
				return ErrFrameFlags
			}
			if n -= TraceLen; n < 0 {
				return ErrFrameLength
			}
		}
		if n > rule.request {
			return ErrFrameLength
		}
		return nil
	}
	if h.Flags&^flagsKnown != 0 || h.Flags&(FlagForwarded|FlagTraced) != 0 || rule.oneWay || h.Flags&FlagMore != 0 && !rule.parts {
		return ErrFrameFlags
	}
	if h.Status > statusLast {
		return ErrFrameStatus
	}
	if n > rule.answer {
		return ErrFrameLength
	}
	return nil
}
