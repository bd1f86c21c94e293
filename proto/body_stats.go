package proto

import (
	"encoding/binary"
	"math"
	"time"
)

// FeatureStats is the bit in the features of a hello that says: FrameStats is known.
const FeatureStats uint64 = 1

const (
	statsAskLen = 8
	statsLen    = 16
	figureLen   = 8
	// maxFigures bounds the figures of a sample of later versions.
	maxFigures = 256
)

// AppendStatsAsk appends the body of a request for samples:
//
//	offset size
//	 0      2   the most samples wanted, at least 1; the latest are given
//	 2      6   reserved, 0
//
// last is brought into the bounds.
func AppendStatsAsk(dst []byte, last int) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(min(max(last, 1), math.MaxUint16)))
}

// DecodeStatsAsk reads the body of a request for samples. The errors are ErrBody and
// ErrFrameReserved.
func DecodeStatsAsk(b []byte) (last int, err error) {
	if len(b) != statsAskLen {
		return 0, ErrBody
	}
	word := binary.LittleEndian.Uint64(b)
	switch {
	case word>>16 != 0:
		return 0, ErrFrameReserved
	case word == 0:
		return 0, ErrBody
	}
	return int(word), nil
}

// Stats is a series of samples of one node, the body of an OK to FrameStats:
//
//	offset size
//	 0      8   run: another one after each start of the node
//	 8      4   age of the latest sample in milliseconds
//	12      2   figures of a sample, 1 to 256
//	14      2   number of samples, at most 300
//	16      …   samples, the oldest first: figures of 8 bytes each, in their order
//
// A later version may have more figures, which this one passes over; a figure that
// the sender does not have is 0.
type Stats struct {
	Run uint64
	// Age is whole milliseconds, at most 2^32-1.
	Age time.Duration
	// Figures is how many each sample has.
	Figures int
	// Samples is the samples as they cross the wire; Sample reads one.
	Samples []byte
}

// AppendSample appends a sample to the samples of a Stats with FigureCount figures.
func AppendSample(dst []byte, s *Sample) []byte {
	for _, v := range s {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return dst
}

// Count gives the number of samples.
func (s *Stats) Count() int {
	if s.Figures == 0 {
		return 0
	}
	return len(s.Samples) / (s.Figures * figureLen)
}

// Figure gives one figure of sample i, of which there are Count; 0 if the sender did
// not have it.
func (s *Stats) Figure(i int, f Figure) uint64 {
	if int(f) >= s.Figures {
		return 0
	}
	return binary.LittleEndian.Uint64(s.Samples[(i*s.Figures+int(f))*figureLen:])
}

// AppendStats appends the body of an OK to FrameStats. More samples than MaxSamples,
// or a part of one, is a bug of the caller.
func AppendStats(dst []byte, s *Stats) []byte {
	n := s.Count()
	if s.Figures < 1 || s.Figures > maxFigures || n > MaxSamples || n*s.Figures*figureLen != len(s.Samples) {
		panic("proto: BUG: samples out of bounds")
	}
	dst = binary.LittleEndian.AppendUint64(dst, s.Run)
	dst = appendMillis(dst, s.Age)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(s.Figures))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
	return append(dst, s.Samples...)
}

// DecodeStats reads the body of an OK to FrameStats. The errors are ErrBody and
// ErrBodyLimit.
func DecodeStats(b []byte, s *Stats) error {
	if len(b) < statsLen {
		return ErrBody
	}
	figures, n := int(binary.LittleEndian.Uint16(b[12:])), int(binary.LittleEndian.Uint16(b[14:]))
	switch {
	case figures > maxFigures || n > MaxSamples:
		return ErrBodyLimit
	case figures == 0 || len(b) != statsLen+n*figures*figureLen:
		return ErrBody
	}
	*s = Stats{Run: binary.LittleEndian.Uint64(b), Age: millis(b[8:]), Figures: figures, Samples: b[statsLen:]}
	return nil
}
