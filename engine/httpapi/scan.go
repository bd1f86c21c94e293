package httpapi

import "bytes"

// The scanners of this file walk over text that checkJSON has passed, and find
// where its parts begin and end. They decode nothing and allocate nothing; what
// they return points into their input.

// What a byte means outside a string.
const (
	classOther uint8 = 0
	classSpace uint8 = 1
	classQuote uint8 = 2
	classOpen  uint8 = 3
	classClose uint8 = 4
	classSplit uint8 = 5
)

var classes = func() (t [256]uint8) {
	for _, c := range " \t\r\n" {
		t[c] = classSpace
	}
	t['"'] = classQuote
	t['{'], t['['] = classOpen, classOpen
	t['}'], t[']'] = classClose, classClose
	t[','], t[':'] = classSplit, classSplit
	return t
}()

// cursor is a place in a JSON text.
type cursor struct {
	b []byte
	i int
}

// skipSpace moves behind white space.
func (c *cursor) skipSpace() {
	for c.i < len(c.b) && classes[c.b[c.i]] == classSpace {
		c.i++
	}
}

// enter moves into the object or array that opens at the cursor.
func (c *cursor) enter() { c.i++ }

// more moves to the next member or element of the object or array that the
// cursor is in, and reports whether there is one; if not, it moves behind it.
func (c *cursor) more() bool {
	c.skipSpace()
	switch c.b[c.i] {
	case '}', ']':
		c.i++
		return false
	case ',':
		c.i++
		c.skipSpace()
	}
	return true
}

// name returns the name of the member at the cursor, with quotes, as it is
// written, and moves to its value.
func (c *cursor) name() []byte {
	start := c.i
	c.i = stringEnd(c.b, start)
	name := c.b[start:c.i]
	c.skipSpace()
	c.i++ // the colon
	c.skipSpace()
	return name
}

// value returns the value at the cursor as it is written, says whether there is
// white space in it outside strings, and moves behind it.
func (c *cursor) value() (raw []byte, loose bool) {
	start := c.i
	switch classes[c.b[start]] {
	case classQuote:
		c.i = stringEnd(c.b, start)
	case classOpen:
		c.i, loose = containerEnd(c.b, start)
	default:
		c.i++
		for c.i < len(c.b) && classes[c.b[c.i]] == classOther {
			c.i++
		}
	}
	return c.b[start:c.i], loose
}

// stringEnd gives the index behind the string that opens at start. A quote ends
// it if an even number of backslashes stand before it.
func stringEnd(b []byte, start int) int {
	i := start + 1
	for {
		i += bytes.IndexByte(b[i:], '"')
		back := i
		for back > start+1 && b[back-1] == '\\' {
			back--
		}
		i++
		if (i-back)%2 == 1 {
			return i
		}
	}
}

// containerEnd gives the index behind the object or array that opens at start,
// and says whether there is white space in it outside strings.
func containerEnd(b []byte, start int) (end int, loose bool) {
	depth, i := 0, start
	for {
		switch classes[b[i]] {
		case classQuote:
			i = stringEnd(b, i)
			continue
		case classOpen:
			depth++
		case classClose:
			depth--
			if depth == 0 {
				return i + 1, loose
			}
		case classSpace:
			loose = true
		}
		i++
	}
}

// compact removes the white space outside strings from the JSON value raw, in
// place, and returns what is left. All other bytes stay as they are.
func compact(raw []byte) []byte {
	out, i := 0, 0
	for i < len(raw) {
		switch classes[raw[i]] {
		case classSpace:
			i++
		case classQuote:
			end := stringEnd(raw, i)
			out += copy(raw[out:], raw[i:end])
			i = end
		default:
			raw[out] = raw[i]
			out++
			i++
		}
	}
	return raw[:out]
}
