package main

import (
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// logRoom is how many bytes of the log may wait to be written.
const logRoom = 256 << 10

// logCloseWithin bounds how long close waits: whoever reads the log may have stopped.
const logCloseWithin = time.Second

// logQueue is the log's way to standard error. A line that is logged by an event loop
// must not wait for whoever reads the log: lines go through a bounded buffer to one
// goroutine, which alone writes. One that finds no room is dropped, and counted. Its
// methods may be called from any goroutine.
type logQueue struct {
	w       io.Writer
	tell    func(dropped uint64) // that lines were dropped, once there is room again; set before the first Write
	wake    chan struct{}        // something waits, or it is to end
	stopped chan struct{}

	mu      sync.Mutex
	waiting []byte
	lines   uint64 // in waiting
	closing bool

	written, dropped, failed atomic.Uint64
}

// newLogQueue makes a queue of lines to w, until close.
func newLogQueue(w io.Writer) *logQueue {
	q := &logQueue{w: w, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	go q.run()
	return q
}

// Write takes p, which is one line, or drops it. It keeps nothing of p, and the error
// is always nil: nobody who logs could do anything about it.
func (q *logQueue) Write(p []byte) (int, error) {
	q.mu.Lock()
	if q.closing || len(q.waiting)+len(p) > logRoom {
		q.mu.Unlock()
		q.dropped.Add(1)
		return len(p), nil
	}
	q.waiting = append(q.waiting, p...)
	q.lines++
	q.mu.Unlock()
	q.rouse()
	return len(p), nil
}

func (q *logQueue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default: // it will look
	}
}

// close writes what waits, within a second, and ends the queue. It is called once.
func (q *logQueue) close() {
	q.mu.Lock()
	q.closing = true
	q.mu.Unlock()
	q.rouse()
	timer := time.NewTimer(logCloseWithin)
	defer timer.Stop()
	select {
	case <-q.stopped:
	case <-timer.C:
	}
}

func (q *logQueue) run() {
	defer close(q.stopped)
	var text []byte
	told := uint64(0)
	for range q.wake {
		q.mu.Lock()
		text, q.waiting = q.waiting, text[:0]
		lines, closing := q.lines, q.closing
		q.lines = 0
		q.mu.Unlock()
		if n := q.dropped.Load(); n != told && q.tell != nil {
			q.tell(n - told)
			told = n
		}
		if len(text) > 0 {
			if _, err := q.w.Write(text); err != nil {
				q.failed.Add(lines)
			} else {
				q.written.Add(lines)
			}
		}
		if closing {
			return
		}
	}
}

// appendMetrics appends what became of the lines, as Prometheus text.
func (q *logQueue) appendMetrics(dst []byte) []byte {
	const name = "smache_log_lines_total"
	dst = append(dst, "# HELP "+name+" Lines of the node's log: written, dropped because their reader was too slow, and failed, as it was gone.\n# TYPE "+name+" counter\n"...)
	for _, r := range []struct {
		result string
		n      uint64
	}{{"written", q.written.Load()}, {"dropped", q.dropped.Load()}, {"failed", q.failed.Load()}} {
		dst = append(append(append(dst, name+`{result="`...), r.result...), `"} `...)
		dst = append(strconv.AppendUint(dst, r.n, 10), '\n')
	}
	return dst
}
