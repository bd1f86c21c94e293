package peer

import (
	"runtime"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// Links that were closed leave no goroutine, no descriptor in use and no
// connection behind, whatever was going on.
func TestNoLeaks(t *testing.T) {
	round := func() {
		a, b := start(t, "a", nil), start(t, "b", nil)
		link := connect(t, a, b)
		a.Connect("nobody", "127.0.0.1:1")
		a.Connect("slow", "192.0.2.1:1") // answers to no one
		half := dialRaw(t, b)
		half.write([]byte("smac"))
		for range 10 {
			if err := link.Send(&Call{Header: proto.Header{Op: proto.FramePing}, Timeout: ample, Done: func(*Call) {}}, make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > ample/2 { // which the dial would have taken, and the handshake
			t.Errorf("closing took %v", d)
		}
		if len(a.conns)+len(b.conns) != 0 {
			t.Error("connections are left")
		}
	}
	round() // what starts once and stays: gnet's pool, the runtime's poller
	before := runtime.NumGoroutine()
	for range 10 {
		round()
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// Close is right at any time, and twice.
func TestCloseAnyTime(t *testing.T) {
	for i := range 20 {
		a, b := start(t, "a", nil), start(t, "b", nil)
		a.Connect("b", b.Addr().String())
		b.Connect("a", a.Addr().String())
		if i%2 == 0 {
			eventually(t, "linked", func() bool { return linked(a.Links, "b") })
		}
		_ = a.Close()
		_ = a.Close()
		_ = b.Close()
		if a.Connect("c", b.Addr().String()).Connected() {
			t.Error("a closed node dials")
		}
	}
}
