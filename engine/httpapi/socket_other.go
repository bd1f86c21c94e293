//go:build !linux

package httpapi

import "net"

// socket reads and writes a connection. On Linux it does so with fewer system
// calls than net.Conn.
type socket struct{}

func (*socket) open(net.Conn) {}

func (*socket) read(nc net.Conn, p []byte, _ int64) (int, error) { return nc.Read(p) }

func (*socket) write(nc net.Conn, p []byte) (int, error) { return nc.Write(p) }

func (*socket) waits() bool { return false }

func (*socket) end() {}
