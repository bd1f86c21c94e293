//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// resizes tells when the terminal has another size.
func resizes(ctx context.Context) <-chan os.Signal {
	sizes := make(chan os.Signal, 1)
	signal.Notify(sizes, syscall.SIGWINCH)
	context.AfterFunc(ctx, func() { signal.Stop(sizes) })
	return sizes
}
