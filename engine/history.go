package engine

import (
	"sync"
	"time"

	"github.com/smache/smache/proto"
)

// history keeps the last samples of a node's figures, proto.MaxSamples of them, in
// memory that does not grow. Any goroutine may use it.
type history struct {
	run uint64

	mu    sync.Mutex
	ring  [proto.MaxSamples]proto.Sample
	count uint64    // of samples that were ever added
	at    time.Time // of the latest
}

// add numbers a sample and keeps it.
func (h *history) add(s *proto.Sample, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	s[proto.FigureNumber] = h.count
	h.ring[h.count%proto.MaxSamples] = *s
	h.at = now
}

// last gives the latest n samples, or as many as there are, in memory of their own.
func (h *history) last(n int) proto.Stats {
	s := proto.Stats{Run: h.run, Figures: proto.FigureCount}
	h.mu.Lock()
	defer h.mu.Unlock()
	n = int(min(uint64(max(n, 0)), h.count, proto.MaxSamples))
	if n == 0 {
		return s
	}
	s.Age = time.Since(h.at)
	s.Samples = make([]byte, 0, n*proto.FigureCount*8)
	for i := h.count - uint64(n) + 1; i <= h.count; i++ {
		s.Samples = proto.AppendSample(s.Samples, &h.ring[i%proto.MaxSamples])
	}
	return s
}
