package bench

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The defaults and limits of an HTTPConfig.
const (
	DefaultBatch     = 100
	MaxBatch         = 1000
	DefaultReadShare = 0.9
	// DefaultThings, and so on, are NewLocation's: a city's vehicles.
	DefaultThings      = 10_000
	DefaultLocationTTL = 10 * time.Second
)

// HTTPConfig describes requests of Smache's public API.
type HTTPConfig struct {
	// Endpoint is the server. Required.
	Endpoint Endpoint
	// Headers are added to each request, as "Name: value".
	Headers []string
	// Keys are the keys asked about.
	Keys Keys
	// ValueSize is the length of the values in bytes, MinValueSize to
	// MaxValueSize. Zero is the record of about 60 bytes that the seed's figures
	// were taken with.
	ValueSize int
	// TTL is the time to live of what is written; none if zero.
	TTL time.Duration
	// Vary makes the values differ from write to write, so that none is spared as
	// an equal write. Readers then cannot know which of the writes they find: they
	// compare all but the digits that vary.
	Vary bool
	// Batch is the number of keys of NewMget and NewMset, at most MaxBatch;
	// DefaultBatch if zero.
	Batch int
}

// withDefaults fills in and checks. The errors wrap ErrConfig.
func (c HTTPConfig) withDefaults() (HTTPConfig, error) {
	if c.Batch == 0 {
		c.Batch = DefaultBatch
	}
	if err := checkWorkload(c.Endpoint, c.Headers, c.ValueSize); err != nil {
		return c, err
	}
	if c.Batch < 0 || c.Batch > MaxBatch {
		return c, fmt.Errorf("%w: --batch must be 1 to %d", ErrConfig, MaxBatch)
	}
	if c.TTL < 0 || c.TTL > 0 && c.TTL < time.Millisecond {
		return c, fmt.Errorf("%w: --ttl must be at least 1ms", ErrConfig)
	}
	var err error
	c.Keys, err = c.Keys.withDefaults()
	return c, err
}

// NewControl makes the workload that asks for GET /, which does nothing and
// answers {}. The errors wrap ErrConfig.
func NewControl(cfg HTTPConfig) (Workload, error) {
	return newScripted("control", cfg, nil, func(c *HTTPConfig) []operation {
		return []operation{{name: "control", status: http.StatusOK, fill: func(request, answer *template) {
			c.addHead(request, "GET", "/")
			request.add("\r\n")
			answer.add("{}")
		}}}
	})
}

// NewPost makes the workload that writes with POST /api. The errors wrap
// ErrConfig.
func NewPost(cfg HTTPConfig) (Workload, error) {
	return newScripted("post", cfg, nil, func(c *HTTPConfig) []operation { return []operation{c.post()} })
}

// NewGet makes the workload that reads with GET /api?key=. The keys must have
// been written, with NewPost of the same configuration. The errors wrap
// ErrConfig.
func NewGet(cfg HTTPConfig) (Workload, error) {
	return newScripted("get", cfg, nil, func(c *HTTPConfig) []operation { return []operation{c.get()} })
}

// NewMixed makes the workload that reads a share of the time, 0 to 1, and writes
// the rest. The keys must have been written. The errors wrap ErrConfig.
func NewMixed(cfg HTTPConfig, readShare float64) (Workload, error) {
	if !(readShare >= 0 && readShare <= 1) {
		return nil, fmt.Errorf("%w: --read-share must be 0 to 1", ErrConfig)
	}
	w, err := newScripted("mixed", cfg, pickShare(readShare, cfg.Keys.Seed), func(c *HTTPConfig) []operation {
		return []operation{c.get(), c.post()}
	})
	if err != nil {
		return nil, err
	}
	w.about = fmt.Sprintf("%g %% reads, %s", readShare*100, w.about)
	return w, nil
}

// NewMget makes the workload that reads cfg.Batch keys with POST /api/mget. The
// keys must have been written. The errors wrap ErrConfig.
func NewMget(cfg HTTPConfig) (Workload, error) {
	return newScripted("mget", cfg, nil, func(c *HTTPConfig) []operation { return []operation{c.mget()} })
}

// NewMset makes the workload that writes cfg.Batch keys with POST /api/mset. The
// errors wrap ErrConfig.
func NewMset(cfg HTTPConfig) (Workload, error) {
	return newScripted("mset", cfg, nil, func(c *HTTPConfig) []operation { return []operation{c.mset()} })
}

// NewLocation makes the workload of many moving things: each write gives one of
// cfg.Keys, in turn, a new position with a time to live, and each read asks for
// cfg.Batch of them that are near each other, with POST /api/mget. Writes come to
// reads as updates to reads. The keys must have been written. The errors wrap
// ErrConfig.
func NewLocation(cfg HTTPConfig, updates, reads uint64) (Workload, error) {
	if updates+reads == 0 || updates > MaxRate || reads > MaxRate {
		return nil, fmt.Errorf("%w: --updates and --reads must be at most %d, and not both 0", ErrConfig, MaxRate)
	}
	cfg.Vary, cfg.Keys.Order = true, OrderSequential
	w, err := newScripted("location", cfg, pickRatio(updates, reads), func(c *HTTPConfig) []operation {
		update, region := c.post(), c.mget()
		update.name, region.name = "update", "region"
		return []operation{update, region}
	})
	if err != nil {
		return nil, err
	}
	w.about = fmt.Sprintf("%d things, %d updates to %d reads of %d, %s", w.keys.Count, updates, reads,
		max(cfg.Batch, 1), strings.TrimPrefix(w.about, w.keys.about()+", "))
	return w, nil
}

func newScripted(name string, cfg HTTPConfig, pick func(uint64) (int, uint64), ops func(*HTTPConfig) []operation) (*scripted, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &scripted{
		name: name, endpoint: cfg.Endpoint, keys: cfg.Keys, pick: pick, ops: ops(&cfg),
		reader: func() Reader { return new(Parser) },
	}
	w.about = "no key"
	items := 0
	for _, op := range w.ops {
		items = max(items, op.items)
	}
	if items > 0 {
		w.about = fmt.Sprintf("%s, values of %d bytes", cfg.Keys.about(), valueSize(&cfg.Keys, cfg.ValueSize))
	}
	if items > 1 {
		w.about += fmt.Sprintf(", %d a request", items)
	}
	return w, nil
}

// addHead adds a request's first lines.
func (c *HTTPConfig) addHead(t *template, method, path string) {
	t.add(method + " " + c.Endpoint.Base + path)
	c.addHeaders(t)
}

// addHeaders ends the request line and adds the headers of every request.
func (c *HTTPConfig) addHeaders(t *template) {
	t.add(" HTTP/1.1\r\nHost: " + c.Endpoint.Host + "\r\n")
	for _, h := range c.Headers {
		t.add(strings.TrimSpace(h) + "\r\n")
	}
}

// addJSON adds a request whole, with a body that fill adds.
func (c *HTTPConfig) addJSON(t *template, path string, fill func(t *template)) {
	var body template
	fill(&body) // its length does not depend on the key
	c.addHead(t, "POST", path)
	t.add("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body.text)) + "\r\n\r\n")
	fill(t)
}

func (c *HTTPConfig) ttl() string {
	if c.TTL == 0 {
		return ""
	}
	return `,"ttl":` + strconv.FormatFloat(c.TTL.Seconds(), 'f', -1, 64)
}

func (c *HTTPConfig) post() operation {
	kind := valueKind{varying: c.Vary}
	return operation{name: "post", items: 1, vary: c.Vary, status: http.StatusOK, fill: func(request, answer *template) {
		c.addJSON(request, "/api", func(t *template) {
			t.add(`{"key":"`)
			t.addKey(&c.Keys)
			t.add(`","data":`)
			t.addValue(&c.Keys, c.ValueSize, kind)
			t.add(c.ttl() + "}")
		})
		answer.add(`{"data":`)
		answer.addValue(&c.Keys, c.ValueSize, kind)
		answer.add("}")
	}}
}

func (c *HTTPConfig) get() operation {
	return operation{name: "get", items: 1, status: http.StatusOK, fill: func(request, answer *template) {
		request.add("GET " + c.Endpoint.Base + "/api?key=")
		request.addKey(&c.Keys)
		c.addHeaders(request)
		request.add("\r\n")
		answer.add(`{"key":"`)
		answer.addKey(&c.Keys)
		answer.add(`","data":`)
		answer.addValue(&c.Keys, c.ValueSize, valueKind{varying: c.Vary, unknown: true})
		answer.add(`,"node":"`)
		answer.addHole()
		answer.add(`"}`)
	}}
}

func (c *HTTPConfig) mget() operation {
	return operation{name: "mget", items: c.Batch, status: http.StatusOK, fill: func(request, answer *template) {
		c.addJSON(request, "/api/mget", func(t *template) {
			t.add(`{"keys":["`)
			for i := range c.Batch {
				if i > 0 {
					t.add(`","`)
				}
				t.addItem(&c.Keys, i)
			}
			t.add(`"]}`)
		})
		answer.add(`{"results":[`)
		for i := range c.Batch {
			if i > 0 {
				answer.add(",")
			}
			answer.add(`{"key":"`)
			answer.addItem(&c.Keys, i)
			answer.add(`","data":`)
			answer.addValue(&c.Keys, c.ValueSize, valueKind{item: i, varying: c.Vary, unknown: true})
			answer.add(`,"node":"`)
			answer.addHole()
			answer.add(`"}`)
		}
		answer.add("]}")
	}}
}

func (c *HTTPConfig) mset() operation {
	return operation{name: "mset", items: c.Batch, vary: c.Vary, status: http.StatusOK, fill: func(request, answer *template) {
		c.addJSON(request, "/api/mset", func(t *template) {
			t.add(`{"entries":[`)
			for i := range c.Batch {
				if i > 0 {
					t.add(",")
				}
				t.add(`{"key":"`)
				t.addItem(&c.Keys, i)
				t.add(`","data":`)
				t.addValue(&c.Keys, c.ValueSize, valueKind{item: i, varying: c.Vary})
				t.add(c.ttl() + "}")
			}
			t.add("]}")
		})
		answer.add(`{"results":[`)
		for i := range c.Batch {
			if i > 0 {
				answer.add(",")
			}
			answer.add(`{"key":"`)
			answer.addItem(&c.Keys, i)
			answer.add(`","node":"`)
			answer.addHole()
			answer.add(`","etag":"`)
			answer.addHole()
			answer.add(`"}`)
		}
		answer.add("]}")
	}}
}
