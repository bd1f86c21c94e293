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
	holes   []Hole // of an answer, see Expect

	items []uint64 // the numbers of the keys that text is about
	move  uint64   // how far this write is from the positions of its keys
}

// A patch is a place in a template.
type patch struct {
	at    int
	width int
	item  int
	salt  uint64 // zero: the key's number; else: a coordinate made from it
	vary  bool   // the coordinate is moved

	// slotFrom, if not zero, says that two bytes here are the slot of the canonical
	// key that is there, width bytes long; patches of its digits stand before.
	slotFrom int
}

func (t *template) add(text string) { t.text = append(t.text, text...) }

// addHole makes a place of an answer whose text is not known; something must be
// added behind it.
func (t *template) addHole() { t.holes = append(t.holes, Hole{At: len(t.text)}) }

// addDigits adds a place of some bytes and what is written there.
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
	unknown bool // an answer's: which of the writes it is
}

// addData adds the value of a template with one item that never varies.
func (t *template) addData(k *Keys, size int) { t.addValue(k, size, valueKind{}) }

// addValue adds a value: an object of exactly size bytes that differs from key to
// key; of the default size of about 60 bytes if size is zero.
//
//	{"id":"bench-0000000000","lat":59.574730,"lng":116.663252}
//	{"id":"bench-0000000000","lat":59.574730,"pad":"abcd…","lng":116.663252}
//	{"v":"0000000000abcd…"}, where the size has no room for that; it never varies
//
// A value that varies has both coordinates moved by the same, so that one says what
// the other must be: a value of two writes is none. They are at its ends, so that this
// is so wherever it is torn.
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
	const lng, end = `,"lng":11`, "}"
	t.add(`{"id":"`)
	t.addItem(k, kind.item)
	t.add(`","lat":5`)
	t.addPosition(kind, 1, HoleMoved)
	if size > full {
		t.add(pad)
		t.addLetters(begin + size - len(`"`+lng+end) - positionSize - len(t.text))
		t.add(`"`)
	}
	t.add(lng)
	t.addPosition(kind, 3, HoleAsMoved)
	t.add(end)
}

const (
	positionSize = len("7.520008")
	// positions is how many there are; they are moved around a ring.
	positions = 10_000_000
)

// addPosition adds the digits of a coordinate.
func (t *template) addPosition(kind valueKind, salt uint64, hole HoleKind) {
	if kind.varying && kind.unknown {
		t.holes = append(t.holes, Hole{At: len(t.text), Kind: hole})
	}
	t.addDigits(positionSize, patch{item: kind.item, salt: salt, vary: kind.varying && !kind.unknown})
}

// putPosition writes the coordinate that a key's number and a salt make, moved by some.
func putPosition(dst []byte, n, move uint64) {
	at := (mix(n)%10*1_000_000 + mix(n+1)%1_000_000 + move) % positions
	dst[0], dst[1] = '0'+byte(at/1_000_000), '.'
	putDigits(dst[2:positionSize], at)
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
	t.move = mix(version+1) % positions
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
	switch {
	case p.salt == 0:
		putDigits(t.text[p.at:p.at+p.width], n)
	case p.vary:
		putPosition(t.text[p.at:], n*8+p.salt, t.move)
	default:
		putPosition(t.text[p.at:], n*8+p.salt, 0)
	}
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
