//go:build !linux

package peer

import "runtime"

// yield lets others have the processor.
func yield() { runtime.Gosched() }
