//go:build !race

package peer

// raceEnabled says that sync.Pool forgets on purpose.
const raceEnabled = false
