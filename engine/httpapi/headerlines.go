package httpapi

import (
	"bytes"
	"errors"
)

// maxHeaderLines bounds the number of a request's headers. fasthttp notes each of
// them with 72 bytes and keeps the room, so that 8 KiB of headers of three bytes
// would hold 128 KiB for as long as their connection lives.
const maxHeaderLines = 100

// errHeaderLines says that a request has more headers than maxHeaderLines.
var errHeaderLines = errors.New("httpapi: too many headers")

// noHeader is a count of lines that never reaches maxHeaderLines: what is read
// now is a body.
const noHeader = -1 << 40

// headerLines counts the lines of the header being read on a connection. fasthttp
// takes headers apart before anyone can look at them, so they are counted on
// their way to it. The serving goroutine's.
type headerLines struct {
	lines int // of any kind, since the last answer
	likes int // that look like a header's
	place uint8
}

// Where in a line the last byte was.
const (
	lineStart uint8 = 0
	lineName  uint8 = 1 // in what may be a header's name
	lineRest  uint8 = 2
)

// exceeded reports whether p, which was just read, takes the header beyond the
// limit.
func (l *headerLines) exceeded(p []byte) bool {
	if l.lines += bytes.Count(p, []byte{'\n'}); l.lines > maxHeaderLines {
		return l.exceededSlow(p)
	}
	l.place = lineRest
	if p[len(p)-1] == '\n' {
		l.place = lineStart
	}
	return false
}

// exceededSlow counts only lines that begin with a name and a colon, up to an
// empty one. A body, or the next request, may have come along with the header; no
// line of JSON looks like that.
func (l *headerLines) exceededSlow(p []byte) bool {
	for _, c := range p {
		switch {
		case c == '\n':
			l.place = lineStart
		case l.place == lineRest:
		case isNameByte(c):
			l.place = lineName
		case l.place == lineName && c == ':':
			l.place = lineRest
			if l.likes++; l.likes > maxHeaderLines {
				return true
			}
		default:
			if l.place == lineStart && c == '\r' { // an empty line
				l.likes = 0
			}
			l.place = lineRest
		}
	}
	return false
}

// isNameByte reports whether c may stand in a header's name (RFC 9110, token).
func isNameByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	default:
		return bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0
	}
}
