//go:build race

package store

// raceEnabled makes the long tests of one goroutine shorter: the race detector has
// little to find there, and makes them take ten times as long. CI runs them without
// it as well.
const raceEnabled = true
