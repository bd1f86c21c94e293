package systemd

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager listens where a service manager would.
func manager(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestNotify: what is said arrives, by a path and by an abstract name.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	for _, address := range []string{path, "@smache-test-" + filepath.Base(filepath.Dir(path)) + t.Name()} {
		conn := manager(t, address)
		n, err := NewNotifier(map[string]string{"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 7)
		if err != nil || !n.Present() || n.Watchdog() != 3*time.Second {
			t.Fatalf("%+v, %v", n, err)
		}
		for _, c := range []struct {
			say  func() error
			want string
		}{
			{n.Ready, "READY=1"},
			{n.Alive, "WATCHDOG=1"},
			{func() error { return n.Status("a line\nand another") }, "STATUS=a line and another"},
			{n.Reloading, "RELOADING=1"},
			{func() error { return n.Stopping(30 * time.Second) }, "STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000"},
		} {
			if err := c.say(); err != nil {
				t.Fatal(err)
			}
			buffer := make([]byte, 200)
			length, err := conn.Read(buffer)
			if got := string(buffer[:length]); err != nil || got != c.want {
				t.Errorf("%q arrives, %v; want %q", got, err, c.want)
			}
		}
	}
}

// TestStore: the manager gets a socket that listens, and is told to let go of it.
func TestStore(t *testing.T) {
	address := filepath.Join(t.TempDir(), "n")
	conn := manager(t, address)
	n, err := NewNotifier(map[string]string{"NOTIFY_SOCKET": address}, 1)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if err := n.Store("a-name", listener.(*net.TCPListener)); err != nil {
		t.Fatal(err)
	}
	message, rights := make([]byte, 100), make([]byte, syscall.CmsgSpace(8))
	length, rightsLength, _, _, err := conn.ReadMsgUnix(message, rights)
	if err != nil || string(message[:length]) != "FDSTORE=1\nFDPOLL=0\nFDNAME=a-name" {
		t.Errorf("%q arrives, %v", message[:length], err)
	}
	controls, err := syscall.ParseSocketControlMessage(rights[:rightsLength])
	if err != nil || len(controls) != 1 {
		t.Fatalf("%d files arrive, %v", len(controls), err)
	}
	files, err := syscall.ParseUnixRights(&controls[0])
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files arrive, %v", len(files), err)
	}
	copied := os.NewFile(uintptr(files[0]), "copy")
	kept, err := net.FileListener(copied)
	if err != nil || kept.Addr().String() != listener.Addr().String() {
		t.Errorf("what arrives is no listener on %s: %v", listener.Addr(), err)
	} else {
		_ = kept.Close()
	}
	_ = copied.Close()
	if err := n.Forget("a-name"); err != nil {
		t.Fatal(err)
	}
	length, err = conn.Read(message)
	if string(message[:length]) != "FDSTOREREMOVE=1\nFDNAME=a-name" {
		t.Errorf("%q arrives, %v", message[:length], err)
	}
}

// TestNobodyToTell: without a manager everything does nothing, and a manager that is
// gone is an error.
func TestNobodyToTell(t *testing.T) {
	n, err := NewNotifier(map[string]string{"WATCHDOG_USEC": "1000"}, 1)
	if err != nil || n.Present() || n.Watchdog() != 0 || n.Ready() != nil || n.Stopping(time.Second) != nil {
		t.Errorf("without a manager: %+v, %v", n, err)
	}
	n, err = NewNotifier(map[string]string{"NOTIFY_SOCKET": filepath.Join(t.TempDir(), "none")}, 1)
	if err != nil || n.Ready() == nil {
		t.Errorf("with a manager that is gone: %v, and what is said is said to nobody", err)
	}
}

func TestWrongVariables(t *testing.T) {
	for _, env := range []map[string]string{
		{"NOTIFY_SOCKET": "relative"},
		{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"},
		{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"},
		{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "99999999999999"},
	} {
		n, err := NewNotifier(env, 1)
		if err == nil || !strings.HasPrefix(err.Error(), "systemd: the environment variable ") || n.Present() {
			t.Errorf("%v: %+v, %v", env, n, err)
		}
	}
	for _, count := range []string{"x", "-1", "1000"} {
		if s, err := Sockets(map[string]string{"LISTEN_FDS": count, "LISTEN_PID": "1"}, 1); err == nil || s != nil {
			t.Errorf("LISTEN_FDS=%s: %v, %v", count, s, err)
		}
	}
}

// TestOthersVariables: what is meant for another process is left alone.
func TestOthersVariables(t *testing.T) {
	n, err := NewNotifier(map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, 7)
	if err != nil || n.Watchdog() != 0 {
		t.Errorf("another's watchdog: %v, %v", n.Watchdog(), err)
	}
	for _, env := range []map[string]string{{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "8"}} {
		if s, err := Sockets(env, os.Getpid()); err != nil || s != nil {
			t.Errorf("%v: %v, %v", env, s, err)
		}
	}
}
