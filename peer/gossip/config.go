package gossip

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/smache/smache/proto"
)

// The errors of this package.
var (
	// ErrConfig says that a Config cannot be.
	ErrConfig = errors.New("gossip: bad configuration")
	// ErrJoin says that an entry of the join list cannot be.
	ErrJoin = errors.New("gossip: bad --join")
	// ErrListen says that the gossip port cannot be bound.
	ErrListen = errors.New("gossip: cannot listen")
	// ErrMeta says that what a node tells of itself cannot be read, or is too long.
	ErrMeta = errors.New("gossip: bad node data")
	// ErrNameTaken says that another live node has this node's name.
	ErrNameTaken = errors.New("gossip: the name is taken")
	// ErrClosed says that the node has left the gossip, or closed it.
	ErrClosed = errors.New("gossip: closed")
)

// Info is what a node tells others of itself. The texts are visible ASCII, or
// empty; together they have at most maxTexts bytes.
type Info struct {
	Peer    string // host:port of the peer port, as others dial it
	HTTP    string // host:port of the API, as others reach it
	Version string // of the build
}

// Node is another node, as it was found.
type Node struct {
	Name        string
	Incarnation uint64
	Info
	Gossip netip.AddrPort
}

// Resolver finds addresses. A *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Config says how a node finds others. The zero value of a field is its default,
// unless it is required.
type Config struct {
	// Name is this node's name. Required.
	Name string
	// Incarnation tells this run from earlier ones of the same name; it should be
	// greater than theirs. Required.
	Incarnation uint64
	// Cluster is the cluster's name; nodes of others are never found.
	Cluster string
	// Keys are what secure.Keys.Gossip gives: 32 bytes each, the first to send with, all to
	// receive with. None: without a secret; see the package comment.
	Keys [][]byte
	// Self is what others are told of this node.
	Self Info

	// Bind is the host:port to listen at, TCP and UDP. Port 0 takes a free one.
	// Required.
	Bind string
	// Advertise is the host:port at which others reach it. Default: Bind, if it
	// names an address. Port 0 is the port that is bound. A DNS name is resolved
	// once.
	Advertise string
	// Join are the entries of the join list; see the package comment. One element
	// may hold several, separated by commas or blanks. None: the node waits to be
	// found.
	Join []string
	// GossipPort gives the gossip port of a node from its HTTP port, false if it
	// cannot be. Default: DefaultGossipPort.
	GossipPort func(http uint16) (uint16, bool)
	// Resolver resolves what Join and Advertise name. Default: the system's.
	Resolver Resolver

	// Found is called for each node that is found, comes back, or has changed.
	// Required.
	Found func(Node)
	// Lost is called when a node seems to be gone, or has said that it leaves.
	Lost func(Node)
	// OnlySelf is called, at most once, when there is nobody to wait for: the join
	// list is empty, or all of it was resolved and names this node alone.
	OnlySelf func()
	// Refused is called, at most once, when another node has this node's name and
	// keeps it. The error is ErrNameTaken. This node has then left the gossip;
	// nothing else is called.
	Refused func(error)
	// Logger gets a line for what is found, lost or wrong. Default: none.
	Logger *slog.Logger

	pace pace
	tune func(*memberlist.Config) // tests: makes memberlist faster
	cut  func(netip.AddrPort) bool
}

// pace says when the join list is tried, and how patiently. Tests go faster.
type pace struct {
	first   time.Duration // pause after the first attempt
	alone   time.Duration // longest pause while there is nobody else
	joined  time.Duration // the same while there is
	patient time.Duration // an attempt is waited for so long before the next pause
	settle  time.Duration // a node that finds nobody for so long has its name
	recheck time.Duration // between two checks which of two runs is alive
	linger  time.Duration // the address of a lost node is tried for so long
	greet   time.Duration // a node joins members, too, for so long after its start
}

const (
	// HTTPPort is the HTTP port of a join entry that has none.
	HTTPPort = 4000
	// GossipOffset is the usual distance of the gossip port from the HTTP port.
	GossipOffset = 20000

	keyLen         = 32 // AES-256
	resolveTimeout = 3 * time.Second
	streamTimeout  = 5 * time.Second // of an exchange over TCP
	dialTimeout    = 2 * time.Second // long enough for one lost SYN
)

// DefaultGossipPort is HTTP port + 20000.
func DefaultGossipPort(http uint16) (uint16, bool) {
	port := uint32(http) + GossipOffset
	return uint16(port), http != 0 && port <= 65535
}

func (c Config) withDefaults() (Config, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.GossipPort == nil {
		c.GossipPort = DefaultGossipPort
	}
	if c.Lost == nil {
		c.Lost = func(Node) {}
	}
	if c.OnlySelf == nil {
		c.OnlySelf = func() {}
	}
	if c.Refused == nil {
		c.Refused = func(error) {}
	}
	for _, d := range []struct {
		value *time.Duration
		by    time.Duration
	}{
		{&c.pace.first, 200 * time.Millisecond}, {&c.pace.alone, 3 * time.Second},
		{&c.pace.joined, 10 * time.Second}, {&c.pace.patient, 500 * time.Millisecond},
		{&c.pace.settle, 5 * time.Second}, {&c.pace.recheck, 5 * time.Second},
		{&c.pace.linger, 10 * time.Minute}, {&c.pace.greet, 10 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.by
		}
	}
	switch {
	case proto.CheckName(c.Name) != nil:
		return c, fmt.Errorf("%w: the name %q must be 1 to %d visible ASCII characters; see --name", ErrConfig, c.Name, proto.MaxNameLen)
	case c.Incarnation == 0 || c.Bind == "" || c.Found == nil:
		return c, fmt.Errorf("%w: Incarnation, Bind and Found are required", ErrConfig)
	}
	for _, key := range c.Keys {
		if len(key) != keyLen {
			return c, fmt.Errorf("%w: a key of %d bytes, not %d", ErrConfig, len(key), keyLen)
		}
	}
	return c, nil
}

// label is what packets and streams of the cluster begin with. It is no secret.
func (c *Config) label() string {
	sum := sha256.Sum256([]byte("smache cluster\x00" + c.Cluster))
	return "smache 1 " + hex.EncodeToString(sum[:8])
}

// keyring holds the keys, or the one that anybody can derive.
func (c *Config) keyring() (*memberlist.Keyring, error) {
	keys := c.Keys
	if len(keys) == 0 {
		sum := sha256.Sum256([]byte("smache gossip without a secret\x00" + c.Cluster))
		keys = [][]byte{sum[:]}
	}
	ring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return ring, nil
}

// library is the configuration of memberlist.
func (g *Gossip) library(local bool) (*memberlist.Config, error) {
	ring, err := g.cfg.keyring()
	if err != nil {
		return nil, err
	}
	c := memberlist.DefaultLANConfig()
	if local {
		c = memberlist.DefaultLocalConfig()
	}
	c.GossipInterval = 400 * time.Millisecond // fewer wake-ups: news are rare
	c.Name = g.key
	c.Transport = g.transport
	c.Label = g.cfg.label()
	c.Keyring = ring
	c.GossipVerifyIncoming, c.GossipVerifyOutgoing = true, true
	c.EnableCompression = false // there is little to gain, and a bomb to lose
	// Who is alive is the links' business. What gossip finds out of it may take longer.
	c.ProbeInterval = 2 * time.Second
	// News are sent to few nodes at random, and in a small cluster a node is easily
	// missed. It would find out by the next exchange of states. Both cost little.
	c.RetransmitMult, c.PushPullInterval = 8, 10*time.Second
	c.TCPTimeout = streamTimeout
	c.AdvertiseAddr, c.AdvertisePort = g.transport.advertise.Addr().String(), int(g.transport.advertise.Port())
	c.BindPort = int(g.transport.bound.Port()) // assumed of messages that name no port
	c.Delegate, c.Events, c.Alive = delegate{g}, g.roster, g.roster
	c.Logger = g.logs.logger()
	if g.cfg.tune != nil {
		g.cfg.tune(c)
	}
	return c, nil
}
