package engine

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/smache/smache/engine/httpapi"
	"github.com/smache/smache/engine/store"
)

// Config is what a node is built from. The zero value of a field means its
// default.
type Config struct {
	// Name is the node's name: what answers carry as "node". It must be unique
	// in a cluster, and 1 to 255 visible ASCII characters, so that it fits into
	// headers, logs and frames as it is. There is no default; NodeName makes one
	// of an address.
	Name string
	// Version is the release of the binary, as /cluster and smache_build_info
	// show it. Default: the module's version as the Go tool recorded it.
	Version string

	// Memory is the total in bytes that the node may use: the arena of the
	// values, the index, connections, large bodies and the Go runtime. It is
	// compared with what the machine and the cgroup have left before it is
	// touched. There is no default; smache serve has one.
	Memory int64
	// Available, if above zero, replaces the measurement of what the machine has
	// left. For tests.
	Available int64
	// OpenFiles is the number of descriptors that the process may have open; 0
	// if unknown. A derived MaxConnections is lowered to it; one that was given
	// and does not fit is an error.
	OpenFiles int

	// DefaultTTL is the time to live of entries that are written without one;
	// 0: they never expire.
	DefaultTTL time.Duration
	// MaxValue is the longest value in bytes. Default: 1 MiB, or less where that
	// is above 1/64 of the arena of one writer. One that was given and is above
	// that is an error.
	MaxValue int
	// MaxBatch is the largest number of items in a batch. Default 1,000.
	MaxBatch int
	// MaxBody is the longest body of a request in bytes. Default 8 MiB.
	MaxBody int
	// MaxAnswer is the longest answer in bytes. Default 16 MiB.
	MaxAnswer int
	// MaxHeader bounds the request line and the headers together, in bytes.
	// Default: httpapi's.
	MaxHeader int
	// LargeBudget is what all bodies and answers above 64 KiB may hold at once,
	// in bytes; at least twice MaxBody, and MaxAnswer. Default: from the memory
	// plan. Those above 8 KiB have a third of it in addition.
	LargeBudget int64

	// MaxConnections is the largest number of connections. Default: as many as
	// the memory plan has room for.
	MaxConnections int
	// MaxConnectionsPerAddress is the same per client address; 0: no such limit,
	// because behind a load balancer all clients are one address.
	MaxConnectionsPerAddress int
	// ReadTimeout bounds the arrival of one request, WriteTimeout the sending of
	// one answer, IdleTimeout the pause between two requests of a connection.
	// Defaults: httpapi's.
	ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// DrainDelay is how long Drain goes on serving after /readyz has turned
	// false, so that load balancers notice before the listener closes. Default
	// 0: not at all.
	DrainDelay time.Duration

	// CORSOrigins are the web origins whose pages may use the API; "*" is all.
	CORSOrigins []string
	// AllowedHosts are the names, beside localhost and loopback addresses, that
	// a request on a loopback listener may carry as Host.
	AllowedHosts []string

	// RateLimit and RateBurst bound the requests of each client's address, and
	// TrustedProxies say who may name it. See httpapi's Config.
	RateLimit, RateBurst int
	TrustedProxies       []netip.Prefix
	// TLS is what the API speaks; nil: plain HTTP. See httpapi's Config.
	TLS *tls.Config
	// Tokens are the bearer tokens that the API takes; Node.SetTokens replaces
	// them. None: everybody may do everything.
	Tokens httpapi.Tokens

	// Queue is the length of each writer queue. Default: the store's.
	Queue int
	// Writers is the number of writer queues, a power of two. Default: the
	// store's.
	Writers int

	// Advertise is the host, a name or an address, at which others reach the
	// node. Default: as Advertised finds it.
	Advertise string
	// Cluster makes the node one of several. Nil: it is alone.
	Cluster *ClusterConfig

	// Admin says that Node.StartAdmin will be called: /cluster, /metrics, /stats and
	// /ui are then not at the public address.
	Admin bool

	// AccessLog takes a line of JSON for AccessShare of the requests, above 0 and at
	// most 1, and for those that are part of a trace that is recorded. One goroutine
	// writes to it, and nobody waits for it. Nil: there is no such log.
	AccessLog   io.Writer
	AccessShare float64

	// Clock is where the store takes its time from. For tests; the cluster keeps to
	// the machine's. Default: store.SystemClock.
	Clock store.Clock

	// Logger takes the node's log. Event loops log, too: its handler must not wait for
	// whoever reads the log. Default: slog.Default.
	Logger *slog.Logger
	// MoreMetrics appends what the program around the node counts to its metrics, as
	// Prometheus text. Nil: there is none.
	MoreMetrics func(dst []byte) []byte
}

// The errors of New that a wrong Config causes.
var (
	// ErrName says that Config.Name is empty, too long, or has characters that a
	// name may not have.
	ErrName = errors.New("engine: a node needs a name of 1 to 255 visible ASCII characters; see --name")
	// ErrOpenFiles says that the connections asked for need more descriptors
	// than the process may open.
	ErrOpenFiles = errors.New("engine: the limit of open files is too low")
)

// spareFiles are the descriptors that the node needs beside its connections: the
// listener, standard streams, the runtime's poller, /proc, and some in reserve.
// clusterFiles come on top in a cluster: links, the gossip's listeners and
// exchanges, and connections that have not said yet who they are; adminFiles with an
// address for administration: its listener and connections, and some in reserve.
const (
	spareFiles   = 64
	clusterFiles = 192
	adminFiles   = 72
)

// spare is how many descriptors the node needs beside its connections.
func (c *Config) spare() int {
	files := spareFiles
	if c.Cluster != nil {
		files += clusterFiles
	}
	if c.Admin {
		files += adminFiles
	}
	return files
}

// plan divides the memory; see memory.go. A derived budget for large bodies is
// raised to what the API needs for one of them.
func (c *Config) plan(available int64) (plan MemoryPlan, large, medium int64, err error) {
	perConnection := int64(connectionBytes)
	if c.TLS != nil {
		perConnection += tlsBytes
	}
	divide := func(large int64) (MemoryPlan, error) {
		return planMemory(c.Memory, c.Cluster != nil, c.extraOutbox(), c.Writers, perConnection, c.MaxConnections, large, available)
	}
	if c.LargeBudget > 0 {
		large, medium = c.LargeBudget, mediumShare(c.LargeBudget)
		plan, err = divide(large + medium)
		return plan, large, medium, err
	}
	plan, err = divide(0)
	medium = plan.Large / 4
	large = plan.Large - medium
	if least := c.leastLarge(); err == nil && large < least {
		large, medium = least, mediumShare(least)
		plan, err = divide(large + medium)
	}
	return plan, large, medium, err
}

// extraOutbox is what a peer's outbox may take above the default, which the plan has in
// the cluster's part.
func (c *Config) extraOutbox() int64 {
	if c.Cluster == nil {
		return 0
	}
	return max(int64(c.Cluster.Outbox)-DefaultOutbox, 0)
}

// mediumShare is what bodies and answers above 8 and up to 64 KiB have besides
// the budget of the large ones; the API wants room for four of them.
func mediumShare(large int64) int64 { return max(large/3, 4*(64<<10)) }

// leastLarge is the least budget that the API accepts: one body while it is read
// and stored, and one answer.
func (c *Config) leastLarge() int64 {
	return max(2*int64(cmp.Or(c.MaxBody, 8<<20)), int64(cmp.Or(c.MaxAnswer, 16<<20)))
}

// connections gives the number of connections to accept.
func (c *Config) connections(plan MemoryPlan) (int, error) {
	if c.OpenFiles <= 0 || plan.MaxConnections <= c.OpenFiles-c.spare() {
		return plan.MaxConnections, nil
	}
	if c.MaxConnections > 0 {
		return 0, fmt.Errorf("%w: --max-connections %d needs %d, the limit is %d; raise it (ulimit -n, LimitNOFILE=) or lower --max-connections",
			ErrOpenFiles, c.MaxConnections, c.MaxConnections+c.spare(), c.OpenFiles)
	}
	if c.OpenFiles < spareFiles+c.spare() {
		return 0, fmt.Errorf("%w: it is %d and should be 1024 or more; raise it (ulimit -n, LimitNOFILE=)", ErrOpenFiles, c.OpenFiles)
	}
	return c.OpenFiles - c.spare(), nil
}
