//go:build race

package httpapi

// poolMisses is how many allocations more are counted because sync.Pool forgets
// on purpose under the race detector.
const poolMisses = 3
