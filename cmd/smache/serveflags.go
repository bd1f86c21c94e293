package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/smache/smache/engine"
)

// serveConfig holds what smache serve was told.
type serveConfig struct {
	cluster                            clusterFlags
	access                             accessFlags
	tls                                tlsFlags
	listen, adminListen, name          stringValue
	memory                             sizeValue
	defaultTTL                         durationValue
	maxValue, maxBody, maxAnswer       sizeValue
	maxHeader, largeBudget             sizeValue
	maxBatch                           intValue
	maxConnections, maxPerAddress      intValue
	readTimeout, writeTimeout          durationValue
	idleTimeout, drainDelay, stopAfter durationValue
	queue, writers                     intValue
	corsOrigins, allowedHosts          listValue
	logFormat, logLevel, scheduling    choiceValue
	accessLog                          shareValue
	pprof                              stringValue

	// These were told, if only to be what they are by default.
	listenGiven, maxValueGiven bool

	// listenUnused says that an address was given, and that the service manager has
	// passed a socket, which is used instead.
	listenUnused bool
}

// newServeConfig gives the defaults.
func newServeConfig() *serveConfig {
	return &serveConfig{
		cluster:      newClusterFlags(),
		tls:          newTLSFlags(),
		listen:       "127.0.0.1:4000",
		memory:       256 << 20,
		maxValue:     1 << 20,
		maxBatch:     1000,
		maxBody:      8 << 20,
		maxAnswer:    16 << 20,
		maxHeader:    8 << 10,
		readTimeout:  durationValue(10 * time.Second),
		writeTimeout: durationValue(30 * time.Second),
		idleTimeout:  durationValue(2 * time.Minute),
		stopAfter:    durationValue(25 * time.Second),
		queue:        4096,
		logFormat:    choiceValue{"auto", []string{"auto", "text", "json"}},
		scheduling:   choiceValue{"batch", []string{"batch", "inherit"}},
		logLevel:     choiceValue{"info", []string{"debug", "info", "warn", "error"}},
	}
}

// settings is the table of what smache serve can be told: the one place that
// names a flag of it.
func (c *serveConfig) settings() []setting {
	first := []setting{
		{name: "listen", unit: "ADDRESS", value: &c.listen, given: &c.listenGiven, about: "Address and port of the HTTP API; port 0 takes a free one, which the log names. The variable PORT changes the port alone"},
		{name: "admin-listen", unit: "ADDRESS", value: &c.adminListen, about: "Address and port for administration: `/cluster`, `/metrics`, `/stats` and `/ui` are then answered there and no longer at the public one, and Go's profiles under `/debug/pprof/` are, too. It has the rest of the API as well, and takes the same tokens and certificates; empty: none"},
		{name: "name", unit: "NAME", value: &c.name, about: "The node's name, which answers carry as `node`; it must be unique. Default: `smache@` and the address that others reach the node at"},
	}
	rest := []setting{
		{name: "memory", unit: "SIZE", value: &c.memory, about: "All memory that the node may use: values, index, connections, buffers and the Go runtime. It is checked against what the machine and the cgroup have left, and touched at start"},
		{name: "default-ttl", unit: "DURATION", value: &c.defaultTTL, about: "Time to live of entries that are written without `ttl`; 0: they never expire"},
		{name: "max-value", unit: "SIZE", value: &c.maxValue, given: &c.maxValueGiven, about: "Longest value. The default is less where it would be above 1/64 of the arena of one writer; a value that is given and above that is an error"},
		{name: "max-batch", unit: "COUNT", value: &c.maxBatch, about: "Most items in a batch"},
		{name: "max-body", unit: "SIZE", value: &c.maxBody, about: "Longest body of a request; never above half of `--large-budget`"},
		{name: "max-answer", unit: "SIZE", value: &c.maxAnswer, about: "Longest answer to a batch; items beyond it carry `answer_too_large`. Never above three quarters of `--large-budget`"},
		{name: "max-header", unit: "SIZE", value: &c.maxHeader, about: "Longest request line and headers together"},
		{name: "large-budget", unit: "SIZE", value: &c.largeBudget, about: "What all bodies and answers above 64KiB may hold at once; 0: derived from the memory"},
		{name: "max-connections", unit: "COUNT", value: &c.maxConnections, about: "Most connections at once; 0: derived from the memory and the limit of open files"},
		{name: "max-connections-per-address", unit: "COUNT", value: &c.maxPerAddress, about: "The same for each client address; 0: no such limit, as behind a load balancer all clients have one address"},
		{name: "read-timeout", unit: "DURATION", value: &c.readTimeout, about: "Longest that a request may take to arrive"},
		{name: "write-timeout", unit: "DURATION", value: &c.writeTimeout, about: "Longest that an answer may take to be sent"},
		{name: "idle-timeout", unit: "DURATION", value: &c.idleTimeout, about: "Longest that a connection may wait for its next request"},
		{name: "drain-delay", unit: "DURATION", value: &c.drainDelay, about: "How long the node goes on serving after SIGTERM with `/readyz` false, so that load balancers notice"},
		{name: "stop-timeout", unit: "DURATION", value: &c.stopAfter, about: "Longest that stopping may take after SIGTERM, the drain delay and handing over to other nodes included; then the node ends at once, with exit code 3, and what is left is lost"},
		{name: "queue", unit: "COUNT", value: &c.queue, about: "Length of each writer queue; a write that finds it full is answered 503, one of a batch after 200 ms of trying"},
		{name: "writers", unit: "COUNT", value: &c.writers, about: "Writer queues, a power of two; 0: derived from the number of cores"},
		{name: "scheduling", unit: "POLICY", value: &c.scheduling, about: "`batch`: threads that wake do not interrupt others that run (Linux's SCHED_BATCH), so that requests are served many at a time; `inherit`: as the process was started, for a machine whose processors others keep busy"},
		{name: "cors-origin", unit: "ORIGINS", value: &c.corsOrigins, about: "Web origins whose pages may use the API, separated by commas, or `*` for all; none: pages of other origins are refused"},
		{name: "allowed-host", unit: "NAMES", value: &c.allowedHosts, about: "Names, separated by commas, that requests to a loopback listener may carry as Host, beside localhost and loopback addresses"},
		{name: "log-format", unit: "FORMAT", value: &c.logFormat, about: "`text`, `json`, or `auto`: text on a terminal, JSON otherwise. The log goes to standard error"},
		{name: "log-level", unit: "LEVEL", value: &c.logLevel, about: "Least level to log: `debug`, `info`, `warn` or `error`"},
		{name: "access-log", unit: "SHARE", value: &c.accessLog, about: "Share of the requests, 0.01 for one in a hundred, 1 for all, that are written to standard output, one JSON object in a line: route, status, time, client, and trace, no key, value or token. Those whose `traceparent` says that they are recorded are written in any case, unless the share is 0: none"},
		{name: "pprof", unit: "ADDRESS", value: &c.pprof, about: "Loopback address for Go's profiles under `/debug/pprof/`, without tokens; empty: none. See `--admin-listen`, too"},
	}
	return slices.Concat(first, c.cluster.settings(), c.tls.settings(), c.access.settings(), rest)
}

// complete fills in what follows from the environment and the service manager, and
// refuses what no node could work with. The errors name the flag or the variable.
func (c *serveConfig) complete(env environment, service *service) error {
	if service.passed != nil {
		c.listenUnused = c.listenGiven || env["PORT"] != ""
		c.listen = stringValue(service.passed.Addr().String())
	} else if err := c.applyPort(env); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	return c.cluster.resolve(env, string(c.listen))
}

// applyPort sets the port of the listener from PORT, as the system before this
// one did, unless the address was given.
func (c *serveConfig) applyPort(env environment) error {
	port := env["PORT"]
	if port == "" || c.listenGiven {
		return nil
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the environment variable PORT=%q: must be a port, 0 to 65535", port)
	}
	host, _, err := net.SplitHostPort(string(c.listen))
	if err != nil {
		return fmt.Errorf("BUG: the default of --listen: %w", err)
	}
	c.listen = stringValue(net.JoinHostPort(host, port))
	return nil
}

// check refuses what no node could work with. The errors name the flag.
func (c *serveConfig) check() error {
	if _, _, err := net.SplitHostPort(string(c.listen)); err != nil {
		return fmt.Errorf("--listen %q: must be an address and a port: 127.0.0.1:4000, :4000", string(c.listen))
	}
	if c.adminListen != "" {
		if _, _, err := net.SplitHostPort(string(c.adminListen)); err != nil {
			return fmt.Errorf("--admin-listen %q: must be an address and a port: 127.0.0.1:4001, :4001", string(c.adminListen))
		}
	}
	if c.memory == 0 {
		return errors.New("--memory must be above 0")
	}
	for _, s := range []struct {
		name  string
		value sizeValue
	}{{"max-value", c.maxValue}, {"max-body", c.maxBody}, {"max-answer", c.maxAnswer}, {"max-header", c.maxHeader}} {
		if s.value == 0 || s.value > 1<<30 {
			return fmt.Errorf("--%s %s: must be above 0 and at most 1GiB", s.name, s.value.String())
		}
	}
	for _, s := range []struct {
		name  string
		value durationValue
	}{{"read-timeout", c.readTimeout}, {"write-timeout", c.writeTimeout}, {"idle-timeout", c.idleTimeout}, {"stop-timeout", c.stopAfter}} {
		if s.value == 0 {
			return fmt.Errorf("--%s must be above 0", s.name)
		}
	}
	switch {
	case c.maxBatch == 0:
		return errors.New("--max-batch must be above 0")
	case c.queue == 0:
		return errors.New("--queue must be above 0")
	case c.writers&(c.writers-1) != 0:
		return fmt.Errorf("--writers %d: must be a power of two, or 0", int(c.writers))
	case c.drainDelay >= c.stopAfter:
		return fmt.Errorf("--drain-delay %s: must be below --stop-timeout, which is %s", c.drainDelay.String(), c.stopAfter.String())
	case c.pprof != "" && !engine.IsLoopback(string(c.pprof)):
		return fmt.Errorf("--pprof %q: must be a loopback address and a port: profiles show what is in memory", string(c.pprof))
	}
	return nil
}

// reloads are what a running node reads again.
func (c *serveConfig) reloads() (all []*reload) {
	if c.access.tokenFile != "" || c.access.readTokenFile != "" {
		all = append(all, newReload("tokens", c.access.reload, string(c.access.tokenFile), string(c.access.readTokenFile)))
	}
	if c.tls.on() {
		all = append(all, newReload("certificates", c.tls.reload, string(c.tls.cert), string(c.tls.key), string(c.tls.clientCA)))
	}
	return all
}

// engineConfig gives the node's configuration; the name and what the process
// brings with it are still to be set.
func (c *serveConfig) engineConfig() engine.Config {
	maxValue := int(c.maxValue)
	if !c.maxValueGiven {
		maxValue = 0 // as the arena allows
	}
	return engine.Config{
		Name:                     string(c.name),
		Version:                  version,
		Memory:                   int64(c.memory),
		DefaultTTL:               time.Duration(c.defaultTTL),
		MaxValue:                 maxValue,
		MaxBatch:                 int(c.maxBatch),
		MaxBody:                  int(c.maxBody),
		MaxAnswer:                int(c.maxAnswer),
		MaxHeader:                int(c.maxHeader),
		LargeBudget:              int64(c.largeBudget),
		MaxConnections:           int(c.maxConnections),
		MaxConnectionsPerAddress: int(c.maxPerAddress),
		ReadTimeout:              time.Duration(c.readTimeout),
		WriteTimeout:             time.Duration(c.writeTimeout),
		IdleTimeout:              time.Duration(c.idleTimeout),
		DrainDelay:               time.Duration(c.drainDelay),
		Advertise:                string(c.cluster.advertise),
		RateLimit:                int(c.access.rateLimit),
		RateBurst:                int(c.access.rateBurst),
		CORSOrigins:              c.corsOrigins.items,
		AllowedHosts:             c.allowedHosts.items,
		Admin:                    c.adminListen != "",
		Queue:                    int(c.queue),
		Writers:                  int(c.writers),
	}
}
