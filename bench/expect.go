package bench

import "bytes"

// Expect is what an answer must be.
type Expect struct {
	// Kind is the place of the request's operation in Workload.Kinds.
	Kind int
	// Status is the right status.
	Status int
	// Body is the body, without what stands in its holes.
	Body []byte
	// Holes are the places in Body, rising and below its length, at which something
	// stands that the client cannot know, such as the name of a node: any number of
	// bytes other than quotes, backslashes and control characters, up to the first
	// one that equals the byte of Body at that place.
	Holes []int
	// Any says that every body is right; Body and Holes are then not looked at.
	Any bool
}

// A checker compares the body of an answer, piece by piece, with what it must
// be. The zero value is at the beginning of a body.
type checker struct {
	at     int   // bytes of Expect.Body that came
	hole   int   // the next of Expect.Holes
	total  int64 // bytes that came, those in holes too
	inHole bool
	wrong  bool
}

// take compares the next piece.
func (c *checker) take(piece []byte, want *Expect) {
	c.total += int64(len(piece))
	if want.Any {
		return
	}
	for len(piece) > 0 && !c.wrong {
		if c.inHole {
			piece = c.skip(piece, want.Body[c.at])
			continue
		}
		next := len(want.Body)
		if c.hole < len(want.Holes) {
			next = want.Holes[c.hole]
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

// right reports, at the end of the body, whether it was what it must be.
func (c *checker) right(want *Expect) bool {
	return want.Any || !c.wrong && c.at == len(want.Body) && c.hole == len(want.Holes)
}
