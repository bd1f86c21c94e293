package secure

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// MinSecret is the shortest secret in bytes.
const MinSecret = 16

// GenerateSecret makes a secret: 256 random bits as 43 characters that need no
// quoting.
func GenerateSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Keys are what a node derives from the cluster's secret and name. They never
// change and may be used from any goroutine.
type Keys struct {
	hello  [helloLen]byte
	links  [][]byte // pre-shared keys: the first dials, all are accepted
	gossip [][]byte
}

// NewKeys derives the keys of a cluster from one secret, or from two during a
// rotation: the first is used to dial, both are accepted. A secret of a person's
// choice can be guessed from a recorded handshake; use GenerateSecret.
//
// The errors are ErrSecretShort and ErrSecretCount.
func NewKeys(cluster string, secrets ...[]byte) (*Keys, error) {
	if len(secrets) < 1 || len(secrets) > 2 {
		return nil, fmt.Errorf("%w: %d given", ErrSecretCount, len(secrets))
	}
	k := &Keys{hello: newHello(cluster, modeSealed)}
	for _, secret := range secrets {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("%w: it has %d", ErrSecretShort, len(secret))
		}
		link, err := derive(secret, cluster, "link")
		if err != nil {
			return nil, err
		}
		gossip, err := derive(secret, cluster, "gossip")
		if err != nil {
			return nil, err
		}
		k.links, k.gossip = append(k.links, link), append(k.gossip, gossip)
	}
	return k, nil
}

// Plaintext gives keys for links that are neither authenticated nor encrypted: for
// measurements, and for the flag that says insecure. They never talk to links
// that are.
func Plaintext(cluster string) *Keys { return &Keys{hello: newHello(cluster, modePlain)} }

// Sealed reports whether links are authenticated and encrypted.
func (k *Keys) Sealed() bool { return len(k.links) > 0 }

// Gossip gives the 32-byte keys for membership messages, the one to send with
// first; none in plaintext mode. The caller must not change them.
func (k *Keys) Gossip() [][]byte { return k.gossip }

// derive is HKDF-SHA256. The purpose and the cluster's name are its info, the name
// last so that no two pairs give the same text.
func derive(secret []byte, cluster, purpose string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, []byte("smache 1"), "smache "+purpose+"\x00"+cluster, 32)
	if err != nil {
		return nil, fmt.Errorf("secure: cannot derive the %s key: %w", purpose, err)
	}
	return key, nil
}

// The hello that either end begins with; see docs/PROTOCOL.md.
const (
	helloLen     = 16
	helloMagic   = "smache"
	helloVersion = 1

	modePlain  = 0
	modeSealed = 1
)

func newHello(cluster string, mode byte) (h [helloLen]byte) {
	copy(h[:], helloMagic)
	h[6], h[7] = helloVersion, mode
	sum := sha256.Sum256([]byte("smache cluster\x00" + cluster))
	copy(h[8:], sum[:])
	return h
}
