package secure

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

// A whole handshake with known ephemeral keys, and records behind it, to the byte.
func TestHandshakeGolden(t *testing.T) {
	ephemeral := func(s string) *ecdh.PrivateKey {
		k, err := ecdh.X25519().NewPrivateKey(unhex(t, s))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	same := func(name string, got []byte, want string) {
		t.Helper()
		if !bytes.Equal(got, unhex(t, want)) {
			t.Fatalf("%s: %x, want %s", name, got, want)
		}
	}
	k := keys(t, "smache", []byte(goldenSecret))
	d, a := newSymmetric(k.hello[:]), newSymmetric(k.hello[:])
	dialler := ephemeral(goldenDialler)
	first := d.writeFirst(nil, k.links[0], dialler, nil)
	same("first", first, goldenFirst)
	if _, err := a.readFirst(first, k.links[0]); err != nil {
		t.Fatal(err)
	}
	second, err := a.writeSecond(nil, first, ephemeral(goldenAcceptor), nil)
	if err != nil {
		t.Fatal(err)
	}
	same("second", second, goldenSecond)
	if _, err := d.readSecond(second, dialler); err != nil {
		t.Fatal(err)
	}
	out, in := d.split()
	ds := newSession(out, in, d.h)
	out, in = a.split()
	as := newSession(in, out, a.h)
	seal := func(s *Session, text string) []byte {
		record, err := s.Seal(nil, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	same("record", seal(ds, "smache"), goldenRecord)
	same("empty record", seal(as, ""), goldenEmpty)
	ds.out.n = RekeyInterval
	same("record under the next key", seal(ds, "smache"), goldenRekeyed)
}

// docs/PROTOCOL.md says what this package does, with its numbers and an example.
func TestProtocolDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Security layer\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, want := range []string{
		noiseName, `"smache 1"`, `"smache link" 00`, `"smache gossip" 00`, `"smache cluster" 00`,
		fmt.Sprintf("at least %d bytes", MinSecret),
		fmt.Sprintf("%d to 65,552", tagLen), fmt.Sprintf("every %d records", RekeyInterval),
	} {
		if !strings.Contains(section, want) {
			t.Errorf("the section does not say %q", want)
		}
	}
	if MaxRecord+tagLen != 65552 || helloLen+messageLen != 64 {
		t.Error("the section says other lengths")
	}
	shown := strings.Join(strings.Fields(section), "")
	for _, want := range []string{
		hex.EncodeToString([]byte(goldenSecret)), goldenLink, goldenGossip, goldenDialler, goldenAcceptor,
		goldenHello + goldenFirst, goldenHello + goldenSecond, goldenRecord, goldenRekeyed, goldenEmpty,
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the section does not show %s", want)
		}
	}
}
