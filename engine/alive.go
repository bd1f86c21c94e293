package engine

import (
	"context"
	"fmt"
)

// Alive reports whether each writer of the store takes a turn before ctx ends. It is
// for a watchdog, which asks the API as well: a writer that hangs leaves every write
// to its slots, and in time every connection, waiting, while requests that need no
// entry are answered. The error wraps ctx's. It may be called from any goroutine; a
// call that comes while an earlier one waits shares its outcome, so that a store that
// hangs costs one goroutine.
func (n *Node) Alive(ctx context.Context) error {
	n.turnsLock.Lock()
	turns := n.turns
	if turns == nil {
		turns = make(chan struct{})
		n.turns = turns
		go func() {
			n.store.Stats()
			n.turnsLock.Lock()
			n.turns = nil
			n.turnsLock.Unlock()
			close(turns)
		}()
	}
	n.turnsLock.Unlock()
	select {
	case <-turns:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine: a writer of the store does not take its turn: %w", ctx.Err())
	}
}
