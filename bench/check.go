package bench

import "bytes"

// A checker compares the body of an answer, piece by piece, with what it must
// be. The zero value is at the beginning of a body.
type checker struct {
	at    int // bytes that came and were right, up to the end of Expect.Body
	tail  tailState
	wrong bool
}

// tailState is where a checker is in the part that names the node.
type tailState uint8

const (
	tailName  tailState = 0 // in the name
	tailQuote tailState = 1 // the closing quote came
	tailDone  tailState = 2 // the closing brace came
)

// take compares the next piece.
func (c *checker) take(piece []byte, want *Expect) {
	if c.wrong {
		return
	}
	rest := want.Body[c.at:]
	n := min(len(piece), len(rest))
	if !bytes.Equal(piece[:n], rest[:n]) {
		c.wrong = true
		return
	}
	c.at += n
	if piece = piece[n:]; len(piece) == 0 {
		return
	}
	if !want.Node {
		c.wrong = true
		return
	}
	for _, b := range piece {
		switch {
		case c.tail == tailName && b == '"':
			c.tail = tailQuote
		case c.tail == tailName && b >= 0x20 && b != '\\':
		case c.tail == tailQuote && b == '}':
			c.tail = tailDone
		default:
			c.wrong = true
			return
		}
	}
}

// right reports, at the end of the body, whether it was what it must be.
func (c *checker) right(want *Expect) bool {
	return !c.wrong && c.at == len(want.Body) && (!want.Node || c.tail == tailDone)
}
