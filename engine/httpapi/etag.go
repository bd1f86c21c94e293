package httpapi

import "github.com/smache/smache/proto"

// An ETag is written as the 16 lower-case hexadecimal digits of proto.ETag: in
// double quotes in a header, in a JSON string without more.
const etagLen = 16

// appendETag appends the digits of tag, without quotes.
func appendETag(dst []byte, tag proto.ETag) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, lowerHex[tag>>shift&15])
	}
	return dst
}

// parseETag reads the digits between the quotes. Text that is none of our tags
// is no error: it names nothing that we have.
func parseETag(text []byte) (tag proto.ETag, ours bool) {
	if len(text) != etagLen {
		return 0, false
	}
	for _, c := range text {
		v := hexValue(c)
		if v > 15 || c >= 'A' && c <= 'F' {
			return 0, false
		}
		tag = tag<<4 | proto.ETag(v)
	}
	return tag, tag != 0
}

// readETags reads the list of ETags of If-Match or If-None-Match (RFC 9110,
// sections 13.1.1 and 13.1.2): "*", or tags between commas, W/ in front of weak
// ones. Weak tags are kept if weak is set, and otherwise name nothing, as each
// header compares them. With bare, tags may stand without quotes. The tags are
// appended to dst, which comes back grown; m.Tags points into it.
func readETags(dst []proto.ETag, text []byte, weak, bare bool) (m proto.Match, grown []proto.ETag, ok bool) {
	m.Set = true
	start, given := len(dst), 0
	text = trimSpace(text)
	if string(text) == "*" {
		m.Any = true
		return m, dst, true
	}
	for len(text) > 0 {
		if text[0] == ',' {
			text = trimSpace(text[1:])
			continue
		}
		isWeak := len(text) > 1 && text[0] == 'W' && text[1] == '/'
		if isWeak {
			text = text[2:]
		}
		var opaque []byte
		opaque, text, ok = cutTag(text, bare && !isWeak)
		if !ok {
			return m, dst, false
		}
		if tag, ours := parseETag(opaque); ours && (weak || !isWeak) {
			dst = append(dst, tag)
		}
		given++
		text = trimSpace(text)
		if len(text) > 0 && text[0] != ',' {
			return m, dst, false
		}
	}
	m.Tags = dst[start:len(dst):len(dst)]
	return m, dst, given > 0
}

// cutTag cuts one tag off the front of text, and its quotes off it.
func cutTag(text []byte, bare bool) (opaque, rest []byte, ok bool) {
	if len(text) > 0 && text[0] == '"' {
		for i, c := range text[1:] {
			if c == '"' {
				return text[1 : i+1], text[i+2:], true
			}
			if c <= ' ' || c == 0x7f {
				return nil, nil, false
			}
		}
		return nil, nil, false
	}
	if !bare {
		return nil, nil, false
	}
	n := 0
	for n < len(text) && (hexValue(text[n]) < 16 || text[n] == '-' || text[n] == '_') {
		n++
	}
	return text[:n], text[n:], n > 0
}

// trimSpace cuts the white space of a header's value off the front and the end.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// readETagsJSON reads the condition that the JSON value raw of if_match or
// if_none_match stands for: null for none, a string as in readETags, or an array
// of strings, each of which names one or more tags. scratch is for text that has
// to be decoded.
func readETagsJSON(dst []proto.ETag, raw, scratch []byte, weak bool) (m proto.Match, grown []proto.ETag, why refusal) {
	switch {
	case raw == nil || raw[0] == 'n':
		return m, dst, refusal{}
	case raw[0] == '"':
		text, ok := appendUnquoted(scratch[:0], raw, len(raw))
		if ok {
			m, dst, ok = readETags(dst, text, weak, true)
		}
		if !ok {
			return m, dst, refuseJSONCond
		}
		return m, dst, refusal{}
	case raw[0] != '[':
		return m, dst, refuseJSONCond
	}
	start, given := len(dst), 0
	c := cursor{b: raw}
	for c.enter(); c.more(); given++ {
		item, _ := c.value()
		if item[0] != '"' {
			return m, dst, refuseJSONCond
		}
		text, ok := appendUnquoted(scratch[:0], item, len(item))
		var one proto.Match
		if ok {
			one, dst, ok = readETags(dst, text, weak, true)
		}
		if !ok || one.Any {
			return m, dst, refuseJSONCond
		}
	}
	if given == 0 {
		return m, dst, refuseJSONCond
	}
	return proto.Match{Set: true, Tags: dst[start:len(dst):len(dst)]}, dst, refusal{}
}
