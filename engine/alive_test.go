package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/smache/smache/engine/store"
)

// A haltedClock stands still while it is locked, and with it whoever asks for the
// time: a writer in its turn, among others.
type haltedClock struct {
	store.Clock
	sync.RWMutex
}

func (c *haltedClock) Now() int64 {
	c.RLock()
	defer c.RUnlock()
	return c.Clock.Now()
}

// TestAlive: a store that hangs is noticed, and costs one goroutine; one that goes on
// is well again.
func TestAlive(t *testing.T) {
	clock := &haltedClock{Clock: store.SystemClock()}
	s, err := store.New(store.Config{ArenaBytes: store.ArenaUnit, MaxEntries: 1000, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{store: s}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Alive(ctx); err != nil {
		t.Errorf("an idle store: %v", err)
	}

	clock.Lock()
	for range 3 {
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if err := n.Alive(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a store that hangs: %v", err)
		}
		cancel()
	}
	n.turnsLock.Lock()
	waiting := n.turns
	n.turnsLock.Unlock()
	clock.Unlock()
	if waiting == nil {
		t.Fatal("nobody waits for the store")
	}
	select {
	case <-waiting:
	case <-ctx.Done():
		t.Fatal("who waited for the store still waits, though it goes on")
	}
	if err := n.Alive(ctx); err != nil {
		t.Errorf("a store that goes on: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
