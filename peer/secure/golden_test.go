package secure

// The keys and the hello of a cluster named "smache" with the secret
// "0123456789abcdef", computed apart from the code.
const (
	goldenLink   = "95ade796a84f65a9a7aa589718a7d6b337e82dfc4610249c28baee6763f9b2cb"
	goldenGossip = "07c763a99d4b3cbc8fd107697745978ec7141ac5881aaab9471741a331cf441d"
	goldenHello  = "736d616368650101b019ac2c5fb5f2e1" // "smache", version, mode, cluster
)
