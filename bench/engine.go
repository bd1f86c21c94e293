package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/smache/smache/proto"
)

// Target carries operations to where the values are, inside this process.
type Target interface {
	// Submit carries out op, or begins to. It returns true if op is complete;
	// else op.Done is called once it is, on any goroutine.
	Submit(op *proto.Op) bool
}

// The defaults and limits of an EngineConfig.
const (
	// DefaultRecords is what the seed's figures were taken with.
	DefaultRecords = 10_000
	DefaultRounds  = 11
	// MaxRecords bounds what RunEngine holds in memory beside the target.
	MaxRecords = 10_000_000
	// MaxGoroutines bounds how many share the records.
	MaxGoroutines = 1024
)

// ErrEngine says that a target gave a wrong answer.
var ErrEngine = errors.New("bench: the engine gave a wrong answer")

// EngineConfig is a measurement without a network: records written, then read back
// and compared.
type EngineConfig struct {
	// Target is what is measured. Required.
	Target Target
	// Records is the number of records; zero means DefaultRecords.
	Records int
	// Rounds is how often they are written and read; zero means DefaultRounds.
	// Each round writes other values, so that none is spared as an equal write.
	Rounds int
	// ValueSize is as in WorkloadConfig.
	ValueSize int
	// Goroutines is how many share the records, by slot: as nodes share them, and so
	// that goroutines need not meet at one writer of the target. Zero means one for
	// each core that the process may use.
	Goroutines int
}

func (c EngineConfig) withDefaults() (EngineConfig, error) {
	if c.Records == 0 {
		c.Records = DefaultRecords
	}
	if c.Rounds == 0 {
		c.Rounds = DefaultRounds
	}
	if c.Goroutines == 0 {
		c.Goroutines = runtime.GOMAXPROCS(0)
	}
	switch {
	case c.Target == nil:
		return c, fmt.Errorf("%w: no target", ErrConfig)
	case c.Records < 0 || c.Records > MaxRecords:
		return c, fmt.Errorf("%w: --records must be 1 to %d", ErrConfig, MaxRecords)
	case c.Rounds < 0 || c.Rounds > 100_000:
		return c, fmt.Errorf("%w: --rounds must be 1 to 100000", ErrConfig)
	}
	if c.Goroutines < 0 || c.Goroutines > MaxGoroutines {
		return c, fmt.Errorf("%w: --goroutines must be 1 to %d", ErrConfig, MaxGoroutines)
	}
	return c, checkValueSize(c.ValueSize)
}

// EngineResult is what RunEngine measured, in milliseconds.
type EngineResult struct {
	Records    int    `json:"records"`
	Rounds     int    `json:"rounds"`
	ValueSize  int    `json:"value_bytes"`
	Goroutines int    `json:"goroutines"`
	Write      Spread `json:"write_ms"`
	Read       Spread `json:"read_ms"`
	Both       Spread `json:"both_ms"`
}

// Spread sums up one figure over the rounds.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// engineRun is one call of RunEngine. While the workers run they only read it.
type engineRun struct {
	cfg     EngineConfig
	keys    Keys
	texts   []byte // of all keys, one after the other
	values  []byte // of the present round, one after the other
	size    int    // of one value
	workers []*engineWorker
}

// engineWorker is the part of one goroutine.
type engineWorker struct {
	run     *engineRun
	records []uint32
	op      proto.Op
	done    chan struct{}
	key     []byte
	out     []byte
	err     error
}

// RunEngine carries out the configuration. What is measured is, for each record,
// making its key canonical, finding its slot and the operation, with the check
// of its answer, and starting the goroutines; the texts are made beforehand. The
// errors wrap ErrConfig, ErrEngine or ErrInterrupted.
func RunEngine(ctx context.Context, cfg EngineConfig) (*EngineResult, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &engineRun{cfg: cfg, keys: Keys{Prefix: DefaultPrefix}}
	if err := r.share(); err != nil {
		return nil, err
	}
	var writes, reads, both []float64
	for round := range cfg.Rounds {
		if ctx.Err() != nil {
			return nil, ErrInterrupted
		}
		r.fill(round)
		begin := time.Now()
		if err := r.pass(proto.OpSet); err != nil {
			return nil, err
		}
		middle := time.Now()
		if err := r.pass(proto.OpGet); err != nil {
			return nil, err
		}
		end := time.Now()
		writes = append(writes, ms(middle.Sub(begin)))
		reads = append(reads, ms(end.Sub(middle)))
		both = append(both, ms(end.Sub(begin)))
	}
	return &EngineResult{
		Records: cfg.Records, Rounds: cfg.Rounds, ValueSize: r.size, Goroutines: cfg.Goroutines,
		Write: spread(writes), Read: spread(reads), Both: spread(both),
	}, nil
}

// share makes the keys and the workers, and deals the records out.
func (r *engineRun) share() error {
	for range r.cfg.Goroutines {
		w := &engineWorker{run: r, done: make(chan struct{}, 1)}
		w.op.Done = func(*proto.Op) { w.done <- struct{}{} }
		r.workers = append(r.workers, w)
	}
	var key []byte
	for i := range r.cfg.Records {
		begin := len(r.texts)
		r.texts = r.keys.AppendKey(r.texts, uint64(i))
		var err error
		if key, err = proto.AppendKey(key[:0], r.texts[begin:]); err != nil {
			return fmt.Errorf("%w: %w", ErrEngine, err)
		}
		w := r.workers[int(proto.SlotOf(key))%len(r.workers)]
		w.records = append(w.records, uint32(i))
	}
	return nil
}

// fill makes the values of a round.
func (r *engineRun) fill(round int) {
	var t template
	t.addData(&r.keys, r.cfg.ValueSize)
	r.size = len(t.text)
	r.values = r.values[:0]
	for i := range r.cfg.Records {
		r.values = append(r.values, t.set(uint64(round*r.cfg.Records+i))...)
	}
}

// pass writes or reads every record once. The error is that of the first worker
// that has one.
func (r *engineRun) pass(code proto.Opcode) error {
	var others sync.WaitGroup
	for _, w := range r.workers[1:] {
		others.Go(func() { w.err = w.pass(code) })
	}
	err := r.workers[0].pass(code)
	others.Wait()
	for _, w := range r.workers[1:] {
		if err == nil {
			err = w.err
		}
	}
	return err
}

// pass writes or reads every record of a worker once.
func (w *engineWorker) pass(code proto.Opcode) error {
	r := w.run
	width := len(r.keys.Prefix) + keyDigits
	for _, record := range w.records {
		i := int(record)
		value := r.values[i*r.size : (i+1)*r.size]
		var err error
		if w.key, err = proto.AppendKey(w.key[:0], r.texts[i*width:(i+1)*width]); err != nil {
			return fmt.Errorf("%w: %w", ErrEngine, err)
		}
		op := &w.op
		op.Reset()
		op.Code, op.Key, op.Slot = code, w.key, proto.SlotOf(w.key)
		if code == proto.OpSet {
			op.Value, op.TTL = value, proto.Forever
		} else {
			op.Out = w.out[:0]
		}
		if !r.cfg.Target.Submit(op) {
			<-w.done
		}
		if op.Status != proto.StatusOK {
			return fmt.Errorf("%w: record %d, operation %d: status %d", ErrEngine, i, code, op.Status)
		}
		if code == proto.OpGet {
			if w.out = op.Out; !bytes.Equal(w.out, value) {
				return fmt.Errorf("%w: record %d: another value than the one written", ErrEngine, i)
			}
		}
	}
	return nil
}

// WriteText writes the result for people. The format is stable. The error is
// that of w.
func (r *EngineResult) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records of %d bytes written, then read, without HTTP, by %d goroutines, %d times\n\n",
		r.Records, r.ValueSize, r.Goroutines, r.Rounds)
	fmt.Fprintf(&b, "%-12s%12s%12s%12s\n", "ms in total", "median", "min", "max")
	for _, row := range []struct {
		name string
		s    Spread
	}{{"write", r.Write}, {"read", r.Read}, {"both", r.Both}} {
		fmt.Fprintf(&b, "%-12s%12.3f%12.3f%12.3f\n", row.name, row.s.Median, row.s.Min, row.s.Max)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the result as one JSON object in one line. The error is that
// of w.
func (r *EngineResult) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// engineColumns are the columns of EngineResult.WriteCSV. Append only: others read them.
var engineColumns = []string{
	"records", "rounds", "value_bytes", "goroutines", "write_ms", "write_min_ms", "write_max_ms",
	"read_ms", "read_min_ms", "read_max_ms", "both_ms", "both_min_ms", "both_max_ms",
}

// WriteCSV writes the names of the columns and the result as two lines of
// comma-separated values (RFC 4180). The error is that of w.
func (r *EngineResult) WriteCSV(w io.Writer) error {
	var record []string
	for _, n := range []int{r.Records, r.Rounds, r.ValueSize, r.Goroutines} {
		record = append(record, strconv.Itoa(n))
	}
	for _, s := range []Spread{r.Write, r.Read, r.Both} {
		for _, f := range []float64{s.Median, s.Min, s.Max} {
			record = append(record, strconv.FormatFloat(f, 'f', -1, 64))
		}
	}
	return errors.Join(writeCSV(w, engineColumns), writeCSV(w, record))
}

func ms(d time.Duration) float64 { return round3(float64(d) / float64(time.Millisecond)) }

// spread sums up values, of which there is at least one; it sorts them.
func spread(values []float64) Spread {
	slices.Sort(values)
	n := len(values)
	return Spread{Median: round3((values[(n-1)/2] + values[n/2]) / 2), Min: values[0], Max: values[n-1]}
}
