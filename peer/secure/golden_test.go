package secure

// A cluster named "smache" with the secret "0123456789abcdef": its keys, and a
// handshake of it. All of it was computed apart from the code, and stands in
// docs/PROTOCOL.md.
const (
	goldenSecret = "0123456789abcdef"
	goldenLink   = "95ade796a84f65a9a7aa589718a7d6b337e82dfc4610249c28baee6763f9b2cb"
	goldenGossip = "07c763a99d4b3cbc8fd107697745978ec7141ac5881aaab9471741a331cf441d"
	goldenHello  = "736d616368650101b019ac2c5fb5f2e1" // "smache", version, mode, cluster

	// The private ephemeral keys of the two ends, and what they send: after their
	// hellos, a key and a tag.
	goldenDialler  = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
	goldenAcceptor = "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60"
	goldenFirst    = "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd1662546094f505b94b97943560f535b764aefc"
	goldenSecond   = "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484669df6662280295abc5690fbf5084353ff"

	// Records: of the dialling end the first, which says "smache", and the first
	// under the next key, which says so too; of the accepting end the first, which
	// is empty.
	goldenRecord  = "1600000051a359109ae6f54e509205968c997a756da10227ef3d"
	goldenRekeyed = "16000000779e68927050d94f5bc3ef554c31a02ac619c3178c33"
	goldenEmpty   = "10000000f7a01042ae3d637981a234f3f9fc6859"
)
