package gossip

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// heads are ways to begin a message, by how far a reader follows it.
func heads(n *node) map[string][]byte {
	label := n.transport.head
	sealed := func(length uint32, version byte) []byte {
		b := append(append([]byte(nil), label...), encryptMark)
		return append(binary.BigEndian.AppendUint32(b, length), version)
	}
	return map[string][]byte{
		"nothing":     nil,
		"short label": label[:5],
		"other label": append([]byte{labelMark, 3}, "abc"...),
		"label":       label,
		"plain ping":  append(append([]byte(nil), label...), 0, 0x81),
		"plain state": append(append([]byte(nil), label...), 6, 0x83),
		"compressed":  append(append([]byte(nil), label...), 9, 0x82),
		"empty":       sealed(sealLen, 1),
		"padded":      sealed(100, 0),
		"sealed":      sealed(100, 1),
		"as long":     sealed(maxStream, 1),
		"too long":    sealed(maxStream+1, 1),
		"4 GiB":       sealed(1<<32-1, 1),
		"packet":      append(append([]byte(nil), label...), sealVersion),
		"packet of 0": append(append([]byte(nil), label...), 0),
	}
}

// Whatever strangers send to the ports, the node lives, does not grow, and finds
// its friends; with and without a secret.
func TestHostileBytes(t *testing.T) {
	for name, keys := range map[string][][]byte{"secret": {testKey(1)}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			a := start(t, "a", func(c *Config) { c.Keys = keys })
			random := rand.New(rand.NewPCG(1, 2))
			noise := func(n int) []byte {
				b := make([]byte, n)
				for i := range b {
					b[i] = byte(random.Uint32())
				}
				return b
			}
			udp, err := net.Dial("udp", a.at.String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = udp.Close() }()
			round := func() {
				for what, head := range heads(a) {
					for _, size := range []int{0, 1, 30, 200, 3000, 60000} {
						_, _ = udp.Write(append(bytes.Clone(head), noise(size)...))
					}
					attack(t, a, what, append(bytes.Clone(head), noise(3000)...))
				}
			}
			round()
			before := heapAfterGC()
			goroutines := runtime.NumGoroutine()
			for range 30 {
				round()
			}
			eventually(t, "all connections are closed", func() bool {
				a.transport.mu.Lock()
				defer a.transport.mu.Unlock()
				return len(a.transport.open) == 0 && a.transport.held == 0 && a.transport.inbound == 0
			})
			eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
			if grown := heapAfterGC() - before; grown > 1<<20 {
				t.Errorf("grown by %d bytes", grown)
			}
			for i, reason := range rejections[:3] {
				if a.transport.rejected[i].Load() == 0 {
					t.Errorf("nothing was rejected for its %s", reason)
				}
			}
			b := start(t, "b", func(c *Config) { c.Keys, c.Join = keys, []string{a.at.String()} })
			a.sees(t, b)
			b.sees(t, a)
		})
	}
}

func heapAfterGC() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// attack sends bytes over TCP and reads until the node closes.
func attack(t *testing.T, n *node, what string, b []byte) {
	conn, err := net.Dial("tcp", n.at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = conn.Write(b)
	_ = conn.(*net.TCPConn).CloseWrite()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() { // of the connection itself
			t.Errorf("%s: the node does not close", what)
		}
	}
}

// Connections are bounded, and what they bring is, too; what is held is given back.
func TestStreamBounds(t *testing.T) {
	a := start(t, "a", func(c *Config) {
		tune := c.tune
		c.tune = func(m *memberlist.Config) {
			tune(m)
			m.TCPTimeout = time.Minute // they are to be there all at once, however long that takes
		}
	})
	head := heads(a)["as long"]
	var conns []net.Conn
	closeAll := func() {
		for _, c := range conns {
			_ = c.Close()
		}
		conns = nil
	}
	defer closeAll()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", a.at.String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		return c
	}
	// Of six that bring nearly 1 MiB each, some are closed.
	body := make([]byte, maxStream-10)
	for range 6 {
		c := dial()
		go func() { _, _ = c.Write(append(bytes.Clone(head), body...)) }()
	}
	eventually(t, "there was too much", func() bool { return a.transport.rejected[rejectMemory].Load() > 0 })
	closeAll()
	eventually(t, "nothing is held", func() bool {
		a.transport.mu.Lock()
		defer a.transport.mu.Unlock()
		return a.transport.held == 0 && len(a.transport.open) == 0
	})
	for range maxInbound + 5 {
		dial()
	}
	eventually(t, "there were too many", func() bool { return a.transport.rejected[rejectStreams].Load() >= 5 })
	closeAll()
	b := start(t, "b", joining(a.at.String()))
	a.sees(t, b)
}

// What was started is gone after Close, whatever was going on: joins, checks of
// names, strangers' connections.
func TestNoLeaks(t *testing.T) {
	round := func() {
		at := ownLoopback()
		a := start(t, "a", joining(at.String(), "192.0.2.1:1", "nowhere.example"))
		b := start(t, "b", func(c *Config) { c.Bind, c.Join = at.String(), []string{a.at.String()} })
		conn, err := net.Dial("tcp", a.at.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(heads(a)["as long"])
		a.sees(t, b)
		eventually(t, "b has its name", func() bool { return b.own().settled })
		twin := start(t, "b", joining(a.at.String()))
		twin.until(t, "its refusal", func() bool { return len(twin.refused) == 1 })
		began := time.Now()
		_ = a.Close()
		_ = b.Leave(time.Second)
		_ = b.Close()
		_ = twin.Close()
		_ = conn.Close()
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("closing took %v", d)
		}
		a.mu.Lock()
		reports := len(a.found) + len(a.lost)
		a.mu.Unlock()
		a.roster.NotifyLeave(b.list.LocalNode())
		a.mu.Lock()
		defer a.mu.Unlock()
		if got := len(a.found) + len(a.lost); got != reports {
			t.Error("a closed node reports")
		}
	}
	round()
	before := runtime.NumGoroutine()
	for range 5 {
		round()
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+1 })
}
