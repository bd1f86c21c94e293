package proto

import (
	"bytes"
	"testing"
	"time"
)

// A get and a set allocate nothing on their way over a link, in either direction,
// conditions included; nor do batches, nor lists of members, nor the messages that
// move slots.
func TestFrameAllocations(t *testing.T) {
	buf, out := make([]byte, 0, 4096), make([]byte, 0, 4096)
	tags, scratch := []ETag{1, 2, 3}, make([]ETag, 0, 16)
	key, value := []byte(gKey), bytes.Repeat([]byte("v"), 100)
	ops := []*Op{
		{Code: OpGet, Key: key, Slot: 35525},
		{Code: OpGet, Key: key, Slot: 35525, IfNoneMatch: Match{Set: true, Tags: tags}},
		{Code: OpSet, Key: key, Slot: 35525, Value: value, TTL: time.Second, IfMatch: Match{Set: true, Any: true}},
		{Code: OpDelete, Key: key, Slot: 35525},
	}
	for _, op := range ops {
		var got Op
		if n := testing.AllocsPerRun(100, func() {
			// The asker writes, the holder reads.
			h := Header{Op: FrameOpOf(op.Code, false), ID: 1, Slot: op.Slot}
			b, err := EndFrame(AppendRequest(BeginFrame(buf, &h), op), 0)
			if err != nil {
				t.Fatal(err)
			}
			h, body, _, err := ParseFrame(b)
			var q Request
			if err != nil || DecodeRequest(op.Code, body, &q) != nil || CheckSlot(h.Slot, q.Key) != nil {
				t.Fatal("the request does not arrive")
			}
			q.Into(&got, scratch)
			// The holder answers, the asker reads.
			got.Status, got.ETag, got.Remaining = StatusOK, 9, Forever
			answer := AnswerOf(&got, value)
			h = h.Answer(got.Status, 5)
			b, err = EndFrame(AppendAnswer(BeginFrame(buf, &h), op.Code, &answer), 0)
			if err != nil {
				t.Fatal(err)
			}
			_, body, _, err = ParseFrame(b)
			if err != nil || DecodeAnswer(op.Code, h.Status, body, &answer) != nil {
				t.Fatal("the answer does not arrive")
			}
			op.Out = out
			answer.Into(op)
			op.Out = nil
		}); n != 0 {
			t.Errorf("%d: %v allocations", op.Code, n)
		}
	}
	var w MultiWriter
	var item Item
	var q Request
	if n := testing.AllocsPerRun(100, func() {
		dst := w.Begin(buf, 0)
		for range 10 {
			dst = AppendRequest(w.Request(dst, 1, 1), ops[0])
		}
		items, err := DecodeMultiRequest(w.End(dst))
		if err != nil {
			t.Fatal(err)
		}
		for items.Next(&item) {
			if DecodeRequest(OpGet, item.Body, &q) != nil {
				t.Fatal("an item does not arrive")
			}
		}
	}); n != 0 {
		t.Errorf("multi: %v allocations", n)
	}
	var sw SlotsWriter
	head := SlotsHead{State: MemberServing}
	pull := SlotMessage{Kind: SlotPull, Slot: 35525, Term: 3}
	batch := SlotMessage{Kind: SlotBatch, Slot: 35525, Term: 3}
	agree := SlotMessage{Kind: SlotClaimOK, Slot: 35525, Term: 3}
	entry := Entry{Meta: gMeta, Key: key, Value: value}
	source := SlotSource{Node: []byte(gB)}
	if n := testing.AllocsPerRun(100, func() {
		dst := sw.Begin(buf, &head)
		dst = sw.Append(dst, &pull)
		dst = sw.Source(sw.Append(dst, &agree), &source)
		dst = sw.Append(dst, &batch)
		for range 10 {
			dst = sw.Entry(dst, &entry)
		}
		dst = sw.Undo(sw.Append(dst, &pull))
		if _, err := DecodeSlots(sw.End(dst), &head); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("slots: %v allocations", n)
	}
	for _, v := range vectors(t) {
		h, body, _, err := ParseFrame(v.frame)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(10, func() { decodeOnly(t, &h, body) }); n != 0 {
			t.Errorf("%s: %v allocations", v.name, n)
		}
	}
}

// decodeOnly decodes the bodies that are decoded by walking through them.
func decodeOnly(t *testing.T, h *Header, b []byte) {
	if h.Status != StatusOK {
		return
	}
	var err error
	switch answer := h.Flags&FlagAnswer != 0; {
	case h.Op == FrameMembers:
		var list Members
		list, err = DecodeMembers(b)
		for m := (Member{}); list.Next(&m); {
			_ = m
		}
	case h.Op == FrameSlots && !answer:
		var list SlotMessages
		list, err = DecodeSlots(b, &SlotsHead{})
		for m := (SlotMessage{}); list.Next(&m); {
			for s := (SlotSource{}); m.Sources.Next(&s); {
				_ = s
			}
			for e := (Entry{}); m.Entries.Next(&e); {
				_ = e
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
