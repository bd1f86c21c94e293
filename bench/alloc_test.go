package bench

import (
	"bytes"
	"testing"
	"time"
)

// A fakeWire is a connection that takes requests.
type fakeWire struct{ request []byte }

func (w *fakeWire) write(b []byte) { w.request = append(w.request[:0], b...) }
func (w *fakeWire) shut()          { panic("nothing is to be closed") }

// fakeLoop is a loop in the midst of a phase, with one slot whose request is
// under way.
func fakeLoop(w Workload) (*loop, *slot, *fakeWire) {
	r := &run{cfg: Config{Timeout: time.Minute}, base: time.Now()}
	l := &loop{run: r, tally: newTally(0, 0, false)}
	wire := &fakeWire{}
	s := &slot{loop: l, wire: wire, parser: w.Reader()}
	l.slots = []*slot{s}
	p := newPhase(StageMeasure, w, 1<<60, 0)
	p.results = make(chan *tally, 1)
	r.phase.Store(p)
	l.enter(r.now())
	return l, s, wire
}

// rightAnswer is what a server answers to request n.
func rightAnswer(dst []byte, s Script, n uint64) []byte {
	want := s.Expect(n)
	body := rightBody(want)
	dst = append(dst[:0], "HTTP/1.1 200 OK\r\nServer: smache\r\nDate: Sun, 22 Nov 2026 17:10:10 GMT\r\nContent-Type: application/json\r\nContent-Length: "...)
	size := len(body)
	dst = append(dst, '0'+byte(size/100), '0'+byte(size/10%10), '0'+byte(size%10))
	dst = append(dst, "\r\nETag: \"0123456789abcdef\"\r\n\r\n"...)
	return append(dst, body...)
}

// rightBody fills the holes of an answer: values that vary are those of a write that
// moved nothing. It gives up to 200 bytes without allocating.
func rightBody(want Expect) []byte {
	if len(want.Holes) == 0 {
		return want.Body
	}
	body, from := fillable[:0], 0
	for _, h := range want.Holes {
		body = append(body, want.Body[from:h.At]...)
		if from = h.At; h.Kind == HoleText {
			body = append(body, "smache@127.0.0.1"...)
		}
	}
	return append(body, want.Body[from:]...)
}

var fillable = make([]byte, 0, 200)

// From an answer's bytes to the next request's, nothing is allocated.
func TestRequestAllocs(t *testing.T) {
	for _, make := range []func(WorkloadConfig) (Workload, error){NewControl, NewPost, NewGet, mixedHalf} {
		w := mustWorkload(t, make, testHTTP(1000, 0))
		l, s, wire := fakeLoop(w)
		server := w.Script()
		var answer []byte
		allocs := testing.AllocsPerRun(1000, func() {
			answer = rightAnswer(answer, server, s.n)
			if !l.received(s, answer) {
				t.Fatal("the connection was closed")
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations per request", w.Name(), allocs)
		}
		if l.tally.ok != 1001 || l.tally.sent != 1002 || l.tally.failures() != 0 || !bytes.Equal(wire.request, server.Request(s.n)) {
			t.Errorf("%s: %+v", w.Name(), l.tally)
		}
	}
}

// An answer in two pieces allocates nothing either, once the buffer is there.
func TestSplitAnswerAllocs(t *testing.T) {
	w := mustWorkload(t, NewGet, testHTTP(1000, 0))
	l, s, _ := fakeLoop(w)
	server := w.Script()
	var whole []byte
	allocs := testing.AllocsPerRun(1000, func() {
		whole = rightAnswer(whole, server, s.n)
		l.received(s, whole[:40])
		l.received(s, whole[40:])
	})
	if allocs != 0 || l.tally.ok != 1001 {
		t.Errorf("%v allocations, %d right", allocs, l.tally.ok)
	}
}

// mixedHalf makes values that vary.
func mixedHalf(cfg WorkloadConfig) (Workload, error) {
	cfg.Vary = true
	return NewMixed(cfg, .5)
}

func BenchmarkRequest(b *testing.B) {
	for _, make := range []func(WorkloadConfig) (Workload, error){NewControl, NewPost, NewGet, mixedHalf} {
		w := mustWorkload(b, make, testHTTP(1000, 0))
		b.Run(w.Name(), func(b *testing.B) {
			l, s, _ := fakeLoop(w)
			server := w.Script()
			var answer []byte
			b.ReportAllocs()
			for b.Loop() {
				answer = rightAnswer(answer, server, s.n)
				l.received(s, answer)
			}
		})
	}
}
