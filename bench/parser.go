package bench

import (
	"errors"
	"fmt"
)

// The limits of a Parser whose fields are zero.
const (
	// DefaultMaxHeader bounds the status line and headers, the trailers, and the
	// line in front of each chunk, in bytes.
	DefaultMaxHeader = 16 << 10
	// DefaultMaxBody bounds the body of an answer, in bytes.
	DefaultMaxBody = 256 << 20
	// maxInterim bounds the 1xx answers in front of one final answer.
	maxInterim = 8
)

// The errors of Parser.Next. All of them mean that the connection is of no
// further use, because nobody knows where the next answer begins.
var (
	// ErrMalformed says that the bytes are no answer of the protocol.
	ErrMalformed = errors.New("bench: malformed answer")
	// ErrHeaderTooLarge says that the header is above Parser.MaxHeader.
	ErrHeaderTooLarge = fmt.Errorf("%w: header too large", ErrMalformed)
	// ErrBodyTooLarge says that the body is above Parser.MaxBody.
	ErrBodyTooLarge = fmt.Errorf("%w: body too large", ErrMalformed)
)

// Event says what Parser.Next found.
type Event uint8

const (
	// EventMore: every byte was taken, the answer is not complete.
	EventMore Event = 1
	// EventBody: a piece of the body; call Next again with the rest.
	EventBody Event = 2
	// EventDone: the answer is complete, with the last piece of its body if
	// there is one; the rest are bytes behind it.
	EventDone Event = 3
)

// Parser reads the answers on one HTTP/1.x connection, from pieces as they come
// off the network. It keeps no body: pieces are handed through. What it buffers
// is one incomplete header, chunk line or trailer, bounded by MaxHeader and the
// size of one read.
//
// It is strict where leniency hides a broken server: lines end in CRLF, header
// names are tokens, values hold no control characters, Content-Length and
// Transfer-Encoding are not combined, and chunked is the only transfer coding.
//
// The zero value is ready for use. A Parser serves one goroutine.
type Parser struct {
	// MaxHeader bounds the header; zero means DefaultMaxHeader.
	MaxHeader int
	// MaxBody bounds the body; zero means DefaultMaxBody.
	MaxBody int64
	// Head says that the requests are of the method HEAD, whose answers have no
	// body, whatever their headers say.
	Head bool

	state   parserState
	interim uint8
	head    head
	left    int64 // bytes to come of the body, or of the present chunk
	total   int64 // bytes of the body so far, for the bound on chunks
	carry   []byte
}

type parserState uint8

const (
	stateHead       parserState = 0
	stateLength     parserState = 1
	stateUntilClose parserState = 2
	stateChunkSize  parserState = 3
	stateChunkData  parserState = 4
	stateChunkEnd   parserState = 5
	stateTrailer    parserState = 6
	stateDone       parserState = 7
)

// Reset makes p ready for the next answer. Limits and buffer stay.
func (p *Parser) Reset() {
	p.state, p.interim, p.left, p.total = stateHead, 0, 0, 0
	p.head = head{}
	if cap(p.carry) > 4<<10 {
		p.carry = nil // it was one odd answer; do not hold on to its memory
	}
	p.carry = p.carry[:0]
}

// Status is the status code of the answer, valid once a piece of the body or
// the end was reported.
func (p *Parser) Status() int { return p.head.status }

// Close reports whether the server closes the connection behind this answer.
func (p *Parser) Close() bool { return p.head.close }

// Untouched reports whether no byte of an answer has come since Reset.
func (p *Parser) Untouched() bool {
	return p.state == stateHead && p.interim == 0 && len(p.carry) == 0
}

// Finish tells p that the connection was closed, and reports whether that
// completes the answer, as it does for a body without a length.
func (p *Parser) Finish() bool {
	if p.state != stateUntilClose {
		return false
	}
	p.state = stateDone
	return true
}

// Next takes bytes from the connection. The bytes of piece and rest belong to
// the caller's b or to p, and are valid until the next call, which takes rest
// or, if that is empty, what the connection brings next. After EventDone, call
// Reset. The errors wrap ErrMalformed.
func (p *Parser) Next(b []byte) (ev Event, piece, rest []byte, err error) {
	if len(p.carry) > 0 {
		p.carry = append(p.carry, b...)
		b = p.carry
		p.carry = p.carry[:0] // stash moves what is left to the front again
	}
	for {
		switch p.state {
		case stateHead:
			n, err := parseHead(b, p.maxHeader(), &p.head)
			if err != nil {
				return 0, nil, nil, err
			}
			if n == 0 {
				return p.stash(b)
			}
			b = b[n:]
			if err := p.begin(); err != nil {
				return 0, nil, nil, err
			}
			if p.state == stateDone {
				return EventDone, nil, b, nil
			}
		case stateLength:
			if int64(len(b)) >= p.left {
				p.state = stateDone
				return EventDone, b[:p.left], b[p.left:], nil
			}
			if len(b) == 0 {
				return EventMore, nil, nil, nil
			}
			p.left -= int64(len(b))
			return EventBody, b, nil, nil
		case stateUntilClose:
			if len(b) == 0 {
				return EventMore, nil, nil, nil
			}
			if p.total += int64(len(b)); p.total > p.maxBody() {
				return 0, nil, nil, ErrBodyTooLarge
			}
			return EventBody, b, nil, nil
		default:
			return p.nextChunked(b)
		}
	}
}

// begin decides, after a header, how the body ends.
func (p *Parser) begin() error {
	h := &p.head
	switch {
	case h.status == 101:
		return fmt.Errorf("%w: status 101 was not asked for", ErrMalformed)
	case h.status < 200:
		if p.interim++; p.interim > maxInterim {
			return fmt.Errorf("%w: too many 1xx answers", ErrMalformed)
		}
		*h = head{}
	case h.status == 204 || h.status == 304 || p.Head:
		p.state = stateDone
	case h.chunked:
		p.state = stateChunkSize
	case h.length >= 0 && h.hasLength:
		if h.length > p.maxBody() {
			return ErrBodyTooLarge
		}
		p.left, p.state = h.length, stateLength
	default:
		h.close, p.state = true, stateUntilClose
	}
	return nil
}

// nextChunked is Next inside a chunked body.
func (p *Parser) nextChunked(b []byte) (ev Event, piece, rest []byte, err error) {
	for {
		switch p.state {
		case stateChunkSize:
			size, n, err := parseChunkSize(b, p.maxHeader())
			if err != nil {
				return 0, nil, nil, err
			}
			if n == 0 {
				return p.stash(b)
			}
			b = b[n:]
			if size > p.maxBody()-p.total {
				return 0, nil, nil, ErrBodyTooLarge
			}
			p.total += size
			p.left, p.state = size, stateChunkData
			if size == 0 {
				p.state = stateTrailer
			}
		case stateChunkData:
			if len(b) == 0 {
				return EventMore, nil, nil, nil
			}
			n := min(int64(len(b)), p.left)
			if p.left -= n; p.left == 0 {
				p.state = stateChunkEnd
			}
			return EventBody, b[:n], b[n:], nil
		case stateChunkEnd:
			if len(b) > 0 && b[0] != '\r' || len(b) > 1 && b[1] != '\n' {
				return 0, nil, nil, fmt.Errorf("%w: chunk without its end", ErrMalformed)
			}
			if len(b) < 2 {
				return p.stash(b)
			}
			b, p.state = b[2:], stateChunkSize
		case stateTrailer:
			n, err := parseTrailer(b, p.maxHeader())
			if err != nil {
				return 0, nil, nil, err
			}
			if n == 0 {
				return p.stash(b)
			}
			p.state = stateDone
			return EventDone, nil, b[n:], nil
		default:
			panic("BUG: bench: Parser.Next after EventDone without Reset")
		}
	}
}

// stash keeps what is not complete until more comes.
func (p *Parser) stash(b []byte) (ev Event, piece, rest []byte, err error) {
	p.carry = append(p.carry[:0], b...)
	return EventMore, nil, nil, nil
}

func (p *Parser) maxHeader() int {
	if p.MaxHeader > 0 {
		return p.MaxHeader
	}
	return DefaultMaxHeader
}

func (p *Parser) maxBody() int64 {
	if p.MaxBody > 0 {
		return p.MaxBody
	}
	return DefaultMaxBody
}
