package proto

import "encoding/binary"

// The bodies of multi operations: many operations of one kind on keys of any
// slots, each answered on its own. A request:
//
//	offset size
//	 0      2   number of items, 1 to 4,096
//	 2      2   reserved, 0
//	 4      4   multi get: the most bytes of values in all answers, 0: any
//	 8      …   items
//
// An item of a request:
//
//	 0      4   length of the item's body
//	 4      2   slot of the key
//	 6      2   reserved, 0
//	 8      4   term, as in a header
//	12      …   body, as in body_op.go
//
// An answer has the same first 8 bytes, the second four of which are 0. An item
// of an answer:
//
//	 0      4   length of the item's body
//	 4      2   index of the item in the request, from 0
//	 6      1   status
//	 7      1   reserved, 0
//	 8      4   term
//	12      …   body, as in body_op.go
//
// Items are answered in any order, and in several frames if need be (FlagMore):
// each once. The header's slot and term are 0. A header with another status than
// OK answers all items at once, without a body.
const (
	multiLen = 8
	itemLen  = 12

	// MaxItems is the most items in one frame.
	MaxItems = 4096
	// ItemOverhead is what an item adds to the length of its body.
	ItemOverhead = itemLen
	// MultiOverhead is what a multi frame's body has beside its items.
	MultiOverhead = multiLen
)

// MultiWriter writes the body of a multi frame in place: Begin, then for each
// item Request or Answer followed by the item's body, which the caller appends,
// then End. Each method takes and returns the buffer. The zero value is ready,
// and it is ready again after End.
type MultiWriter struct {
	start int // of the body
	item  int // of the last item, 0 for none
	count int
}

// Begin appends the start of a body. budget is for requests of a multi get: the
// most bytes of values in the answers, 0 for any number; items beyond it are
// answered StatusTooLarge.
func (w *MultiWriter) Begin(dst []byte, budget uint32) []byte {
	*w = MultiWriter{start: len(dst)}
	return binary.LittleEndian.AppendUint64(dst, uint64(budget)<<32)
}

// Request begins an item of a request.
func (w *MultiWriter) Request(dst []byte, slot Slot, term uint32) []byte {
	return w.begin(dst, uint64(slot), term)
}

// Answer begins an item of an answer, to the item of the request with that index.
func (w *MultiWriter) Answer(dst []byte, index int, status Status, term uint32) []byte {
	return w.begin(dst, uint64(uint16(index))|uint64(status)<<16, term)
}

func (w *MultiWriter) begin(dst []byte, what uint64, term uint32) []byte {
	if w.count == MaxItems {
		panic("proto: BUG: more than MaxItems items")
	}
	w.close(dst)
	w.item = len(dst)
	w.count++
	dst = binary.LittleEndian.AppendUint64(dst, what<<32)
	return binary.LittleEndian.AppendUint32(dst, term)
}

// SetStatus changes the status and the term of the last item, an answer.
func (w *MultiWriter) SetStatus(dst []byte, status Status, term uint32) {
	dst[w.item+6] = byte(status)
	binary.LittleEndian.PutUint32(dst[w.item+8:], term)
}

// Undo cuts the last item off again, body and all; only once after each Request
// or Answer. It is for an item that makes the frame too long.
func (w *MultiWriter) Undo(dst []byte) []byte {
	dst = dst[:w.item]
	w.item = 0
	w.count--
	return dst
}

// Count is the number of items so far; a body without items must not be sent.
func (w *MultiWriter) Count() int { return w.count }

// End completes the body.
func (w *MultiWriter) End(dst []byte) []byte {
	w.close(dst)
	binary.LittleEndian.PutUint16(dst[w.start:], uint16(w.count))
	return dst
}

// close writes the length of the last item, which ends where dst does.
func (w *MultiWriter) close(dst []byte) {
	if w.item != 0 {
		binary.LittleEndian.PutUint32(dst[w.item:], uint32(len(dst)-w.item-itemLen))
	}
}

// Item is one item of a multi frame.
type Item struct {
	// Index is the item's place in the request. Of an answer, whether the request
	// has so many items is the asker's to judge.
	Index int
	// Slot is that of a request's item.
	Slot Slot
	// Status is that of an answer's item.
	Status Status
	Term   uint32
	// Body is for DecodeRequest or DecodeAnswer, with the frame's operation.
	Body []byte
}

// Items iterates over the items of a multi frame.
type Items struct {
	// Count is the number of items in the frame.
	Count int
	// Budget is that of a request of a multi get.
	Budget uint32

	rest   []byte
	index  int
	answer bool
}

// DecodeMultiRequest reads the frame of a multi request; the items' bodies are
// not looked into. The errors are ErrBody, ErrBodyLimit and ErrFrameReserved.
func DecodeMultiRequest(b []byte) (Items, error) { return decodeMulti(b, false) }

// DecodeMultiAnswer reads the frame of a multi answer whose status is OK. The
// errors are those of DecodeMultiRequest, and ErrFrameStatus.
func DecodeMultiAnswer(b []byte) (Items, error) { return decodeMulti(b, true) }

func decodeMulti(b []byte, answer bool) (Items, error) {
	if len(b) < multiLen {
		return Items{}, ErrBody
	}
	word := binary.LittleEndian.Uint64(b)
	it := Items{Count: int(uint16(word)), Budget: uint32(word >> 32), rest: b[multiLen:], answer: answer}
	switch {
	case uint16(word>>16) != 0, answer && it.Budget != 0:
		return Items{}, ErrFrameReserved
	case it.Count == 0:
		return Items{}, ErrBody
	case it.Count > MaxItems:
		return Items{}, ErrBodyLimit
	}
	rest := it.rest
	for range it.Count {
		if len(rest) < itemLen {
			return Items{}, ErrBody
		}
		word := binary.LittleEndian.Uint64(rest)
		if uint64(uint32(word)) > uint64(len(rest)-itemLen) {
			return Items{}, ErrBody
		}
		switch {
		case answer && word>>56 != 0, !answer && word>>48 != 0:
			return Items{}, ErrFrameReserved
		case answer && Status(word>>48) > statusLast:
			return Items{}, ErrFrameStatus
		case answer && uint16(word>>32) >= MaxItems:
			return Items{}, ErrBodyLimit
		}
		rest = rest[itemLen+int(uint32(word)):]
	}
	if len(rest) != 0 {
		return Items{}, ErrBody
	}
	return it, nil
}

// Next gives the next item, or false behind the last. item.Body points into the
// frame.
func (it *Items) Next(item *Item) bool {
	if len(it.rest) == 0 {
		return false
	}
	word := binary.LittleEndian.Uint64(it.rest)
	end := itemLen + int(uint32(word))
	*item = Item{Term: binary.LittleEndian.Uint32(it.rest[8:]), Body: it.rest[itemLen:end:end]}
	if it.answer {
		item.Index, item.Status = int(uint16(word>>32)), Status(word>>48)
	} else {
		item.Index, item.Slot = it.index, Slot(word>>32)
	}
	it.index++
	it.rest = it.rest[end:]
	return true
}
