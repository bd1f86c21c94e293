package httpapi

import "github.com/smache/smache/proto"

// Counts is what a Server has done since it was made, in sum, and what it has at
// the moment.
type Counts struct {
	// Reads, Writes and Deletes are the requests for keys that were answered;
	// Failed counts those of them whose answer was 429 or 5xx.
	Reads, Writes, Deletes, Failed uint64
	// Latency counts the same requests in the classes of proto.LatencyBounds.
	Latency [proto.LatencyCount]uint64
	// Hits and Misses are reads, items of batches included.
	Hits, Misses uint64
	// Received and Sent are bytes read from connections, and written to them.
	Received, Sent uint64

	Connections, InFlight int
}

// Counts adds up the counters of all requests. Any goroutine may call it; it takes
// some microseconds, and some more for each thousand connections.
func (s *Server) Counts() (c Counts) {
	var started, ended uint64
	for i := range s.shards {
		m := &s.shards[i]
		for rt := routeGet; rt <= routeFlush; rt++ {
			kind := &c.Writes
			switch rt {
			case routeGet, routeMget:
				kind = &c.Reads
			case routeDelete, routeMdel, routeFlush:
				kind = &c.Deletes
			}
			for at, status := range statuses {
				n := m.requests[rt][at].Load()
				*kind += n
				if status == 429 || status >= 500 {
					c.Failed += n
				}
			}
			for class := range m.buckets[rt] {
				c.Latency[class] += m.buckets[rt][class].Load()
			}
		}
		c.Hits += m.hits.Load()
		c.Misses += m.misses.Load()
		ended += m.ended.Load()
		started += m.started.Load()
	}
	c.Received, c.Sent = s.registry.bytes()
	c.Connections = s.registry.open()
	c.InFlight = int(started - min(started, ended))
	return c
}
