//go:build !linux

package bench

import (
	"fmt"
	"time"
)

// otherUsage cannot read what other processes used. The error wraps ErrConfig.
func otherUsage(int) (time.Duration, int64, error) {
	return 0, 0, fmt.Errorf("%w: --server-pid works on Linux only", ErrConfig)
}
