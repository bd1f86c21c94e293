//go:build !linux

package httpapi

import "net"

// Loops are for Linux: elsewhere every connection is served in a goroutine.

type (
	loops     struct{}
	loopState struct{}
)

func connOf(nc net.Conn) *conn {
	c, _ := nc.(*conn)
	return c
}

func (*Server) startLoops() error { return nil }

func (*Server) wrap(nc net.Conn) net.Conn { return nc }

func leaveLoop(net.Conn) {}

func (*conn) bind() {}

func (*Server) stopLoops(bool) {}

func (s *Server) begin(c *conn) { go s.serveGoroutine(c) }

func (*Server) help() {}

func (*conn) letRun() {}

func (*conn) resume(bool) { panic("BUG: httpapi: there are no loops") }
