package peer

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// stats are a link's counters. They only grow, and outlive its connections.
type stats struct {
	bytesIn, bytesOut     atomic.Uint64
	framesIn, framesOut   atomic.Uint64
	recordsIn, recordsOut atomic.Uint64
	reads, writes         atomic.Uint64 // system calls that moved bytes
	wakes                 atomic.Uint64
	answers, latency      atomic.Uint64 // nanoseconds
	late, deadlines       atomic.Uint64
	refused               atomic.Uint64 // by Send
	dials                 atomic.Uint64
	acceptErrors          atomic.Uint64
}

// closeLabel names a reason for closing, and the end that had it.
type closeLabel struct{ reason, by string }

// count notes that a connection was closed, or never opened. Links.mu is held.
func (p *Link) count(why error) {
	reason, by := reasonOf(why)
	p.closes[closeLabel{reason, by}]++
}

// clientsLabel is the label peer of clients. No node has such a name: they are without
// spaces.
const clientsLabel = "all clients"

// AppendMetrics appends the metrics of the links as Prometheus text. It may be
// called from any goroutine. The label peer is the peer's name; what belongs to no
// peer, or not yet, is counted under the empty name, and what clients do under
// clientsLabel.
func (l *Links) AppendMetrics(dst []byte) []byte {
	l.mu.Lock()
	peers := slices.SortedFunc(maps.Values(l.peers), func(a, b *Link) int { return cmp.Compare(a.name, b.name) })
	type line struct {
		peer, reason, by string
		n                uint64
	}
	var closes []line
	type one struct {
		*Link
		label string
		ups   uint64
	}
	var all []one
	for _, p := range peers {
		all = append(all, one{p, p.name, p.ups})
	}
	all = append(all, one{l.clients, clientsLabel, 0}, one{l.strangers, "", 0})
	for _, p := range all {
		for label, n := range p.closes {
			closes = append(closes, line{p.label, label.reason, label.by, n})
		}
	}
	l.mu.Unlock()
	slices.SortFunc(closes, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.peer, b.peer), cmp.Compare(a.reason, b.reason), cmp.Compare(a.by, b.by))
	})

	head := func(name, kind, help string) {
		dst = append(dst, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"...)
	}
	value := func(name, peer, more string, v float64) {
		dst = append(dst, name+"{peer=\""+escapeLabel(peer)+"\""+more+"} "...)
		dst = append(strconv.AppendFloat(dst, v, 'f', -1, 64), '\n')
	}
	each := func(name, kind, help string, get func(*Link) float64) {
		head(name, kind, help)
		for _, p := range all {
			value(name, p.label, "", get(p.Link))
		}
	}
	count := func(name, help string, get func(*stats) *atomic.Uint64) {
		each(name, "counter", help, func(p *Link) float64 { return float64(get(&p.stats).Load()) })
	}
	each("smache_peer_connected", "gauge", "1 if there is a link to the peer.", func(p *Link) float64 {
		if p.Connected() {
			return 1
		}
		return 0
	})
	each("smache_peer_in_flight", "gauge", "Requests to the peer without an answer, those past their deadline included.",
		func(p *Link) float64 { n, _, _ := p.load(); return float64(n) })
	each("smache_peer_serving", "gauge", "Requests of the peer without an answer.",
		func(p *Link) float64 { _, n, _ := p.load(); return float64(n) })
	each("smache_peer_outbox_bytes", "gauge", "Bytes that wait to be sent to the peer.",
		func(p *Link) float64 { _, _, n := p.load(); return float64(n) })
	head("smache_peer_outbox_limit_bytes", "gauge", "Bytes that may wait to be sent to a peer: --peer-outbox. Requests are taken up to half of it; beyond it the link is closed.")
	dst = append(strconv.AppendInt(append(dst, "smache_peer_outbox_limit_bytes "...), int64(l.cfg.OutboxBytes), 10), '\n')
	count("smache_peer_received_bytes_total", "Bytes received.", func(s *stats) *atomic.Uint64 { return &s.bytesIn })
	count("smache_peer_sent_bytes_total", "Bytes sent.", func(s *stats) *atomic.Uint64 { return &s.bytesOut })
	count("smache_peer_received_frames_total", "Frames received.", func(s *stats) *atomic.Uint64 { return &s.framesIn })
	count("smache_peer_sent_frames_total", "Frames sent.", func(s *stats) *atomic.Uint64 { return &s.framesOut })
	count("smache_peer_received_records_total", "Sealed records received.", func(s *stats) *atomic.Uint64 { return &s.recordsIn })
	count("smache_peer_sent_records_total", "Sealed records sent.", func(s *stats) *atomic.Uint64 { return &s.recordsOut })
	count("smache_peer_reads_total", "System calls that received bytes.", func(s *stats) *atomic.Uint64 { return &s.reads })
	count("smache_peer_writes_total", "System calls that sent bytes, those that went on with an earlier one apart.", func(s *stats) *atomic.Uint64 { return &s.writes })
	count("smache_peer_wakeups_total", "Times an event loop was woken to send.", func(s *stats) *atomic.Uint64 { return &s.wakes })
	head("smache_peer_latency_seconds", "summary", "Time from sending a request to its answer.")
	for _, p := range all {
		value("smache_peer_latency_seconds_sum", p.label, "", float64(p.stats.latency.Load())/1e9)
		value("smache_peer_latency_seconds_count", p.label, "", float64(p.stats.answers.Load()))
	}
	count("smache_peer_deadlines_total", "Requests that were not answered in time.", func(s *stats) *atomic.Uint64 { return &s.deadlines })
	count("smache_peer_late_answers_total", "Answers that came after the deadline.", func(s *stats) *atomic.Uint64 { return &s.late })
	count("smache_peer_refused_requests_total", "Requests not sent: no link, or too much in flight.", func(s *stats) *atomic.Uint64 { return &s.refused })
	count("smache_peer_dials_total", "Attempts to connect.", func(s *stats) *atomic.Uint64 { return &s.dials })
	head("smache_peer_reconnects_total", "counter", "Links to the peer after the first.")
	for _, p := range all {
		value("smache_peer_reconnects_total", p.label, "", float64(max(p.ups, 1)-1))
	}
	head("smache_peer_closes_total", "counter", "Connections closed, or not opened, by reason and by the end that had it.")
	for _, c := range closes {
		value("smache_peer_closes_total", c.peer, `,reason="`+c.reason+`",by="`+c.by+`"`, float64(c.n))
	}
	head("smache_peer_panics_total", "counter", "Panics of callbacks on event loops.")
	dst = append(strconv.AppendUint(append(dst, "smache_peer_panics_total "...), l.panics.Load(), 10), '\n')
	head("smache_peer_accept_errors_total", "counter", "Connections that could not be accepted.")
	dst = append(strconv.AppendUint(append(dst, "smache_peer_accept_errors_total "...), l.strangers.stats.acceptErrors.Load(), 10), '\n')
	return dst
}

// load gives what is in flight to the peer and from it, and what waits to be sent.
func (p *Link) load() (inFlight, serving, queued int) {
	k := p.conn.Load()
	if k == nil {
		return 0, 0, 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.flight.used, int(k.serving.Load()), k.queued()
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func escapeLabel(s string) string { return labelEscaper.Replace(s) }
