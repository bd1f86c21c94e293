package peer

import (
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"
)

// stopped is a Store whose clock stands still.
type stopped struct {
	Store
	now time.Duration
}

func (s *stopped) Now() time.Duration { return s.now }

// TestEventsAreHandled: whatever is posted, while urgent things and others are handled, is
// handled before long. A node whose goroutine is not roused any more hears nobody.
func TestEventsAreHandled(t *testing.T) {
	store := &stopped{now: time.Hour}
	k := newKeeper(&ClusterConfig{Name: "a", Store: store, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}, 1)
	store.now = 0 // no tick is due
	over := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-k.wake:
				k.handle()
			case <-over:
				return
			}
		}
	})
	var posters sync.WaitGroup
	for i := range 64 {
		posters.Go(func() {
			done := make(chan struct{}, 1)
			deadline := time.NewTimer(ample)
			defer deadline.Stop()
			for range 5_000 {
				deadline.Reset(ample) // for each: all together take as long as the machine has to do
				k.post(event{soon: i%2 == 0, do: func(time.Duration) { done <- struct{}{} }})
				select {
				case <-done:
				case <-deadline.C:
					t.Error("it is not handled")
					return
				}
			}
		})
	}
	posters.Wait()
	close(over)
	work.Wait()
}

// TestGiveWay: who takes entries in keeps the processor for workFor, and not for longer.
func TestGiveWay(t *testing.T) {
	store := &stopped{now: time.Hour}
	k := newKeeper(&ClusterConfig{Name: "a", Store: store, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}, 1)
	last := time.Duration(0)
	for _, c := range []struct {
		later time.Duration
		gives bool
	}{{0, true}, {workFor / 2, false}, {workFor - workFor/2, true}, {workFor - 1, false}, {1, true}, {0, false}} {
		store.now += c.later
		k.giveWay()
		if gave := k.yielded != last; gave != c.gives {
			t.Fatalf("at %v, having given way at %v: it gives way: %v, want %v", store.now, last, gave, c.gives)
		}
		last = k.yielded
	}
}
