// Package secure holds the handshake and the sealed records of the links between
// nodes, and derives all keys of a cluster from its one secret.
//
// It refuses to know anything of connections: it is a state machine on bytes, with
// no goroutine, no clock and no I/O, so that it runs on an event loop. It imports
// the standard library only. The Noise handshake is written out here (noise.go, a
// hundred lines over crypto/ecdh, crypto/hkdf and AES-GCM) and held against the
// published test vectors: the library that offers it allocates for every record,
// brings three ciphers and two hashes that nothing here uses, and a release of
// golang.org/x/crypto of 2021.
//
// What crosses the wire is specified in docs/PROTOCOL.md, section "Security layer":
// the keys, the hello, the handshake (Noise NNpsk0), the records and their changes
// of key, and the plaintext mode.
//
// A recorded first message can be sent again by anyone, and is answered. Who sent
// it cannot read the answer or send a record: the accepting end must not act on a
// link before it has opened a record on it.
//
// # Concurrency and bytes
//
// A Keys may be used from any goroutine. A Handshake and a Session belong to one
// goroutine at a time. Seal appends and keeps nothing; Open decrypts in place.
// Neither allocates, but for a few hundred bytes at a change of key.
package secure
