//go:build !unix

package engine

// processorSeconds has no source on this system.
func processorSeconds() (float64, bool) { return 0, false }
