// Package proto holds what crosses a boundary: the rules for keys, slots,
// operations, their statuses, the one table of failures from which every layer
// takes its answers, and the frames of the peer protocol (docs/PROTOCOL.md), with
// the one table of reasons to close a link.
//
// It refuses to know anything else: no network, no JSON, no storage; it imports
// the standard library only. Its functions are pure and may be called from any
// goroutine. Functions named Append… follow append: they write behind dst, may
// grow it, and keep no reference to their arguments.
package proto
