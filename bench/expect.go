package bench

import "bytes"

// Expect is what an answer must be.
type Expect struct {
	// Kind is the place of the request's operation in Workload.Kinds.
	Kind int
	// Status is the right status.
	Status int
	// Body is the body, without the texts that stand in its holes.
	Body []byte
	// Holes are the places in Body, rising and below its length, at which something
	// stands that the client does not know.
	Holes []Hole
	// Any says that every body is right; Body and Holes are then not looked at.
	Any bool
}

// A Hole is a place at which the right answer is one of several.
type Hole struct {
	// At is where in Expect.Body it is.
	At int
	// Kind says what may stand there.
	Kind HoleKind
}

// HoleKind says what may stand in a hole.
type HoleKind uint8

const (
	// HoleText is any number of bytes other than quotes, backslashes and control
	// characters, such as the name of a node, up to the first one that equals the byte
	// of Body at that place.
	HoleText HoleKind = 0
	// HoleMoved is a coordinate, one digit, a point and six, in place of the one that
	// stands in Body; the difference is how far the write has moved it.
	HoleMoved HoleKind = 1
	// HoleAsMoved is another one of the same write: moved by the same as the HoleMoved
	// before it.
	HoleAsMoved HoleKind = 2
)

// A checker compares the body of an answer, piece by piece, with what it must
// be. The zero value is at the beginning of a body.
type checker struct {
	at     int   // bytes of Expect.Body that came
	hole   int   // the next of Expect.Holes
	total  int64 // bytes that came, those in holes too
	inHole bool
	wrong  bool

	// Of coordinates: the digits so far, and those of Body in their place; and how far
	// the last HoleMoved was moved.
	came, own, moved uint32
}

// take compares the next piece.
func (c *checker) take(piece []byte, want *Expect) {
	c.total += int64(len(piece))
	if want.Any {
		return
	}
	for len(piece) > 0 && !c.wrong {
		if c.inHole {
			if want.Holes[c.hole].Kind == HoleText {
				piece = c.skip(piece, want.Body[c.at])
			} else {
				piece = c.position(piece, want)
			}
			continue
		}
		next := len(want.Body)
		if c.hole < len(want.Holes) {
			next = want.Holes[c.hole].At
		}
		n := min(len(piece), next-c.at)
		if !bytes.Equal(piece[:n], want.Body[c.at:c.at+n]) {
			c.wrong = true
			return
		}
		c.at += n
		piece = piece[n:]
		switch {
		case c.at < next:
		case c.hole < len(want.Holes):
			c.inHole = true
		case len(piece) > 0:
			c.wrong = true
		}
	}
}

// skip goes to the end of the hole and gives the rest.
func (c *checker) skip(piece []byte, end byte) []byte {
	for i, b := range piece {
		switch {
		case b == end:
			c.inHole = false
			c.hole++
			return piece[i:]
		case b == '"' || b == '\\' || b < 0x20:
			c.wrong = true
			return nil
		}
	}
	return nil
}

// position takes the digits of a coordinate and gives the rest.
func (c *checker) position(piece []byte, want *Expect) []byte {
	hole := want.Holes[c.hole]
	n := min(len(piece), hole.At+positionSize-c.at)
	for i, own := range want.Body[c.at : c.at+n] {
		b := piece[i]
		switch {
		case own == '.':
			c.wrong = c.wrong || b != '.'
		case b-'0' > 9: // which wraps around below 0
			c.wrong = true
		default:
			c.came, c.own = c.came*10+uint32(b-'0'), c.own*10+uint32(own-'0')
		}
	}
	if c.at += n; c.at < hole.At+positionSize {
		return nil
	}
	moved := (positions + c.came - c.own) % positions
	if hole.Kind == HoleMoved {
		c.moved = moved
	} else if moved != c.moved {
		c.wrong = true
	}
	c.came, c.own, c.inHole = 0, 0, false
	c.hole++
	return piece[n:]
}

// right reports, at the end of the body, whether it was what it must be.
func (c *checker) right(want *Expect) bool {
	return want.Any || !c.wrong && c.at == len(want.Body) && c.hole == len(want.Holes)
}
