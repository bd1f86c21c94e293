package peer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// Nodes that do not belong together are not linked, and either end can say why.
func TestNotOneCluster(t *testing.T) {
	secret := func(cluster string, secrets ...string) func(*Config) {
		return func(c *Config) {
			var all [][]byte
			for _, s := range secrets {
				all = append(all, []byte(s))
			}
			k, err := secure.NewKeys(cluster, all...)
			if err != nil {
				t.Fatal(err)
			}
			c.Keys, c.Cluster = k, cluster
		}
	}
	const first, second = "the first secret of a cluster", "the second secret of a cluster"
	for name, c := range map[string]struct {
		a, b    func(*Config)
		err     error
		accepts string // the reason at the accepting end
	}{
		"secret":  {secret("test", first), secret("test", second), ErrHandshakeRefused, "wrong_secret"},
		"cluster": {secret("test", first), secret("prod", first), secure.ErrCluster, "wrong_cluster"},
		"mode":    {secret("test", first), func(c *Config) { c.Keys = secure.Plaintext("test") }, secure.ErrMode, "wrong_mode"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, "a", c.a), start(t, "b", c.b)
			link := a.Connect("b", b.Addr().String())
			eventually(t, "a failed dial", func() bool {
				e, _ := a.saw(DialFailed, "b")
				return errors.Is(e.Err, c.err)
			})
			closed(t, b, c.accepts)
			if link.Connected() || b.Link("a") != nil {
				t.Error("linked")
			}
		})
	}
	t.Run("rotation", func(t *testing.T) {
		a, b := start(t, "a", secret("test", first, second)), start(t, "b", secret("test", second, first))
		connect(t, a, b)
		c := start(t, "c", secret("test", second))
		connect(t, b, c)
	})
}

// A peer that is forgotten is not dialled any more, but may finish what it began: it
// ends the connection, and may come back.
func TestForget(t *testing.T) {
	replies := make(chan Reply, 1)
	a, b, link := pair(t, nil, func(c *Config) {
		c.Handler = handlerFunc(func(r Request, reply Reply) { replies <- reply })
	})
	done := make(chan error, 1)
	c := &Call{Header: proto.Header{Op: proto.FramePing}, Timeout: ample, Done: func(c *Call) { done <- c.Err }}
	if err := link.Send(c, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	reply := <-replies
	b.Forget("a")
	reply.Send(proto.Header{Status: proto.StatusOK}, make([]byte, 8))
	if err := <-done; err != nil {
		t.Fatalf("what was under way: %v", err)
	}
	a.Forget("b")
	if !link.Connected() || !linked(b.Links, "a") {
		t.Error("the connection has ended")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "forgotten for good", func() bool { return b.Link("a") == nil })
	if e := b.told(t, LinkDown, "a", 1); !errors.Is(e.Err, proto.ErrLinkDone) {
		t.Error(e.Err)
	}
	again := start(t, "a", nil)
	again.Connect("b", b.Addr().String())
	eventually(t, "linked by the other end", func() bool { return linked(b.Links, "a") })
}

// brokenListener fails to accept now and then, as when there are no descriptors
// left.
type brokenListener struct {
	net.Listener
	fails atomic.Int32
}

func (l *brokenListener) Accept() (net.Conn, error) {
	if l.fails.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptErrors(t *testing.T) {
	ln := &brokenListener{Listener: listen(t)}
	ln.fails.Store(3)
	n := start(t, "a", func(c *Config) { c.Listener = ln })
	dialRaw(t, n).greet("b", proto.RoleNode)
	if v := metric(n.Links, "smache_peer_accept_errors_total"); v != 3 {
		t.Errorf("%v errors", v)
	}
}

// A connection that is no socket cannot be handed to an event loop.
func TestDialOther(t *testing.T) {
	n := start(t, "a", func(c *Config) {
		c.Dial = func(context.Context, string, string) (net.Conn, error) {
			c, other := net.Pipe()
			_ = other.Close()
			return c, nil
		}
	})
	n.Connect("b", "127.0.0.1:1")
	eventually(t, "a failed dial", func() bool {
		e, _ := n.saw(DialFailed, "b")
		return errors.Is(e.Err, ErrUnreachable)
	})
}

// The first of a row of failures is logged where an operator looks, the others are
// not; no line names more than peers and reasons.
func TestLog(t *testing.T) {
	var text lockedText
	address := refusing(t)
	a := start(t, "a", func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&text, nil)) })
	a.Connect("b", address)
	eventually(t, "some failures", func() bool { _, n := a.saw(DialFailed, "b"); return n > 4 })
	if n := strings.Count(text.String(), "cannot connect"); n != 1 {
		t.Errorf("%d lines:\n%s", n, text.String())
	}
}

type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The pause grows to its bound, is partly random, and is at its bound at once
// where trying again cannot help.
func TestPause(t *testing.T) {
	l := memoryLinks(t, "a", testKeys(t), echo)
	l.cfg.MinBackoff, l.cfg.MaxBackoff = 10*time.Millisecond, time.Second
	for failures, want := range map[int]time.Duration{0: 10, 1: 10, 2: 20, 3: 40, 7: 640, 8: 1000, 50: 1000, 1 << 30: 1000} {
		seen := map[int64]bool{}
		for range 50 {
			d := l.backoff(failures, ErrUnreachable)
			if d < int64(want*time.Millisecond/2) || d > int64(want*time.Millisecond) {
				t.Errorf("%d failures: %v", failures, time.Duration(d))
			}
			seen[d] = true
		}
		if len(seen) < 10 {
			t.Errorf("%d failures: %d different pauses", failures, len(seen))
		}
	}
	if d := l.backoff(1, secure.ErrSecret); d < int64(time.Second/2) {
		t.Errorf("after a wrong secret: %v", time.Duration(d))
	}
}

// Every reason has a name of its own that fits a label, and goodbyes carry what
// the protocol knows.
func TestReasons(t *testing.T) {
	seen := map[string]error{}
	errs := []error{
		ErrRefused, ErrUnreachable, ErrHandshakeRefused, ErrWrongPeer, ErrForgotten, ErrPanic, errUnknownAnswer,
		secure.ErrNotPeer, secure.ErrVersion, secure.ErrMode, secure.ErrSecret, secure.ErrRecordSize, secure.ErrExhausted,
	}
	for _, e := range proto.CloseErrors() {
		errs = append(errs, e)
	}
	for _, err := range errs {
		name, _ := reasonOf(err)
		if name == "" || seen[name] != nil || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%v and %v are both %q", err, seen[name], name)
		}
		seen[name] = err
	}
	if name, by := reasonOf(&remoteError{proto.ErrLinkSlow}); name != "slow_reader" || by != "peer" {
		t.Error(name, by)
	}
	if name, by := reasonOf(&remoteError{proto.CloseReason(250).Err()}); name != "unknown" || by != "peer" {
		t.Error(name, by)
	}
	if name, _ := reasonOf(errors.New("x")); name != "internal" {
		t.Error(name)
	}
	for err, want := range map[error]proto.CloseReason{
		proto.ErrLinkLost: 0, &remoteError{proto.ErrLinkDone}: 0, ErrForgotten: proto.CloseDone, ErrWrongPeer: proto.CloseName,
		secure.ErrRecord: proto.CloseRecord, ErrPanic: proto.CloseInternal, proto.ErrLinkSlow: proto.CloseSlow, errUnknownAnswer: proto.CloseID,
	} {
		if got := goodbyeOf(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	if StatusOf(nil) != proto.StatusOK || StatusOf(ErrFrameTooLarge) != proto.StatusTooLarge || StatusOf(ErrDeadline) != proto.StatusUnreachable {
		t.Error("a status is wrong")
	}
}
