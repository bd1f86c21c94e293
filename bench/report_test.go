package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// golden compares got with a file of testdata, which is changed by hand: others
// read this format.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// fixedResult is a result with fixed figures.
func fixedResult(t *testing.T, bad bool) *Result {
	t.Helper()
	cfg := testHTTP(1000, 0)
	cfg.Endpoint = Endpoint{Address: "127.0.0.1:4000", Host: "127.0.0.1:4000"}
	run := Config{Workload: mustWorkload(t, NewGet, cfg), Clients: 900, Threads: 1, Timeout: 10 * time.Second}
	total := newTally(1, 0, false)
	total.sent, total.ok = 50_000, 50_000
	total.bytesOut, total.bytesIn, total.bytesBody = 3_350_000, 15_050_000, 6_400_000
	for i := range 50_000 {
		took := time.Duration(i+1) * 400 * time.Nanosecond
		total.kinds[0].latency.Record(took)
		total.series.add(int64(i)*12_500, int64(took))
	}
	var warmup *tally
	if bad {
		total.ok = 49_990
		total.failed = [failureKinds]uint64{1, 2, 0, 3, 4, 0, 0, 0}
		total.statuses[503], total.statuses[404] = 2, 1
		total.sample(FailConnect, "dial tcp 127.0.0.1:4000: connect: connection refused")
		total.sample(FailStatus, "status 503: {\"message\":\"the writer queue is full\"}\r\n\x00")
		total.abandoned, total.retried, total.reconnects = 1, 5, 7
		warmup = newTally(1, 0, false)
		warmup.failed[FailTimeout] = 6
		run.Warmup = 2 * time.Second
	}
	m := newMeasurement(&run)
	m.add(total, 625*time.Millisecond, usage{own: cpuTime{75 * time.Millisecond, 500 * time.Millisecond}})
	m.warmup, m.connecting, m.opened = warmup, 50*time.Millisecond, 905
	return m.result()
}

func TestReportGolden(t *testing.T) {
	for name, bad := range map[string]bool{"good": false, "bad": true} {
		r := fixedResult(t, bad)
		var text, line bytes.Buffer
		if err := errors.Join(r.WriteText(&text), r.WriteJSON(&line)); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", text.Bytes())
		golden(t, name+".json", line.Bytes())
		var back Result
		if err := json.Unmarshal(line.Bytes(), &back); err != nil || bytes.Count(line.Bytes(), []byte{'\n'}) != 1 {
			t.Errorf("not one line of JSON: %v", err)
		}
		if want := map[bool]uint64{false: 0, true: 16}[bad]; r.Failed() != want {
			t.Errorf("%s: %d failures, want %d", name, r.Failed(), want)
		}
	}
}

// openResult is that of an open loop of reads and writes, in two rounds, of which the
// second one is late, with the server's processes at hand.
func openResult(t *testing.T) *Result {
	t.Helper()
	cfg := testHTTP(1000, 0)
	cfg.Endpoint = Endpoint{Address: "127.0.0.1:4000", Host: "127.0.0.1:4000"}
	cfg.Vary = true
	mixed, err := NewMixed(cfg, .75)
	if err != nil {
		t.Fatal(err)
	}
	pacer, err := ConstantRate(20_000)
	if err != nil {
		t.Fatal(err)
	}
	const each = 10_000
	run := Config{
		Workload: mixed, Clients: 100, Threads: 1, Timeout: 10 * time.Second, Requests: each, Rounds: 2, Pacer: pacer, Servers: []int{1}, Label: "open",
	}
	m := newMeasurement(&run)
	m.connecting, m.opened = 20*time.Millisecond, 100
	for round := range 2 {
		total := newTally(2, 0, true)
		total.sent, total.ok = each, each-uint64(round)
		total.bytesOut, total.bytesIn, total.bytesBody = 700_000, 3_000_000, 1_200_000
		for i := range each {
			behind := time.Duration(i%100) * time.Microsecond
			if round == 1 && i%25 == 0 {
				behind = 5 * time.Millisecond
				total.late++
				if i%100 == 0 {
					total.lateBusy++
				}
			}
			total.delay.Record(behind)
			if round == 1 && i == each-1 {
				total.kinds[1].failed, total.failed[FailTimeout] = 1, 1
				break
			}
			kind, took := 0, behind+time.Duration(i+1)*100*time.Nanosecond
			if i%4 == 3 {
				kind = 1
			}
			total.kinds[kind].latency.Record(took)
			total.series.add(int64(i)*50_000, int64(took))
		}
		m.add(total, 500*time.Millisecond, usage{
			own: cpuTime{20 * time.Millisecond, 80 * time.Millisecond}, servers: time.Duration(120+30*round) * time.Millisecond, resident: 96 << 20,
		})
	}
	return m.result()
}

// The report of an open loop has what a closed one has not: what was late, each
// operation and round, and the server's processor time.
func TestOpenReportGolden(t *testing.T) {
	r := openResult(t)
	var text, line bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteJSON(&line)); err != nil {
		t.Fatal(err)
	}
	golden(t, "open.txt", text.Bytes())
	golden(t, "open.json", line.Bytes())
}

func TestResultOfNothing(t *testing.T) {
	run := Config{Workload: mustWorkload(t, NewControl, testHTTP(1, 0)), Clients: 1, Threads: 1}
	m := newMeasurement(&run)
	m.add(newTally(1, 0, false), 0, usage{})
	r := m.result()
	var out bytes.Buffer
	if err := errors.Join(r.WriteText(&out), r.WriteJSON(&out)); err != nil {
		t.Fatal(err) // JSON has no NaN
	}
	if r.RequestsPerSecond != 0 || r.CPU.Bottleneck || r.Failed() != 0 {
		t.Errorf("figures out of nothing: %+v", r)
	}
}

func TestFailureNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Failures() {
		seen[f.String()] = true
	}
	if len(seen) != failureKinds || seen[Failure(failureKinds).String()] {
		t.Errorf("the kinds do not have one name each: %v", seen)
	}
}
