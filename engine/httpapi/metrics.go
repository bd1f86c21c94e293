package httpapi

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/smache/smache/proto"
)

// The HTTP statuses that are ever answered, in the order of their counters.
var statuses = [...]int{200, 204, 304, 400, 401, 403, 404, 405, 408, 412, 413, 415, 421, 429, 431, 500, 503}

// statusPlace gives the place of a status in statuses.
func statusPlace(status int) int {
	if status == 200 {
		return 0
	}
	for i, s := range statuses {
		if s == status {
			return i
		}
	}
	panic("BUG: httpapi: status " + strconv.Itoa(status) + " has no counter")
}

// bounds are the upper bounds of the latency histogram's buckets, in
// nanoseconds; bucketNames are the same in seconds, as Prometheus has them.
var (
	bounds      = proto.LatencyBounds()
	bucketNames = [...]string{
		"5e-06", "1e-05", "2.5e-05", "5e-05", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025",
		"0.05", "0.1", "0.25", "0.5", "1", "5",
	}
)

// shard is one set of counters. Requests in flight at the same time mostly count
// in different shards, for each pooled request keeps to one, so that the cores do
// not pass cache lines to and fro; a scrape adds them up.
type shard struct {
	requests [routeCount][len(statuses)]atomic.Uint64
	buckets  [routeCount][len(bounds) + 1]atomic.Uint64
	nanos    [routeCount]atomic.Uint64
	started  atomic.Uint64
	ended    atomic.Uint64
	hits     atomic.Uint64
	misses   atomic.Uint64
	panics   atomic.Uint64
	failures [failureCount]atomic.Uint64
	tokens   [accessOpen][MaxTokens]atomic.Uint64 // requests, by the token's rights and place
	_        [64]byte                             // the end of one shard and the start of the next share no cache line
}

// failureCount is room for the rows of the failure table.
const failureCount = 48

// failurePlaces gives the place of each failure in its table.
var failurePlaces = sync.OnceValue(func() map[*proto.Failure]int {
	places := make(map[*proto.Failure]int)
	for i, f := range proto.Failures() {
		places[f] = i
	}
	if len(places) > failureCount {
		panic("BUG: httpapi: failureCount is too small")
	}
	return places
})

// observe counts a request that has been answered.
func (m *shard) observe(rt route, status int, nanos int64) {
	m.requests[rt][statusPlace(status)].Add(1)
	m.nanos[rt].Add(uint64(nanos))
	bucket := 0
	for bucket < len(bounds) && nanos > bounds[bucket] {
		bucket++
	}
	m.buckets[rt][bucket].Add(1)
}

// sum adds up one counter over all shards.
func (s *Server) sum(counter func(*shard) *atomic.Uint64) uint64 {
	var total uint64
	for i := range s.shards {
		total += counter(&s.shards[i]).Load()
	}
	return total
}

// AppendMetrics appends what this package counts, as Prometheus text. Any
// goroutine may call it.
func (s *Server) AppendMetrics(dst []byte) []byte {
	dst = s.appendRequestMetrics(dst)
	dst = s.appendFailureMetrics(dst)
	return s.appendConnectionMetrics(dst)
}

func (s *Server) appendRequestMetrics(dst []byte) []byte {
	dst = appendHead(dst, "smache_http_requests_total", "counter", "Requests answered, by route and status.")
	for rt := range routeCount {
		for i, status := range statuses {
			n := s.sum(func(m *shard) *atomic.Uint64 { return &m.requests[rt][i] })
			if n == 0 && status != 200 {
				continue
			}
			dst = append(dst, `smache_http_requests_total{route="`...)
			dst = append(dst, routes[rt].label...)
			dst = append(dst, `",status="`...)
			dst = strconv.AppendInt(dst, int64(status), 10)
			dst = appendNumber(append(dst, `"}`...), n)
		}
	}
	const seconds = "smache_http_request_seconds"
	dst = appendHead(dst, seconds, "histogram", "Time from a request's headers to its answer, without network, by route.")
	for rt := range routeCount {
		var below uint64
		for i := range len(bounds) + 1 {
			below += s.sum(func(m *shard) *atomic.Uint64 { return &m.buckets[rt][i] })
			name := "+Inf"
			if i < len(bounds) {
				name = bucketNames[i]
			}
			dst = append(dst, seconds+`_bucket{route="`...)
			dst = append(dst, routes[rt].label...)
			dst = append(dst, `",le="`...)
			dst = append(dst, name...)
			dst = appendNumber(append(dst, `"}`...), below)
		}
		nanos := s.sum(func(m *shard) *atomic.Uint64 { return &m.nanos[rt] })
		dst = append(dst, seconds+`_sum{route="`...)
		dst = append(append(dst, routes[rt].label...), `"} `...)
		dst = append(strconv.AppendFloat(dst, float64(nanos)/1e9, 'g', -1, 64), '\n')
		dst = append(dst, seconds+`_count{route="`...)
		dst = appendNumber(append(append(dst, routes[rt].label...), `"}`...), below)
	}
	started := s.sum(func(m *shard) *atomic.Uint64 { return &m.started })
	ended := s.sum(func(m *shard) *atomic.Uint64 { return &m.ended })
	dst = appendMetric(dst, "smache_http_in_flight", "gauge", "Requests being carried out.", started-min(started, ended))
	dst = appendMetric(dst, "smache_http_hits_total", "counter", "Reads that found their key, items of batches included.",
		s.sum(func(m *shard) *atomic.Uint64 { return &m.hits }))
	return appendMetric(dst, "smache_http_misses_total", "counter", "Reads that did not find their key, items of batches included.",
		s.sum(func(m *shard) *atomic.Uint64 { return &m.misses }))
}

func (s *Server) appendFailureMetrics(dst []byte) []byte {
	dst = appendHead(dst, "smache_http_failures_total", "counter", "Failures answered, by code, items of batches included.")
	for i, f := range proto.Failures() {
		dst = append(dst, `smache_http_failures_total{code="`...)
		dst = append(append(dst, f.Code...), `"}`...)
		dst = appendNumber(dst, s.sum(func(m *shard) *atomic.Uint64 { return &m.failures[i] }))
	}
	dst = s.appendTokenMetrics(dst)
	return appendMetric(dst, "smache_http_panics_total", "counter", "Bugs met: each cost a request, answered 500, or a connection. One a minute is logged, with its stack.",
		s.sum(func(m *shard) *atomic.Uint64 { return &m.panics }))
}

// appendTokenMetrics says how often each token is used: an old one whose count
// stands still can go.
func (s *Server) appendTokenMetrics(dst []byte) []byte {
	tokens := s.guard.tokens.Load()
	if tokens == nil {
		return dst
	}
	const name = "smache_http_token_requests_total"
	dst = appendHead(dst, name, "counter", "Requests with a known token, by its rights and its place among those of the same rights.")
	for may, list := range [...][]Token{accessWrite: tokens.All, accessRead: tokens.Read} {
		for i := range list {
			dst = append(append(append(dst, name+`{rights="`...), accessNames[may]...), `",place="`...)
			dst = append(strconv.AppendInt(dst, int64(i+1), 10), `"}`...)
			dst = appendNumber(dst, s.sum(func(m *shard) *atomic.Uint64 { return &m.tokens[may][i] }))
		}
	}
	return dst
}

func (s *Server) appendConnectionMetrics(dst []byte) []byte {
	r := &s.registry
	in, out := r.bytes()
	dst = appendMetric(dst, "smache_http_connections", "gauge", "Connections open.", uint64(r.open()))
	dst = appendMetric(dst, "smache_http_connections_accepted_total", "counter", "Connections admitted.", r.accepted.Load())
	dst = appendHead(dst, "smache_http_connections_rejected_total", "counter", "Connections refused, by the limit that refused them.")
	dst = appendNumber(append(dst, `smache_http_connections_rejected_total{limit="total"}`...), r.overLimit.Load())
	dst = appendNumber(append(dst, `smache_http_connections_rejected_total{limit="address"}`...), r.overAddress.Load())
	dst = appendMetric(dst, "smache_http_accept_errors_total", "counter", "Connections that the system could not hand over.", r.acceptErrors.Load())
	dst = appendHead(dst, "smache_http_timeouts_total", "counter", "Connections ended by a time-out, by what they were waited for.")
	dst = appendNumber(append(dst, `smache_http_timeouts_total{while="idle"}`...), r.idleTimeouts.Load())
	dst = appendNumber(append(dst, `smache_http_timeouts_total{while="read"}`...), r.readTimeouts.Load())
	dst = appendNumber(append(dst, `smache_http_timeouts_total{while="write"}`...), r.writeTimeouts.Load())
	dst = appendMetric(dst, "smache_http_header_floods_total", "counter", "Connections ended for more headers in a request than are taken.", r.headerFloods.Load())
	dst = s.appendAdminMetrics(dst)
	dst = s.appendTLSMetrics(dst)
	dst = appendMetric(dst, "smache_http_received_bytes_total", "counter", "Bytes read from connections.", in)
	dst = appendMetric(dst, "smache_http_sent_bytes_total", "counter", "Bytes written to connections.", out)
	for _, b := range []struct {
		class  string
		budget *budget
	}{{"medium", &s.medium}, {"large", &s.large}} {
		name := "smache_http_" + b.class + "_bytes"
		what := b.class + " bodies and answers (above 8 KiB: medium; above 64 KiB: large)"
		dst = appendMetric(dst, name, "gauge", "Bytes in memory for "+what+".", uint64(max(b.budget.used.Load(), 0)))
		dst = appendMetric(dst, name+"_limit", "gauge", "The budget for "+what+".", uint64(b.budget.limit))
		dst = appendMetric(dst, "smache_http_"+b.class+"_refused_total", "counter", "Requests refused for want of budget for "+what+".", b.budget.refused.Load())
	}
	return dst
}

func appendHead(dst []byte, name, kind, help string) []byte {
	dst = append(append(append(append(dst, "# HELP "...), name...), ' '), help...)
	dst = append(append(append(append(dst, "\n# TYPE "...), name...), ' '), kind...)
	return append(dst, '\n')
}

func appendMetric(dst []byte, name, kind, help string, n uint64) []byte {
	return appendNumber(append(appendHead(dst, name, kind, help), name...), n)
}

func appendNumber(dst []byte, n uint64) []byte {
	return append(strconv.AppendUint(append(dst, ' '), n, 10), '\n')
}
