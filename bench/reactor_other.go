//go:build !linux

package bench

// newReactor makes the reactor that is best on this system.
func newReactor(l *loop) (reactor, error) { return newGnetReactor(l) }
