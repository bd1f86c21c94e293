package secure

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Vectors of Noise_NNpsk0_25519_AESGCM_SHA256 as github.com/flynn/noise v1.1.0
// publishes them (vectors.txt, BSD licence).
var noiseVectors = []struct{ prologue, psk, m0, c0, m1, c1, m2, c2, m3, c3 string }{
	{
		"", "2176657279736563726574766572797365637265747665727973656372657421",
		"", "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd1662544833316e6c21d899aec6c5f0c6e85e13",
		"", "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466d3ec4419885d86e6d7310fb1d2263afd",
		"79656c6c6f777375626d6172696e65", "6a7b199c69a64cc2ea3c556cf17489fd2ae452d3f3c2a0871cebd327fc31c6",
		"7375626d6172696e6579656c6c6f77", "e58d43e0c69d8c15df523586b2c58ca40cb0472b5b3775f1cca807fee28a71",
	},
	{
		"", "2176657279736563726574766572797365637265747665727973656372657421",
		"746573745f6d73675f30", "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254d2f8054fcaf80f34700607e4422560b0626b1bc69e65290f6437",
		"746573745f6d73675f31", "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466e21a3177614fce09f014bde7e996fb8c8300777068e6fd2aa7c4",
		"79656c6c6f777375626d6172696e65", "6a7b199c69a64cc2ea3c556cf17489fd2ae452d3f3c2a0871cebd327fc31c6",
		"7375626d6172696e6579656c6c6f77", "e58d43e0c69d8c15df523586b2c58ca40cb0472b5b3775f1cca807fee28a71",
	},
	{
		"6e6f74736563726574", "2176657279736563726574766572797365637265747665727973656372657421",
		"746573745f6d73675f30", "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254d2f8054fcaf80f347006e0fc25590a31fd33c4626fe59283ea40",
		"746573745f6d73675f31", "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466e21a3177614fce09f014af55e853ed6b88b0e4628e071b23e905",
		"79656c6c6f777375626d6172696e65", "6a7b199c69a64cc2ea3c556cf17489fd2ae452d3f3c2a0871cebd327fc31c6",
		"7375626d6172696e6579656c6c6f77", "e58d43e0c69d8c15df523586b2c58ca40cb0472b5b3775f1cca807fee28a71",
	},
}

func TestNoiseVectors(t *testing.T) {
	private := func(s string) *ecdh.PrivateKey {
		k, err := ecdh.X25519().NewPrivateKey(unhex(t, s))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	dialer := private("202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f")
	acceptor := private("4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60")
	for i, v := range noiseVectors {
		psk := unhex(t, v.psk)
		d, a := newSymmetric(unhex(t, v.prologue)), newSymmetric(unhex(t, v.prologue))
		first := d.writeFirst(nil, psk, dialer, unhex(t, v.m0))
		if !bytes.Equal(first, unhex(t, v.c0)) {
			t.Fatalf("vector %d: first message %x", i, first)
		}
		payload, err := a.readFirst(first, psk)
		if err != nil || !bytes.Equal(payload, unhex(t, v.m0)) {
			t.Fatalf("vector %d: %x, %v", i, payload, err)
		}
		second, err := a.writeSecond(nil, first, acceptor, unhex(t, v.m1))
		if err != nil || !bytes.Equal(second, unhex(t, v.c1)) {
			t.Fatalf("vector %d: second message %x, %v", i, second, err)
		}
		payload, err = d.readSecond(second, dialer)
		if err != nil || !bytes.Equal(payload, unhex(t, v.m1)) || d.h != a.h {
			t.Fatalf("vector %d: %x, %v", i, payload, err)
		}
		out, in := d.split()
		ds := newSession(out, in, d.h)
		out, in = a.split()
		as := newSession(in, out, a.h)
		for _, m := range []struct {
			from         *Session
			text, sealed string
		}{{ds, v.m2, v.c2}, {as, v.m3, v.c3}} {
			got, err := m.from.Seal(nil, unhex(t, m.text))
			if err != nil || !bytes.Equal(got[RecordHead:], unhex(t, m.sealed)) {
				t.Fatalf("vector %d: record %x, %v", i, got, err)
			}
		}
	}
}
