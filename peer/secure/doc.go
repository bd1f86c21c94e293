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
// # Handshake
//
// Noise_NNpsk0_25519_AESGCM_SHA256, revision 34: whoever does not hold the
// cluster's key can neither begin nor end it, and a recorded link cannot be read
// with a key that leaks later. Either end first says, in the clear, what it is:
//
//	offset size
//	 0      6   "smache"
//	 6      1   version of this format, 1
//	 7      1   mode: 0 plaintext, 1 sealed
//	 8      8   cluster: the beginning of SHA-256("smache cluster\x00" + its name)
//	16     48   Noise message, if sealed: ephemeral key (32), tag (16)
//
// The dialling end sends first. The two hellos must be equal, and are the Noise
// prologue, so that nobody can change them on the way. They serve to tell the
// operator what is wrong: another cluster, another version, the secret. An end
// that refuses still sends its own hello, if the other's begins with "smache".
//
// A recorded first message can be sent again by anyone, and is answered. Who sent
// it cannot read the answer or send a record: the accepting end must not act on a
// link before it has opened a record on it.
//
// # Records
//
// After the handshake, each direction is a sequence of records:
//
//	offset size
//	 0      4   length of what follows, 16 to MaxRecord+16, little-endian
//	 4      …   ciphertext
//	 …     16   tag
//
// AES-256-GCM, no additional data, the nonce being 4 zero bytes and the number of
// the record, big-endian, as Noise has it. In plaintext mode there is no tag. A
// record that was changed, left out, repeated or moved does not open, and ends the
// link. Every RekeyInterval records each direction takes a new key by Noise's
// REKEY, so that one key never seals more than 2^32 blocks: RFC 8446, section 5.5,
// puts the limit near 2^34.5 for a chance of 2^-57 to be told from random. The
// counter would end after 2^64 records; the link is closed before.
//
// # Concurrency and bytes
//
// A Keys may be used from any goroutine. A Handshake and a Session belong to one
// goroutine at a time. Seal appends and keeps nothing; Open decrypts in place.
// Neither allocates, but for a few hundred bytes at a change of key.
package secure
