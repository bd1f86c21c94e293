// Package store holds what one process holds: the entries, in an arena outside
// the Go heap, and the index that finds, lists and counts them. Keys and values
// are opaque bytes here; the package knows neither JSON nor the network. It is
// the only one that imports fastcache.
//
// # Life of a read
//
// Submit hashes the key (SipHash-2-4, under a secret of this process, so
// that nobody can choose keys that meet), asks fastcache for the hash, checks the
// real key and the expiry in what comes back, and leaves the value behind what
// op.Out held. It takes no part in the writer queue and allocates nothing.
//
// # Life of a write
//
// Slots are dealt out among a few writers (writer.go), each with its own
// fastcache. A write goes into its writer's ring (ring.go); whoever finds the
// writer idle carries out what is queued, its own write included (apply.go). The
// conditions are decided there, the version is given there, and when Submit or
// Done says so, the write is applied: every later read gives it, or something
// newer.
//
// # Garbage, and what stays
//
// The arena is a ring of chunks for each of fastcache's 512 buckets. Each write
// moves its bucket's ring on and runs over what is oldest there. bucket.go keeps
// a log of what lies where, so that the writer looks at the oldest pairs before
// they are run over (arena.go): garbage is let go, live pairs are written again
// at the head while the live bytes are below 70 % of the arena, and beyond that
// evicted, oldest first, and counted. Nothing disappears unseen.
//
// Values longer than a small part of a bucket are cut into pieces, which are
// written first, into different buckets; the head, which names them, comes last.
//
// # In a cluster
//
// With Config.Cluster the store serves the slots that it is told to hold, under a
// term, and as long as a lease runs (role.go). A slot is handed on key by key
// (item.go, merge.go): of two copies of a key the higher version stays. Where a
// slot remembers, a key that goes leaves a record of its version (gone.go), so
// that no older copy comes in from elsewhere. Entries that cannot be taken in are
// counted, and leave records too. Who may hold what, and when, is decided
// elsewhere.
//
// # Bugs
//
// A panic inside a writer's turn drops the entries of that writer, is counted,
// and answered proto.StatusInternal (caught.go). It does not end the process, and
// no later write waits for it.
//
// # What an entry costs
//
// Beyond its canonical key and its value, for values that are stored inline, as
// BenchmarkEntryOverhead measures it with a million entries:
//
//	arena  4  fastcache's lengths
//	       8  the hash
//	       9  the head; 8 more with a time to live, 8 more once the time to live
//	          of an unchanged value was renewed, 5 to 15 more if it came from
//	          another node
//	heap  25  to 40 fastcache's index, a map of two words
//	      15  the slot's set: 12 in a table that is between 3/4 and 7/8 full
//	       7  the bucket's log: 6 for each pair in the ring, garbage included
//
// together 72 to 81 bytes. A value in pieces costs in addition, for each piece,
// 23 bytes of the arena, 1 in the head, 14 in the log and an entry of fastcache's
// index.
//
// # Concurrency and bytes
//
// All methods may be called from any goroutine. The bytes that an operation
// points to belong to the store until it is complete; nothing of them is kept
// after that. Lock order: a writer's turn, then fastcache's bucket.
package store
