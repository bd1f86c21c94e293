// Package hold decides who holds a slot: the only node that serves it. It is one
// state machine for each node, without I/O, goroutines or clocks: Machine takes
// events (a message, a tick, an operation of a client) with the time they happen
// at, and calls back what is to be done. Links, clocks and the store are driven
// from outside; tests drive thousands of whole clusters in one goroutine and
// replay any of them from its seed.
//
// docs/CLUSTER.md explains the rules that the comments here number, and which
// promise each is for.
//
// A Machine belongs to one goroutine.
package hold
