package gossip

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// lines keeps what is logged.
type lines struct{ all []slog.Record }

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *lines) WithGroup(string) slog.Handler                    { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.all = append(l.all, r)
	return nil
}

func TestLogs(t *testing.T) {
	got := &lines{}
	l := newLogs(slog.New(got))
	now := time.Unix(1, 0)
	l.now = func() time.Time { return now }
	out := l.logger()
	for _, c := range []struct {
		text  string
		level slog.Level
		shown bool
	}{
		{"[ERR] memberlist: x", slog.LevelWarn, true},
		{"[WARN] memberlist: x", slog.LevelInfo, true},
		{"x", slog.LevelInfo, true},
		{"[INFO] memberlist: x", 0, false},
		{"[DEBUG] memberlist: x", 0, false},
	} {
		got.all = nil
		out.Print(c.text)
		if len(got.all) == 1 != c.shown {
			t.Errorf("%s: %d lines", c.text, len(got.all))
		} else if c.shown {
			got.all[0].Attrs(func(a slog.Attr) bool {
				if a.Value.String() != "x" {
					t.Errorf("%s became %s", c.text, a.Value)
				}
				return true
			})
			if got.all[0].Level != c.level {
				t.Errorf("%s became %s", c.text, got.all[0].Level)
			}
		}
	}
	// Many lines are few, and the rest are counted.
	got.all = nil
	for range 1000 {
		out.Print("[ERR] memberlist: " + strings.Repeat("y", 5000))
	}
	if n := len(got.all); n > logBurst || uint64(n)+l.dropped.Load() != 1000 {
		t.Errorf("%d lines, %d left out", n, l.dropped.Load())
	}
	got.all = nil
	now = now.Add(2 * logInterval)
	for range 5 {
		out.Print("again")
	}
	if len(got.all) != 2 {
		t.Errorf("%d lines in %v", len(got.all), 2*logInterval)
	}
	now = now.Add(time.Hour)
	l.closed.Store(true)
	got.all = nil
	out.Print("late")
	if len(got.all) != 0 {
		t.Error("a closed node logs")
	}
}

func TestMetrics(t *testing.T) {
	a := start(t, "a", nil)
	b := start(t, "b", joining(a.at.String()))
	a.sees(t, b)
	b.sees(t, a)
	eventually(t, "the join is counted", func() bool { return b.seeker.joins[outcomeJoined].Load() > 0 })
	text := string(b.AppendMetrics([]byte("# before\n")))
	for _, line := range []string{
		"# before", "# TYPE smache_gossip_members gauge", "smache_gossip_members 1", "smache_gossip_found_total 1",
		"smache_gossip_lost_total 0", `smache_gossip_joins_total{result="joined"} 1`, `smache_gossip_resolves_total{result="failed"} 0`,
		`smache_gossip_rejected_total{reason="label"} 0`, "smache_gossip_name_conflicts_total 0",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
}
