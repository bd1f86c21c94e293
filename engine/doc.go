// Package engine is one node: it builds the store and the public API from one
// Config, serves, drains and closes them, and joins their metrics.
//
// It owns the order of starting and stopping, the memory plan of the process and
// the description of the cluster. It refuses to know HTTP, JSON, how an entry is
// stored, flags, environment variables and signals: cmd has those. It holds no
// state outside a Node, so that any number of nodes fit into one process; what
// belongs to the whole process, such as the limit of the Go heap, it only
// proposes (Node.Plan).
//
// All methods of a Node may be called from any goroutine. No bytes are handed
// over except those of AppendMetrics, which appends to the caller's.
package engine
