package httpapi

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/smache/smache/proto"
)

// listener admits connections. fasthttp has limits of its own, but answers
// beyond them in plain text, and ends its accept loop for good when the process
// runs out of file descriptors.
type listener struct {
	net.Listener
	registry *registry
	logger   *slog.Logger
	loopback bool
	wrap     func(net.Conn) net.Conn // before it is admitted; nil: not at all
	tls      func() *tls.Config      // for the next connection; nil: none
	refused  func(*proto.Failure)    // counts
	closing  <-chan struct{}         // closed by Shutdown
	rejects  chan struct{}           // a place for each connection being refused
}

// maxRejects bounds the refused connections that are closed with care at once;
// more are closed at once.
const maxRejects = 64

// The pause after a failed accept doubles from the first to the second.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// next waits for a connection that the limits admit.
func (l *listener) next() (*conn, error) {
	pause := time.Duration(0)
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			if !passing(err) {
				return nil, err
			}
			if pause = min(max(2*pause, minAcceptPause), maxAcceptPause); !l.wait(pause) {
				return nil, net.ErrClosed
			}
			if l.registry.acceptErrors.Add(1) == 1 {
				l.logger.Error("httpapi: cannot accept a connection; raise the limit of open files, or lower --max-connections", "error", err)
			}
			continue
		}
		pause = 0
		if l.wrap != nil {
			nc = l.wrap(nc)
		}
		config := l.tls()
		c, verdict := l.registry.add(nc, l.loopback, config)
		switch verdict {
		case admitted:
			return c, nil
		case tooMany:
			l.reject(nc, config, proto.FailConnections)
		case tooManyHere:
			l.reject(nc, config, proto.FailRate)
		}
	}
}

// wait pauses, and reports whether to go on.
func (l *listener) wait(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closing:
		return false
	}
}

// passing reports whether an error of Accept says nothing about the next one.
func passing(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR, syscall.EAGAIN, syscall.EPROTO:
		return true
	default:
		return false
	}
}

// reject answers a connection that is not admitted and closes it, off the accept
// loop. One that would have to shake hands first is only closed: that costs more
// than most requests, and there is too much to do already.
func (l *listener) reject(nc net.Conn, config *tls.Config, fail *proto.Failure) {
	l.refused(fail)
	if config != nil {
		_ = nc.Close()
		return
	}
	select {
	case l.rejects <- struct{}{}:
	default:
		_ = nc.Close()
		return
	}
	leaveLoop(nc)
	go func() {
		defer func() { <-l.rejects }()
		defer func() { _ = nc.Close() }()
		if nc.SetWriteDeadline(time.Now().Add(lingerTime)) != nil {
			return
		}
		if _, err := nc.Write(wholeAnswer(&refusal{fail: fail}, retryAfter)); err == nil {
			linger(nc)
		}
	}()
}
