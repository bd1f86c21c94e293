package httpapi

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/smache/smache/engine/httpapi/loop"
)

// loops are the event loops that serve the connections without TLS.
type loops struct {
	all      []*loop.Loop                 // made by the first Serve
	running  atomic.Pointer[[]*loop.Loop] // all, for anybody; nil before
	next     atomic.Uint32
	contexts sync.Pool // of *fasthttp.RequestCtx, for requests on loops
}

// loopState is what a connection has to do with its loop.
type loopState struct {
	conn *loop.Conn // nil: it is none of a loop's

	// Of a request whose operation is under way, while the loop holds the connection.
	ctx *fasthttp.RequestCtx // nil: it is one of plain's
	r   *request

	unsent []byte // what the socket has not taken yet
	large  []byte // the same, behind it
	closes bool   // behind both
}

// startLoops starts the loops, once. s.serving is held.
func (s *Server) startLoops() error {
	if s.loops.all != nil {
		return nil
	}
	s.loops.contexts.New = newContext
	for range s.processors {
		l, err := loop.New()
		if err != nil {
			s.stopLoops(false)
			s.loops.all = nil
			return err
		}
		s.loops.all = append(s.loops.all, l)
		go l.Run(newWorker(s))
	}
	s.loops.running.Store(&s.loops.all)
	return nil
}

// stopLoops ends the loops, and waits for them.
func (s *Server) stopLoops(wait bool) {
	for _, l := range s.loops.all {
		l.Stop()
	}
	for _, l := range s.loops.all {
		if wait {
			<-l.Ended()
		}
	}
}

// wrap makes nc, which was just accepted, a connection of a loop, if it can be one.
func (s *Server) wrap(nc net.Conn) net.Conn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nc
	}
	lc, err := s.loops.all[int(s.loops.next.Add(1))%len(s.loops.all)].Take(tcp)
	if err != nil { // there is no descriptor left, for one
		return nc
	}
	return lc
}

// leaveLoop makes nc, which is not served yet, one for the goroutine that calls.
func leaveLoop(nc net.Conn) {
	if lc, ok := nc.(*loop.Conn); ok {
		lc.Begin(true)
	}
}

// bind tells the loop's connection, if c is one, whose it is.
func (c *conn) bind() {
	if lc, ok := c.Conn.(*loop.Conn); ok {
		lc.Owner, c.onLoop.conn = c, lc
	}
}

// begin serves a connection that was just admitted: without TLS on its loop.
func (s *Server) begin(c *conn) {
	if c.tls == nil && c.onLoop.conn != nil {
		c.onLoop.conn.Begin(false)
		return
	}
	leaveLoop(c.Conn)
	go s.serveGoroutine(c)
}

// resume has the loop go on with a request whose operation is complete; together: others
// are, and help will be called.
func (c *conn) resume(together bool) {
	if together {
		c.onLoop.conn.ResumeSoon()
	} else {
		c.onLoop.conn.Resume()
	}
}

// letRun has the loop let a goroutine run that was just started, before it sleeps.
func (c *conn) letRun() { c.onLoop.conn.LetRun() }

// help serves, for the loops that sleep, the requests whose operations have just been
// completed together.
func (s *Server) help() {
	if all := s.loops.running.Load(); all != nil {
		for _, l := range *all {
			l.Help()
		}
	}
}

// visit is the stay of a loop's connection in a goroutine, where fasthttp serves it:
// from a request that the loop does not serve until it waits for the next one.
type visit struct {
	*conn
	over bool // it is the loop's again
}

// connOf gives the connection as this package knows it; nil if it is none of ours.
func connOf(nc net.Conn) *conn {
	switch c := nc.(type) {
	case *visit:
		return c.conn
	case *conn:
		return c
	default:
		return nil
	}
}

// Read is conn.Read, but between two requests it gives the connection back to the loop
// in place of waiting, which is the end for fasthttp.
func (v *visit) Read(p []byte) (int, error) {
	if v.over {
		return 0, io.EOF
	}
	if v.state.Load() != connIdle || len(v.rest) > 0 || v.broken != nil {
		return v.conn.Read(p)
	}
	n, back, err := v.onLoop.conn.ReadOrReturn(p)
	switch {
	case back:
		v.over = true
		return 0, io.EOF
	case n == 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return v.conn.Read(p) // which knows whether it is past
	}
	v.in.Add(uint64(n))
	return v.take(p[:n], err)
}

// Close is conn.Close, unless the connection is the loop's again.
func (v *visit) Close() error {
	if v.over {
		return nil
	}
	return v.conn.Close()
}

// visit serves c, which its loop has let leave, in a goroutine.
func (s *Server) visit(c *conn) {
	defer s.caught(c)
	o := &c.onLoop
	if len(o.unsent) > 0 {
		_, err := c.Write(o.unsent)
		if o.unsent = nil; err == nil && len(o.large) > 0 {
			_, err = c.Write(o.large)
		}
		if o.large = nil; err != nil || o.closes {
			_ = c.Close()
			return
		}
		if c.idle(); len(c.rest) > 0 {
			c.begun()
		}
	}
	_ = s.http.ServeConn(&visit{conn: c})
}
