package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/smache/smache/engine"
	"github.com/smache/smache/peer/secure"
)

// clusterFlags holds what smache serve was told of the cluster.
type clusterFlags struct {
	join                     listValue
	secret                   listValue
	secretFile               stringValue
	name                     stringValue
	peerListen, gossipListen stringValue
	advertise                stringValue
	weight                   intValue
	moveRate                 sizeValue
	wait                     durationValue
	outbox                   sizeValue
	insecure                 boolValue

	// These were told, if only to be what they are by default.
	nameGiven, weightGiven, moveRateGiven, waitGiven, outboxGiven bool

	// secrets are what the flag, the file or the variable says, and secretsFrom
	// is which of them. fileOpen says that other users of the machine may read it.
	secrets     [][]byte
	secretsFrom string
	fileOpen    bool
}

func newClusterFlags() clusterFlags {
	return clusterFlags{name: engine.DefaultCluster, weight: engine.DefaultWeight, moveRate: 64 << 20, wait: durationValue(engine.DefaultWait), outbox: engine.DefaultOutbox}
}

// settings are the rows of the cluster in the table of smache serve.
func (c *clusterFlags) settings() []setting {
	return []setting{
		{name: "join", unit: "NODES", value: &c.join, about: "Nodes of the cluster to join, separated by commas: `host`, `host:port` with the port of its HTTP API (4000), or the name of SRV records; DNS names are resolved again and again for as long as the node runs. A node may name itself. Default: the variable UPLINK_NODE"},
		{name: "secret", unit: "SECRET", value: &c.secret, secret: true, about: "What the nodes of a cluster share, 16 bytes or more: `smache secret` makes one. Two, separated by a comma, during a rotation: the first is used, both are accepted. Other users of the machine see flags: prefer the variable, or `--secret-file`. Default: the variable COOKIE"},
		{name: "secret-file", unit: "FILE", value: &c.secretFile, about: "A file with the secret instead, or with two, one in each line"},
		{name: "cluster", unit: "NAME", value: &c.name, given: &c.nameGiven, about: "The cluster's name: nodes of clusters with other names are not spoken to"},
		{name: "peer-listen", unit: "ADDRESS", value: &c.peerListen, about: "Address and port that the nodes' links come to (TCP). Default: the address of `--listen` and its port + 10000"},
		{name: "gossip-listen", unit: "ADDRESS", value: &c.gossipListen, about: "Address and port by which nodes find each other (TCP and UDP). Default: the address of `--peer-listen` and the port of `--listen` + 20000, where `--join` of the others looks for it"},
		{name: "advertise", unit: "HOST", value: &c.advertise, about: "The address or DNS name at which others reach this node. Default: the one that it listens on, or the machine's first that is not a loopback one"},
		{name: "weight", unit: "NUMBER", value: &c.weight, given: &c.weightGiven, about: "This node's share of the keys, in comparison with the weights of the others; 0: none, it only answers for them"},
		{name: "move-rate", unit: "SIZE", value: &c.moveRate, given: &c.moveRateGiven, about: "Most bytes of entries that the node takes over from others in a second, when it joins or they leave"},
		{name: "peer-wait", unit: "DURATION", value: &c.wait, given: &c.waitGiven, about: "How long a request waits for another node that does not answer, before it is answered 503; 250ms to 30s, the same on all nodes. More where the machines have more to do than processors for it: a node that gets none for that long looks like one that is frozen"},
		{name: "peer-outbox", unit: "SIZE", value: &c.outbox, given: &c.outboxGiven, about: "Most bytes that wait to be sent to another node; 5MiB to 256MiB. From half of it on requests wait for that node, `--peer-wait` at most, and are then answered 503; beyond it the link is closed. More where a node has bursts of large values for others; what is above the default is taken from `--memory`"},
		{name: "insecure-cluster", value: &c.insecure, about: "Allow other machines to join without a secret, in plain text: whoever reaches the ports then reads and writes everything"},
	}
}

// wanted reports whether the node is to be part of a cluster. A node that was told
// none of this is alone, and opens no port but its API's.
func (c *clusterFlags) wanted() bool {
	return len(c.join.items) > 0 || len(c.secrets) > 0 || c.peerListen != "" || c.gossipListen != "" || bool(c.insecure)
}

// resolve completes what was told: the seed's variables, the secrets, and the
// addresses that follow from the API's. The errors name the flag or the variable.
func (c *clusterFlags) resolve(env environment, listen string) error {
	if len(c.join.items) == 0 {
		if err := c.join.Set(env["UPLINK_NODE"]); err != nil {
			return fmt.Errorf("the environment variable UPLINK_NODE: %w", err)
		}
	}
	if err := c.readSecrets(env); err != nil {
		return err
	}
	if c.weight > maxWeight {
		return fmt.Errorf("--weight %d: must be at most %d", int(c.weight), maxWeight)
	}
	if c.moveRate < 1<<20 || c.moveRate > 4<<30 {
		return fmt.Errorf("--move-rate %s: must be 1MiB to 4GiB", c.moveRate.String())
	}
	if wait := time.Duration(c.wait); wait < engine.DefaultWait || wait > maxWait {
		return fmt.Errorf("--peer-wait %s: must be 250ms to 30s", c.wait.String())
	}
	if c.outbox < leastOutbox || c.outbox > maxOutbox {
		return fmt.Errorf("--peer-outbox %s: must be 5MiB to 256MiB", c.outbox.String())
	}
	if host := string(c.advertise); host != "" {
		ip := net.ParseIP(host)
		if ip == nil && strings.ContainsAny(host, ":/[] ") || ip != nil && ip.IsUnspecified() {
			return fmt.Errorf("--advertise %q: must be an address or a DNS name, without a port", host)
		}
	}
	if !c.wanted() {
		for flag, given := range map[string]bool{"cluster": c.nameGiven, "weight": c.weightGiven, "move-rate": c.moveRateGiven, "peer-wait": c.waitGiven, "peer-outbox": c.outboxGiven} {
			if given {
				return fmt.Errorf("--%s has no meaning for a node that is alone: give --join, or a secret", flag)
			}
		}
		return nil
	}
	return c.resolveAddresses(listen)
}

// maxWait is about as long as clients wait.
const maxWait = 30 * time.Second

// The bounds of --peer-outbox: engine.LeastOutbox, rounded up, and what is far above what
// a link carries in the time for which requests wait.
const (
	leastOutbox = 5 << 20
	maxOutbox   = 256 << 20
)

// maxWeight is far above what is of use, and far below what overflows.
const maxWeight = 1_000_000

// The distances of the ports from the API's, and the last port that has both.
const (
	peerOffset   = 10_000
	gossipOffset = 20_000
	lastPort     = 65535 - gossipOffset
)

// resolveAddresses fills in the addresses that were not given.
func (c *clusterFlags) resolveAddresses(listen string) error {
	host, service, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen %q: %w", listen, err)
	}
	if c.peerListen != "" && c.gossipListen != "" {
		return nil
	}
	port, err := net.LookupPort("tcp", service)
	switch {
	case err != nil:
		return fmt.Errorf("--listen %q: %w", listen, err)
	case port == 0:
		return fmt.Errorf("--listen %s takes a free port, from which those of the cluster cannot be told beforehand: give --peer-listen and --gossip-listen", listen)
	case port > lastPort:
		return fmt.Errorf("--listen %s: the ports of the cluster are that port + %d and + %d, which is possible up to %d: give --peer-listen and --gossip-listen",
			listen, peerOffset, gossipOffset, lastPort)
	}
	if c.peerListen == "" {
		c.peerListen = stringValue(net.JoinHostPort(host, strconv.Itoa(port+peerOffset)))
	}
	if c.gossipListen == "" {
		if peerHost, _, err := net.SplitHostPort(string(c.peerListen)); err == nil {
			host = peerHost
		}
		c.gossipListen = stringValue(net.JoinHostPort(host, strconv.Itoa(port+gossipOffset)))
	}
	return nil
}

// readSecrets finds the secrets, and judges them as far as one node can.
func (c *clusterFlags) readSecrets(env environment) error {
	switch {
	case len(c.secret.items) > 0 && c.secretFile != "":
		return errors.New("--secret and --secret-file exclude each other")
	case c.secretFile != "":
		c.secretsFrom = "--secret-file " + string(c.secretFile)
		text, open, err := readSecretFile(string(c.secretFile))
		if err != nil {
			return fmt.Errorf("--secret-file: %w", err)
		}
		c.fileOpen = open
		c.secrets = bytes.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
		if len(c.secrets) == 0 {
			return fmt.Errorf("%s: the file is empty", c.secretsFrom)
		}
	case len(c.secret.items) > 0:
		c.secretsFrom = "--secret"
		for _, s := range c.secret.items {
			c.secrets = append(c.secrets, []byte(s))
		}
	case env["COOKIE"] != "":
		c.secretsFrom = "the environment variable COOKIE"
		c.secrets = [][]byte{[]byte(env["COOKIE"])}
	default:
		return nil
	}
	if _, err := secure.NewKeys(string(c.name), c.secrets...); err != nil {
		return fmt.Errorf("%s: %w", c.secretsFrom, err)
	}
	return nil
}

// engineConfig gives the cluster's part of the node's configuration, nil for a node
// that is alone. http is where the API listens.
func (c *clusterFlags) engineConfig(http net.Addr) *engine.ClusterConfig {
	if !c.wanted() {
		return nil
	}
	return &engine.ClusterConfig{
		Name:         string(c.name),
		Secrets:      c.secrets,
		Insecure:     bool(c.insecure),
		PeerListen:   string(c.peerListen),
		GossipListen: string(c.gossipListen),
		HTTP:         engine.Advertised(http, string(c.advertise)),
		Join:         c.join.items,
		Weight:       uint32(c.weight),
		MoveRate:     int(c.moveRate),
		Wait:         time.Duration(c.wait),
		Outbox:       int(c.outbox),
	}
}

// nodeName makes the name of a node that was given none: of the address that the
// other nodes reach it at, with the port of its API.
func (c *clusterFlags) nodeName(http net.Addr) (string, error) {
	host := string(c.advertise)
	if host == "" && c.wanted() {
		peers, err := net.ResolveTCPAddr("tcp", string(c.peerListen))
		if err != nil {
			return "", fmt.Errorf("cannot listen for peers (see --peer-listen): %w", err)
		}
		if host, _, err = net.SplitHostPort(engine.Advertised(peers, "")); err != nil {
			return "", fmt.Errorf("--peer-listen %q: %w", string(c.peerListen), err)
		}
	}
	return engine.NodeName(http, host), nil
}

// warn says what an operator should know of how the cluster is protected.
func (c *clusterFlags) warn(log *slog.Logger) {
	switch {
	case c.fileOpen:
		log.Warn("all users of this machine may read the secret: chmod 600, or 640", "file", string(c.secretFile))
	case !c.wanted() || len(c.secrets) > 0:
	case bool(c.insecure):
		log.Warn("the cluster has no secret: whoever reaches its ports can join it, and read and write everything; see --secret-file",
			"peer", string(c.peerListen), "gossip", string(c.gossipListen))
	default:
		log.Warn("the cluster has no secret: all users of this machine can join it, and read and write everything; see --secret-file",
			"peer", string(c.peerListen), "gossip", string(c.gossipListen))
	}
}
