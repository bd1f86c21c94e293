package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestZipf(t *testing.T) {
	for _, skew := range []float64{.5, .99, 1, 2} {
		k, err := Keys{Count: 1000, Order: OrderZipf, Skew: skew, Seed: 3}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		const draws = 200_000
		counts := make([]float64, 1000)
		for n := range uint64(draws) {
			counts[k.Index(n)]++
		}
		total := 0.0
		for i := range counts {
			total += math.Pow(float64(i+1), -skew)
		}
		for _, i := range []int{0, 1, 2, 9, 99} {
			want := draws * math.Pow(float64(i+1), -skew) / total
			if math.Abs(counts[i]-want) > 6*math.Sqrt(want)+1 {
				t.Errorf("skew %v: key %d was drawn %v times, want %v", skew, i, counts[i], want)
			}
		}
	}
}

func TestKeysOnly(t *testing.T) {
	k, err := Keys{Only: []uint64{7, 9}, Order: OrderSequential}.withDefaults()
	if err != nil || k.Count != 2 || k.Index(0) != 7 || k.Index(3) != 9 {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestPickRatio(t *testing.T) {
	pick := pickRatio(20_000, 5_000)
	var counts [2]uint64
	for n := range uint64(1000) {
		op, nth := pick(n)
		if nth != counts[op] {
			t.Fatalf("request %d is number %d of operation %d, want %d", n, nth, op, counts[op])
		}
		counts[op]++
	}
	if counts[0] != 800 || counts[1] != 200 {
		t.Errorf("%v", counts)
	}
	if op, nth := pickRatio(MaxRate, MaxRate)(warmupFirst); op != 0 || nth != warmupFirst/2 {
		t.Errorf("operation %d, number %d", op, nth)
	}
}

// The bodies of requests are JSON, the answers too, and both are about the same.
func TestBatchRequests(t *testing.T) {
	cfg := testHTTP(50, 400)
	cfg.Batch, cfg.TTL, cfg.Vary = 7, 1500*time.Millisecond, true
	mset, mget := mustWorkload(t, NewMset, cfg).Script(), mustWorkload(t, NewMget, cfg).Script()
	for n := range uint64(5) {
		request, body := readRequest(t, mset.Request(n))
		var sent struct {
			Entries []struct {
				Key  string
				Data json.RawMessage
				TTL  float64
			}
		}
		if err := json.Unmarshal(body, &sent); err != nil || request.URL.Path != "/base/api/mset" || len(sent.Entries) != 7 || sent.Entries[6].TTL != 1.5 {
			t.Fatalf("%v: %s", err, body)
		}
		_, body = readRequest(t, mget.Request(n))
		var asked struct{ Keys []string }
		if err := json.Unmarshal(body, &asked); err != nil || len(asked.Keys) != 7 {
			t.Fatalf("%v: %s", err, body)
		}
		answer := []byte(`{"results":[`)
		for i, e := range sent.Entries {
			if e.Key != asked.Keys[i] || len(e.Data) != 400 {
				t.Fatalf("item %d of request %d: %s and %s, %d bytes", i, n, e.Key, asked.Keys[i], len(e.Data))
			}
			if i > 0 {
				answer = append(answer, ',')
			}
			answer = append(append(append(append(answer, `{"key":"`+e.Key+`","data":`...), e.Data...), `,"node":"n`...), `"}`...)
		}
		answer = append(answer, "]}"...)
		right := func(answer []byte) bool {
			var c checker
			want := mget.Expect(n)
			c.take(answer, &want)
			return c.right(&want)
		}
		if !right(answer) {
			t.Errorf("%s is taken for wrong", answer)
		}
		if right(bytes.Replace(answer, []byte(asked.Keys[3]), []byte("bench-9999999999"), 2)) {
			t.Error("another key's value is taken for right")
		}
	}
}

// Values differ from write to write, and what a write expects is what it sent.
func TestVaryingValues(t *testing.T) {
	cfg := testHTTP(1, 0)
	cfg.Vary = true
	s := mustWorkload(t, NewPost, cfg).Script()
	seen := map[string]bool{}
	for n := range uint64(100) {
		_, body := readRequest(t, s.Request(n))
		var entry struct{ Data json.RawMessage }
		if err := json.Unmarshal(body, &entry); err != nil {
			t.Fatal(err)
		}
		if want := `{"data":` + string(entry.Data) + `}`; string(s.Expect(n).Body) != want {
			t.Fatalf("expects %s, want %s", s.Expect(n).Body, want)
		}
		seen[string(entry.Data)] = true
	}
	if len(seen) < 99 {
		t.Errorf("%d values in 100 writes", len(seen))
	}
}

// A reader takes any write of its key, but a whole one: not the beginning of one with
// the end of another, the coordinates of another key, or what is cut.
func TestVaryingAnswers(t *testing.T) {
	t.Parallel()
	cut := regexp.MustCompile(`\d,"`)
	for name, spoil := range map[string]func(now, before, others string) string{
		"the last write":   nil,
		"the write before": func(_, before, _ string) string { return before },
		"torn behind the first coordinate": func(now, before, _ string) string {
			at := strings.Index(now, `"lat":`) + len(`"lat":57.520008`)
			return now[:at] + before[at:]
		},
		"torn before the end": func(now, before, _ string) string {
			return now[:len(now)-7] + before[len(before)-7:]
		},
		"torn in the first coordinate": func(now, before, _ string) string {
			at := strings.Index(now, `"lat":`) + len(`"lat":57.52000`)
			return now[:at] + before[at:]
		},
		"another key's": func(now, _, others string) string {
			at := strings.Index(now, `"lat":`)
			return now[:at] + others[at:]
		},
		"a digit less":  func(now, _, _ string) string { return cut.ReplaceAllString(now, `,"`) },
		"a digit more":  func(now, _, _ string) string { return cut.ReplaceAllString(now, `00,"`) },
		"a wrong digit": func(now, _, _ string) string { return now[:len(now)-2] + string('0'+(now[len(now)-2]-'0'+1)%10) + "}" },
	} {
		for _, size := range []int{0, 400} {
			var mu sync.Mutex
			writes := map[string][]string{} // of each key
			spoiled, whole := uint64(0), uint64(0)
			s := startCache(t, func(w http.ResponseWriter, r *http.Request, _ int64) bool {
				mu.Lock()
				defer mu.Unlock()
				if r.Method == http.MethodPost {
					var entry struct {
						Key  string
						Data json.RawMessage
					}
					_ = json.NewDecoder(r.Body).Decode(&entry) // it is compared with its answer
					writes[entry.Key] = append(writes[entry.Key], string(entry.Data))
					_, _ = fmt.Fprintf(w, `{"data":%s}`, entry.Data)
					return true
				}
				key := r.URL.Query().Get("key")
				all := writes[key]
				data := all[len(all)-1]
				if whole++; spoil != nil && len(all) > 1 {
					other := DefaultPrefix + "0000000000"
					if key == other {
						other = DefaultPrefix + "0000000001"
					}
					data = spoil(data, all[len(all)-2], writes[other][0])
					spoiled++
				}
				_, _ = fmt.Fprintf(w, `{"key":"%s","data":%s,"node":"n"}`, key, data)
				return true
			})
			cfg := WorkloadConfig{Endpoint: s.endpoint, Keys: Keys{Count: 5}, Vary: true, ValueSize: size}
			mixed, err := NewMixed(cfg, .5)
			if err != nil {
				t.Fatal(err)
			}
			result, err := testRun(t, s.endpoint, func(c *Config) {
				c.Workload, c.Clients, c.Threads, c.Requests = mixed, 1, 1, 200
				cfg.Keys.Order = OrderSequential
				c.Prepare, c.PrepareRequests = mustWorkload(t, NewPost, cfg), 5
			})
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			want := spoiled
			if name == "the write before" {
				want = 0
			}
			if got := result.Failures[FailContent.String()]; got != want || result.Failed() != want || spoil != nil && spoiled < 50 || whole < 50 {
				t.Errorf("%s, size %d: %d failures of %d answers, %d spoiled: %v", name, size, result.Failed(), whole, spoiled, result.Samples)
			}
			mu.Unlock()
		}
	}
}

// Each kind of operation is measured apart.
func TestMixedOperations(t *testing.T) {
	t.Parallel()
	s := startCache(t, nil)
	cfg := WorkloadConfig{Endpoint: s.endpoint, Keys: Keys{Count: 20}, Vary: true}
	mixed, err := NewMixed(cfg, .8)
	if err != nil {
		t.Fatal(err)
	}
	result, err := testRun(t, s.endpoint, func(c *Config) {
		c.Workload, c.Requests = mixed, 1000
		cfg.Keys.Order = OrderSequential
		c.Prepare, c.PrepareRequests = mustWorkload(t, NewPost, cfg), 20
	})
	if err != nil || result.Failed() != 0 || result.OK != 1000 {
		t.Fatalf("%+v, %v", result, err)
	}
	reads, writes := result.Operations[0], result.Operations[1]
	if reads.Name != "get" || writes.Name != "post" || reads.OK+writes.OK != 1000 || reads.OK < 700 || reads.OK > 900 || writes.Latency.Max <= 0 {
		t.Errorf("%+v", result.Operations)
	}
	if got := s.posts.Load(); got != int64(writes.OK)+20 {
		t.Errorf("%d writes seen, %d counted", got, writes.OK)
	}
}

// Moving things are in one region each, and go to the one beside, one in a hundred for
// each update of all.
func TestRegions(t *testing.T) {
	const things, lanes, count = 2000, 100, 20
	cfg := testHTTP(things, 0)
	cfg.Batch = lanes
	w, err := NewLocation(cfg, 20, 1) // each region is read once while each thing is updated five times
	if err != nil {
		t.Fatal(err)
	}
	s := w.Script().(*script)
	// round gives the region of each thing, read while each is updated some times.
	next := uint64(0)
	round := func() map[string]uint64 {
		where := map[string]uint64{}
		for read := uint64(0); read < count; next++ {
			if op, _ := s.which(next); op == 0 {
				continue // an update
			}
			_, body := readRequest(t, s.Request(next))
			var asked struct{ Keys []string }
			if err := json.Unmarshal(body, &asked); err != nil || len(asked.Keys) != lanes {
				t.Fatalf("%v: %s", err, body)
			}
			for _, key := range asked.Keys {
				where[key] = read
			}
			if expect := s.Expect(next); !bytes.Contains(expect.Body, []byte(asked.Keys[lanes-1])) {
				t.Fatalf("expects %s", expect.Body)
			}
			read++
		}
		return where
	}
	const rounds, updates = 600, 20 * count // of 2,000 things, in each round
	before, moves := round(), 0
	moved := map[string]int{}
	for range rounds {
		now := round()
		if len(now) < things-2*count { // who moves meanwhile may be missed
			t.Fatalf("%d things are in a region", len(now))
		}
		for key, region := range now {
			old := before[key]
			before[key] = region
			if old == region {
				continue
			}
			if away := (region + count - old) % count; away != 1 && away != count-1 {
				t.Fatalf("%s went from region %d to %d", key, old, region)
			}
			moves++
			moved[key]++
		}
	}
	// One in a hundred updates is a move.
	if want := rounds * updates / updatesPerRegion; moves < want*9/10 || moves > want*11/10 || len(moved) != things {
		t.Errorf("%d moves of %d things, want %d of all", moves, len(moved), want)
	}
}

// Fewer things than a region has, or a number that fills none, are asked for, too.
func TestRegionsUneven(t *testing.T) {
	for _, things := range []uint64{1, 7, 100, 101, 250} {
		g := regions{things: things, lanes: 100}
		for updates := range uint64(30_000) {
			view := g.at(updates*7+warmupFirst, updates)
			seen := view.thing(updates % 100)
			if seen >= g.count()*100 || seen%100 != updates%100 {
				t.Fatalf("%d things: number %d", things, seen)
			}
		}
	}
}
