package peer

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// gathered sends a request that waits for Gathered, and gives its answer to done.
func gathered(t *testing.T, link *Link, body []byte, done func(*Call)) {
	t.Helper()
	call := &Call{Header: proto.Header{Op: proto.FrameMultiGet}, Timeout: time.Minute, Gather: true, Done: done}
	if err := link.Send(call, body); err != nil {
		t.Error(err)
		done(call)
	}
}

// Who gathers requests writes them itself, and does not wake the loop for it.
func TestGatheredWakesNobody(t *testing.T) {
	a, _, link := pair(t, nil, nil)
	k := link.conn.Load()
	// The loop says that it has to be woken before it lets go of its turn: who gathers in
	// between leaves the rest to it.
	idle := func() bool {
		if k.armed.Load() || !k.turn.TryLock() {
			return false
		}
		k.turn.Unlock()
		return !k.armed.Load()
	}
	eventually(t, "an idle loop", idle)
	wakes := link.stats.wakes.Load()
	for range 10 {
		done := make(chan *Call, 2)
		gathered(t, link, []byte("one"), func(c *Call) { done <- c })
		gathered(t, link, []byte("two"), func(c *Call) { done <- c })
		a.Gathered()
		for range 2 {
			if c := <-done; c.Err != nil {
				t.Fatal(c.Err)
			}
		}
		eventually(t, "an idle loop", idle)
	}
	// One look of Links.look, which sees to what is due, may have fallen in between.
	if n := link.stats.wakes.Load() - wakes; n > 1 {
		t.Errorf("the loop was woken %d times for 10 rounds", n)
	}
}

// What the kernel does not take from who gathers, the loop writes when it does.
func TestGatheredBehindAFullSocket(t *testing.T) {
	release := make(chan struct{})
	big := func(c *Config) { c.OutboxBytes = 64 << 20 }
	a, _, link := pair(t, big, func(c *Config) {
		big(c)
		c.Handler = handlerFunc(func(r Request, reply Reply) {
			<-release
			echo(r, reply)
		})
	})
	k := link.conn.Load()
	left := func() int {
		k.turn.Lock()
		defer k.turn.Unlock()
		return len(k.left)
	}
	var bodies [][]byte
	var answers sync.WaitGroup
	var wrong atomic.Int32
	seen := false
	for i := 0; i < 100 && (!seen || i < 40); i++ {
		bodies = append(bodies, bytes.Repeat([]byte{byte(i)}, 300<<10))
		answers.Add(1)
		body := bodies[i]
		gathered(t, link, body, func(c *Call) {
			if c.Err != nil || !bytes.Equal(c.Body, body) {
				wrong.Add(1)
			}
			answers.Done()
		})
		a.Gathered()
		seen = seen || left() > 0 || k.unsent.Load() > 0
	}
	if !seen {
		t.Error("the kernel took all of it: the test has tried nothing")
	}
	close(release)
	answers.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d of %d answers are wrong", n, len(bodies))
	}
}

// Many gather at once, beside requests that do not wait: each is answered, with its own
// answer.
func TestGatheredByMany(t *testing.T) {
	a, _, link := pair(t, nil, nil)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				body := bytes.Repeat([]byte{byte(g), byte(i)}, 1+i%50)
				done := make(chan struct{})
				gathered(t, link, body, func(c *Call) {
					if c.Err != nil || !bytes.Equal(c.Body, body) {
						t.Errorf("%d, %d: %v, %d bytes", g, i, c.Err, len(c.Body))
					}
					close(done)
				})
				if i%3 == 0 {
					if _, _, err := ask(link, proto.FrameMultiGet, ample, body); err != nil {
						t.Error(err)
					}
				}
				a.Gathered()
				<-done
			}
		})
	}
	all.Wait()
}

// Answered follows the answers that were read at once, even if a Done panics.
func TestAnswered(t *testing.T) {
	var done, answered, early atomic.Int32
	a, _, link := pair(t, func(c *Config) {
		c.Answered = func() {
			if done.Swap(0) > 0 {
				answered.Add(1)
			}
		}
	}, nil)
	for range 10 {
		before := answered.Load()
		came := make(chan struct{})
		gathered(t, link, nil, func(*Call) {
			early.Add(answered.Load() - before)
			done.Add(1)
			close(came)
		})
		a.Gathered()
		<-came
		eventually(t, "Answered", func() bool { return answered.Load() > before })
	}
	if early.Load() > 0 {
		t.Errorf("Answered came before Done %d times", early.Load())
	}
	before := answered.Load()
	var once sync.Once
	gathered(t, link, nil, func(*Call) {
		once.Do(func() {
			done.Add(1)
			panic("in Done")
		})
	})
	a.Gathered()
	eventually(t, "Answered after a panic", func() bool { return answered.Load() > before })
}
