package peer

import (
	"strconv"

	"github.com/smache/smache/peer/hold"
	"github.com/smache/smache/proto"
)

// View is a cluster as one of its nodes sees it.
type View struct {
	// Epoch is equal on nodes that see the same members.
	Epoch uint64
	// Members are the nodes that take part, and those that have fallen silent, by
	// name.
	Members []ViewMember
	// Moving is how many slots this node has yet to take over, or to give away, or
	// is about to.
	Moving int
}

// ViewMember is one node of a View.
type ViewMember struct {
	Name string
	// State is joining, serving, leaving or silent.
	State string
	// Slots is how many slots it holds, as far as this node knows.
	Slots int
	// HTTP and Peer are its addresses, Version its build.
	HTTP, Peer, Version string
}

// View describes the cluster. Any goroutine; that of the machine has no part in it,
// for this is asked all the time.
func (c *Cluster) View() View {
	k := c.keeper
	v := View{Epoch: k.epochs.Load()}
	counts := k.countSlots()
	v.Moving = int(k.m.Stats().Misplaced.Load())
	for _, o := range k.seen.Load().members {
		if o.State == hold.StateGone {
			continue
		}
		v.Members = append(v.Members, ViewMember{
			Name: o.Name, State: stateName(o.State), Slots: counts[o.Name], HTTP: o.http, Peer: o.peer, Version: o.version,
		})
	}
	return v
}

// countSlots counts the slots that each node holds. Where the holder is not known,
// it ought to be the owner.
func (k *keeper) countSlots() (counts map[string]int) {
	table := k.table.Load()
	owned := make([]int, len(table.Members()))
	var held []int
	for i := range k.routes {
		word := k.routes[i].Load()
		at, term := int(word>>32), uint32(word)
		if at == 0 || term == 0 && !(*k.targets.Load())[at].self {
			if owner := table.Owner(proto.Slot(i)); owner >= 0 {
				owned[owner]++
			}
			continue
		}
		for len(held) <= at {
			held = append(held, 0)
		}
		held[at]++
	}
	counts = map[string]int{}
	for i, n := range owned {
		counts[table.Members()[i].Name] += n
	}
	for at, t := range *k.targets.Load() {
		if at < len(held) {
			counts[t.id.Name] += held[at]
		}
	}
	return counts
}

// AppendMetrics appends the metrics of the cluster, its gossip, its links and what it
// forwards, as Prometheus text. Any goroutine.
func (c *Cluster) AppendMetrics(dst []byte) []byte {
	k := c.keeper
	s := k.m.Stats()
	line := func(name, kind, help string, v uint64) {
		dst = append(dst, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"+name+" "...)
		dst = append(strconv.AppendUint(dst, v, 10), '\n')
	}
	states := map[hold.State]int{}
	for _, o := range k.seen.Load().members {
		states[o.State]++
	}
	dst = append(dst, "# HELP smache_cluster_members Nodes that this one knows of, by state.\n# TYPE smache_cluster_members gauge\n"...)
	for state := hold.StateJoining; state <= hold.StateGone; state++ {
		dst = append(dst, "smache_cluster_members{state=\""+stateName(state)+"\"} "...)
		dst = append(strconv.AppendInt(dst, int64(states[state]), 10), '\n')
	}
	line("smache_slots_held", "gauge", "Slots that this node holds.", uint64(s.Held.Load()))
	line("smache_slots_terms_left", "gauge", "Terms that are left: the cluster's slots share them, and a node that dies costs 4,096. At 0 slots change hands no longer, until all nodes are stopped at the same time.", uint64(hold.MaxTerm-s.Terms.Load()))
	line("smache_slots_misplaced", "gauge", "Slots that this node has yet to take over or to give away.", uint64(s.Misplaced.Load()))
	line("smache_slots_importing", "gauge", "Slots that this node holds and still imports.", uint64(s.Importing.Load()))
	line("smache_slots_source", "gauge", "Slots that others still import from this node.", uint64(s.Sources.Load()))
	line("smache_slots_granted_total", "counter", "Slots handed over to others.", s.Granted.Load())
	line("smache_slots_taken_total", "counter", "Slots taken over from others.", s.Taken.Load())
	line("smache_slots_claimed_total", "counter", "Slots claimed because their holder was dead, or there was none.", s.Claimed.Load())
	line("smache_move_sent_entries_total", "counter", "Entries sent to a slot's new holder in batches, once each: when acknowledged.", s.Sent.Load())
	line("smache_move_fetch_sent_entries_total", "counter", "Copies of entries sent to a slot's new holder ahead of their turn.", s.FetchSent.Load())
	line("smache_move_received_entries_total", "counter", "Entries received from a slot's former holder in batches, once each.", s.Received.Load())
	line("smache_move_fetch_received_entries_total", "counter", "Copies of entries received from a slot's former holder ahead of their turn.", s.FetchReceived.Load())
	line("smache_move_applied_entries_total", "counter", "Of all received, ahead of their turn or not, those taken in.", s.Applied.Load())
	line("smache_move_refused_older_entries_total", "counter", "Of all received, those refused because what was here was as new or newer.", s.Older.Load())
	line("smache_move_refused_age_entries_total", "counter", "Of all received, those refused because they were older than all that a full memory keeps.", s.Aged.Load())
	line("smache_move_failed_entries_total", "counter", "Of all received, those that did not fit.", s.Failed.Load())
	line("smache_move_expired_entries_total", "counter", "Of all received, those that had expired on the way.", s.Expired.Load())
	line("smache_move_dropped_entries_total", "counter", "Entries let go because others have, or may have, overtaken them.", s.Dropped.Load())
	line("smache_move_aside_entries_total", "counter", "Entries set aside because others may have overtaken them.", s.Aside.Load())
	line("smache_move_aside_restored_entries_total", "counter", "Of the entries set aside, those taken back.", s.Restored.Load())
	line("smache_move_aside_dropped_entries_total", "counter", "Of the entries set aside, those let go: overtaken, expired, flushed, or without room.", s.AsideDropped.Load())
	line("smache_move_fetches_total", "counter", "Answers about keys asked for ahead of their turn, whether or not there was an entry.", s.Fetches.Load())
	line("smache_move_fetch_crowded_total", "counter", "Operations refused because too many were waiting for their keys to be fetched.", s.Crowded.Load())
	line("smache_cluster_frames_dropped_total", "counter", "Frames of the cluster that there was no room for.", k.dropped.Load())
	line("smache_cluster_frames_bad_total", "counter", "Frames of the cluster that could not be read.", k.bad.Load())
	line("smache_cluster_messages_unsent_total", "counter", "Messages that no link took; they are repeated.", k.unsent.Load())
	if g := k.gossip.Load(); g != nil {
		dst = g.AppendMetrics(dst)
	}
	dst = c.forwarder.appendMetrics(dst, c.links)
	return c.links.AppendMetrics(dst)
}
