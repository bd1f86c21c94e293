package gossip

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// logs takes the lines that memberlist writes. Most of what it calls an error is
// what a partition or a restart looks like, and the links report those, so
// everything goes one level lower; and a stranger can bring about any number of
// lines, so they are few in a time. Those left out are counted.
type logs struct {
	to      *slog.Logger
	now     func() time.Time
	dropped atomic.Uint64
	closed  atomic.Bool

	mu     sync.Mutex
	tokens float64
	at     time.Time
}

const (
	logBurst    = 20.0
	logInterval = 5 * time.Second // one more line
	maxLogLine  = 400
)

// levels says what the levels of memberlist's lines become.
var levels = []struct {
	mark  string
	level slog.Level
}{
	{"[ERR] ", slog.LevelWarn}, {"[ERROR] ", slog.LevelWarn}, {"[WARN] ", slog.LevelInfo},
	{"[INFO] ", slog.LevelDebug}, {"[DEBUG] ", slog.LevelDebug},
}

func newLogs(to *slog.Logger) *logs { return &logs{to: to, now: time.Now, tokens: logBurst} }

// logger gives what memberlist writes to.
func (l *logs) logger() *log.Logger { return log.New(l, "", 0) }

// Write takes one line of memberlist.
func (l *logs) Write(line []byte) (int, error) {
	text, level := strings.TrimSpace(string(line)), slog.LevelInfo
	for _, k := range levels {
		if rest, ok := strings.CutPrefix(text, k.mark); ok {
			text, level = rest, k.level
			break
		}
	}
	text = strings.TrimPrefix(text, "memberlist: ")
	if len(text) > maxLogLine {
		text = text[:maxLogLine] + "…"
	}
	l.put(level, "gossip: memberlist says", "text", text)
	return len(line), nil
}

// put logs a line, unless there were too many.
func (l *logs) put(level slog.Level, message string, args ...any) {
	ctx := context.Background()
	if l.closed.Load() || !l.to.Enabled(ctx, level) {
		return
	}
	if level > slog.LevelDebug && !l.allow() {
		l.dropped.Add(1)
		return
	}
	l.to.Log(ctx, level, message, args...)
}

func (l *logs) allow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if !l.at.IsZero() {
		l.tokens = min(logBurst, l.tokens+float64(now.Sub(l.at))/float64(logInterval))
	}
	l.at = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}
