package bench

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// csvColumns are the columns of WriteCSV. Append only: others read them.
var csvColumns = []string{
	"label", "scenario", "about", "url", "clients", "threads", "rate", "rounds", "requests", "ok", "failed", "seconds",
	"requests_per_second", "mean_ms", "p50_ms", "p75_ms", "p90_ms", "p95_ms", "p99_ms", "p99_9_ms", "p99_99_ms", "max_ms",
	"late", "generator_cpu_us", "server_cpu_us", "bottleneck", "settings",
}

// WriteCSVHeader writes the names of the columns. The error is that of w.
func WriteCSVHeader(w io.Writer) error { return writeCSV(w, csvColumns) }

// WriteCSV writes the result as one line of comma-separated values (RFC 4180). The
// error is that of w.
func (r *Result) WriteCSV(w io.Writer) error {
	whole := func(n uint64) string { return strconv.FormatUint(n, 10) }
	real := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	l := r.Latency
	late, server := uint64(0), 0.0
	if r.Pace != nil {
		late = r.Pace.Late
	}
	if r.Server != nil {
		server = r.Server.PerRequest
	}
	return writeCSV(w, []string{
		r.Label, r.Scenario, r.About, r.URL, strconv.Itoa(r.Clients), strconv.Itoa(r.Threads), real(r.Rate),
		strconv.Itoa(max(len(r.Rounds), 1)), whole(r.Requests), whole(r.OK), whole(r.Failed()), real(r.Seconds),
		real(r.RequestsPerSecond), real(l.Mean), real(l.P50), real(l.P75), real(l.P90), real(l.P95), real(l.P99), real(l.P999),
		real(l.P9999), real(l.Max), whole(late), real(r.CPU.PerRequest), real(server), strconv.FormatBool(r.CPU.Bottleneck),
		r.Settings.String(),
	})
}

func writeCSV(w io.Writer, record []string) error {
	c := csv.NewWriter(w)
	if err := c.Write(record); err != nil {
		return err
	}
	c.Flush()
	return c.Error()
}

// ErrResults says that what was read is no result of WriteJSON.
var ErrResults = errors.New("bench: not the results of --json")

// ReadResults reads what WriteJSON wrote, any number of times. The errors wrap
// ErrResults.
func ReadResults(r io.Reader) (results []*Result, err error) {
	d := json.NewDecoder(r)
	for {
		var result Result
		err := d.Decode(&result)
		switch {
		case errors.Is(err, io.EOF) && len(results) > 0:
			return results, nil
		case errors.Is(err, io.EOF): // such as a file that the shell has just emptied
			return nil, fmt.Errorf("%w: it is empty", ErrResults)
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrResults, err)
		case result.Scenario == "":
			return nil, fmt.Errorf("%w: there is no scenario", ErrResults)
		}
		results = append(results, &result)
	}
}
