// Gnet is a bare server on gnet's event loops with a constant answer, Smache's to a
// GET of bench-0000000000: what others are compared with (scripts/compare.sh). It
// takes whatever comes for one whole request. It listens on a port of the loopback
// address that was free, which it prints.
package main

import (
	"fmt"
	"net"

	"github.com/panjf2000/gnet/v2"
)

var answer = []byte("HTTP/1.1 200 OK\r\nServer: smache\r\nDate: Wed, 25 Nov 2026 15:00:00 GMT\r\n" +
	"Content-Type: application/json\r\nContent-Length: 123\r\nETag: \"660e107544078000\"\r\n" +
	"Smache-Age: 0.008\r\nCache-Status: smache; hit\r\nCache-Control: private, no-cache\r\n\r\n" +
	`{"key":"bench-0000000000","data":{"id":"bench-0000000000","lat":59.574730,"lng":116.663252},"node":"smache@127.0.0.1:4000"}`)

type server struct {
	gnet.BuiltinEventEngine
	address string
}

func (s *server) OnBoot(gnet.Engine) gnet.Action {
	fmt.Println(s.address)
	return gnet.None
}

func (*server) OnTraffic(c gnet.Conn) gnet.Action {
	if _, err := c.Discard(-1); err != nil {
		return gnet.Close
	}
	if _, err := c.Write(answer); err != nil {
		return gnet.Close
	}
	return gnet.None
}

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0") // gnet does not say which port it was given
	if err != nil {
		panic(err)
	}
	s := &server{address: l.Addr().String()}
	if err := l.Close(); err != nil {
		panic(err)
	}
	panic(gnet.Run(s, "tcp://"+s.address, gnet.WithMulticore(true), gnet.WithTCPNoDelay(gnet.TCPNoDelay)))
}
