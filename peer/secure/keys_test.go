package secure

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func TestNewKeys(t *testing.T) {
	if _, err := NewKeys("c", make([]byte, MinSecret-1)); !errors.Is(err, ErrSecretShort) || !strings.Contains(err.Error(), "--secret") {
		t.Error(err)
	}
	if _, err := NewKeys("c", secretA, []byte("short")); !errors.Is(err, ErrSecretShort) {
		t.Error(err)
	}
	for _, secrets := range [][][]byte{{}, {secretA, secretB, secretA}} {
		if _, err := NewKeys("c", secrets...); !errors.Is(err, ErrSecretCount) {
			t.Error(err)
		}
	}
	// All keys differ: by purpose, by cluster, by secret.
	seen := map[string]bool{}
	for _, k := range []*Keys{keys(t, "c", secretA, secretB), keys(t, "d", secretA, secretB), keys(t, "", secretA, secretB)} {
		if !k.Sealed() || len(k.Gossip()) != 2 {
			t.Fatal("two secrets are two keys")
		}
		for _, key := range append(append([][]byte{}, k.links...), k.Gossip()...) {
			if len(key) != 32 || seen[string(key)] {
				t.Fatalf("key %x", key)
			}
			seen[string(key)] = true
		}
	}
	if k := Plaintext("c"); k.Sealed() || len(k.Gossip()) != 0 {
		t.Error("plaintext has keys")
	}
}

// The derivation is part of the protocol: nodes of two versions must agree.
func TestKeysGolden(t *testing.T) {
	k := keys(t, "smache", []byte(goldenSecret))
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"link":   {k.links[0], goldenLink},
		"gossip": {k.Gossip()[0], goldenGossip},
		"hello":  {k.hello[:], goldenHello},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestGenerateSecret(t *testing.T) {
	a, b := GenerateSecret(), GenerateSecret()
	if a == b || len(a) != 43 || strings.Trim(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("%q, %q", a, b)
	}
	if _, err := NewKeys("c", []byte(a)); err != nil {
		t.Error(err)
	}
}

func TestReason(t *testing.T) {
	seen := map[string]bool{"": true}
	for _, err := range []error{ErrNotPeer, ErrVersion, ErrMode, ErrCluster, ErrSecret, ErrRecordSize, ErrRecord, ErrExhausted} {
		if r := Reason(err); seen[r] {
			t.Errorf("%v has the reason %q", err, r)
		} else {
			seen[r] = true
		}
	}
	if Reason(nil) != "" || Reason(errors.New("x")) != "" || Reason(ErrSecretShort) != "" {
		t.Error("a reason for what is none")
	}
}
