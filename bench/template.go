package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/smache/smache/proto"
)

// The sizes of the values.
const (
	// MinValueSize is the smallest value that still tells keys apart.
	MinValueSize = 18
	// MaxValueSize is the largest value.
	MaxValueSize = 16 << 20
)

// putDigits writes n in decimal, with zeros in front, over all of dst.
func putDigits(dst []byte, n uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = '0' + byte(n%10)
		n /= 10
	}
}

// A template is a text in which only some digits change from request to request.
// They are written over the last request's, so that a request costs neither
// allocation nor copying. It is about one key, or about several, its items. It
// serves one goroutine.
type template struct {
	text    []byte
	patches []patch
	holes   []int // of an answer, see Expect

	items   []uint64 // the numbers of the keys that text is about
	version uint64   // what text's varying digits are made from
}

// A patch is a place in a template.
type patch struct {
	at    int
	width int
	item  int
	salt  uint64 // zero: the key's number; else: digits made from it
	vary  bool   // digits are made from the version, too

	// slotFrom, if not zero, says that two bytes here are the slot of the canonical
	// key that is there, width bytes long; patches of its digits stand before.
	slotFrom int
}

func (t *template) add(text string) { t.text = append(t.text, text...) }

// addHole makes a place of an answer whose text is not known; something must be
// added behind it.
func (t *template) addHole() { t.holes = append(t.holes, len(t.text)) }

func (t *template) addDigits(width int, p patch) {
	p.at, p.width = len(t.text), width
	for len(t.items) <= p.item {
		t.items = append(t.items, 0)
	}
	t.patches = append(t.patches, p)
	t.text = append(t.text, make([]byte, width)...)
	t.apply(&p)
}

func (t *template) addKey(k *Keys) { t.addItem(k, 0) }

// addItem adds the key of one of several items.
func (t *template) addItem(k *Keys, item int) {
	t.add(k.Prefix)
	t.addDigits(keyDigits, patch{item: item})
}

// valueKind says which digits of a value come from where.
type valueKind struct {
	item    int
	varying bool // from write to write
	unknown bool // an answer's: the varying digits are holes
}

// addData adds the value of a template with one item that never varies.
func (t *template) addData(k *Keys, size int) { t.addValue(k, size, valueKind{}) }

// addValue adds a value: an object of exactly size bytes that differs from key to
// key; of the default size of about 60 bytes if size is zero.
//
//	{"id":"bench-0000000000","lat":57.520008,"lng":113.404954}
//	{"id":"bench-0000000000","lat":57.520008,"lng":113.404954,"pad":"abcd…"}
//	{"v":"0000000000abcd…"}, where the size has no room for that; it never varies
func (t *template) addValue(k *Keys, size int, kind valueKind) {
	const pad = `,"pad":"`
	begin, full := len(t.text), fullSize(k)
	if size != 0 && size != full && size < full+len(pad)+1 {
		t.add(`{"v":"`)
		t.addDigits(keyDigits, patch{item: kind.item})
		t.addLetters(begin + size - 2 - len(t.text))
		t.add(`"}`)
		return
	}
	t.add(`{"id":"`)
	t.addItem(k, kind.item)
	t.add(`","lat":5`)
	t.addPosition(kind, 1)
	t.add(`,"lng":11`)
	t.addPosition(kind, 3)
	if size > full {
		t.add(pad)
		// Each hole stands for the eight bytes that are not there.
		t.addLetters(begin + size - 2 - len(t.text) - positionSize*t.holesFrom(begin))
		t.add(`"`)
	}
	t.add("}")
}

const positionSize = len("7.520008")

// addPosition adds the digits of a coordinate.
func (t *template) addPosition(kind valueKind, salt uint64) {
	if kind.varying && kind.unknown {
		t.addHole()
		return
	}
	p := patch{item: kind.item, salt: salt, vary: kind.varying}
	t.addDigits(1, p)
	t.add(".")
	p.salt++
	t.addDigits(6, p)
}

// holesFrom counts the holes behind a place.
func (t *template) holesFrom(begin int) (n int) {
	for _, h := range t.holes {
		if h >= begin {
			n++
		}
	}
	return n
}

// fullSize is the length of the value without padding.
func fullSize(k *Keys) int {
	return len(`{"id":"","lat":50.000000,"lng":110.000000}`) + k.keySize()
}

func (t *template) addLetters(n int) {
	for i := range n {
		t.text = append(t.text, byte('a'+i%26))
	}
}

// set makes the text that of a key and gives it. The bytes belong to t and are
// valid until the next call.
func (t *template) set(index uint64) []byte {
	if len(t.items) > 0 && t.items[0] != index {
		t.items[0] = index
		for i := range t.patches {
			t.apply(&t.patches[i])
		}
	}
	return t.text
}

// fill makes the text that of several keys, which index gives by item, and of a
// version. The bytes belong to t and are valid until the next call.
func (t *template) fill(version uint64, index func(item int) uint64) []byte {
	t.version = version
	for i := range t.items {
		t.items[i] = index(i)
	}
	for i := range t.patches {
		t.apply(&t.patches[i])
	}
	return t.text
}

func (t *template) apply(p *patch) {
	if p.slotFrom > 0 {
		slot := proto.SlotOf(t.text[p.slotFrom : p.slotFrom+p.width])
		binary.LittleEndian.PutUint16(t.text[p.at:], uint16(slot))
		return
	}
	n := t.items[p.item]
	if p.salt != 0 {
		n = n*8 + p.salt
		if p.vary {
			n += mix(t.version + 1)
		}
		n = mix(n)
	}
	putDigits(t.text[p.at:p.at+p.width], n)
}

// valueSize is the length of the values of a given size setting.
func valueSize(k *Keys, size int) int {
	if size != 0 {
		return size
	}
	return fullSize(k)
}

// checkValueSize refuses sizes that no value can have. The errors wrap
// ErrConfig.
func checkValueSize(size int) error {
	if size != 0 && (size < MinValueSize || size > MaxValueSize) {
		return fmt.Errorf("%w: --value-size must be %d to %d bytes", ErrConfig, MinValueSize, MaxValueSize)
	}
	return nil
}
