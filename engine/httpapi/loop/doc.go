// Package loop carries TCP connections on event loops: one goroutine, with an epoll
// instance of its own, for many connections. It knows nothing of what they carry.
//
// A connection is on its loop, which tells a Handler what comes and must not be kept
// waiting; or it is away, with one goroutine that reads and writes as with any
// net.Conn, and comes back. The socket stays with the loop's epoll instance for its
// whole life, edge-triggered, so that neither way costs a system call: while a
// connection is away the loop passes on to its goroutine what it hears.
//
// # Concurrency
//
// Conn.place says whose a connection is. The loop gives it away (Leave), the goroutine
// gives it back by a compare-and-swap that fails if something has come since it last
// looked: then it looks again, so nothing that comes is missed. All else goes through
// the loop's notes: what is asked for from outside, or for later. Only the loop closes
// a socket, and only between two events. Where somebody else has closed one in the loop's
// sleep, and another was given its descriptor, that one may be told of what came for the
// first: it looks, finds nothing, and looks once more than it must from then on.
//
// A loop lets other goroutines run after a few events: loops are always runnable
// under load, and the rest of the process would wait. It looks once more then, and if
// there is nothing it sleeps in epoll_wait.
//
// While it sleeps there, somebody else may serve its notes (Conn.ResumeSoon, Loop.Help), and
// is the loop for as long: whatever is said here to be "on the loop" is done by who has its
// turn.
//
// It is for Linux alone; elsewhere this package is empty.
package loop
