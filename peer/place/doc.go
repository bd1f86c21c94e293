// Package place says which member a slot ought to belong to, its owner. The
// answer is a function of the members' names and weights alone: every node
// computes it by itself, whatever it knew before, and gets the same on every
// machine. Who does hold a slot is another matter, and package hold's.
//
// The owner is the winner of a weighted rendezvous (Thaler and Ravishankar,
// "Using name-based mappings to increase hit rates", 1998; with weights,
// Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005). Each
// member runs a race in each slot: its time is -ln(1-u)/weight, u being a number
// from 0 to 1 that is drawn from its name and the slot. The shortest time wins. Such
// times are exponentially distributed, so that a member wins in proportion to its
// weight; and as its time depends on nobody else, a member that comes only takes
// slots, one that goes only leaves its own to others, and nothing else moves.
//
// All of it is integer arithmetic. Floating point will not do: the compiler may
// fuse operations, and math.Log is not the same code on every processor, so that
// two nodes could disagree about a slot for ever.
//
// A Table never changes, and any goroutine may use it. It is made off the path
// of requests, which look up one element.
package place
