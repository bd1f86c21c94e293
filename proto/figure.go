package proto

// Figure is one of the numbers by which a node shows how it fares: a place in a
// Sample.
type Figure uint8

// The figures. Append only: their places cross the wire. A sample counts what has
// happened since the one before; of what has a size at a moment, it has that of its
// own.
const (
	// FigureNumber is the number of the sample, from 1 in each run of a node.
	FigureNumber Figure = 0
	// FigureSpan is the time that the sample covers, in milliseconds.
	FigureSpan Figure = 1

	// Requests for keys that clients of this node have been answered, by what they
	// ask for; a batch is one.
	FigureReads   Figure = 2
	FigureWrites  Figure = 3 // touches included
	FigureDeletes Figure = 4 // flushes included
	// FigureFailed counts those of them that were answered 429 or 5xx.
	FigureFailed Figure = 5

	// Reads that found their key, and that did not, items of batches included.
	FigureHits   Figure = 6
	FigureMisses Figure = 7
	// FigureForwarded counts operations that were sent to other nodes.
	FigureForwarded Figure = 8

	FigureEvictions   Figure = 9
	FigureExpirations Figure = 10

	// Bytes read from connections of clients, and written to them.
	FigureReceived Figure = 11
	FigureSent     Figure = 12
	// FigureProcessor is processor time, user and system, in microseconds.
	FigureProcessor Figure = 13

	FigureEntries Figure = 14
	// FigureLive is the bytes of the arena that entries take, FigureArena those
	// that it has.
	FigureLive  Figure = 15
	FigureArena Figure = 16
	// FigureArenaAge is the age of the oldest live entry, in milliseconds.
	FigureArenaAge Figure = 17
	// FigureResident is the memory that the kernel counts as the process's, 0 where
	// it does not tell; FigureMemory is what the node was given. Both in bytes.
	FigureResident Figure = 18
	FigureMemory   Figure = 19

	FigureConnections Figure = 20
	FigureInFlight    Figure = 21
	// FigureMoving is slots that the node has yet to take over or to give away.
	FigureMoving Figure = 22

	// FigureLatency is the first of LatencyCount figures: the requests of
	// FigureReads, FigureWrites and FigureDeletes by the time that they took, up to
	// each of LatencyBounds and above the one before; the last is those beyond.
	FigureLatency Figure = 23

	// FigureCount is the number of figures in a sample of this version.
	FigureCount = int(FigureLatency) + LatencyCount
)

// LatencyCount is the number of classes of latency.
const LatencyCount = 19

// latencyBounds are the upper bounds of all classes but the last, in nanoseconds.
var latencyBounds = [LatencyCount - 1]int64{
	5e3, 10e3, 25e3, 50e3, 100e3, 250e3, 500e3, 1e6, 2.5e6, 5e6, 10e6, 25e6, 50e6, 100e6, 250e6, 500e6, 1e9, 5e9,
}

// LatencyBounds gives the upper bounds of the classes of latency but the last, in
// nanoseconds. They never change.
func LatencyBounds() [LatencyCount - 1]int64 { return latencyBounds }

// figureNames are the names in JSON, those of the latency's classes left out.
var figureNames = [FigureLatency]string{
	FigureNumber: "number", FigureSpan: "span_ms",
	FigureReads: "reads", FigureWrites: "writes", FigureDeletes: "deletes", FigureFailed: "failed",
	FigureHits: "hits", FigureMisses: "misses", FigureForwarded: "forwarded",
	FigureEvictions: "evictions", FigureExpirations: "expirations",
	FigureReceived: "received_bytes", FigureSent: "sent_bytes", FigureProcessor: "processor_us",
	FigureEntries: "entries", FigureLive: "live_bytes", FigureArena: "arena_bytes", FigureArenaAge: "arena_age_ms",
	FigureResident: "resident_bytes", FigureMemory: "memory_bytes",
	FigureConnections: "connections", FigureInFlight: "in_flight", FigureMoving: "moving",
}

// String gives the name of a figure, as in JSON; those of FigureLatency and beyond
// share one.
func (f Figure) String() string {
	switch {
	case f < FigureLatency:
		return figureNames[f]
	case int(f) < FigureCount:
		return "latency"
	}
	return "unknown"
}

// Sample is the figures of a node over a short time, about a second.
type Sample [FigureCount]uint64

// MaxSamples is how many samples a node keeps, and the most in one answer.
const MaxSamples = 300
