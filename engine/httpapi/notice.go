package httpapi

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/proto"
)

// noticePause is the least time between two log lines about one failure. Clients
// must not be able to fill a disk with the log.
const noticePause = time.Minute

// notices remembers when the operator was last told of each failure, on the
// registry's clock; 0 is never.
type notices [failureCount]atomic.Int64

// countFailure counts one failure, of a request or of an item of a batch, and
// tells the operator of it if there is a limit to turn: at once the first time,
// then once in noticePause while it goes on. Nothing of the request is in the
// line.
func (s *Server) countFailure(m *shard, f *proto.Failure) {
	place := failurePlaces()[f]
	m.failures[place].Add(1)
	if isLimit(f) {
		s.notice(place, f)
	}
}

// isLimit reports whether a failure says that a limit of this node was reached,
// that a part of the cluster cannot be, or that somebody wants in.
func isLimit(f *proto.Failure) bool {
	switch f.HTTP {
	case fasthttp.StatusRequestEntityTooLarge, fasthttp.StatusRequestHeaderFieldsTooLarge, fasthttp.StatusTooManyRequests:
		return true
	case fasthttp.StatusUnauthorized: // no limit, but somebody may be guessing
		return true
	case fasthttp.StatusServiceUnavailable:
		return f != proto.FailDraining
	default:
		return false
	}
}

func (s *Server) notice(place int, f *proto.Failure) {
	last, now := s.notices[place].Load(), s.registry.now()+1
	if last != 0 && now-last < int64(noticePause) || !s.notices[place].CompareAndSwap(last, now) {
		return
	}
	total := s.sum(func(m *shard) *atomic.Uint64 { return &m.failures[place] })
	s.config.Logger.Warn("httpapi: refusing: "+f.Text, slog.String("code", f.Code), slog.Uint64("refused_so_far", total))
}
