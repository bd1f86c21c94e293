package proto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"unicode/utf8"
)

// MaxKeyLen is the longest key in bytes, as the client gave it: after the
// decoding of percent signs or JSON escapes, before it is made canonical.
const MaxKeyLen = 1024

// The kinds of a canonical key, its first byte. Append only: they are hashed
// into slots and cross the wire.
const (
	KindInteger byte = 'i' // then decimal digits, with '-' in front if below zero
	KindString  byte = 's' // then the string's bytes
)

// MaxCanonicalLen is the longest canonical key: a kind byte and MaxKeyLen bytes.
const MaxCanonicalLen = MaxKeyLen + 1

// The errors of AppendKey and AppendKeyNumber.
var (
	// ErrKeyNil says that the key is absent: empty, or the string "null".
	ErrKeyNil = errors.New("proto: key is nil, null or empty")
	// ErrKeyTooLong says that the key as given is longer than MaxKeyLen.
	ErrKeyTooLong = fmt.Errorf("proto: key is longer than %d bytes", MaxKeyLen)
	// ErrKeyUTF8 says that the key is not valid UTF-8.
	ErrKeyUTF8 = errors.New("proto: key is not valid UTF-8")
	// ErrKeyNotInteger says that the key is a JSON number with a fraction or an
	// exponent.
	ErrKeyNotInteger = errors.New("proto: key is a number, but not an integer")
)

// AppendKey appends the canonical form of a key given as a string: the kind,
// then its text. A whole decimal integer, with an optional sign and of any
// length, is that integer without leading zeros or plus sign; -0 is 0. Any
// other string is its bytes. Two keys are the same key exactly when their
// canonical forms are equal.
//
// The errors are ErrKeyNil, ErrKeyTooLong and ErrKeyUTF8; dst is then returned
// as it was.
func AppendKey(dst, text []byte) ([]byte, error) {
	if len(text) == 0 || string(text) == "null" {
		return dst, ErrKeyNil
	}
	if len(text) > MaxKeyLen {
		return dst, ErrKeyTooLong
	}
	if out, ok := appendInteger(dst, text); ok {
		return out, nil
	}
	if !isASCII(text) && !utf8.Valid(text) {
		return dst, ErrKeyUTF8
	}
	return append(append(dst, KindString), text...), nil
}

// isASCII reports whether text has ASCII bytes only. For what most keys are, it takes
// 10 ns less than utf8.Valid.
func isASCII(text []byte) bool {
	const high = 0x8080808080808080
	for ; len(text) >= 8; text = text[8:] {
		if binary.LittleEndian.Uint64(text)&high != 0 {
			return false
		}
	}
	var last byte
	for _, c := range text {
		last |= c
	}
	return last < utf8.RuneSelf
}

// AppendKeyNumber appends the canonical form of a key given as a JSON number
// literal, which the caller has checked to be one. The errors are ErrKeyTooLong
// and ErrKeyNotInteger; dst is then returned as it was.
func AppendKeyNumber(dst, literal []byte) ([]byte, error) {
	if len(literal) > MaxKeyLen {
		return dst, ErrKeyTooLong
	}
	if out, ok := appendInteger(dst, literal); ok {
		return out, nil
	}
	return dst, ErrKeyNotInteger
}

// appendInteger appends text as a canonical integer, or says that it is none.
func appendInteger(dst, text []byte) ([]byte, bool) {
	digits, negative := text, false
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	if len(digits) == 0 {
		return dst, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return dst, false
		}
	}
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	dst = append(dst, KindInteger)
	if negative && digits[0] != '0' {
		dst = append(dst, '-')
	}
	return append(dst, digits...), true
}

// SeedInteger gives the integer that the system before this one used as the
// key: the integer itself, or the bytes of a string read as one big-endian
// unsigned number. Strings and integers that collided there do not collide here;
// the number serves only to compare.
func SeedInteger(canonical []byte) *big.Int {
	n := new(big.Int)
	if len(canonical) == 0 {
		return n
	}
	if canonical[0] == KindInteger {
		n.SetString(string(canonical[1:]), 10)
		return n
	}
	return n.SetBytes(canonical[1:])
}

// SameKey reports whether two canonical keys are the same key.
func SameKey(a, b []byte) bool { return bytes.Equal(a, b) }

// Slots is the number of slots that the keys are spread over. It is part of the
// protocol and never changes.
const Slots = 65536

// Slot is where a key belongs; nodes hold slots, slots hold keys.
type Slot uint16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SlotOf gives the slot of a canonical key. The function is fixed and published,
// so that any client can compute it: the CRC-32C (Castagnoli) of the canonical
// form, kind byte included, mixed by MurmurHash3's 32-bit finaliser (Austin
// Appleby, public domain), of which the upper 16 bits are the slot. CRC-32C is
// one instruction on common processors; the finaliser spreads keys that differ
// only in their last digits.
func SlotOf(canonical []byte) Slot {
	h := crc32.Checksum(canonical, castagnoli)
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	h ^= h >> 16
	return Slot(h >> 16)
}
