package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/smache/smache/bench"
)

// A benchOutput prints results as they come, and what is about all of them at the
// end.
type benchOutput struct {
	cfg     *benchConfig
	stdout  io.Writer
	stderr  io.Writer
	created bool            // the page was not there before
	old     []*bench.Result // of --compare
	results []*bench.Result
}

func newBenchOutput(inv invocation, cfg *benchConfig) (*benchOutput, error) {
	o := &benchOutput{cfg: cfg, stdout: inv.stdout, stderr: inv.stderr}
	if cfg.compare != "" {
		text, err := os.ReadFile(string(cfg.compare))
		if err != nil {
			return nil, fmt.Errorf("--compare: %w", err)
		}
		if o.old, err = bench.ReadResults(bytes.NewReader(text)); err != nil {
			return nil, fmt.Errorf("--compare %s: %s", string(cfg.compare), strings.TrimPrefix(err.Error(), "bench: "))
		}
	}
	if cfg.html != "" { // better now than after the measurement
		there, err := os.Stat(string(cfg.html))
		o.created = errors.Is(err, os.ErrNotExist)
		if old, none := os.Stat(string(cfg.compare)); err == nil && none == nil && os.SameFile(there, old) {
			return nil, errors.New("--html and --compare name the same file, whose results would be lost")
		}
		f, err := os.OpenFile(string(cfg.html), os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("--html: %w", err)
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("--html: %w", err)
		}
	}
	return o, nil
}

// add prints one result.
func (o *benchOutput) add(r *bench.Result) error {
	first := len(o.results) == 0
	o.results = append(o.results, r)
	switch {
	case bool(o.cfg.json):
		if old := o.counterpart(r); old != nil {
			r.Comparison = bench.Compare(old, r, float64(o.cfg.minDifference))
		}
		return r.WriteJSON(o.stdout)
	case bool(o.cfg.csv):
		if first {
			if err := bench.WriteCSVHeader(o.stdout); err != nil {
				return err
			}
		}
		return r.WriteCSV(o.stdout)
	}
	if !first {
		fmt.Fprintln(o.stdout)
	}
	if err := r.WriteText(o.stdout); err != nil {
		return err
	}
	return o.compareText(r)
}

// compareText writes the comparison of one result, if one was asked for.
func (o *benchOutput) compareText(r *bench.Result) error {
	old := o.counterpart(r)
	if old == nil {
		return nil
	}
	fmt.Fprintln(o.stdout)
	return bench.Compare(old, r, float64(o.cfg.minDifference)).WriteText(o.stdout)
}

// counterpart is what a result is compared with. If it is asked for and not there,
// that is said.
func (o *benchOutput) counterpart(r *bench.Result) *bench.Result {
	old := bench.Counterpart(r, o.old)
	if old == nil && o.old != nil {
		name := r.Scenario
		if r.Label != "" {
			name = r.Label + ": " + name
		}
		_, differing := bench.Nearest(r, o.old)
		fmt.Fprintf(o.stderr, "smache bench: %s: not compared with %s: %s\n", name, string(o.cfg.compare), strings.Join(differing, "; "))
	}
	return old
}

// finish writes the page. If nothing was measured there is none, and one that was
// there remains.
func (o *benchOutput) finish() error {
	switch {
	case o.cfg.html == "":
		return nil
	case len(o.results) == 0 && o.created:
		return os.Remove(string(o.cfg.html))
	case len(o.results) == 0:
		return nil
	}
	var page bytes.Buffer
	if err := bench.WriteHTML(&page, o.results, o.old, float64(o.cfg.minDifference)); err != nil {
		return err
	}
	return os.WriteFile(string(o.cfg.html), page.Bytes(), 0o644)
}

// showProgress draws one line over the last one.
func showProgress(w io.Writer, name string, p bench.Progress) {
	const width = 30
	filled := int(p.Share * width)
	failed := ""
	if p.Failed > 0 {
		failed = fmt.Sprintf("  %d FAILED", p.Failed)
	}
	rate := ""
	if p.Stage != bench.StageConnect {
		rate = fmt.Sprintf("  %.0f requests/s  p99 %s", p.Rate, bench.FormatMilliseconds(float64(p.P99)/float64(time.Millisecond)))
	}
	fmt.Fprintf(w, "\r\x1b[K%s: %-8s [%s%s] %3.0f%%  %d%s%s", name, p.Stage,
		strings.Repeat("=", filled), strings.Repeat(" ", width-filled), p.Share*100, p.Done, rate, failed)
}
