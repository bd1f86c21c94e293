//go:build race

package hold

// raceEnabled says that the race detector is on: histories take ten times as long
// under it, and find nothing, for each has one goroutine.
const raceEnabled = true
