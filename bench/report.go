package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
)

// WriteText writes the result for people, with ab's lines under ab's names, so
// that what reads ab's output reads this too. The format is stable. The error is
// that of w.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-24s%s\n", name+":", fmt.Sprintf(format, args...))
	}
	line("Scenario", "%s (%s)", r.Scenario, r.About)
	line("Server", "%s", r.URL)
	line("Settings", "%s", r.Settings)
	line("Concurrency Level", "%d", r.Clients)
	line("Event loops", "%d", r.Threads)
	if r.Rate > 0 {
		line("Intended rate", "%.2f [#/sec], latency counts from the intended time", r.Rate)
	}
	b.WriteByte('\n')
	line("Time taken for tests", "%.3f seconds", r.Seconds)
	line("Complete requests", "%d", r.Requests-r.Abandoned)
	line("Failed requests", "%d", r.requestsFailed())
	r.writeFailures(&b, line)
	line("Keep-Alive requests", "%d", r.keptAlive())
	line("Total transferred", "%d bytes", r.BytesReceived)
	line("Body transferred", "%d bytes", r.BytesBody)
	line("Total sent", "%d bytes", r.BytesSent)
	line("Requests per second", "%.2f [#/sec] (mean)", r.RequestsPerSecond)
	line("Time per request", "%.3f [ms] (mean)", r.Latency.Mean)
	line("Transfer rate", "%.2f [Kbytes/sec] received", r.each(r.BytesReceived)/1024)
	fmt.Fprintf(&b, "%-24s%.2f [Kbytes/sec] sent\n", "", r.each(r.BytesSent)/1024)
	line("Connections", "%d opened (%.3f seconds before the test), %d ended during it", r.Connections, r.ConnectSeconds, r.Reconnects)
	b.WriteByte('\n')
	b.WriteString("Percentage of the requests served within a certain time (ms)\n")
	for _, q := range []struct {
		share string
		ms    float64
	}{
		{"50%", r.Latency.P50}, {"75%", r.Latency.P75}, {"90%", r.Latency.P90}, {"95%", r.Latency.P95},
		{"99%", r.Latency.P99}, {"99.9%", r.Latency.P999}, {"99.99%", r.Latency.P9999},
	} {
		fmt.Fprintf(&b, "%7s %10.3f\n", q.share, q.ms)
	}
	fmt.Fprintf(&b, "%7s %10.3f (longest request)\n\n", "100%", r.Latency.Max)
	r.writeHistogram(&b)
	r.writeOperations(&b)
	r.writePace(line)
	r.writeRounds(&b)
	if r.Server != nil {
		line("Server CPU", "%.2f us per request (%.3f s), %.1f MiB resident", r.Server.PerRequest, r.Server.CPUSeconds,
			float64(r.Server.Resident)/(1<<20))
	}
	line("Generator CPU", "%.2f us per request (user %.3f s, system %.3f s), loops %.0f%% busy",
		r.CPU.PerRequest, r.CPU.UserSeconds, r.CPU.SystemSeconds, r.CPU.Share*100)
	if r.Warning != "" {
		fmt.Fprintf(&b, "WARNING: %s\n", r.Warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeFailures writes the lines that are there only if something is wrong.
func (r *Result) writeFailures(b *strings.Builder, line func(name, format string, args ...any)) {
	var parts []string
	for _, kind := range Failures() {
		if n := r.Failures[kind.String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", kind, n))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "   (%s)\n", strings.Join(parts, ", "))
	}
	for _, kind := range Failures() {
		if text := r.Samples[kind.String()]; text != "" {
			fmt.Fprintf(b, "   first %s: %s\n", kind, text)
		}
	}
	codes := make([]int, 0, len(r.Statuses))
	for code := range r.Statuses {
		codes = append(codes, code)
	}
	sort.Ints(codes)
	for _, code := range codes {
		fmt.Fprintf(b, "   status %d: %d\n", code, r.Statuses[code])
	}
	if r.WarmupFailures > 0 {
		line("Failed in warm-up", "%d", r.WarmupFailures)
	}
	if r.Retried > 0 {
		line("Retried requests", "%d", r.Retried)
	}
	if r.Abandoned > 0 {
		line("Abandoned requests", "%d", r.Abandoned)
	}
}

// WriteJSON writes the result as one JSON object in one line. The error is that
// of w.
func (r *Result) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// requestsFailed leaves out what failed before there was a request.
func (r *Result) requestsFailed() uint64 {
	var n uint64
	for kind, v := range r.Failures {
		if kind != FailConnect.String() {
			n += v
		}
	}
	return n
}

// keptAlive is the number of requests after which the connection was kept.
func (r *Result) keptAlive() uint64 { return r.Requests - min(r.Requests, r.Reconnects) }

func (r *Result) each(bytes uint64) float64 {
	if r.Seconds <= 0 {
		return 0
	}
	return float64(bytes) / r.Seconds
}
