// Package systemd is what a service says to its manager, and what it is given by
// it: notifications (sd_notify(3)) and listening sockets (sd_listen_fds(3)).
//
// It is the protocol alone, in the standard library: it knows no node, starts no
// goroutine and reads no environment variable, but is given the environment. Where
// no manager is, everything here does nothing.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Notifier tells the service manager how the service is. A nil Notifier, and one
// without a manager, does nothing. Its methods may be called from any goroutine.
type Notifier struct {
	address  *net.UnixAddr
	watchdog time.Duration
}

// NewNotifier finds the manager in the environment of the process that has the id.
// The error says which variable is wrong; there is no manager then.
func NewNotifier(env map[string]string, pid int) (*Notifier, error) {
	name := env["NOTIFY_SOCKET"]
	if name == "" {
		return nil, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("systemd: the environment variable NOTIFY_SOCKET=%q: must be a path, or begin with @", name)
	}
	n := &Notifier{address: &net.UnixAddr{Name: name, Net: "unixgram"}}
	text := env["WATCHDOG_USEC"]
	if text == "" || env["WATCHDOG_PID"] != "" && env["WATCHDOG_PID"] != strconv.Itoa(pid) {
		return n, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64(24*time.Hour/time.Microsecond) {
		return nil, fmt.Errorf("systemd: the environment variable WATCHDOG_USEC=%q: must be microseconds, at most a day", text)
	}
	n.watchdog = time.Duration(usec) * time.Microsecond
	return n, nil
}

// Present says that there is a manager to tell.
func (n *Notifier) Present() bool { return n != nil }

// Watchdog is how long the service may be silent before the manager ends it; 0: as
// long as it likes.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready says that the service does its work.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Reloading says that the service reads its configuration again. Ready ends that.
func (n *Notifier) Reloading() error { return n.send("RELOADING=1") }

// Stopping says that the service has begun to stop, and takes no longer than most
// from now: the manager waits for that long, even if its own time-out is shorter.
func (n *Notifier) Stopping(most time.Duration) error {
	return n.send("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + strconv.FormatInt(most.Microseconds(), 10))
}

// Alive says that the service is well. It is to be said more often than Watchdog
// asks for.
func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

// Status says in one line, for people, what the service is doing.
func (n *Notifier) Status(line string) error {
	return n.send("STATUS=" + strings.ReplaceAll(line, "\n", " "))
}

// Store gives the manager a copy of a socket to keep while the service is started anew,
// whether it was told to or has crashed; Sockets gets it back, under the name, which has
// no colon. When the service is stopped, the manager closes it. It takes as many as
// FileDescriptorStoreMax= says.
//
// Not an os.File: its Fd makes the descriptor block, and with it every copy of it.
func (n *Notifier) Store(name string, socket syscall.Conn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return fmt.Errorf("systemd: storing a socket: %w", err)
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		sent = n.send("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, int(fd))
	})
	return errors.Join(err, sent)
}

// Forget makes the manager close what it keeps under a name.
func (n *Notifier) Forget(name string) error { return n.send("FDSTOREREMOVE=1\nFDNAME=" + name) }

// send sends one datagram. The socket is opened for each: they are seconds apart, and
// a manager that is executed anew makes a new socket.
func (n *Notifier) send(message string, files ...int) error {
	if n == nil {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, n.address)
	if err != nil {
		return fmt.Errorf("systemd: telling the service manager: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("systemd: telling the service manager: %w", err)
	}
	if len(files) == 0 {
		_, err = conn.Write([]byte(message))
	} else {
		err = sendFiles(conn, message, files)
	}
	if err != nil {
		return fmt.Errorf("systemd: telling the service manager: %w", err)
	}
	return nil
}

// sendFiles sends a datagram with descriptors. WriteMsgUnix does not take a connected
// socket.
func sendFiles(conn *net.UnixConn, message string, files []int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = syscall.Sendmsg(int(fd), []byte(message), syscall.UnixRights(files...), nil, 0)
		return !errors.Is(sent, syscall.EAGAIN)
	})
	return errors.Join(err, sent)
}
