package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func testHTTP(keys uint64, size int) WorkloadConfig {
	return WorkloadConfig{
		Endpoint:  Endpoint{Address: "127.0.0.1:1", Host: "cache.test:1", Base: "/base"},
		Headers:   []string{"Authorization: Bearer x"},
		Keys:      Keys{Count: keys, Seed: 7},
		ValueSize: size,
	}
}

func mustWorkload(t testing.TB, build func(WorkloadConfig) (Workload, error), cfg WorkloadConfig) Workload {
	t.Helper()
	w, err := build(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// readRequest takes a request apart with net/http.
func readRequest(t *testing.T, raw []byte) (*http.Request, []byte) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(raw))
	request, err := http.ReadRequest(r)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.Buffered() > 0 {
		t.Fatalf("%q: %d bytes too many", raw, r.Buffered())
	}
	if request.Host != "cache.test:1" || request.Header.Get("Authorization") != "Bearer x" {
		t.Fatalf("%q: wrong headers", raw)
	}
	return request, body
}

func TestWorkloadRequests(t *testing.T) {
	for _, size := range []int{0, MinValueSize, 19, 57, 58, 59, 66, 67, 68, 1000, 70_000} {
		cfg := testHTTP(50, size)
		post := mustWorkload(t, NewPost, cfg).Script()
		get := mustWorkload(t, NewGet, cfg).Script()
		for n := range uint64(20) {
			request, body := readRequest(t, post.Request(n))
			if request.Method != "POST" || request.URL.Path != "/base/api" || request.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("wrong request line or type: %s %s", request.Method, request.URL)
			}
			var entry struct {
				Key  string
				Data json.RawMessage
			}
			if err := json.Unmarshal(body, &entry); err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			if want := size; want > 0 && len(entry.Data) != want || want == 0 && len(entry.Data) != 58 {
				t.Fatalf("size %d: data has %d bytes", size, len(entry.Data))
			}
			if !bytes.Contains(entry.Data, []byte(entry.Key[len(DefaultPrefix):])) {
				t.Fatalf("data %s does not name key %s", entry.Data, entry.Key)
			}
			var object map[string]any
			if err := json.Unmarshal(entry.Data, &object); err != nil {
				t.Fatalf("data %s: %v", entry.Data, err)
			}
			if got := post.Expect(n); got.Status != 200 || len(got.Holes) > 0 || string(got.Body) != `{"data":`+string(entry.Data)+`}` {
				t.Fatalf("post expects %s", got.Body)
			}

			request, body = readRequest(t, get.Request(n))
			if request.Method != "GET" || request.URL.Path != "/base/api" || len(body) > 0 || request.URL.Query().Get("key") != entry.Key {
				t.Fatalf("get %d asks for %s, post wrote %s", n, request.URL, entry.Key)
			}
			want := fmt.Sprintf(`{"key":"%s","data":%s,"node":""}`, entry.Key, entry.Data)
			if got := get.Expect(n); got.Status != 200 || !slices.Equal(got.Holes, []Hole{{At: len(want) - 2}}) || string(got.Body) != want {
				t.Fatalf("get expects %s, want %s", got.Body, want)
			}
		}
	}
}

func TestControlRequest(t *testing.T) {
	s := mustWorkload(t, NewControl, testHTTP(1, 0)).Script()
	request, body := readRequest(t, s.Request(3))
	if request.Method != "GET" || request.URL.Path != "/base/" || len(body) > 0 {
		t.Fatalf("wrong request: %s %s", request.Method, request.URL)
	}
	if e := s.Expect(3); e.Status != 200 || string(e.Body) != "{}" || len(e.Holes) > 0 {
		t.Fatalf("expects %+v", e)
	}
}

// Requests follow from their numbers alone, whatever was asked before.
func TestWorkloadDeterminism(t *testing.T) {
	w := mustWorkload(t, NewPost, testHTTP(1000, 0))
	straight, scattered := w.Script(), w.Script()
	want := map[uint64]string{}
	for n := range uint64(500) {
		want[n] = string(straight.Request(n))
	}
	for i := range uint64(500) {
		n := i * 283 % 500
		if got := string(scattered.Request(n)); got != want[n] {
			t.Fatalf("request %d is %q, and %q in another order", n, want[n], got)
		}
	}
	other := testHTTP(1000, 0)
	other.Keys.Seed = 8
	differ := 0
	s := mustWorkload(t, NewPost, other).Script()
	for n := range uint64(500) {
		if string(s.Request(n)) != want[n] {
			differ++
		}
	}
	if differ < 400 {
		t.Fatalf("another seed gives the same requests, but for %d of 500", differ)
	}
}

func TestKeysOrder(t *testing.T) {
	random := Keys{Count: 100, Seed: 1}
	counts := map[uint64]int{}
	for n := range uint64(100_000) {
		i := random.Index(n)
		if i >= 100 {
			t.Fatalf("key %d of 100", i)
		}
		counts[i]++
	}
	for i := range uint64(100) {
		if c := counts[i]; c < 800 || c > 1200 { // expected 1000, deviation 32
			t.Errorf("key %d was drawn %d times of 100000", i, c)
		}
	}
	sequential := Keys{Count: 3, Order: OrderSequential}
	for n, want := range []uint64{0, 1, 2, 0, 1} {
		if got := sequential.Index(uint64(n)); got != want {
			t.Errorf("request %d is about key %d, want %d", n, got, want)
		}
	}
	k, err := Keys{}.withDefaults()
	if err != nil || string(k.AppendKey(nil, 42)) != "bench-0000000042" || k.Index(9) != 0 {
		t.Errorf("defaults: %+v, %v", k, err)
	}
}

func TestWorkloadRefuses(t *testing.T) {
	for name, change := range map[string]func(*WorkloadConfig){
		"no endpoint":       func(c *WorkloadConfig) { c.Endpoint = Endpoint{} },
		"value too small":   func(c *WorkloadConfig) { c.ValueSize = MinValueSize - 1 },
		"value too large":   func(c *WorkloadConfig) { c.ValueSize = MaxValueSize + 1 },
		"too many keys":     func(c *WorkloadConfig) { c.Keys.Count = MaxKeys + 1 },
		"prefix to escape":  func(c *WorkloadConfig) { c.Keys.Prefix = "a&b" },
		"prefix too long":   func(c *WorkloadConfig) { c.Keys.Prefix = strings.Repeat("a", 257) },
		"no header":         func(c *WorkloadConfig) { c.Headers = []string{"x"} },
		"header of its own": func(c *WorkloadConfig) { c.Headers = []string{"HOST: x"} },
		"two headers":       func(c *WorkloadConfig) { c.Headers = []string{"X: y\r\nZ: w"} },
	} {
		cfg := testHTTP(1, 0)
		change(&cfg)
		for _, make := range []func(WorkloadConfig) (Workload, error){NewControl, NewPost, NewGet} {
			if _, err := make(cfg); !errors.Is(err, ErrConfig) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestWorkloadAbout(t *testing.T) {
	cfg := testHTTP(5, 100)
	for want, w := range map[string]Workload{
		"no key":                                mustWorkload(t, NewControl, cfg),
		"5 keys at random, values of 100 bytes": mustWorkload(t, NewGet, cfg),
		"1 key, values of 58 bytes":             mustWorkload(t, NewPost, testHTTP(1, 0)),
	} {
		if w.About() != want {
			t.Errorf("got %q, want %q", w.About(), want)
		}
	}
	cfg.Keys.Order = OrderSequential
	if got := mustWorkload(t, NewPost, cfg).About(); got != "5 keys in turn, values of 100 bytes" {
		t.Errorf("got %q", got)
	}
}

func TestChecker(t *testing.T) {
	plain := Expect{Body: []byte(`{"data":{}}`)}
	node := Expect{Body: []byte(`{"key":"K","data":{},"node":""}`), Holes: []Hole{{At: len(`{"key":"K","data":{},"node":"`)}}}
	two := Expect{Body: []byte(`[5,"x",""]`), Holes: []Hole{{At: 2}, {At: 8}}}
	moved := Expect{Body: []byte(`[50.000010,"x",119.999998]`), Holes: []Hole{{2, HoleMoved}, {17, HoleAsMoved}}}
	anything := Expect{Any: true}
	for _, test := range []struct {
		want  *Expect
		body  string
		right bool
	}{
		{&plain, `{"data":{}}`, true},
		{&plain, ``, false},
		{&plain, `{"data":{}`, false},
		{&plain, `{"data":{}} `, false},
		{&plain, `{"data":[]}`, false},
		{&node, `{"key":"K","data":{},"node":"smache@localhost"}`, true},
		{&node, `{"key":"K","data":{},"node":""}`, true},
		{&node, `{"key":"K","data":{},"node":"smache@localhost"`, false},
		{&node, `{"key":"K","data":{},"node":"smache@localhost`, false},
		{&node, `{"key":"K","data":{},"node":"smache@localhost"}}`, false},
		{&node, `{"key":"K","data":{},"node":"a","b":"c"}`, false},
		{&node, `{"key":"K","data":{},"node":"a\"}`, false},
		{&node, "{\"key\":\"K\",\"data\":{},\"node\":\"a\n\"}", false},
		{&node, `{"key":"K","data":null,"node":"a"}`, false},
		{&node, `{"key":"K","data":{},"node":`, false},
		{&two, `[57.25,"x","a"]`, true},
		{&two, `[5,"x",""]`, true},
		{&two, `[57.25,"y","a"]`, false},
		{&two, `[57"25,"x","a"]`, false},
		{&two, `[57.25,"x"]`, false},
		{&moved, `[50.000010,"x",119.999998]`, true},
		{&moved, `[50.000011,"x",119.999999]`, true},
		{&moved, `[50.000012,"x",110.000000]`, true},
		{&moved, `[50.000009,"x",119.999997]`, true},
		{&moved, `[59.999999,"x",119.999987]`, true},
		{&moved, `[50.000012,"x",119.999999]`, false}, // of two writes
		{&moved, `[50.000012,"x",119.999998]`, false},
		{&moved, `[50.000010,"x",119.999997]`, false},
		{&moved, `[50.00001,"x",119.999998]`, false}, // digits are missing
		{&moved, `[50.000010,"x",119.99999]`, false},
		{&moved, `[5,"x",11]`, false},
		{&moved, `[50.0000100,"x",119.999998]`, false}, // too many
		{&moved, `[50.000010,"x",119.9999980]`, false},
		{&moved, `[50.00001x,"x",119.999998]`, false},
		{&moved, `[50.00001/,"x",119.999998]`, false},
		{&moved, `[50.00001:,"x",119.999998]`, false},
		{&moved, `[50.00001:,"x",110.000008]`, false}, // as if : were a ten
		{&moved, `[50,000010,"x",119.999998]`, false},
		{&moved, `[5.0000010,"x",119.999998]`, false},
		{&moved, `[50.000010,"x",119.999998`, false},
		{&moved, `[50.000010,"x",119.99`, false},
		{&moved, `[50.00`, false},
		{&anything, ``, true},
		{&anything, `x`, true},
	} {
		for step := 1; step <= len(test.body)+1; step++ {
			var c checker
			for i := 0; i < len(test.body); i += step {
				c.take([]byte(test.body[i:min(i+step, len(test.body))]), test.want)
			}
			if c.right(test.want) != test.right {
				t.Errorf("%s in steps of %d: right is %v", test.body, step, !test.right)
			}
		}
	}
}

func TestParseEndpoint(t *testing.T) {
	for text, want := range map[string]string{"https://cache.test/base/": "cache.test:443", "rediss://cache.test": "cache.test:6379"} {
		if e, err := ParseEndpoint(text); err != nil || e.Address != want || e.TLS == nil || e.URL() != strings.TrimSuffix(text, "/") {
			t.Errorf("%s: %+v, %v", text, e, err)
		}
	}
	for text, want := range map[string]Endpoint{
		"4000":                       {ProtocolHTTP, "127.0.0.1:4000", "127.0.0.1:4000", "", nil, Login{}},
		":4000":                      {ProtocolHTTP, "127.0.0.1:4000", "127.0.0.1:4000", "", nil, Login{}},
		"localhost:4000":             {ProtocolHTTP, "localhost:4000", "localhost:4000", "", nil, Login{}},
		"http://cache.test":          {ProtocolHTTP, "cache.test:80", "cache.test", "", nil, Login{}},
		"http://cache.test/":         {ProtocolHTTP, "cache.test:80", "cache.test", "", nil, Login{}},
		"http://10.0.0.1:81/a/b/":    {ProtocolHTTP, "10.0.0.1:81", "10.0.0.1:81", "/a/b", nil, Login{}},
		"http://[::1]:4000":          {ProtocolHTTP, "[::1]:4000", "[::1]:4000", "", nil, Login{}},
		DefaultURL:                   {ProtocolHTTP, "127.0.0.1:4000", "127.0.0.1:4000", "", nil, Login{}},
		"http://cache.test:81/a%20b": {ProtocolHTTP, "cache.test:81", "cache.test:81", "/a%20b", nil, Login{}},
	} {
		got, err := ParseEndpoint(text)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	if got := (Endpoint{Host: "a", Base: "/b"}).URL(); got != "http://a/b" {
		t.Errorf("URL: %s", got)
	}
	for _, text := range []string{
		"", "ftp://x", "memcacheds://x", "http://", "memcached://u:p@x", "http://x?q", "http://x?", "http://x#f",
		"http://x:0", "http://x:99999", "70000", "http://x y", "http://x/\r\nX: y", "127.0.0.1:http",
	} {
		if got, err := ParseEndpoint(text); !errors.Is(err, ErrEndpoint) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}
