package bench

import (
	"fmt"
)

// The text of a key is its prefix and its number in ten decimal digits, so that
// every key has the same length.
const (
	// DefaultPrefix begins the keys: bench-0000000000, bench-0000000001, …
	DefaultPrefix = "bench-"
	keyDigits     = 10
	// MaxKeys is the number of different keys that fit in ten digits.
	MaxKeys = 10_000_000_000
)

// The sizes of the values.
const (
	// MinValueSize is the smallest value that still tells keys apart.
	MinValueSize = 18
	// MaxValueSize is the largest value.
	MaxValueSize = 16 << 20
)

// Order is how a workload goes through its keys.
type Order uint8

const (
	// OrderRandom picks every key with the same chance, by a generator that is
	// a function of the seed and the request's number.
	OrderRandom Order = 0
	// OrderSequential takes the keys one after the other, again and again.
	OrderSequential Order = 1
)

// Keys are the keys of a workload.
type Keys struct {
	// Prefix begins the text of each key; letters, digits and -._~ only, so that
	// it is the same in a query and in JSON. DefaultPrefix if empty.
	Prefix string
	// Count is the number of different keys; 1 if zero.
	Count uint64
	// Order says how they are gone through.
	Order Order
	// Seed starts the generator of OrderRandom.
	Seed uint64
}

// withDefaults fills in and checks. The errors wrap ErrConfig.
func (k Keys) withDefaults() (Keys, error) {
	if k.Prefix == "" {
		k.Prefix = DefaultPrefix
	}
	if k.Count == 0 {
		k.Count = 1
	}
	if k.Count > MaxKeys {
		return k, fmt.Errorf("%w: --keys must be at most %d", ErrConfig, uint64(MaxKeys))
	}
	if len(k.Prefix) > 256 {
		return k, fmt.Errorf("%w: --key-prefix is longer than 256 bytes", ErrConfig)
	}
	for _, c := range []byte(k.Prefix) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '.', c == '_', c == '~':
		default:
			return k, fmt.Errorf("%w: --key-prefix %q has other bytes than letters, digits and -._~", ErrConfig, k.Prefix)
		}
	}
	return k, nil
}

// Index is the number of the key that request n is about.
func (k *Keys) Index(n uint64) uint64 {
	if k.Count == 1 {
		return 0
	}
	if k.Order == OrderSequential {
		return n % k.Count
	}
	return mix(k.Seed+n*0x9e3779b97f4a7c15) % k.Count
}

// AppendKey appends the text of a key.
func (k *Keys) AppendKey(dst []byte, index uint64) []byte {
	dst = append(dst, k.Prefix...)
	dst = append(dst, make([]byte, keyDigits)...)
	putDigits(dst[len(dst)-keyDigits:], index)
	return dst
}

// mix is SplitMix64's finaliser (Sebastiano Vigna, public domain): neighbours
// in, unrelated numbers out.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// putDigits writes n in decimal, with zeros in front, over all of dst.
func putDigits(dst []byte, n uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = '0' + byte(n%10)
		n /= 10
	}
}

// A template is a text in which only some digits change from key to key. They
// are written over the last key's, so that a request costs neither allocation
// nor copying. It serves one goroutine.
type template struct {
	text    []byte
	patches []patch
	index   uint64 // the key that text is about
}

// A patch is a place in a template.
type patch struct {
	at    int
	width int
	salt  uint64 // zero: the key's number; else: digits made from it
}

func (t *template) add(text string) { t.text = append(t.text, text...) }

func (t *template) addDigits(width int, salt uint64) {
	t.patches = append(t.patches, patch{len(t.text), width, salt})
	t.text = append(t.text, make([]byte, width)...)
	t.apply(&t.patches[len(t.patches)-1])
}

func (t *template) addKey(k *Keys) {
	t.add(k.Prefix)
	t.addDigits(keyDigits, 0)
}

// addData adds the value: an object of exactly size bytes that differs from key
// to key; of the default size of about 60 bytes if size is zero.
//
//	{"id":"bench-0000000000","lat":57.520008,"lng":113.404954}
//	{"id":"bench-0000000000","lat":57.520008,"lng":113.404954,"pad":"abcd…"}
//	{"v":"0000000000abcd…"}, where the size has no room for that
func (t *template) addData(k *Keys, size int) {
	const pad = `,"pad":"`
	begin, full := len(t.text), t.fullSize(k)
	switch {
	case size == 0 || size == full || size >= full+len(pad)+1:
		t.add(`{"id":"`)
		t.addKey(k)
		t.add(`","lat":5`)
		t.addDigits(1, 1)
		t.add(".")
		t.addDigits(6, 2)
		t.add(`,"lng":11`)
		t.addDigits(1, 3)
		t.add(".")
		t.addDigits(6, 4)
		if size > full {
			t.add(pad)
			t.addLetters(begin + size - 2 - len(t.text))
			t.add(`"`)
		}
		t.add("}")
	default:
		t.add(`{"v":"`)
		t.addDigits(keyDigits, 0)
		t.addLetters(begin + size - 2 - len(t.text))
		t.add(`"}`)
	}
}

// fullSize is the length of the value without padding.
func (t *template) fullSize(k *Keys) int {
	return len(`{"id":"","lat":50.000000,"lng":110.000000}`) + len(k.Prefix) + keyDigits
}

func (t *template) addLetters(n int) {
	for i := range n {
		t.text = append(t.text, byte('a'+i%26))
	}
}

// set makes the text that of a key and gives it. The bytes belong to t and are
// valid until the next call.
func (t *template) set(index uint64) []byte {
	if t.index != index {
		t.index = index
		for i := range t.patches {
			t.apply(&t.patches[i])
		}
	}
	return t.text
}

func (t *template) apply(p *patch) {
	n := t.index
	if p.salt != 0 {
		n = mix(n*8 + p.salt)
	}
	putDigits(t.text[p.at:p.at+p.width], n)
}

// valueSize is the length of the values of a given Record size.
func valueSize(k *Keys, size int) int {
	var t template
	t.addData(k, size)
	return len(t.text)
}

// checkValueSize refuses sizes that no value can have. The errors wrap
// ErrConfig.
func checkValueSize(size int) error {
	if size != 0 && (size < MinValueSize || size > MaxValueSize) {
		return fmt.Errorf("%w: --value-size must be %d to %d bytes", ErrConfig, MinValueSize, MaxValueSize)
	}
	return nil
}
