package httpapi

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

const lowerHex = "0123456789abcdef"

// appendUnquoted appends the text that the JSON string raw, with its quotes,
// stands for. It says no if that is no text, for half of a surrogate pair; dst
// is then of no use. It stops beyond limit bytes, with more than limit appended.
func appendUnquoted(dst, raw []byte, limit int) ([]byte, bool) {
	s, start := raw[1:len(raw)-1], len(dst)
	for len(s) > 0 && len(dst)-start <= limit {
		plain := bytes.IndexByte(s, '\\')
		if plain < 0 {
			return append(dst, s[:min(len(s), limit+1)]...), true
		}
		dst = append(dst, s[:min(plain, limit+1)]...)
		s = s[plain:]
		if s[1] != 'u' {
			dst = append(dst, unescaped(s[1]))
			s = s[2:]
			continue
		}
		r := fourHex(s[2:])
		s = s[6:]
		if utf16.IsSurrogate(r) {
			if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
				return dst, false
			}
			r = utf16.DecodeRune(r, fourHex(s[2:]))
			if r == utf8.RuneError {
				return dst, false
			}
			s = s[6:]
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, true
}

// unescaped gives what the letter behind a backslash stands for.
func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default: // a quote, a backslash or a slash
		return c
	}
}

// fourHex reads four hexadecimal digits, which the caller knows to be there.
func fourHex(s []byte) rune {
	var r rune
	for _, c := range s[:4] {
		r = r<<4 | rune(hexValue(c))
	}
	return r
}

// hexValue gives the value of a hexadecimal digit, and 255 for any other byte.
func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	default:
		return 255
	}
}

// appendQuoted appends text, valid UTF-8, as a JSON string.
func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	plain := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
		}
	}
	return append(append(dst, text[plain:]...), '"')
}

// appendQuotedString is appendQuoted for a string.
func appendQuotedString(dst []byte, text string) []byte {
	plain := len(dst) + 1
	dst = append(append(append(dst, '"'), text...), '"')
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			return appendQuoted(dst[:plain-1], []byte(text))
		}
	}
	return dst
}
