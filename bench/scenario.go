package bench

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/smache/smache/peer/secure"
)

// The defaults and limits of an WorkloadConfig.
const (
	DefaultBatch     = 100
	MaxBatch         = 1000
	DefaultReadShare = 0.9
	// DefaultThings, and so on, are NewLocation's: a city's vehicles.
	DefaultThings      = 10_000
	DefaultLocationTTL = 10 * time.Second
)

// WorkloadConfig describes what is asked of a server.
type WorkloadConfig struct {
	// Name is the scenario's name in reports, in place of the usual one.
	Name string
	// Endpoint is the server; its Protocol says in which words it is asked.
	// Required.
	Endpoint Endpoint
	// Headers are added to each request, as "Name: value". ProtocolHTTP only.
	Headers []string
	// Secret and Cluster are those of the nodes. ProtocolPeer only; without a secret
	// nothing is encrypted, which nodes that have one refuse.
	Secret  []byte
	Cluster string
	// Keys are the keys asked about.
	Keys Keys
	// ValueSize is the length of the values in bytes, MinValueSize to
	// MaxValueSize. Zero is the record of about 60 bytes that the seed's figures
	// were taken with.
	ValueSize int
	// TTL is the time to live of what is written; none if zero.
	TTL time.Duration
	// Vary makes the values differ from write to write, so that none is spared as
	// an equal write. Readers then cannot know which of the writes they find: any
	// one of the key will do, whole, see Expect.Holes.
	Vary bool
	// Batch is the number of keys of NewMget and NewMset, at most MaxBatch;
	// DefaultBatch if zero.
	Batch int

	keys *secure.Keys // of Secret and Cluster
}

// withDefaults fills in and checks. The errors wrap ErrConfig.
func (c WorkloadConfig) withDefaults() (WorkloadConfig, error) {
	if c.Batch == 0 {
		c.Batch = DefaultBatch
	}
	switch {
	case c.Endpoint.Address == "":
		return c, fmt.Errorf("%w: no endpoint", ErrConfig)
	case len(c.Headers) > 0 && c.Endpoint.Protocol != ProtocolHTTP:
		return c, fmt.Errorf("%w: --header and --token are for http:// only", ErrConfig)
	}
	if err := checkHeaders(c.Headers); err != nil {
		return c, err
	}
	if err := checkValueSize(c.ValueSize); err != nil {
		return c, err
	}
	if c.Batch < 0 || c.Batch > MaxBatch {
		return c, fmt.Errorf("%w: --batch must be 1 to %d", ErrConfig, MaxBatch)
	}
	if c.TTL < 0 || c.TTL > 0 && c.TTL < time.Millisecond {
		return c, fmt.Errorf("%w: --ttl must be at least 1ms", ErrConfig)
	}
	var err error
	if c.Endpoint.Protocol == ProtocolPeer {
		if c.keys, err = c.newKeys(); err != nil {
			return c, err
		}
	}
	c.Keys, err = c.Keys.withDefaults()
	return c, err
}

// NewControl makes the workload that asks for GET /, which does nothing and
// answers {}. The errors wrap ErrConfig.
func NewControl(cfg WorkloadConfig) (Workload, error) {
	return newScripted("control", cfg, nil, func(d dialect) []operation { return []operation{d.control()} })
}

// NewPost makes the workload that writes with POST /api. The errors wrap
// ErrConfig.
func NewPost(cfg WorkloadConfig) (Workload, error) {
	return newScripted("post", cfg, nil, func(d dialect) []operation { return []operation{d.post()} })
}

// NewGet makes the workload that reads with GET /api?key=. The keys must have
// been written, with NewPost of the same configuration. The errors wrap
// ErrConfig.
func NewGet(cfg WorkloadConfig) (Workload, error) {
	return newScripted("get", cfg, nil, func(d dialect) []operation { return []operation{d.get()} })
}

// NewMixed makes the workload that reads a share of the time, 0 to 1, and writes
// the rest. The keys must have been written. The errors wrap ErrConfig.
func NewMixed(cfg WorkloadConfig, readShare float64) (Workload, error) {
	if !(readShare >= 0 && readShare <= 1) {
		return nil, fmt.Errorf("%w: --read-share must be 0 to 1", ErrConfig)
	}
	w, err := newScripted("mixed", cfg, pickShare(readShare, cfg.Keys.Seed), func(d dialect) []operation {
		return []operation{d.get(), d.post()}
	})
	if err != nil {
		return nil, err
	}
	w.about = fmt.Sprintf("%g %% reads, %s", readShare*100, w.about)
	w.settings["read-share"] = strconv.FormatFloat(readShare, 'g', -1, 64)
	return w, nil
}

// NewMget makes the workload that reads cfg.Batch keys with POST /api/mget. The
// keys must have been written. The errors wrap ErrConfig.
func NewMget(cfg WorkloadConfig) (Workload, error) {
	return newScripted("mget", cfg, nil, func(d dialect) []operation { return []operation{d.mget()} })
}

// NewMset makes the workload that writes cfg.Batch keys with POST /api/mset. The
// errors wrap ErrConfig.
func NewMset(cfg WorkloadConfig) (Workload, error) {
	return newScripted("mset", cfg, nil, func(d dialect) []operation { return []operation{d.mset()} })
}

// NewLocation makes the workload of many moving things: each write gives one of
// cfg.Keys, in turn, a new position with a time to live, and each read asks for
// the cfg.Batch of them that are in one region, with POST /api/mget. With one in 100 of its
// updates a thing moves to a neighbouring region. Writes come to reads as updates to
// reads. The keys must have been written. The errors wrap ErrConfig.
func NewLocation(cfg WorkloadConfig, updates, reads uint64) (Workload, error) {
	if updates+reads == 0 || updates > MaxRate || reads > MaxRate {
		return nil, fmt.Errorf("%w: --updates and --reads must be at most %d, and not both 0", ErrConfig, MaxRate)
	}
	cfg.Vary, cfg.Keys.Order = true, OrderSequential
	w, err := newScripted("location", cfg, pickRatio(updates, reads), func(d dialect) []operation {
		update, region := d.post(), d.mget()
		update.name, region.name = "update", "region"
		return []operation{update, region}
	})
	if err != nil {
		return nil, err
	}
	w.regions = &regions{things: w.keys.Count, lanes: uint64(max(w.ops[1].items, 1))}
	w.about = fmt.Sprintf("%d things, %d updates to %d reads of %d, %s", w.keys.Count, updates, reads,
		max(cfg.Batch, 1), strings.TrimPrefix(w.about, w.keys.about()+", "))
	w.settings["updates"], w.settings["reads"] = strconv.FormatUint(updates, 10), strconv.FormatUint(reads, 10)
	return w, nil
}

func newScripted(name string, cfg WorkloadConfig, pick func(uint64) (int, uint64), ops func(dialect) []operation) (*scripted, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Name != "" {
		name = cfg.Name
	}
	d := cfg.dialect()
	w := &scripted{name: name, endpoint: cfg.Endpoint, keys: cfg.Keys, pick: pick, ops: ops(d), reader: d.reader}
	w.about = "no key"
	items := 0
	for _, op := range w.ops {
		if op.err != nil {
			return nil, op.err
		}
		items = max(items, op.items)
	}
	w.settings = cfg.settings(items > 0)
	if items > 0 {
		w.about = fmt.Sprintf("%s, values of %d bytes", cfg.Keys.about(), valueSize(&cfg.Keys, cfg.ValueSize))
	}
	if items > 1 {
		w.about += fmt.Sprintf(", %d a request", items)
		w.settings["batch"] = strconv.Itoa(items)
	}
	return w, nil
}

// NewFill makes the workload that writes every key of cfg once, many at a time if
// there are many and the server has words for that, and says of how many requests
// that is. All clients together have no more entries under way than half of a node's
// --queue, or there is no filling it. The errors wrap ErrConfig.
func NewFill(cfg WorkloadConfig, clients int) (w Workload, requests uint64, err error) {
	const many, underWay, most, largest = 1000, 2048, 100, 8 << 10
	if clients == 0 {
		clients = DefaultClients
	}
	atOnce := uint64(min(max(underWay/max(clients, 1), 1), most))
	cfg.Keys.Order = OrderSequential
	cfg.Batch = int(atOnce)
	keys, err := cfg.Keys.withDefaults()
	if err != nil {
		return nil, 0, err
	}
	if keys.Count >= many && atOnce > 1 && cfg.ValueSize <= largest {
		if w, err = NewMset(cfg); err == nil {
			return w, (keys.Count + atOnce - 1) / atOnce, nil
		}
	}
	w, err = NewPost(cfg)
	return w, keys.Count, err
}
