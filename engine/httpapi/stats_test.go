package httpapi

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// fakeStats is the answer of GET /stats in tests: the example of openapi.json.
func fakeStats(last int) (Stats, bool) {
	older := proto.Sample{7, 1000, 812, 120, 3, 0, 801, 11, 530, 0, 40, 91204, 130412, 21000, 51200, 9011200, 104857600, 60100, 180355072, 268435456, 12, 1, 0,
		0, 3, 400, 412, 90, 20, 8, 2}
	latest := proto.Sample{8, 1001, 790, 131, 0, 0, 779, 11, 512, 0, 38, 90011, 128830, 20500, 51290, 9027040, 104857600, 61101, 180355072, 268435456, 12, 0, 0,
		0, 1, 395, 401, 92, 22, 7, 2, 1}
	samples := proto.Stats{Run: 1700000000000000, Age: 250 * time.Millisecond, Figures: proto.FigureCount}
	if last > 1 {
		samples.Samples = proto.AppendSample(samples.Samples, &older)
	}
	samples.Samples = proto.AppendSample(samples.Samples, &latest)
	return Stats{Node: "smache@test", Epoch: "0", Members: []MemberStats{
		{Member: Member{"smache@test", "serving", 32768, "10.0.0.1:4000", "10.0.0.1:14000", "test"}, Samples: samples},
		{Member: Member{"smache@other", "serving", 32768, "10.0.0.2:4000", "10.0.0.2:14000", "test"}, Why: WhyNoAnswer},
	}}, true
}

// TestStatsQuery: last is passed on, within its bounds.
func TestStatsQuery(t *testing.T) {
	asked, busy := 0, false
	c := dial(t, serve(t, newServer(t, newFake(), func(config *Config) {
		config.Stats = func(last int) (Stats, bool) {
			asked = last
			return Stats{}, !busy
		}
	})))
	for query, want := range map[string]int{"": defaultSamples, "?last=1": 1, "?last=300": 300, "?other=1": defaultSamples} {
		if got := c.get("/stats" + query); got.status != 200 || asked != want || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, asked for %d, want %d", query, got.status, got.body, asked, want)
		}
	}
	for _, query := range []string{"last=0", "last=301", "last=", "last=-1", "last=1e2", "last=99999999999999999999"} {
		if got := c.get("/stats?" + query); got.status != 400 || !strings.Contains(got.body, `"malformed_query"`) {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	busy = true
	if got := c.get("/stats"); got.status != 503 || !strings.Contains(got.body, `"overloaded"`) || got.header.Get("Retry-After") == "" {
		t.Errorf("when too many ask: %d %s", got.status, got.body)
	}
}

// TestStatsAlone: without a Config.Stats there is this node, with no samples; the
// lists are there all the same.
func TestStatsAlone(t *testing.T) {
	c := dial(t, serve(t, newServer(t, newFake(), func(config *Config) { config.Stats = nil })))
	var answer struct {
		Members []struct {
			Name    string
			Samples map[string][]any
		}
	}
	got := c.get("/stats")
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || len(answer.Members) != 1 || len(answer.Members[0].Samples) != int(proto.FigureLatency)+1 {
		t.Errorf("%v: %s", err, got.body)
	}
}

// TestStatsSqueezed: a client that takes gzip gets the same answer in fewer bytes.
func TestStatsSqueezed(t *testing.T) {
	c := dial(t, serve(t, newServer(t, newFake(), nil)))
	plain := c.get("/stats")
	got := c.send("GET /stats HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, deflate\r\n\r\n")
	if plain.header.Get("Content-Encoding") != "" || got.header.Get("Content-Encoding") != "gzip" ||
		plain.header.Get("Vary") != "Accept-Encoding" || got.header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("plain: %v, squeezed: %v", plain.header, got.header)
	}
	r, err := gzip.NewReader(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil || string(text) != plain.body || len(got.body) >= len(plain.body) {
		t.Errorf("%v, %d bytes of %d, %s", err, len(got.body), len(plain.body), text)
	}
}

// TestCounts: the counters by what the requests ask for.
func TestCounts(t *testing.T) {
	f := newFake()
	s := newServer(t, f, nil)
	c := dial(t, serve(t, s))
	c.post("/api", `{"key":1,"data":{}}`)
	c.post("/api/mset", `{"entries":[{"key":2,"data":{}},{"key":3,"data":{}}]}`)
	c.post("/api/touch", `{"keys":[2],"ttl":1}`)
	c.get("/api?key=1")
	c.post("/api/mget", `{"keys":[1,2,7]}`)
	c.post("/api/mdel", `{"keys":[1,2,7]}`)
	c.send("DELETE /api?key=3 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	c.post("/api/flush", `{}`)
	c.get("/stats")
	c.get("/metrics")
	f.override = func(op *proto.Op) bool {
		op.Status = proto.StatusQueueFull
		return true
	}
	c.post("/api", `{"key":1,"data":{}}`)
	var got Counts
	eventually(t, "all are counted", func() bool {
		got = s.Counts()
		return got.InFlight == 0 && got.Writes == 4
	})
	var timed uint64
	for _, n := range got.Latency {
		timed += n
	}
	if got.Received == 0 || got.Sent == 0 {
		t.Errorf("%d bytes in, %d out", got.Received, got.Sent)
	}
	got.Received, got.Sent, got.Latency = 0, 0, [proto.LatencyCount]uint64{}
	want := Counts{Reads: 2, Writes: 4, Deletes: 3, Failed: 1, Hits: 3, Misses: 1, Connections: 1}
	if fmt.Sprint(got) != fmt.Sprint(want) || timed != 9 {
		t.Errorf("%+v, %d timed, want %+v, 9", got, timed, want)
	}
}
