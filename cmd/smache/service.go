package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/smache/smache/cmd/smache/internal/systemd"
	"github.com/smache/smache/engine"
)

// A service is the node as the service manager sees it. Where none has started the
// node, all of it does nothing.
//
// The API's port outlives the process in one of two ways. The manager opens it, and
// passes it on (a socket unit); or the node opens it and gives the manager a copy to
// keep. Either way connections wait while one process ends and the next one starts.
// The second way is that of smache.service, for it makes a stop what one expects: a
// socket unit would start the node again with the next connection.
type service struct {
	notifier *systemd.Notifier
	log      *slog.Logger
	passed   net.Listener    // the API's, of a socket unit; nil: there is none
	kept     *systemd.Socket // what the process before this one has left; nil: nothing

	ready   atomic.Bool // the manager has been told that the node is
	unheard atomic.Bool // the manager could not be told, which was said once
	stop    chan struct{}
	stopped chan struct{}
}

// newService finds the manager, and takes over what it has passed.
func newService(env environment) (*service, error) {
	s := &service{stop: make(chan struct{}), stopped: make(chan struct{})}
	var err error
	if s.notifier, err = systemd.NewNotifier(env, os.Getpid()); err != nil {
		return nil, err
	}
	sockets, err := systemd.Sockets(env, os.Getpid())
	if err != nil {
		return nil, err
	}
	for i := range sockets {
		socket := &sockets[i]
		_, tcp := socket.Listener.Addr().(*net.TCPAddr)
		switch {
		case s.kept == nil && strings.HasPrefix(socket.Name, keptPrefix):
			s.kept = socket
		case !tcp:
			err = fmt.Errorf("the service manager has passed a socket of %s, and the API takes one of TCP (ListenStream=PORT)", socket.Listener.Addr().Network())
		case s.passed != nil:
			err = errors.New("the service manager has passed several sockets, and the node takes one, that of its API")
		default:
			s.passed = socket.Listener
		}
	}
	if err == nil {
		return s, nil
	}
	for _, socket := range sockets {
		err = errors.Join(err, socket.Listener.Close())
	}
	return nil, err
}

// keptPrefix begins the names that the manager keeps the node's own sockets under.
const keptPrefix = "listen-"

// keptName names the socket of an address.
func keptName(address string) string { return keptPrefix + strings.ReplaceAll(address, ":", "_") }

// listen gives the socket of a unit; or the one that was kept, if it has the address;
// or opens one, and has it kept.
func (s *service) listen(ctx context.Context, address string) (net.Listener, error) {
	name := keptName(address)
	if s.kept != nil && s.passed == nil && s.kept.Name == name {
		return s.kept.Listener, nil
	}
	if s.kept != nil {
		// It has another address, which --listen was before.
		s.tell(errors.Join(s.notifier.Forget(s.kept.Name), s.kept.Listener.Close()))
	}
	if s.passed != nil {
		return s.passed, nil
	}
	config := net.ListenConfig{}
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen (see --listen): %w", err)
	}
	if tcp, ok := listener.(*net.TCPListener); ok && s.notifier.Present() {
		s.tell(s.notifier.Store(name, tcp))
	}
	return listener, nil
}

// How often a node is looked at, until it is ready and from then on.
const (
	readyEvery  = 20 * time.Millisecond
	statusEvery = 5 * time.Second
)

// begin tells the manager of the node from now on until end: that it is ready, when
// it is; in a line for people, what it holds; and to the watchdog that it lives, as
// long as it answers. address is where the API listens,
// secure says that it speaks TLS.
func (s *service) begin(node *engine.Node, address string, secure bool) {
	if !s.notifier.Present() {
		close(s.stopped)
		return
	}
	go func() {
		defer close(s.stopped)
		if !s.awaitReady(node) {
			return
		}
		every := statusEvery
		if watchdog := s.notifier.Watchdog(); watchdog > 0 {
			every = min(every, watchdog/4)
		}
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for said := ""; ; {
			if line := statusLine(node, address); line != said {
				s.tell(s.notifier.Status(line))
				said = line
			}
			s.feed(node, address, secure)
			select {
			case <-ticker.C:
			case <-s.stop:
				return
			}
		}
	}()
}

// awaitReady waits until the node is ready, which in a cluster is when it has joined,
// and says so. It reports false when it is told to stop first.
func (s *service) awaitReady(node *engine.Node) bool {
	s.tell(s.notifier.Status("looking for the cluster"))
	ticker := time.NewTicker(readyEvery)
	defer ticker.Stop()
	for !node.Ready() {
		select {
		case <-ticker.C:
		case <-s.stop:
			return false
		}
	}
	s.tell(s.notifier.Ready())
	s.ready.Store(true)
	return true
}

// feed tells the watchdog that the node lives, if it does.
func (s *service) feed(node *engine.Node, address string, secure bool) {
	watchdog := s.notifier.Watchdog()
	if watchdog == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), watchdog/2)
	defer cancel()
	err := node.Alive(ctx)
	if err == nil {
		err = answers(ctx, address, secure)
	}
	if err != nil {
		s.log.Error("the node does not answer itself; the service manager will end it", "watchdog", watchdog.String(), "error", err)
		return
	}
	s.tell(s.notifier.Alive())
}

// answers asks the API's own port whether it answers. Any answer will do, even a
// refusal or the end of the connection: with too many connections, or where only
// certain clients are let in, the node is well. Only silence is none, for the kernel
// accepts connections on behalf of a process that hangs.
func answers(ctx context.Context, address string, secure bool) error {
	dialer := net.Dialer{}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the API does not answer: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("the API does not answer: %w", err)
		}
	}
	if secure {
		// Whom the certificate names does not matter to the one who has it.
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	_, err = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if err == nil {
		_, err = conn.Read(make([]byte, 64))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the API does not answer: %w", err)
	}
	return nil
}

// end tells the manager that the node stops, which takes as long as that at most.
func (s *service) end(most time.Duration) {
	close(s.stop)
	<-s.stopped
	s.ready.Store(false)
	s.tell(s.notifier.Stopping(most + stopMargin))
	s.tell(s.notifier.Status("stopping: handing over and finishing requests, at most " + formatDuration(most)))
}

// reloading and reloaded tell the manager that files are read again, and that this is
// over. A node that is not ready yet does not become it by that.
func (s *service) reloading() {
	if s.ready.Load() {
		s.tell(s.notifier.Reloading())
	}
}

func (s *service) reloaded() {
	if s.ready.Load() {
		s.tell(s.notifier.Ready())
	}
}

// stopMargin is what the process may need beyond --stop-timeout to end.
const stopMargin = 5 * time.Second

// tell logs, once, that the manager could not be told.
func (s *service) tell(err error) {
	if err != nil && !s.unheard.Swap(true) {
		s.log.Warn("the service manager could not be told", "error", err)
	}
}

// statusLine says what the node is doing, as systemctl status shows it.
func statusLine(node *engine.Node, address string) string {
	cluster := node.Cluster()
	var b strings.Builder
	state := "not ready"
	if node.Ready() {
		state = "serving"
	}
	fmt.Fprintf(&b, "%s on %s: %d entries", state, address, node.Len())
	for _, m := range cluster.Members {
		if m.Name == cluster.Node && len(cluster.Members) > 1 {
			fmt.Fprintf(&b, ", %s of the slots, %d members", showShare(m.Slots), len(cluster.Members))
		}
	}
	if cluster.Moving > 0 {
		fmt.Fprintf(&b, ", %d slots moving", cluster.Moving)
	}
	return b.String()
}
