package bench

import (
	"bytes"
	"fmt"
)

// head is what the parser keeps of a status line and headers.
type head struct {
	length    int64
	status    int
	hasLength bool
	chunked   bool
	close     bool
	keep      bool
}

// The classes of bytes in a header.
const (
	classToken = 1 << 0 // RFC 9110, token
	classText  = 1 << 1 // what a value or reason may hold: no control characters but tab
)

var classes = func() (t [256]uint8) {
	for c := range 256 {
		if c == '\t' || c >= 0x20 && c != 0x7f {
			t[c] |= classText
		}
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z',
			bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0:
			t[c] |= classToken
		}
	}
	return t
}()

// parseHead reads a status line and its headers into h. It gives their length,
// or 0 if b ends before they do; h then holds nothing of use.
func parseHead(b []byte, limit int, h *head) (int, error) {
	*h = head{}
	line, n, err := cutLine(b, 0, limit)
	if n == 0 || err != nil {
		return 0, err
	}
	old, err := parseStatusLine(line, h)
	if err != nil {
		return 0, err
	}
	for {
		line, n, err = cutLine(b, n, limit)
		if n == 0 || err != nil {
			return 0, err
		}
		if len(line) == 0 {
			break
		}
		name, value, err := cutHeader(line)
		if err != nil {
			return 0, err
		}
		// The lengths keep all but a few headers from the comparisons.
		switch len(name) {
		case 10, 14, 17:
			if err := h.take(name, value); err != nil {
				return 0, err
			}
		}
	}
	switch {
	case h.chunked && (h.hasLength || old):
		return 0, fmt.Errorf("%w: Transfer-Encoding where it must not be", ErrMalformed)
	case old && !h.keep:
		h.close = true
	}
	return n, nil
}

// cutLine gives the line of b that begins at from, without its CRLF, and where
// the next begins, or 0 if b ends before.
func cutLine(b []byte, from, limit int) (line []byte, next int, err error) {
	i := bytes.IndexByte(b[from:], '\n')
	if i < 0 {
		if len(b) > limit {
			return nil, 0, ErrHeaderTooLarge
		}
		return nil, 0, nil
	}
	next = from + i + 1
	if next > limit {
		return nil, 0, ErrHeaderTooLarge
	}
	if i == 0 || b[next-2] != '\r' {
		return nil, 0, fmt.Errorf("%w: a line does not end in CRLF", ErrMalformed)
	}
	return b[from : next-2], next, nil
}

// parseStatusLine reads "HTTP/1.1 200 OK"; old says that it is HTTP/1.0.
func parseStatusLine(line []byte, h *head) (old bool, err error) {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' {
		return false, fmt.Errorf("%w: no HTTP/1.x status line", ErrMalformed)
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return false, fmt.Errorf("%w: the status is not three digits", ErrMalformed)
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || len(line) > 12 && line[12] != ' ' || !isText(line[12:]) {
		return false, fmt.Errorf("%w: bad status line", ErrMalformed)
	}
	return line[7] == '0', nil
}

// cutHeader cuts "Name: value", with the white space around the value gone.
func cutHeader(line []byte) (name, value []byte, err error) {
	i := 0
	for i < len(line) && classes[line[i]]&classToken != 0 {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' || !isText(line[i+1:]) {
		return nil, nil, fmt.Errorf("%w: bad header line", ErrMalformed)
	}
	name, value = line[:i], line[i+1:]
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for len(value) > 0 && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
		value = value[:len(value)-1]
	}
	return name, value, nil
}

func isText(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			if classes[c]&classText == 0 {
				return false
			}
		}
	}
	return true
}

// take keeps the headers that say where the answer ends.
func (h *head) take(name, value []byte) error {
	switch {
	case equalFold(name, "content-length"):
		n, ok := parseLength(value)
		if !ok || h.hasLength && h.length != n {
			return fmt.Errorf("%w: bad Content-Length", ErrMalformed)
		}
		h.length, h.hasLength = n, true
	case equalFold(name, "transfer-encoding"):
		if h.chunked || !equalFold(value, "chunked") {
			return fmt.Errorf("%w: unknown Transfer-Encoding", ErrMalformed)
		}
		h.chunked = true
	case equalFold(name, "connection"):
		for len(value) > 0 {
			var token []byte
			token, value, _ = bytes.Cut(value, []byte{','})
			switch token = bytes.Trim(token, " \t"); {
			case equalFold(token, "close"):
				h.close = true
			case equalFold(token, "keep-alive"):
				h.keep = true
			}
		}
	}
	return nil
}

// parseLength reads a decimal number of at most 18 digits.
func parseLength(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// parseChunkSize reads the line in front of a chunk and gives the length of the
// line, or 0 if b ends before it does.
func parseChunkSize(b []byte, limit int) (size int64, n int, err error) {
	line, n, err := cutLine(b, 0, limit)
	if n == 0 || err != nil {
		return 0, 0, err
	}
	digits := 0
	for digits < len(line) {
		d := hexDigit(line[digits])
		if d < 0 {
			break
		}
		if digits++; digits > 15 {
			return 0, 0, ErrBodyTooLarge
		}
		size = size<<4 | int64(d)
	}
	extension := bytes.TrimLeft(line[digits:], " \t")
	if digits == 0 || len(extension) > 0 && extension[0] != ';' || !isText(extension) {
		return 0, 0, fmt.Errorf("%w: bad chunk size", ErrMalformed)
	}
	return size, n, nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}

// parseTrailer reads the header lines behind the last chunk and gives their
// length with the empty line, or 0 if b ends before they do.
func parseTrailer(b []byte, limit int) (n int, err error) {
	for {
		var line []byte
		line, n, err = cutLine(b, n, limit)
		if n == 0 || err != nil || len(line) == 0 {
			return n, err
		}
		if _, _, err := cutHeader(line); err != nil {
			return 0, err
		}
	}
}

// equalFold compares b with lower, which is in lower case, in ASCII.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
