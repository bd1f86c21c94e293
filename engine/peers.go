package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/smache/smache/engine/httpapi"
	"github.com/smache/smache/peer"
	"github.com/smache/smache/proto"
)

// ClusterConfig says how a node finds the others and shares the keys with them.
type ClusterConfig struct {
	// Name is the name of the cluster: nodes of others are not talked to. Default
	// "smache".
	Name string
	// Secrets are what the nodes of the cluster share: one, or two during a
	// rotation, of which the first is used and both are accepted. Without any,
	// what passes between the nodes is plain text, and everyone who reaches their
	// ports may join.
	Secrets [][]byte
	// Insecure allows that on addresses that are not loopback ones.
	Insecure bool

	// PeerListen and GossipListen are the addresses, host:port, of the peer port
	// and of the gossip, which has the port for TCP and for UDP. Required.
	PeerListen, GossipListen string
	// HTTP is the address at which the others' clients reach this node's API.
	HTTP string
	// Advertise is the host at which others reach the peer port and the gossip.
	// Default: the one that they listen on, or, where that is every address, the
	// one that Advertised finds.
	Advertise string

	// Join names nodes that are in the cluster already, as --join does. None: the
	// node is the cluster's first and serves at once.
	Join []string
	// Weight is the node's share of the slots, in comparison with the weights of
	// the others. DefaultWeight is usual; a node with 0 holds nothing.
	Weight uint32
	// MoveRate bounds the bytes of entries that the node takes over from others in
	// a second. Default: the cluster's, 64 MiB.
	MoveRate int
	// Outbox bounds the bytes that wait to be sent to another node. What is above
	// DefaultOutbox the memory plan sets aside, once. Default: DefaultOutbox.
	Outbox int
	// Wait is how long a request waits for another node that does not answer. Default
	// and least: DefaultWait.
	Wait time.Duration
}

// DefaultWait is how long a request waits for another node that does not answer.
const DefaultWait = peer.DefaultWait

// DefaultOutbox is how many bytes may wait to be sent to another node, and LeastOutbox
// the fewest that can be asked for.
const (
	DefaultOutbox = peer.DefaultOutbox
	LeastOutbox   = peer.LeastOutbox
)

// DefaultCluster is the name of a cluster that was given none, and DefaultWeight
// the usual weight of a node.
const (
	DefaultCluster = "smache"
	DefaultWeight  = 100
)

// The errors of New that a wrong ClusterConfig causes.
var (
	// ErrInsecure says that others could join without a secret.
	ErrInsecure = errors.New("engine: the cluster is not protected")
	// ErrCluster says that a ClusterConfig cannot be.
	ErrCluster = errors.New("engine: bad configuration of the cluster")
)

// check refuses what cannot be, and what must not be: peer ports without a secret
// that other machines may reach. It does so before a port is open.
func (c *ClusterConfig) check() error {
	if err := proto.CheckName(cmp.Or(c.Name, DefaultCluster)); err != nil {
		return fmt.Errorf("%w: the name %q must be 1 to %d visible ASCII characters; see --cluster", ErrCluster, c.Name, proto.MaxNameLen)
	}
	if c.Insecure && len(c.Secrets) > 0 {
		return fmt.Errorf("%w: a secret and --insecure-cluster exclude each other", ErrCluster)
	}
	for _, l := range []struct{ flag, address string }{{"--peer-listen", c.PeerListen}, {"--gossip-listen", c.GossipListen}} {
		if _, _, err := net.SplitHostPort(l.address); err != nil {
			return fmt.Errorf("%w: %s %q must be an address and a port", ErrCluster, l.flag, l.address)
		}
		if len(c.Secrets) == 0 && !c.Insecure && !IsLoopback(l.address) {
			return fmt.Errorf("%w: %s %s can be reached from other machines and there is no secret: give all nodes one with --secret or --secret-file "+
				"(smache secret makes one), or listen on a loopback address, or say --insecure-cluster", ErrInsecure, l.flag, l.address)
		}
	}
	return nil
}

// IsLoopback reports whether only this machine reaches a listener at address,
// host:port.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// members is what makes a node one of several: *peer.Cluster, or a test's.
type members interface {
	httpapi.Cache
	// Start begins to look for the others, and returns at once.
	Start() error
	// Ready reports whether the node has joined and is not leaving.
	Ready() bool
	// Leave hands everything over while requests are still served, and says
	// farewell; ctx ends it early.
	Leave(ctx context.Context) error
	// Close ends all links. It is called when no request is under way.
	Close() error
	View() peer.View
	// AskStats asks the others for their samples; Load gives what this one's have of
	// the cluster.
	AskStats(last int, within time.Duration) []peer.PeerStats
	Load() (forwarded uint64, moving int)
	AppendMetrics(dst []byte) []byte
}

// joining makes the cluster of a node, over its store; tell is asked by the
// others, and told of what they ask.
type joining func(cfg *Config, s peer.Store, tell told, version string) (members, error)

// told is what the cluster calls: stats gives the node's last samples, and traced, if
// set, is told of requests that other nodes have sent here.
type told struct {
	stats  func(last int) proto.Stats
	traced func(*peer.Traced)
}

// newMembers opens the peer port and makes the cluster of a node's Config. The
// memory has been touched by then: a port that is open and silent makes the
// others wait for this node, and a closed one does not.
func newMembers(cfg *Config, s peer.Store, tell told, version string) (members, error) {
	c := cfg.Cluster
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", c.PeerListen)
	if err != nil {
		return nil, fmt.Errorf("engine: cannot listen for peers (see --peer-listen): %w", err)
	}
	gossip, err := net.ResolveTCPAddr("tcp", c.GossipListen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("engine: cannot gossip (see --gossip-listen): %w", err), listener.Close())
	}
	cluster, err := peer.NewCluster(peer.ClusterConfig{
		Name:            cfg.Name,
		Cluster:         cmp.Or(c.Name, DefaultCluster),
		Secrets:         c.Secrets,
		Insecure:        len(c.Secrets) == 0, // check has allowed it
		Peer:            listener,
		Advertise:       Advertised(listener.Addr(), c.Advertise),
		Gossip:          c.GossipListen,
		GossipAdvertise: Advertised(gossip, c.Advertise),
		HTTP:            c.HTTP,
		Version:         version,
		Join:            c.Join,
		Weight:          c.Weight,
		MoveRate:        c.MoveRate,
		Wait:            c.Wait,
		Outbox:          c.Outbox,
		Stats:           tell.stats,
		Traced:          tell.traced,
		Store:           s,
		Logger:          cfg.Logger,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("engine: building the cluster: %w", err), listener.Close())
	}
	return cluster, nil
}

// leaveReserve is what Drain keeps of the time that it has for the requests that
// are under way when everything is handed over: a fifth, and at most this.
const leaveReserve = 3 * time.Second

// tellEvery is how often a node that leaves says how far it is.
const tellEvery = time.Second

// tellOfLeaving logs what is left to hand over, until done is closed.
func (n *Node) tellOfLeaving(done <-chan struct{}) {
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		n.cfg.Logger.Info("leaving the cluster: still handing over", "entries_left", n.store.Len(), "slots_left", n.members.View().Moving)
	}
}

// leave hands over what the node holds, within a part of ctx's time.
func (n *Node) leave(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		reserve := min(time.Until(deadline)/5, leaveReserve)
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	begin := time.Now()
	n.cfg.Logger.Info("leaving the cluster: handing over; see --stop-timeout", "entries", n.store.Len())
	done := make(chan struct{})
	defer close(done)
	go n.tellOfLeaving(done)
	if err := n.members.Leave(ctx); err != nil {
		n.cfg.Logger.Error("not everything was handed over; see --stop-timeout", "entries_left", n.store.Len(), "error", err)
		return fmt.Errorf("engine: leaving the cluster, with %d entries not handed over: %w", n.store.Len(), err)
	}
	n.cfg.Logger.Info("left the cluster", "took", time.Since(begin).Round(time.Millisecond).String())
	return nil
}
