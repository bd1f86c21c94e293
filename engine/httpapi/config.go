package httpapi

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/smache/smache/engine/internal/accesslog"
	"github.com/smache/smache/proto"
)

// Cache carries operations to the holders of their slots. *store.Store is one
// on a single node; the cluster layer is another.
type Cache interface {
	// Submit carries op out. True: it is complete on return. False: op.Done(op)
	// is called once it is, on any goroutine. Until then op and all bytes that
	// it points to belong to the Cache. It must not wait for anything: it is called
	// on an event loop that has other connections to serve.
	Submit(op *proto.Op) bool
	// Flush drops every entry in the cluster and says how many of how many
	// members applied it. Any goroutine may call it.
	Flush() (applied, members int, err error)
}

// Batcher is a Cache that carries out many operations at less cost together than
// one by one: a cluster, which asks each node once. A Cache that is one is used as
// one, for batches of some length.
type Batcher interface {
	Cache
	// SubmitAll carries out all of ops. Done of each is called once it is complete,
	// perhaps before SubmitAll returns, and on any goroutine. Until then an operation
	// and all bytes that it points to belong to the Cache; ops itself is the
	// caller's again when SubmitAll returns.
	SubmitAll(ops []*proto.Op)
	// Holds says that this node holds a slot, as it seems: that Submit would have no
	// need of another node. It is asked for each read of a batch.
	Holds(slot proto.Slot) bool
}

// Warmer is a Cache that reads many keys at less cost when it is told of them ahead.
type Warmer interface {
	Cache
	// Warm says that reads of keys of these slots will follow, at once. It changes
	// nothing, and does not wait. Any goroutine may call it.
	Warm(slots []proto.Slot, keys [][]byte)
}

// Gatherer is a Cache that sends operations to other nodes together: it may keep one that
// has Gather set until it is told that no more are coming.
type Gatherer interface {
	Cache
	// Gathered sends what has waited. It costs next to nothing if there is nothing, and
	// does not wait. Any goroutine may call it, for the operations of all.
	Gathered()
	// OnTogether has f called whenever operations have been completed with Together, on
	// the goroutine that has completed them. f must not block. It is called once, before
	// the first Submit.
	OnTogether(f func())
}

// Member is one node of the cluster, as GET /cluster shows it.
type Member struct {
	// Name is smache@host, unique in the cluster.
	Name string
	// State is joining, serving or leaving.
	State string
	// Slots is the number of slots that it holds.
	Slots int
	// HTTP and Peer are its addresses, host:port; Version is its build.
	HTTP, Peer, Version string
}

// Cluster is the answer of GET /cluster.
type Cluster struct {
	// Node is the name of the node that answers.
	Node string
	// Epoch is opaque: two nodes with the same epoch see the same members.
	Epoch string
	// Members are all nodes, the one that answers included.
	Members []Member
	// Moving is the number of slots still moving.
	Moving int
}

// Config is what a Server needs. The comment of each field is its manual; zero
// is the default that it names.
type Config struct {
	// Cache takes the operations. Required.
	Cache Cache
	// Node is this node's name, smache@host: the "node" of an answer whose
	// operation names no other. Required.
	Node string
	// Version is this build, for GET /cluster when Cluster is nil.
	Version string
	// Cluster gives the answer of GET /cluster. Nil: a cluster of this node
	// alone. Called on any goroutine.
	Cluster func() Cluster
	// Stats gives the answer of GET /stats, with the last samples of each member;
	// false if too many ask at once. Nil: a cluster of this node alone, which has no
	// samples. Called on any goroutine; it may take as long as other nodes need.
	Stats func(last int) (Stats, bool)
	// Metrics appends the answer of GET /metrics, Prometheus text. Nil: this
	// package's own. Called on any goroutine.
	Metrics func(dst []byte) []byte
	// Ready is the answer of GET /readyz. Nil: ready until Shutdown. Called on
	// any goroutine.
	Ready func() bool
	// Logger takes what the operator has to know; never keys or values. Nil:
	// slog's default.
	Logger *slog.Logger

	// DefaultTTL is the time to live of a write that gives none. 0: forever.
	DefaultTTL time.Duration
	// MaxValue is the longest value in bytes, white space removed: --max-value.
	// 0: 1 MiB.
	MaxValue int
	// MaxBatch is the most items in one batch: --max-batch. 0: 1,000.
	MaxBatch int
	// MaxBody is the longest request body in bytes: --max-body. 0: 8 MiB.
	MaxBody int
	// MaxAnswer is the longest answer of mget in bytes; items beyond it carry
	// answer_too_large: --max-answer. 0: 16 MiB.
	MaxAnswer int
	// MaxHeader bounds the request line and headers in bytes, and is the size
	// of each connection's read buffer: --max-header. 0: 8 KiB, which holds a
	// key of 1,024 bytes with every byte percent-encoded. At least 4 KiB.
	MaxHeader int
	// LargeBudget bounds the bodies and answers above 64 KiB that are in memory
	// at once, in bytes: --large-budget. Beyond it the answer is 503
	// overloaded. No body is taken that is above half of it, and no answer is made
	// that is above three quarters, for a buffer that grows is up to a quarter
	// longer than its content: whatever MaxBody and MaxAnswer say, see
	// Server.Limits. At least four times MaxValue. 0: 32 MiB.
	LargeBudget int64
	// MediumBudget bounds those above 8 and up to 64 KiB in the same way, so
	// that small requests need no budget and large ones cannot crowd out the
	// common. 0: 64 MiB.
	MediumBudget int64
	// MaxConnections bounds the connections open at once; beyond it one is
	// answered 503 and closed: --max-connections. 0: 10,000.
	MaxConnections int
	// MaxConnectionsPerAddress does so for each remote address, with 429. Leave
	// it off behind a load balancer: --max-connections-per-address. 0: off.
	MaxConnectionsPerAddress int
	// ReadTimeout bounds the time from a request's first byte to its last, and
	// from a connection's opening to the first: --read-timeout. Like the other
	// time-outs it is kept to a quarter, or to half a second. 0: 10 s.
	ReadTimeout time.Duration
	// WriteTimeout bounds the time that an answer takes to be written:
	// --write-timeout. 0: 30 s.
	WriteTimeout time.Duration
	// IdleTimeout bounds the wait for a connection's next request:
	// --idle-timeout. 0: 2 minutes.
	IdleTimeout time.Duration

	// CORSOrigins are the web origins whose pages may use this API, such as
	// https://map.example.org, or "*" for all: --cors-origin. Empty: pages of
	// other origins are answered 403.
	CORSOrigins []string
	// RateLimit bounds the requests a second of each client's address, of IPv6 of
	// each network of 64 bits; beyond it they are answered 429: --rate-limit. 0: off.
	RateLimit int
	// RateBurst is how many may come at once after a pause: --rate-burst. 0: as
	// many as in a second.
	RateBurst int
	// TrustedProxies are the networks whose X-Forwarded-For says who the client
	// is: --trusted-proxy.
	TrustedProxies []netip.Prefix
	// TLS is spoken on the listener's connections: --tls-cert. Server.SetTLS
	// replaces it. Where it says tls.VerifyClientCertIfGiven a client's
	// certificate counts as a token for all. nil: plain HTTP.
	TLS *tls.Config
	// Tokens are the bearer tokens that let a request in: --token, --read-token.
	// Server.SetTokens replaces them. None: everybody may do everything.
	Tokens Tokens
	// Admin says that there is an address for administration, see Server.ServeAdmin:
	// the one of Serve then answers 404 to /cluster, /metrics, /stats and /ui:
	// --admin-listen.
	Admin bool
	// AccessLog takes a line for some requests: --access-log. Nil: there is none. It is
	// not closed.
	AccessLog *accesslog.Log
	// AllowedHosts are names, host or host:port, under which a loopback
	// listener may be addressed beside localhost and loopback addresses:
	// --allowed-host.
	AllowedHosts []string
}

// The defaults of Config.
const (
	defaultMaxValue       = 1 << 20
	defaultMaxBatch       = 1000
	defaultMaxBody        = 8 << 20
	defaultMaxAnswer      = 16 << 20
	defaultMaxHeader      = 8 << 10
	defaultLargeBudget    = 32 << 20
	defaultMediumBudget   = 64 << 20
	defaultMaxConnections = 10_000
	defaultReadTimeout    = 10 * time.Second
	defaultWriteTimeout   = 30 * time.Second
	defaultIdleTimeout    = 2 * time.Minute

	minMaxHeader = 4 << 10
	itemRoom     = 8 << 10 // of a body or an item, beside its value
)

// ErrConfig says that a Config cannot be served; the text names the flag.
var ErrConfig = errors.New("httpapi: bad configuration")

// fill puts the defaults into c and checks it. The error is ErrConfig.
func (c *Config) fill() error {
	if c.Cache == nil || c.Node == "" {
		return fmt.Errorf("%w: Cache and Node are required", ErrConfig)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	orInt(&c.MaxValue, defaultMaxValue)
	orInt(&c.MaxBatch, defaultMaxBatch)
	orInt(&c.MaxBody, defaultMaxBody)
	orInt(&c.MaxAnswer, defaultMaxAnswer)
	orInt(&c.MaxHeader, defaultMaxHeader)
	orInt(&c.MaxConnections, defaultMaxConnections)
	orInt(&c.RateBurst, c.RateLimit)
	orInt64(&c.LargeBudget, defaultLargeBudget)
	orInt64(&c.MediumBudget, defaultMediumBudget)
	orDuration(&c.ReadTimeout, defaultReadTimeout)
	orDuration(&c.WriteTimeout, defaultWriteTimeout)
	orDuration(&c.IdleTimeout, defaultIdleTimeout)

	for _, limit := range []struct {
		flag      string
		is, least int64
	}{
		{"--max-value", int64(c.MaxValue), 2},
		{"--max-batch", int64(c.MaxBatch), 1},
		{"--max-body", int64(c.MaxBody), int64(c.MaxValue) + itemRoom},
		{"--max-answer", int64(c.MaxAnswer), int64(c.MaxValue) + itemRoom},
		{"--max-header", int64(c.MaxHeader), minMaxHeader},
		{"--large-budget", c.LargeBudget, 4 * (int64(c.MaxValue) + itemRoom)},
		{"the budget for medium bodies", c.MediumBudget, 4 * largeFrom},
		{"--max-connections", int64(c.MaxConnections), 1},
		{"--max-connections-per-address", int64(c.MaxConnectionsPerAddress), 0},
		{"--rate-limit", int64(c.RateLimit), 0},
		{"--rate-burst", int64(c.RateBurst), 0},
		{"--read-timeout", int64(c.ReadTimeout), int64(time.Millisecond)},
		{"--write-timeout", int64(c.WriteTimeout), int64(time.Millisecond)},
		{"--idle-timeout", int64(c.IdleTimeout), int64(time.Millisecond)},
		{"--default-ttl", int64(c.DefaultTTL), 0},
	} {
		if limit.is < limit.least {
			return fmt.Errorf("%w: %s is %d, must be at least %d", ErrConfig, limit.flag, limit.is, limit.least)
		}
	}
	c.MaxBody = int(min(int64(c.MaxBody), c.LargeBudget/2))
	c.MaxAnswer = int(min(int64(c.MaxAnswer), c.LargeBudget/4*3))
	if c.DefaultTTL > proto.MaxTTL {
		return fmt.Errorf("%w: --default-ttl is above ten years", ErrConfig)
	}
	for _, origin := range c.CORSOrigins {
		if origin != "*" && !isOrigin(origin) {
			return fmt.Errorf("%w: --cors-origin %q is neither * nor an origin such as https://map.example.org", ErrConfig, origin)
		}
	}
	return nil
}

// isOrigin reports whether text is an origin as browsers send it, but for a slash
// at its end: scheme, host and perhaps port. With a path, or with a star in the
// host, it would never be equal to one.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && u.Host != "" && u.User == nil && (u.Path == "" || u.Path == "/") &&
		!strings.ContainsAny(text, "*?#")
}

// defaultTTL gives the time to live of a write that names none.
func (c *Config) defaultTTL() time.Duration {
	if c.DefaultTTL == 0 {
		return proto.Forever
	}
	return c.DefaultTTL
}

func orInt(v *int, otherwise int) {
	if *v == 0 {
		*v = otherwise
	}
}

func orInt64(v *int64, otherwise int64) {
	if *v == 0 {
		*v = otherwise
	}
}

func orDuration(v *time.Duration, otherwise time.Duration) {
	if *v == 0 {
		*v = otherwise
	}
}

// loopbackAddress reports whether text is an address of the loopback, without
// port or brackets.
func loopbackAddress(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Unmap().IsLoopback()
}
