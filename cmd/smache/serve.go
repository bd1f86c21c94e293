package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/smache/smache/engine"
)

// runServe runs a node until a signal or a failure ends it.
func runServe(inv invocation) int {
	cfg := newServeConfig()
	settings := cfg.settings()
	if _, code, ok := parseCommand(inv, "serve", settings, 0, 0); !ok {
		return code
	}
	service, err := newService(inv.env)
	if err == nil {
		err = cfg.complete(inv.env, service)
	}
	changes := cfg.reloads() // before the files are read
	var closed protection
	if err == nil {
		closed, err = cfg.protection()
	}
	if err != nil {
		return usageError(inv, "serve", err)
	}
	log, queue := newLogger(inv.stderr, cfg.logFormat.word, cfg.logLevel.word)
	defer queue.close()
	service.log = log

	// Whoever reads the logs may go away: that is an error of a write, not the end.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)

	// The handler stands before anything that takes time: a signal that arrives
	// while the memory is touched must end the node too.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)

	log.LogAttrs(inv.ctx, slog.LevelInfo, "configuration", logAttributes(settings)...)
	for _, name := range unknownVariables(inv.env) {
		log.Warn("an environment variable looks like a setting and is none; see smache serve --help", "variable", name)
	}
	if cfg.listenUnused {
		log.Warn("--listen and PORT are not used: the service manager has passed a socket; see ListenStream= in smache.socket", "address", string(cfg.listen))
	}
	if cfg.scheduling.word == "batch" {
		if err := scheduleInBatches(); err != nil {
			log.Info("threads are scheduled as the process was started; see --scheduling", "error", err)
		}
	}
	cfg.cluster.warn(log)
	cfg.access.warn(log)
	cfg.tls.warn(log)
	warnOfCopies(changes, inv.env["CREDENTIALS_DIRECTORY"], log)
	node, closeAll, err := startNode(inv, cfg, service, closed, log, queue.appendMetrics)
	if err != nil {
		log.Error("the node did not start", "error", err)
		return exitNo
	}
	defer closeAll()
	defer keepReading(cfg, node, service, changes, hangups, log)()

	select {
	case err := <-node.Failed():
		log.Error("serving failed", "error", err)
		return exitNo
	case <-inv.ctx.Done():
		log.Info("stopping", "reason", "the context ended")
	case s := <-signals:
		log.Info("stopping", "reason", s.String(), "drain_delay", cfg.drainDelay.String(), "stop_timeout", cfg.stopAfter.String())
	}
	service.end(time.Duration(cfg.stopAfter))
	return stopNode(node, time.Duration(cfg.stopAfter), signals, log)
}

// keepReading reads files again when they change, and on SIGHUP, until the function
// that it gives is called.
func keepReading(cfg *serveConfig, node *engine.Node, service *service, changes []*reload, hangups <-chan os.Signal, log *slog.Logger) (end func()) {
	cfg.access.set, cfg.tls.set = node.SetTokens, node.SetTLS
	r := &reloader{reloads: changes, log: log, count: node.CountReload, asked: service.reloading, done: service.reloaded}
	stop, ended := make(chan struct{}), make(chan struct{})
	ticker := time.NewTicker(reloadEvery)
	go func() {
		defer close(ended)
		r.run(stop, ticker.C, hangups)
	}()
	return func() {
		ticker.Stop()
		close(stop)
		<-ended
	}
}

// startNode listens, builds the node and lets it serve.
func startNode(inv invocation, cfg *serveConfig, service *service, closed protection, log *slog.Logger, more func([]byte) []byte) (*engine.Node, func(), error) {
	listener, err := service.listen(inv.ctx, string(cfg.listen))
	if err != nil {
		return nil, nil, err
	}
	closeProfiles, err := serveProfiles(inv.ctx, string(cfg.pprof), log)
	if err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	admin, err := listenAdmin(inv.ctx, string(cfg.adminListen))
	if err != nil {
		closeProfiles()
		return nil, nil, errors.Join(err, listener.Close())
	}
	engineCfg := cfg.engineConfig()
	engineCfg.Logger, engineCfg.MoreMetrics = log, more
	if cfg.accessLog > 0 {
		engineCfg.AccessLog, engineCfg.AccessShare = inv.stdout, float64(cfg.accessLog)
	}
	engineCfg.Tokens, engineCfg.TLS, engineCfg.TrustedProxies = closed.tokens, closed.tls, closed.proxies
	engineCfg.OpenFiles = openFiles()
	engineCfg.Cluster = cfg.cluster.engineConfig(listener.Addr())
	if engineCfg.Name == "" {
		engineCfg.Name, err = cfg.cluster.nodeName(listener.Addr())
	}
	var node *engine.Node
	if err == nil {
		node, err = engine.New(engineCfg)
	}
	if err != nil {
		closeProfiles()
		if admin != nil {
			err = errors.Join(err, admin.Close())
		}
		return nil, nil, errors.Join(err, listener.Close())
	}
	if engineCfg.Cluster != nil {
		addProcessors(inv.env)
	}
	plan := node.Plan()
	limit := plan.GoLimit
	if inv.env["GOMEMLIMIT"] != "" {
		limit = debug.SetMemoryLimit(-1)
		log.Warn("GOMEMLIMIT is set and used instead of the limit derived from --memory", "limit", formatSize(limit), "derived", formatSize(plan.GoLimit))
	} else {
		debug.SetMemoryLimit(limit)
	}
	if inv.env["GOGC"] == "" {
		go paceCollector(inv.ctx)
	}
	maxBody, maxAnswer := node.Limits()
	log.Info("memory", "total", engine.FormatBytes(plan.Total), "arena", engine.FormatBytes(plan.Arena),
		"index", engine.FormatBytes(plan.Index), "connections", engine.FormatBytes(plan.Connections),
		"large", engine.FormatBytes(plan.Large), "cluster", engine.FormatBytes(plan.Cluster), "runtime", engine.FormatBytes(plan.Runtime),
		"go_limit", engine.FormatBytes(limit), "max_entries", plan.MaxEntries,
		"max_connections", plan.MaxConnections, "max_value", formatSize(int64(node.MaxValue())),
		"max_body", formatSize(int64(maxBody)), "max_answer", formatSize(int64(maxAnswer)))
	cfg.warnOfAddress("--listen", listener.Addr().String(), closed, log)
	if admin != nil {
		cfg.warnOfAddress("--admin-listen", admin.Addr().String(), closed, log)
		node.StartAdmin(admin)
		log.Info("serving administration", "address", admin.Addr().String())
	}
	if err := node.Start(listener); err != nil {
		closeProfiles()
		return nil, nil, errors.Join(err, node.Drain(inv.ctx))
	}
	build := engine.ReadBuild(version)
	log.Info("serving", "address", listener.Addr().String(), "name", engineCfg.Name,
		"version", build.Version, "revision", build.Revision, "go", build.Go, "pid", os.Getpid())
	service.begin(node, listener.Addr().String(), cfg.tls.on())
	return node, closeProfiles, nil
}

// stopNode drains the node; a second signal or the time-out ends the wait.
func stopNode(node *engine.Node, timeout time.Duration, signals <-chan os.Signal, log *slog.Logger) int {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- node.Drain(ctx) }()
	select {
	case err := <-done:
		if err == nil {
			log.Info("stopped", "took", time.Since(begin).Round(time.Millisecond).String())
			return exitOK
		}
		if errors.Is(err, context.DeadlineExceeded) {
			log.Error("stopped before everything was finished; see --stop-timeout", "after", timeout.String(), "error", err)
		} else {
			log.Error("stopping failed", "error", err)
		}
	case s := <-signals:
		log.Error("stopped before everything was finished: a second signal", "signal", s.String())
	}
	return exitServer
}

// listenAdmin opens the address for administration, unless it is empty.
func listenAdmin(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil // there is none
	}
	config := net.ListenConfig{}
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for administration (see --admin-listen): %w", err)
	}
	return listener, nil
}

// serveProfiles serves Go's profiles at address, unless that is empty.
func serveProfiles(ctx context.Context, address string, log *slog.Logger) (closeAll func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	config := net.ListenConfig{}
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot serve profiles (see --pprof): %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: loopbackHostOnly(mux), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serving profiles failed", "error", err)
		}
	}()
	log.Info("serving profiles", "address", listener.Addr().String())
	return func() { _ = server.Close() }, nil
}

// loopbackHostOnly keeps web pages that resolve their own name to this machine
// away from the profiles.
func loopbackHostOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if _, _, err := net.SplitHostPort(host); err != nil {
			host += ":0"
		}
		if !engine.IsLoopback(host) {
			http.Error(w, "this host name is not served here", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
