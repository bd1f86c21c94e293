package gossip

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
)

func TestMeta(t *testing.T) {
	text := strings.Repeat("x", 255)
	for _, m := range []meta{
		{incarnation: 1},
		{incarnation: 1<<64 - 1, settled: true, info: Info{Peer: "[::1]:14000", HTTP: "h:1", Version: "v1.2.3+dirty"}},
		{info: Info{Peer: text, HTTP: text[:maxTexts-255]}},
	} {
		b, err := m.encode()
		if err != nil || len(b) > memberlist.MetaMaxSize {
			t.Errorf("%v: %v, %d bytes", m, err, len(b))
		}
		// What a later version appends is ignored.
		if got, err := decodeMeta(append(b, "more"...)); err != nil || got != m {
			t.Errorf("%v came back as %v, %v", m, got, err)
		}
		for cut := range b {
			if _, err := decodeMeta(b[:cut]); !errors.Is(err, ErrMeta) {
				t.Errorf("cut to %d of %d bytes: %v", cut, len(b), err)
			}
		}
	}
	for _, info := range []Info{{Peer: text + "x"}, {HTTP: "a b"}, {Version: "ä"}, {Peer: text, HTTP: text}} {
		if _, err := (&meta{info: info}).encode(); !errors.Is(err, ErrMeta) {
			t.Errorf("%v: %v", info, err)
		}
	}
}

// The form of node data, annotated in meta's comment.
func TestMetaGolden(t *testing.T) {
	b, err := (&meta{incarnation: 0x0102, settled: true, info: Info{Peer: "p:1", HTTP: "h:2", Version: "v"}}).encode()
	want := "\x01\x01\x02\x01\x00\x00\x00\x00\x00\x00\x03\x03\x01p:1h:2v"
	if err != nil || string(b) != want {
		t.Errorf("%q, %v; want %q", b, err, want)
	}
	if got := runKey("n", 0x0102, 3); got != "n#000000000000010200000003" {
		t.Error(got)
	}
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte("\x01\x01\x02\x01\x00\x00\x00\x00\x00\x00\x03\x03\x01p:1h:2v"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			if !errors.Is(err, ErrMeta) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := m.encode()
		if len(b) <= memberlist.MetaMaxSize && err != nil {
			t.Errorf("%q is read but not written: %v", b, err)
		}
		if err == nil && (!bytes.Equal(again[2:], b[2:len(again)]) || b[1]&metaSettled != again[1]) {
			t.Errorf("%q came back as %q", b, again)
		}
	})
}

func FuzzReadRun(f *testing.F) {
	good, _ := (&meta{incarnation: 1}).encode()
	f.Add("n#000000000000010200000003", good, []byte{127, 0, 0, 1}, uint16(1))
	f.Add("#000000000000010200000003", good, []byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, name string, meta, addr []byte, port uint16) {
		r, err := readRun(&memberlist.Node{Name: name, Meta: meta, Addr: addr, Port: port})
		if err == nil && (r.key != name || r.node.Name+name[len(name)-keySuffix:] != name || !r.node.Gossip.IsValid()) {
			t.Errorf("%+v", r)
		}
		if err != nil && !errors.Is(err, ErrMeta) {
			t.Error(err)
		}
	})
}

func FuzzJoinEntry(f *testing.F) {
	for _, text := range []string{"a@b:1", "[::1]:4000", "_a._b.c", "10.0.0.1", "::1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseEntry(text)
		if err != nil {
			if !errors.Is(err, ErrJoin) {
				t.Error(err)
			}
			return
		}
		if e.port == 0 || e.addr.IsValid() == (e.host != "") {
			t.Errorf("%q: %+v", text, e)
		}
	})
}

// A packet goes to memberlist only with the label and the form of a sealed message.
func FuzzPacket(f *testing.F) {
	tr := &transport{head: []byte{labelMark, 1, 'x'}}
	f.Add([]byte{})
	f.Add(append([]byte{labelMark, 1, 'x', sealVersion}, make([]byte, 40)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := tr.judge(b); ok && (!bytes.HasPrefix(b, tr.head) || b[3] != sealVersion || len(b) <= 3+sealLen || len(b) > maxPacket) {
			t.Errorf("%q", b)
		}
	})
}
