package gossip

import "strconv"

// AppendMetrics appends the metrics of gossip as Prometheus text. It may be called
// from any goroutine.
func (g *Gossip) AppendMetrics(dst []byte) []byte {
	head := func(name, kind, help string) {
		dst = append(dst, "# HELP smache_gossip_"+name+" "+help+"\n# TYPE smache_gossip_"+name+" "+kind+"\n"...)
	}
	value := func(name, labels string, v uint64) {
		dst = append(dst, "smache_gossip_"+name+labels+" "...)
		dst = append(strconv.AppendUint(dst, v, 10), '\n')
	}
	one := func(name, kind, help string, v uint64) {
		head(name, kind, help)
		value(name, "", v)
	}

	r, t, s := g.roster, g.transport, g.seeker
	members := len(r.nodes())
	r.mu.Lock()
	found, gone, doubly := r.found, r.gone, r.doubly
	r.mu.Unlock()
	one("members", "gauge", "Other nodes that gossip counts as there.", uint64(members))
	one("found_total", "counter", "Nodes found, or found again.", found)
	one("lost_total", "counter", "Nodes lost.", gone)
	one("name_conflicts_total", "counter", "Times that several live nodes had one name.", doubly)

	head("joins_total", "counter", "Attempts to join an address, by what became of them.")
	for i := outcomeJoined; int(i) < len(outcomeNames); i++ {
		value("joins_total", `{result="`+outcomeNames[i]+`"}`, s.joins[i].Load())
	}
	head("resolves_total", "counter", "Entries of the join list looked up.")
	value("resolves_total", `{result="ok"}`, s.resolved.Load())
	value("resolves_total", `{result="failed"}`, s.unresolved.Load())

	one("sent_packets_total", "counter", "Packets sent.", t.sentPackets.Load())
	one("received_packets_total", "counter", "Packets received, those of strangers included.", t.receivedPackets.Load())
	one("sent_packet_bytes_total", "counter", "Bytes of packets sent.", t.sentBytes.Load())
	one("received_packet_bytes_total", "counter", "Bytes of packets received.", t.receivedBytes.Load())
	head("rejected_total", "counter", "Packets and connections dropped unopened, by what was wrong with them.")
	for i, reason := range rejections {
		value("rejected_total", `{reason="`+reason+`"}`, t.rejected[i].Load())
	}
	one("suppressed_log_lines_total", "counter", "Log lines left out because there were too many.", g.logs.dropped.Load())
	return dst
}
