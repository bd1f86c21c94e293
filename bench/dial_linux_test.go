package bench

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSockaddr(t *testing.T) {
	family, to, err := sockaddr(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 81})
	if v4, ok := to.(*unix.SockaddrInet4); err != nil || family != unix.AF_INET || !ok || v4.Addr != [4]byte{10, 0, 0, 7} || v4.Port != 81 {
		t.Errorf("%d %+v %v", family, to, err)
	}
	family, to, err = sockaddr(&net.TCPAddr{IP: net.IPv6loopback, Port: 82, Zone: "7"})
	if v6, ok := to.(*unix.SockaddrInet6); err != nil || family != unix.AF_INET6 || !ok || v6.Addr != [16]byte{15: 1} || v6.ZoneId != 7 {
		t.Errorf("%d %+v %v", family, to, err)
	}
	_, to, err = sockaddr(&net.TCPAddr{IP: net.IPv6loopback, Zone: "lo"})
	if v6, ok := to.(*unix.SockaddrInet6); err != nil || !ok || v6.ZoneId == 0 {
		t.Errorf("%+v %v", to, err)
	}
	if _, _, err = sockaddr(&net.TCPAddr{IP: net.IPv6loopback, Zone: "no such"}); err == nil {
		t.Error("a zone that does not exist")
	}
}

// A listen queue that is full leaves connections neither open nor refused.
func TestDialWaits(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*unix.SockaddrInet4).Port}
	for range 8 {
		var c int
		if c, err = dialTCP(context.Background(), to, 20*time.Millisecond); err != nil {
			break
		}
		defer func() { _ = unix.Close(c) }()
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("eight connections in a queue of one: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := dialTCP(ctx, to, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
