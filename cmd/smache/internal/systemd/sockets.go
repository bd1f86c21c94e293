package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstSocket is the descriptor of the first socket that a manager passes.
const firstSocket = 3

// A Socket is a listening socket that the manager has passed.
type Socket struct {
	Name     string // FileDescriptorName= of its unit, or the one of Store
	Listener net.Listener
}

// Sockets takes over the listening sockets that the manager has passed to the
// process that has the id; none is no error. They are the caller's, who closes them;
// the manager keeps its own copies, so that connections wait while nobody listens.
// It may be called once: the descriptors are used up.
func Sockets(env map[string]string, pid int) ([]Socket, error) {
	count := env["LISTEN_FDS"]
	if count == "" || env["LISTEN_PID"] != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxSockets {
		return nil, fmt.Errorf("systemd: the environment variable LISTEN_FDS=%q: must be 0 to %d", count, maxSockets)
	}
	names := strings.Split(env["LISTEN_FDNAMES"], ":")
	sockets := make([]Socket, 0, n)
	for i := range n {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		// The copy that FileListener makes is closed on exec, and does not block.
		file := os.NewFile(uintptr(firstSocket+i), name)
		listener, err := net.FileListener(file)
		_ = file.Close()
		if err != nil {
			for _, s := range sockets {
				_ = s.Listener.Close()
			}
			return nil, fmt.Errorf("systemd: socket %d (%q) that the service manager passed cannot be listened on: %w", i, name, err)
		}
		sockets = append(sockets, Socket{Name: name, Listener: listener})
	}
	return sockets, nil
}

// maxSockets is more than anybody passes.
const maxSockets = 64
