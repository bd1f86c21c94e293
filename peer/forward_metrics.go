package peer

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
)

// forwardStats are what forwarding counts of a peer. They only grow.
type forwardStats struct {
	sent             atomic.Uint64 // operations, each as often as it was sent
	answers, latency atomic.Uint64 // final ones; nanoseconds
	moved, busy      atomic.Uint64 // answers
	unreachable      atomic.Uint64
	served           atomic.Uint64 // operations that the peer has sent
}

// answered counts n operations that have their answers, after so many nanoseconds each.
func (s *forwardStats) answered(n int, took int64) {
	s.answers.Add(uint64(n))
	s.latency.Add(uint64(n) * uint64(max(took, 0)))
}

// appendMetrics appends the metrics of forwarding as Prometheus text. Any
// goroutine.
func (f *forwarder) appendMetrics(dst []byte, links *Links) []byte {
	links.mu.Lock()
	peers := slices.SortedFunc(maps.Values(links.peers), func(a, b *Link) int { return cmp.Compare(a.name, b.name) })
	links.mu.Unlock()

	head := func(name, kind, help string) {
		dst = append(dst, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"...)
	}
	each := func(name string, get func(*forwardStats) float64) {
		line := func(peer string, s *forwardStats) {
			dst = append(dst, name+"{peer=\""+escapeLabel(peer)+"\"} "...)
			dst = append(strconv.AppendFloat(dst, get(s), 'f', -1, 64), '\n')
		}
		for _, p := range peers {
			line(p.name, &p.forward)
		}
		line(clientsLabel, &links.clients.forward)
	}
	count := func(name, help string, get func(*forwardStats) *atomic.Uint64) {
		head(name, "counter", help)
		each(name, func(s *forwardStats) float64 { return float64(get(s).Load()) })
	}
	one := func(name, kind, help string, v int64) {
		head(name, kind, help)
		dst = append(strconv.AppendInt(append(dst, name+" "...), v, 10), '\n')
	}
	count("smache_forward_sent_total", "Operations sent to the peer, each as often as it was.",
		func(s *forwardStats) *atomic.Uint64 { return &s.sent })
	head("smache_forward_seconds", "summary", "Time until the peer had answered an operation for good, other tries included.")
	each("smache_forward_seconds_sum", func(s *forwardStats) float64 { return float64(s.latency.Load()) / 1e9 })
	each("smache_forward_seconds_count", func(s *forwardStats) float64 { return float64(s.answers.Load()) })
	count("smache_forward_moved_total", "Operations of which the peer said that another node holds the slot.",
		func(s *forwardStats) *atomic.Uint64 { return &s.moved })
	count("smache_forward_busy_total", "Operations that the peer could not carry out for the moment.",
		func(s *forwardStats) *atomic.Uint64 { return &s.busy })
	count("smache_forward_unreachable_total", "Operations sent to the peer that it did not answer.",
		func(s *forwardStats) *atomic.Uint64 { return &s.unreachable })
	count("smache_forward_served_total", "Operations that the peer has sent to this node.",
		func(s *forwardStats) *atomic.Uint64 { return &s.served })
	one("smache_forward_retries_total", "counter", "Times an operation was tried again after a pause.", int64(f.retries.Load()))
	one("smache_forward_parked_total", "counter", "Times an operation waited for another try.", int64(f.parked.total.Load()))
	one("smache_forward_parked", "gauge", "Operations that wait for another try.", f.parked.count.Load())
	one("smache_forward_in_flight", "gauge", "Operations and batches on their way to other nodes, or waiting.", f.live.Load())
	one("smache_forward_serving", "gauge", "Operations of other nodes that are being carried out.", f.serving.Load())
	one("smache_forward_kept_bytes", "gauge", "Bytes of requests of other nodes that are kept while they are carried out.", f.copied.Load())
	one("smache_forward_crowded_total", "counter", "Operations refused because too many were waiting.", int64(f.crowded.Load()))
	one("smache_forward_overfull_total", "counter", "Operations of other nodes refused because the bytes kept were too many.", int64(f.overfull.Load()))
	return dst
}
