package httpapi

import (
	"bytes"

	"github.com/smache/smache/proto"
)

// query is what a request to /api says behind the question mark.
type query struct {
	// key is the key's text; nil without one.
	key []byte
	// miss404 says that a miss is to be answered 404.
	miss404 bool
}

var (
	refuseQueryKey     = refusal{fail: proto.FailQuery, text: "key is given twice"}
	refuseQueryMiss    = refusal{fail: proto.FailQuery, text: "miss takes 404, once"}
	refuseQueryPercent = refusal{fail: proto.FailQuery, text: "a percent sign is not followed by two hexadecimal digits"}
)

// readQuery reads a query: pairs of name and value between ampersands, a plus
// sign for a space, percent signs decoded once. Names other than key and miss
// are passed over. What has to be decoded goes to scratch, which comes back
// grown; q points into raw or scratch.
func readQuery(raw, scratch []byte) (q query, grown []byte, why refusal) {
	if len(raw) > 4 && string(raw[:4]) == "key=" && isPlain(raw[4:]) {
		return query{key: raw[4:]}, scratch, refusal{}
	}
	return readQuerySlow(raw, scratch)
}

// isPlain reports whether value is one value that stands for itself.
func isPlain(value []byte) bool {
	for _, c := range value {
		if c == '&' || c == '%' || c == '+' {
			return false
		}
	}
	return true
}

func readQuerySlow(raw, scratch []byte) (q query, grown []byte, why refusal) {
	// Enough for every decoded byte: what is decoded already never moves.
	if cap(scratch) < len(raw) {
		scratch = make([]byte, 0, len(raw))
	}
	scratch = scratch[:0]
	keys := 0
	for len(raw) > 0 {
		var pair []byte
		pair, raw, _ = bytes.Cut(raw, []byte{'&'})
		name, value, _ := bytes.Cut(pair, []byte{'='})
		var ok, fine bool
		name, scratch, ok = percentDecoded(name, scratch)
		value, scratch, fine = percentDecoded(value, scratch)
		if !ok || !fine {
			return query{}, scratch, refuseQueryPercent
		}
		switch string(name) {
		case "key":
			if keys++; keys > 1 {
				return query{}, scratch, refuseQueryKey
			}
			q.key = value
		case "miss":
			if q.miss404 || string(value) != "404" {
				return query{}, scratch, refuseQueryMiss
			}
			q.miss404 = true
		}
	}
	return q, scratch, refusal{}
}

// percentDecoded gives the bytes that text stands for. They are text itself if
// there is nothing to decode, else they are appended to scratch.
func percentDecoded(text, scratch []byte) (decoded, grown []byte, ok bool) {
	if isPlain(text) {
		return text[:len(text):len(text)], scratch, true
	}
	start := len(scratch)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(text) {
				return nil, scratch, false
			}
			high, low := hexValue(text[i+1]), hexValue(text[i+2])
			if high > 15 || low > 15 {
				return nil, scratch, false
			}
			c = high<<4 | low
			i += 2
		}
		scratch = append(scratch, c)
	}
	return scratch[start:len(scratch):len(scratch)], scratch, true
}
