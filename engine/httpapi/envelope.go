package httpapi

import (
	"math"
	"strconv"
	"time"

	"github.com/smache/smache/proto"
)

// entry is one key with what is to be done to it, as the client wrote it: the
// envelope of POST /api, or one of mset's entries. Its parts are JSON values, nil
// where the member was not given.
type entry struct {
	key, data, ttl       []byte
	ifMatch, ifNoneMatch []byte
	// loose says that there is white space in data, outside strings.
	loose bool
}

// readEntry takes the object at the cursor apart. Names are compared as the text
// that they stand for, case included. A member of the envelope that is given
// twice is refused; members that the envelope does not have are passed over. The
// cursor is behind the object afterwards in any case. conditional says whether
// if_match and if_none_match belong to the envelope.
func (c *cursor) readEntry(conditional bool) (e entry, why refusal) {
	var scratch [maxNameLen]byte
	c.enter()
	for c.more() {
		name := memberName(c.name(), scratch[:0])
		value, loose := c.value()
		switch string(name) {
		case "key":
			once(&e.key, value, &why, &refuseKeyTwice)
		case "data":
			once(&e.data, value, &why, &refuseDataTwice)
			e.loose = loose
		case "ttl":
			once(&e.ttl, value, &why, &refuseTTLTwice)
		case "if_match":
			if conditional {
				once(&e.ifMatch, value, &why, &refuseCondTwice)
			}
		case "if_none_match":
			if conditional {
				once(&e.ifNoneMatch, value, &why, &refuseCondTwice)
			}
		}
	}
	return e, why
}

// once sets part to value, or why to twice if it is set already.
func once(part *[]byte, value []byte, why, twice *refusal) {
	if *part != nil {
		*why = *twice
	}
	*part = value
}

// maxNameLen is more than the longest name of an envelope's member.
const maxNameLen = 16

// memberName gives the text that a member's name stands for; a name that cannot
// be one of ours may come back in any form that is none of ours.
func memberName(raw, scratch []byte) []byte {
	for _, c := range raw {
		if c == '\\' {
			if text, ok := appendUnquoted(scratch, raw, maxNameLen-1); ok {
				return text
			}
			return nil
		}
	}
	return raw[1 : len(raw)-1]
}

// appendKeyJSON appends the canonical form of the key that the JSON value raw
// stands for; nil is no key. scratch is for its text, if that has to be decoded,
// and comes back grown.
func appendKeyJSON(dst, raw, scratch []byte) (key, grown []byte, why refusal) {
	if raw == nil {
		return dst, scratch, refusal{fail: proto.FailKeyNil}
	}
	var err error
	switch c := raw[0]; {
	case c == '"':
		text := raw[1 : len(raw)-1]
		for _, c := range text[:min(len(text), 6*proto.MaxKeyLen)] {
			if c != '\\' {
				continue
			}
			decoded, ok := appendUnquoted(scratch[:0], raw, proto.MaxKeyLen)
			if !ok {
				return dst, scratch, refuseSurrogate
			}
			text, scratch = decoded, decoded
			break
		}
		dst, err = proto.AppendKey(dst, text)
	case c == '-' || c >= '0' && c <= '9':
		dst, err = proto.AppendKeyNumber(dst, raw)
	case c == 'n':
		err = proto.ErrKeyNil
	default:
		return dst, scratch, refusal{fail: proto.FailKey}
	}
	if err != nil {
		return dst, scratch, refusal{fail: proto.FailureOfKey(err)}
	}
	return dst, scratch, refusal{}
}

// appendKeyAsGiven appends, as a JSON string, the key that the JSON value raw
// stands for: strings as the client wrote them, integers as their digits. What
// can be no key is null, and so is a key that is refused for its length.
func appendKeyAsGiven(dst, raw []byte, ok bool) []byte {
	switch {
	case len(raw) == 0:
		return append(dst, "null"...)
	case raw[0] == '"' && (ok || len(raw) <= proto.MaxKeyLen):
		return append(dst, raw...)
	case (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') && (ok || len(raw) <= proto.MaxKeyLen):
		return append(append(append(dst, '"'), raw...), '"')
	default:
		return append(dst, "null"...)
	}
}

// readTTL gives the time to live that the JSON value raw stands for: a number of
// seconds, or null for forever. It rounds to nanoseconds, never to zero.
func readTTL(raw []byte) (time.Duration, refusal) {
	if raw[0] == 'n' {
		return proto.Forever, refusal{}
	}
	if raw[0] < '0' || raw[0] > '9' {
		return 0, refuseTTL
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || seconds <= 0 || seconds > proto.MaxTTL.Seconds() {
		return 0, refuseTTL
	}
	return max(time.Duration(math.Round(seconds*float64(time.Second))), 1), refusal{}
}
