package proto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// oneMessage is a body with a message, written by hand behind its first 8 bytes.
func oneMessage(kind SlotKind, flags uint8, slot Slot, rest ...[]byte) []byte {
	var w SlotsWriter
	dst := w.Begin(nil, &gHead)
	binary.LittleEndian.PutUint16(dst[slotsCountAt:], 1)
	dst = append(dst, byte(kind), flags, byte(slot), byte(slot>>8), 3, 0, 0, 0)
	return append(dst, slices.Concat(rest...)...)
}

// askMessage is a body with a message that is of no slot: zeros, then a name.
func askMessage(kind SlotKind, zeros int, name ...byte) []byte {
	b := oneMessage(kind, 0, 0, make([]byte, zeros), name)
	b[slotsHeadLen+4] = 0 // the term
	return b
}

func le16(n int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(n)) }

// Whatever is wrong with a slots frame is said by name, and nothing of it is handed
// out, however much it announces. Judging allocates nothing.
func TestDecodeSlotsErrors(t *testing.T) {
	good := oneMessage(SlotTake, slotDone, 258)
	set := func(at int, to ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], to)
		return b
	}
	key := []byte(gKey)
	entry := func(change func(e *Entry)) []byte {
		e := gEntry
		change(&e)
		return slices.Concat(le16(1), le16(0), AppendEntry(nil, &e))
	}
	same := func(*Entry) {}
	seq := make([]byte, 8+4)
	claimOK := make([]byte, 16)
	source := slices.Concat(make([]byte, 20), []byte{1, 'n'})
	fetched := slices.Concat(make([]byte, 8), le16(len(key)), key)
	longKey := bytes.Repeat([]byte("s"), MaxCanonicalLen+1)
	short := AppendEntry(nil, &gEntry)
	binary.LittleEndian.PutUint32(short[MetaLen:], MaxValueLen+1)
	tooLong := append(bytes.Clone(short), make([]byte, MaxValueLen)...)
	badKind := AppendEntry(nil, &gEntry)
	badKind[MetaLen+6] = 2
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"a take":              {good, nil},
		"nothing":             {nil, ErrBody},
		"a head only":         {good[:slotsHeadLen], ErrBody},
		"no messages":         {set(slotsCountAt, 0)[:slotsHeadLen], ErrBody},
		"one announced twice": {set(slotsCountAt, 2), ErrBody},
		"too many messages":   {set(slotsCountAt, 0xff, 0xff), ErrBodyLimit},
		"a byte too many":     {append(bytes.Clone(good), 0), ErrBody},
		"reserved in head":    {set(21, 1), ErrFrameReserved},
		"state 0":             {set(20, 0), ErrBody},
		"state 6":             {set(20, 6), ErrBody},

		"kind 0":               {oneMessage(0, 0, 1), ErrBody},
		"kind 3":               {oneMessage(3, 0, 1), ErrBody},
		"kind 19":              {oneMessage(19, 0, 1, make([]byte, 99)), ErrBody},
		"kind 255":             {oneMessage(255, 0, 1, make([]byte, 99)), ErrBody},
		"flag of another kind": {oneMessage(SlotTake, slotEmpty, 1), ErrFrameReserved},
		"unknown flag":         {oneMessage(SlotTake, slotDone|8, 1), ErrFrameReserved},
		"flag of none":         {oneMessage(SlotClaim, slotDone, 1), ErrFrameReserved},
		"ping with a term":     {oneMessage(SlotPing, 0, 0, make([]byte, 8)), ErrBody},
		"reserved in a grant":  {oneMessage(SlotGrant, 0, 1, make([]byte, 4), []byte{1}, make([]byte, 11)), ErrFrameReserved},

		"moved to a space":       {oneMessage(SlotMoved, 0, 1, make([]byte, 8), []byte{1, ' '}), ErrBody},
		"moved, name cut off":    {oneMessage(SlotMoved, 0, 1, make([]byte, 8), []byte{2, 'a'}), ErrBody},
		"ask about nobody":       {askMessage(SlotAsk, 16, 0), ErrBody},
		"ask about a space":      {askMessage(SlotAsk, 16, 1, ' '), ErrBody},
		"ask of a slot":          {oneMessage(SlotAsk, 0, 1, make([]byte, 16), []byte{1, 'a'}), ErrBody},
		"ask, name cut off":      {askMessage(SlotAsk, 16, 2, 'a'), ErrBody},
		"heard":                  {askMessage(SlotHeard, 24, 1, 'a'), nil},
		"heard of nobody":        {askMessage(SlotHeard, 24, 0), ErrBody},
		"sources":                {oneMessage(SlotClaimOK, 0, 1, claimOK, le16(MaxSources), bytes.Repeat(source, MaxSources)), nil},
		"too many sources":       {oneMessage(SlotClaimOK, 0, 1, claimOK, le16(MaxSources+1), bytes.Repeat(source, MaxSources+1)), ErrBodyLimit},
		"sources that are not":   {oneMessage(SlotClaimOK, 0, 1, claimOK, le16(2), source), ErrBody},
		"source without name":    {oneMessage(SlotClaimOK, 0, 1, claimOK, le16(1), make([]byte, 21)), ErrBody},
		"source, name cut off":   {oneMessage(SlotClaimOK, 0, 1, claimOK, le16(1), make([]byte, 20), []byte{9}), ErrBody},
		"batch":                  {oneMessage(SlotBatch, 0, 35525, seq, entry(same)), nil},
		"reserved in a batch":    {oneMessage(SlotBatch, 0, 1, seq, le16(0), le16(256)), ErrFrameReserved},
		"65,535 entries, but no": {oneMessage(SlotBatch, 0, 1, seq, le16(65535), le16(0)), ErrBody},
		"entry of another slot":  {oneMessage(SlotBatch, 0, 35526, seq, entry(same)), ErrBodySlot},
		"entry of a bad kind":    {oneMessage(SlotBatch, 0, 35525, seq, le16(1), le16(0), badKind), ErrFrameReserved},
		"value cut off":          {oneMessage(SlotBatch, 0, 35525, seq, le16(1), le16(0), short), ErrBody},
		"value too long":         {oneMessage(SlotBatch, 0, 35525, seq, le16(1), le16(0), tooLong), ErrBodyLimit},
		"no ETag":                {oneMessage(SlotBatch, 0, 35525, seq, entry(func(e *Entry) { e.Meta.ETag = 0 })), ErrBody},
		"younger than new":       {oneMessage(SlotBatch, 0, 35525, seq, entry(func(e *Entry) { e.Meta.Age = -1 })), ErrBody},
		"no time left":           {oneMessage(SlotBatch, 0, 35525, seq, entry(func(e *Entry) { e.Meta.Remaining = 0 })), ErrBody},
		"less than none":         {oneMessage(SlotBatch, 0, 35525, seq, entry(func(e *Entry) { e.Meta.Remaining = -time.Second })), ErrBody},
		"longest time left":      {oneMessage(SlotBatch, 0, 35525, seq, entry(func(e *Entry) { e.Meta.Remaining = MaxTTL })), nil},
		"longer":                 {oneMessage(SlotBatch, 0, 35525, seq, entry(func(e *Entry) { e.Meta.Remaining = MaxTTL + 1 })), ErrBody},
		"nearly forever":         {oneMessage(SlotBatch, 0, 35525, seq, entry(func(e *Entry) { e.Meta.Remaining = math.MaxInt64 - 1 })), ErrBody},
		"forever":                {oneMessage(SlotBatch, 0, 35525, seq, entry(func(e *Entry) { e.Meta.Remaining = Forever })), nil},
		"record with an ETag":    {oneMessage(SlotBatch, 0, 35525, seq, entry(func(e *Entry) { e.Gone = true })), ErrBody},

		"fetch":                 {oneMessage(SlotFetch, 0, 35525, fetched), nil},
		"fetch of another slot": {oneMessage(SlotFetch, 0, 258, fetched), ErrBodySlot},
		"fetch, key cut off":    {oneMessage(SlotFetch, 0, 35525, fetched[:17]), ErrBody},
		"fetch of no key":       {oneMessage(SlotFetch, 0, 0, make([]byte, 8), le16(0)), ErrBodyKey},
		"fetch of a long key":   {oneMessage(SlotFetch, 0, SlotOf(longKey), make([]byte, 8), le16(len(longKey)), longKey), ErrBodyKey},
		"fetched nothing":       {oneMessage(SlotFetched, 0, 35525, fetched), nil},
		"fetched":               {oneMessage(SlotFetched, slotFound, 35525, fetched, AppendEntry(nil, &gEntry)), nil},
		"fetched, found none":   {oneMessage(SlotFetched, slotFound, 35525, fetched), ErrBody},
		"fetched two":           {oneMessage(SlotFetched, slotFound, 35525, fetched, AppendEntry(nil, &gEntry), AppendEntry(nil, &gEntry)), ErrBody},
		"fetched another":       {oneMessage(SlotFetched, slotFound, 35525, fetched, AppendEntry(nil, &gRecord)), ErrBody},
	} {
		var h SlotsHead
		list, err := DecodeSlots(c.body, &h)
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && (list.Count != 0 || list.Next(&SlotMessage{})) {
			t.Errorf("%s: something is handed out", name)
		}
		if n := testing.AllocsPerRun(10, func() { _, _ = DecodeSlots(c.body, &h) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Of a body that is cut off anywhere, nothing is taken.
func TestDecodeSlotsPrefixes(t *testing.T) {
	for _, v := range vectors(t) {
		h, body, _, err := ParseFrame(v.frame)
		if err != nil {
			t.Fatal(err)
		}
		if h.Op != FrameSlots || h.Flags&FlagAnswer != 0 {
			continue
		}
		for i := range body {
			if _, err := DecodeSlots(body[:i], &SlotsHead{}); !errors.Is(err, ErrBody) {
				t.Errorf("%s: the first %d bytes of %d: %v", v.name, i, len(body), err)
			}
		}
	}
}

// The writer knows how much it has written, takes a message back that is too much,
// and begins anew after its end. The longest entry fits into a frame.
func TestSlotsWriter(t *testing.T) {
	var w SlotsWriter
	front := []byte("front")
	for range 2 {
		key := append([]byte("s"), make([]byte, MaxKeyLen)...)
		longest := Entry{Meta: gMeta, Key: key, Value: make([]byte, MaxValueLen)}
		dst := w.Begin(bytes.Clone(front), &gHead)
		dst = w.Append(dst, &SlotMessage{Kind: SlotPull, Slot: 1, Term: 2, Seq: 3})
		dst = w.Append(dst, &SlotMessage{Kind: SlotFetched, Found: true, Slot: SlotOf(key), Key: key})
		dst = w.Entry(dst, &longest)
		if n := w.Len(dst); n > MaxBody || n != slotsHeadLen+20+MaxSlotMessage+EntryLen(len(key), MaxValueLen) {
			t.Errorf("%d bytes", n)
		}
		dst = w.Append(dst, &SlotMessage{Kind: SlotBatch, Slot: SlotOf(key)})
		if dst = w.Entry(dst, &longest); w.Count() != 3 || w.Len(dst) <= MaxBody {
			t.Errorf("%d messages in %d bytes", w.Count(), w.Len(dst))
		}
		dst = w.End(w.Undo(dst))
		list, err := DecodeSlots(dst[len(front):], &SlotsHead{})
		var a, b, c SlotMessage
		if err != nil || w.Count() != 2 || list.Count != 2 || !list.Next(&a) || !list.Next(&b) || list.Next(&c) ||
			a.Kind != SlotPull || b.Kind != SlotFetched || b.Entries.Count != 1 || string(dst[:len(front)]) != "front" {
			t.Fatalf("%v: %+v, %d messages", err, a, list.Count)
		}
	}
	dst := w.Begin(nil, &gHead)
	for range MaxSlotMessages {
		dst = w.Append(dst, &SlotMessage{Kind: SlotTake, Slot: 9})
	}
	if list, err := DecodeSlots(w.End(dst), &SlotsHead{}); err != nil || list.Count != MaxSlotMessages {
		t.Errorf("%d messages: %v", list.Count, err)
	}
}

// What must not be written is a bug, and is said to be.
func TestSlotsWriterBugs(t *testing.T) {
	key := gEntry.Key
	batch := &SlotMessage{Kind: SlotBatch}
	source := &SlotSource{Node: []byte("n")}
	for name, f := range map[string]func(w *SlotsWriter, dst []byte){
		"kind": func(w *SlotsWriter, dst []byte) { w.Append(dst, &SlotMessage{Kind: 3}) },
		"flag": func(w *SlotsWriter, dst []byte) { w.Append(dst, &SlotMessage{Kind: SlotClaim, Done: true}) },
		"ping": func(w *SlotsWriter, dst []byte) { w.Append(dst, &SlotMessage{Kind: SlotPing, Slot: 1}) },
		"key":  func(w *SlotsWriter, dst []byte) { w.Append(dst, &SlotMessage{Kind: SlotFetch, Key: []byte("x")}) },
		"name": func(w *SlotsWriter, dst []byte) {
			w.Append(dst, &SlotMessage{Kind: SlotMoved, Node: make([]byte, 256)})
		},
		"state":   func(w *SlotsWriter, dst []byte) { w.Begin(dst, &SlotsHead{}) },
		"nowhere": func(w *SlotsWriter, dst []byte) { w.Entry(dst, &gEntry) },
		"in pull": func(w *SlotsWriter, dst []byte) { w.Entry(w.Append(dst, &SlotMessage{Kind: SlotPull}), &gEntry) },
		"unfound": func(w *SlotsWriter, dst []byte) {
			w.Entry(w.Append(dst, &SlotMessage{Kind: SlotFetched, Key: key}), &gEntry)
		},
		"source": func(w *SlotsWriter, dst []byte) { w.Source(w.Append(dst, batch), source) },
		"nameless": func(w *SlotsWriter, dst []byte) {
			w.Source(w.Append(dst, &SlotMessage{Kind: SlotClaimOK}), &SlotSource{})
		},
		"missing": func(w *SlotsWriter, dst []byte) {
			w.End(w.Append(dst, &SlotMessage{Kind: SlotFetched, Found: true, Key: key}))
		},
		"two": func(w *SlotsWriter, dst []byte) {
			dst = w.Append(dst, &SlotMessage{Kind: SlotFetched, Found: true, Key: key})
			w.Entry(w.Entry(dst, &gEntry), &gEntry)
		},
		"many sources": func(w *SlotsWriter, dst []byte) {
			dst = w.Append(dst, &SlotMessage{Kind: SlotClaimOK})
			for range MaxSources + 1 {
				dst = w.Source(dst, source)
			}
		},
		"many entries": func(w *SlotsWriter, dst []byte) {
			dst = w.Append(dst, batch)
			for range maxBatch + 1 {
				dst = w.Entry(dst, &Entry{Key: []byte("i1")})
			}
		},
		"many messages": func(w *SlotsWriter, dst []byte) {
			for range MaxSlotMessages + 1 {
				dst = w.Append(dst, batch)
			}
		},
		"flush": func(*SlotsWriter, []byte) { AppendFlush(nil, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: is written", name)
				}
			}()
			var w SlotsWriter
			f(&w, w.Begin(nil, &gHead))
		}()
	}
}

// The names of kinds; that they are those of the documents is another test's.
func TestSlotKinds(t *testing.T) {
	names := map[string]bool{}
	for _, k := range SlotKinds() {
		names[k.String()] = true
	}
	if len(names) != 17 || SlotKind(3).String() != "unknown" || SlotKind(19).String() != "unknown" || SlotKind(255).String() != "unknown" {
		t.Errorf("%d kinds", len(names))
	}
}

// FuzzSlots changes good frames: keys that belong to their slots are hard to find
// by chance.
func FuzzSlots(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint16(0), uint32(0), uint16(0))
		f.Add(seed, uint16(24), uint32(0xffffffff), uint16(60))
	}
	h := Header{Op: FrameSlots}
	f.Fuzz(func(t *testing.T, seed uint64, at uint16, xor uint32, end uint16) {
		want := random{rand.New(rand.NewPCG(seed, 3))}.slots()
		want.Messages = want.Messages[:min(len(want.Messages), 3)]
		b := encodeSlots(nil, &want)
		if !checkBody(t, &h, b) {
			t.Fatalf("%+v is not read again", want)
		}
		if int(at)+4 <= len(b) {
			binary.LittleEndian.PutUint32(b[at:], binary.LittleEndian.Uint32(b[at:])^xor)
		}
		checkBody(t, &h, b)
		if int(end) < len(b) && checkBody(t, &h, b[:end:end]) && xor == 0 {
			t.Fatalf("the first %d bytes of %d are taken", end, len(b))
		}
	})
}
