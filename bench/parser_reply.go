package bench

import (
	"bytes"
	"fmt"
)

// A replyParser is the Reader of protocols whose replies are made of lines and of
// data with its length given in the line before. It hands a reply through as it is,
// and buffers one incomplete line, of at most DefaultMaxHeader bytes and the size of
// one read.
//
// It is strict, as Parser is: lines end in CRLF, numbers have no signs or zeros that
// they do not need, and what the grammar does not know is refused.
type replyParser struct {
	grammar grammar

	carry []byte
	some  bool  // bytes of a reply have come
	over  bool  // nothing follows the data that is under way
	data  int64 // bytes of data to come
	end   bool  // the CRLF behind data is to come
	total int64 // bytes of data so far, for the bound
}

// A grammar knows the lines of one protocol.
type grammar interface {
	// line takes the next line of a reply, without its CRLF. It says how much data
	// and one more CRLF follow, -1 for none, and whether the reply is complete behind
	// that. The error wraps ErrMalformed.
	line(line []byte) (data int64, last bool, err error)
	// status is StatusError if a line said so, else StatusReply.
	status() int
	// reset begins another reply.
	reset()
}

func (p *replyParser) Reset() {
	p.grammar.reset()
	p.some, p.over, p.data, p.end, p.total = false, false, 0, false, 0
	p.carry = p.carry[:0]
}

func (p *replyParser) Status() int     { return p.grammar.status() }
func (p *replyParser) Close() bool     { return false }
func (p *replyParser) Untouched() bool { return !p.some }
func (p *replyParser) Finish() bool    { return false }

func (p *replyParser) Next(b []byte) (ev Event, piece, rest []byte, err error) {
	p.some = p.some || len(b) > 0
	if len(p.carry) > 0 {
		p.carry = append(p.carry, b...)
		b = p.carry
		p.carry = p.carry[:0] // what is left is moved to the front again
	}
	at := 0
	for {
		if p.data > 0 {
			n := min(p.data, int64(len(b)-at))
			p.data -= n
			if at += int(n); p.data > 0 {
				return p.more(b, at)
			}
		}
		if p.end {
			switch next := b[at:]; {
			case len(next) > 0 && next[0] != '\r' || len(next) > 1 && next[1] != '\n':
				return 0, nil, nil, fmt.Errorf("%w: data without its end", ErrMalformed)
			case len(next) < 2:
				return p.more(b, at)
			}
			p.end = false
			at += 2
		}
		if p.over {
			return EventDone, b[:at], b[at:], nil
		}
		line, next, err := cutLine(b[at:], 0, DefaultMaxHeader)
		if err != nil {
			return 0, nil, nil, err
		}
		if next == 0 {
			return p.more(b, at)
		}
		at += next
		data, last, err := p.grammar.line(line)
		if err != nil {
			return 0, nil, nil, err
		}
		if p.over = last; data >= 0 {
			if data > DefaultMaxBody-p.total {
				return 0, nil, nil, ErrBodyTooLarge
			}
			p.total += data
			p.data, p.end = data, true
		}
	}
}

// more hands through what is complete, and keeps the rest of b until more comes.
func (p *replyParser) more(b []byte, at int) (ev Event, piece, rest []byte, err error) {
	if at > 0 { // b may be carry, which must not be written while piece is looked at
		return EventBody, b[:at], b[at:], nil
	}
	p.carry = append(p.carry[:0], b...)
	return EventMore, nil, nil, nil
}

// respGrammar is that of RESP, version 2.
type respGrammar struct {
	left   int64 // values to come; 0 at the beginning
	failed bool
}

// maxReplyValues bounds the values of one reply, those in arrays in arrays included.
const maxReplyValues = 1 << 20

func (g *respGrammar) reset() { *g = respGrammar{} }

func (g *respGrammar) status() int {
	if g.failed {
		return StatusError
	}
	return StatusReply
}

func (g *respGrammar) line(line []byte) (data int64, last bool, err error) {
	if len(line) == 0 {
		return 0, false, fmt.Errorf("%w: an empty line in RESP", ErrMalformed)
	}
	if g.left == 0 {
		g.left = 1
	}
	g.left--
	text := line[1:]
	switch line[0] {
	case '+', '-':
		if bytes.IndexByte(text, '\r') >= 0 {
			return 0, false, fmt.Errorf("%w: CR in a line of RESP", ErrMalformed)
		}
		g.failed = g.failed || line[0] == '-'
	case ':':
		if _, ok := parseInteger(text); !ok {
			return 0, false, fmt.Errorf("%w: no integer in RESP", ErrMalformed)
		}
	case '$', '*':
		n, ok := parseInteger(text)
		if !ok || n < -1 {
			return 0, false, fmt.Errorf("%w: no length in RESP", ErrMalformed)
		}
		if line[0] == '$' {
			return n, g.left == 0, nil // -1 is a value that is not there
		}
		if g.left += max(n, 0); g.left > maxReplyValues {
			return 0, false, fmt.Errorf("%w: too many values", ErrBodyTooLarge)
		}
	default:
		return 0, false, fmt.Errorf("%w: no value of RESP begins with %q", ErrMalformed, line[0])
	}
	return -1, g.left == 0, nil
}

// parseInteger reads a decimal number of at most 18 digits without zeros in front.
func parseInteger(b []byte) (n int64, ok bool) {
	digits := bytes.TrimPrefix(b, []byte("-"))
	n, ok = parseLength(digits)
	switch {
	case !ok || digits[0] == '0' && len(b) > 1:
		return 0, false
	case len(digits) < len(b):
		return -n, true
	default:
		return n, true
	}
}

// memcachedGrammar is that of the answers to get, set and version.
type memcachedGrammar struct {
	values bool // a value has come: others, or END, follow
	failed bool
}

func (g *memcachedGrammar) reset() { *g = memcachedGrammar{} }

func (g *memcachedGrammar) status() int {
	if g.failed {
		return StatusError
	}
	return StatusReply
}

func (g *memcachedGrammar) line(line []byte) (data int64, last bool, err error) {
	word, rest, _ := bytes.Cut(line, []byte{' '})
	switch string(word) {
	case "VALUE":
		g.values = true
		data, err := parseValueLine(rest)
		return data, false, err
	case "ERROR", "CLIENT_ERROR", "SERVER_ERROR":
		g.failed = true
		return -1, true, nil
	case "END":
		if len(line) > len("END") {
			break
		}
		return -1, true, nil
	case "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND":
		if g.values || len(line) > len(word) {
			break
		}
		return -1, true, nil
	case "VERSION":
		if g.values {
			break
		}
		return -1, true, nil
	}
	return 0, false, fmt.Errorf("%w: no line of memcached", ErrMalformed)
}

// parseValueLine reads what stands behind VALUE: key, flags, length, and in some
// answers a version.
func parseValueLine(rest []byte) (data int64, err error) {
	fields := 0
	for more := true; more; fields++ {
		var field []byte
		field, rest, more = bytes.Cut(rest, []byte{' '})
		n, number := parseInteger(field)
		switch {
		case fields == 0 && (len(field) == 0 || len(field) > memcachedMaxKey), fields > 0 && (!number || n < 0), fields > 3:
			return 0, fmt.Errorf("%w: bad VALUE line of memcached", ErrMalformed)
		case fields == 2:
			data = n
		}
	}
	if fields < 3 {
		return 0, fmt.Errorf("%w: VALUE line of memcached without a length", ErrMalformed)
	}
	return data, nil
}
