// Package gossip is how nodes find each other. It wraps hashicorp/memberlist, and
// is the only package that imports it.
//
// It finds nodes, and no more. Who is alive is decided elsewhere, by the links:
// memberlist's suspicion takes longer than a cluster may wait. So what it says of
// nodes that are gone, Config.Lost, is only a hint.
//
// # Finding
//
// Every entry of the join list is resolved and tried for the node's whole life: at
// once at the start, then with growing pauses, every few seconds while the node is
// alone and about every ten seconds when it is not. Only addresses that are not
// members already are joined. So nodes that start at the same moment find each
// other, and so do the sides of a partition when it heals, or nodes that were
// started on different sides of it. Addresses of nodes that were lost are tried
// for ten more minutes, for the list may name none of the other side. A new node
// joins each member once, be it in the list or not, so that nobody has to wait for
// gossip to come by.
//
// An entry is one of
//
//	host                 a DNS name (all its A and AAAA records) or an address
//	host:port, [::1]:port
//	_service._proto.name an SRV name, which is told by its underscore
//	name@host            a node's name, of which what is before the @ is dropped
//
// The port is the other node's HTTP port, 4000 unless given or, for SRV, in the
// record. The gossip port follows from it: Config.GossipPort.
//
// # Names
//
// A node's name may come back, with another process behind it, at the same address
// or elsewhere, while memberlist still counts the old one as alive; memberlist
// would refuse it as a conflict for as long as that. So memberlist is told names
// that differ for each run: the node's name, "#", the incarnation that the run began
// with, and 32 random bits. Two runs of one name are told apart here:
//
//   - at the same address, the one that was started later is the node;
//   - otherwise both are pinged, by their run. If one does not answer, the other is
//     the node;
//   - if both answer, two nodes have been given one name. Everybody keeps the one
//     that they had found first. The other one, told by the same means, refuses
//     itself (Config.Refused): of two runs the one that has not been accepted yet
//     goes, and if both have, on either side of a partition, the one that was
//     started earlier, for the other has replaced it in the meantime.
//
// # What strangers can do
//
// All messages are sealed with AES-GCM under the keys that are derived from the
// cluster's secret, with the cluster's label. Without a secret a key that follows
// from the cluster's name takes its place: that keeps strays out, and nobody who
// means it. What does not carry the label, or does not have the form and a sane
// length, is dropped before memberlist sees it. Connections, and the bytes that
// they may make a node hold, are bounded. Whoever has a key is trusted.
//
// # Concurrency
//
// All methods may be called from any goroutine. The callbacks of Config run on one
// goroutine of this package, one at a time; while one blocks, nothing is found.
// They must not call Leave or Close.
//
// Lock order: memberlist's, then roster.mu. Nothing is called in memberlist while
// roster.mu is held.
//
// # Cost
//
// Idle, a node of a cluster of four takes 0.1 % of a core for all of this, most of it
// in waking up: five times a second to see whether there are news to pass on, once to
// ping somebody.
package gossip
