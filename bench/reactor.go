package bench

import (
	"context"
	"time"
)

// A reactor is the event loop under a loop: it waits for bytes, and calls the
// loop's opened, received, closed and pump on one goroutine. There are two: epoll on
// Linux, and gnet elsewhere.
type reactor interface {
	// start starts the goroutine.
	start() error
	// stop ends it, closes its connections and waits. No connect may be under way.
	stop()
	// connect opens a connection to the run's address for a slot, and waits until
	// opened was called, or gives an error. It may take up to the time-out; the
	// end of ctx ends it early. Any goroutine but the reactor's may call it.
	connect(ctx context.Context, s *slot) error
	// execute has f called on the reactor's goroutine. Any goroutine may call it
	// once a connection was opened.
	execute(f func())
	// wakeIn has the loop's pump called after d, on the reactor's goroutine, and
	// drops an earlier wish. Only that goroutine may call it.
	wakeIn(d time.Duration)
}

// A wire is a connection of a reactor. Only the reactor's goroutine may use it.
type wire interface {
	// write hands b to the kernel, and copies what that does not take at once. If
	// the connection is broken it is closed from within: the loop's closed has
	// been called on return.
	write(b []byte)
	// shut closes the connection; closed is called from within.
	shut()
}
