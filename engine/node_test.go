package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smache/smache/engine/httpapi"
	"github.com/smache/smache/engine/store"
)

// patience is how long a test waits for what must happen.
const patience = 3 * time.Minute

// small is a configuration for a node that takes little memory.
func small(name string) Config {
	return Config{
		Name: name, Memory: 128 << 20, Available: 1 << 40,
		Logger: slog.New(slog.DiscardHandler),
	}
}

// run starts a node on a free port, and gives its URL.
func run(t testing.TB, cfg Config) (*Node, string) {
	t.Helper()
	node, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(listener); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := node.Drain(ctx); err != nil {
			t.Errorf("draining %s: %v", cfg.Name, err)
		}
	})
	return node, "http://" + listener.Addr().String()
}

// ask sends a request, with headers as name and value in turn, and gives the
// answer whole.
func ask(t testing.TB, method, url, body string, headers ...string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestTwoNodes: nodes in one process share nothing.
func TestTwoNodes(t *testing.T) {
	one, first := run(t, small("one"))
	two, second := run(t, small("two"))
	for _, url := range []string{first, second} {
		body := `{"key":"k","data":{"at":"` + url + `"}}`
		if status, answer := ask(t, "POST", url+"/api", body); status != 200 {
			t.Fatalf("POST answers %d %s", status, answer)
		}
	}
	for name, url := range map[string]string{"one": first, "two": second} {
		want := `{"key":"k","data":{"at":"` + url + `"},"node":"` + name + `"}`
		if status, answer := ask(t, "GET", url+"/api?key=k", ""); status != 200 || answer != want {
			t.Errorf("%s answers %d %s, want %s", name, status, answer, want)
		}
	}
	if one.Len() != 1 || two.Len() != 1 {
		t.Errorf("the nodes hold %d and %d entries", one.Len(), two.Len())
	}
	if status, answer := ask(t, "POST", first+"/api/flush", `{}`); status != 200 || answer != `{"flushed":true,"applied":1,"members":1}` {
		t.Errorf("flush answers %d %s", status, answer)
	}
	if one.Len() != 0 || two.Len() != 1 {
		t.Errorf("after the flush of one the nodes hold %d and %d entries", one.Len(), two.Len())
	}
	if a, b := one.Cluster().Epoch, two.Cluster().Epoch; a == b || len(a) != 16 {
		t.Errorf("the epochs are %s and %s", a, b)
	}
}

func TestNewErrors(t *testing.T) {
	for _, c := range []struct {
		about  string
		change func(*Config)
		want   error
		flag   string
	}{
		{"no name", func(c *Config) { c.Name = "" }, ErrName, "--name"},
		{"a name with a space", func(c *Config) { c.Name = "my node" }, ErrName, "--name"},
		{"a name that is not ASCII", func(c *Config) { c.Name = "nœud" }, ErrName, "--name"},
		{"a long name", func(c *Config) { c.Name = strings.Repeat("n", 256) }, ErrName, "--name"},
		{"too much memory", func(c *Config) { c.Available = 90 << 20 }, ErrMemory, "--memory"},
		{"too little memory", func(c *Config) { c.Memory = 1 << 20 }, ErrMemory, "--memory"},
		{"too many connections", func(c *Config) { c.MaxConnections = 100_000 }, ErrMemory, "--max-connections"},
		{"too few files", func(c *Config) { c.MaxConnections, c.OpenFiles = 200, 200 }, ErrOpenFiles, "--max-connections"},
		{"hardly any files", func(c *Config) { c.OpenFiles = 20 }, ErrOpenFiles, "LimitNOFILE"},
		{"too many writers", func(c *Config) { c.Writers = 1024 }, store.ErrArena, "--writers"},
		{"too large values", func(c *Config) { c.MaxValue = 4 << 20 }, store.ErrMaxValue, "--max-value"},
		{"too small headers", func(c *Config) { c.MaxHeader = 10 }, httpapi.ErrConfig, "--max-header"},
		{"too small a budget", func(c *Config) { c.LargeBudget = 1 << 20 }, httpapi.ErrConfig, "--large-budget"},
	} {
		cfg := small("n")
		c.change(&cfg)
		node, err := New(cfg)
		if node != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.flag) {
			t.Errorf("%s: %v, want %v naming %s", c.about, err, c.want, c.flag)
		}
	}
}

// TestConnectionsFollowOpenFiles: a derived limit is what the process can have.
func TestConnectionsFollowOpenFiles(t *testing.T) {
	cfg := small("n")
	cfg.OpenFiles = 300
	node, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := node.Plan().MaxConnections; got != 300-spareFiles {
		t.Errorf("with 300 files there may be %d connections", got)
	}
}

// TestPlanAddsUp: whatever is given, the parts fit in the total, and the budgets
// for bodies in their part.
func TestPlanAddsUp(t *testing.T) {
	for _, cfg := range []Config{
		{Memory: 120 << 20}, {Memory: 128 << 20}, {Memory: 256 << 20}, {Memory: 1 << 30}, {Memory: 64 << 30},
		{Memory: 256 << 20, MaxConnections: 100}, {Memory: 1 << 30, MaxConnections: 10_000},
		{Memory: 256 << 20, LargeBudget: 20 << 20}, {Memory: 1 << 30, MaxBody: 64 << 20}, {Memory: 1 << 30, MaxAnswer: 200 << 20},
	} {
		plan, large, medium, err := cfg.plan(1 << 50)
		if err != nil {
			t.Errorf("%+v: %v", cfg, err)
			continue
		}
		if sum := plan.Arena + plan.Index + plan.Connections + plan.Large + plan.Runtime; sum > cfg.Memory || plan.Runtime < 0 {
			t.Errorf("%+v: the parts add up to %d: %+v", cfg, sum, plan)
		}
		if large+medium != plan.Large || large < cfg.leastLarge() || medium < 256<<10 {
			t.Errorf("%+v: the budgets are %d and %d of %d", cfg, large, medium, plan.Large)
		}
		if cfg.LargeBudget > 0 && large != cfg.LargeBudget {
			t.Errorf("%+v: the budget became %d", cfg, large)
		}
	}
}

// TestDefaultLimits: with the memory that a node has unless told otherwise, the
// limits are the documented ones, and an answer of that size goes out whole; less
// memory lowers them, and the node says so.
func TestDefaultLimits(t *testing.T) {
	cfg := small("n")
	cfg.Memory = 256 << 20
	node, url := run(t, cfg)
	if body, answer := node.Limits(); body != 8<<20 || answer != 16<<20 {
		t.Errorf("the limits are %d and %d", body, answer)
	}
	text := strings.Repeat("x", 1_000_000)
	var keys []string
	for i := range 17 {
		if status, answer := ask(t, "POST", url+"/api", fmt.Sprintf(`{"key":%d,"data":{"x":"%s"}}`, i, text)); status != 200 {
			t.Fatalf("POST answers %d %.100s", status, answer)
		}
		keys = append(keys, strconv.Itoa(i))
	}
	for n, want := range map[int]int{16: 16, 17: 16} {
		status, answer := ask(t, "POST", url+"/api/mget", `{"keys":[`+strings.Join(keys[:n], ",")+`]}`)
		if got := strings.Count(answer, text); status != 200 || got != want || strings.Count(answer, "answer_too_large") != n-want {
			t.Errorf("of %d values of 1 MB the answer, %d, has %d", n, status, got)
		}
	}

	less, _ := run(t, small("less"))
	if body, answer := less.Limits(); body != 8<<20 || answer != 12<<20 {
		t.Errorf("with less memory the limits are %d and %d", body, answer)
	}
}

// TestConditions: the store and the API agree on what each condition means, for
// an entry that is there and for one that is not.
func TestConditions(t *testing.T) {
	_, url := run(t, small("n"))
	const other = `"0000000000000001"`
	for _, c := range []struct {
		header, tag   string // an empty tag is that of the entry
		method        string
		there, absent int
	}{
		{"If-Match", "", "GET", 200, 412},
		{"If-Match", "", "HEAD", 200, 412},
		{"If-Match", "", "POST", 200, 412},
		{"If-Match", "", "DELETE", 200, 412},
		{"If-Match", "*", "GET", 200, 412},
		{"If-Match", "*", "POST", 200, 412},
		{"If-Match", "*", "DELETE", 200, 412},
		{"If-Match", other, "GET", 412, 412},
		{"If-Match", other, "POST", 412, 412},
		{"If-Match", other, "DELETE", 412, 412},
		{"If-None-Match", "", "GET", 304, 200},
		{"If-None-Match", "", "HEAD", 304, 200},
		{"If-None-Match", "", "POST", 412, 200},
		{"If-None-Match", "", "DELETE", 412, 200},
		{"If-None-Match", "*", "GET", 304, 200},
		{"If-None-Match", "*", "POST", 412, 200},
		{"If-None-Match", "*", "DELETE", 412, 200},
		{"If-None-Match", other, "GET", 200, 200},
		{"If-None-Match", other, "POST", 200, 200},
		{"If-None-Match", other, "DELETE", 200, 200},
	} {
		for _, there := range []bool{true, false} {
			if status, answer := ask(t, "DELETE", url+"/api?key=k", ""); status != 200 {
				t.Fatalf("DELETE answers %d %s", status, answer)
			}
			tag, want := c.tag, c.absent
			if there {
				status, answer := ask(t, "POST", url+"/api/mset", `{"entries":[{"key":"k","data":{}}]}`)
				_, etag, found := strings.Cut(answer, `"etag":"`)
				if status != 200 || !found {
					t.Fatalf("mset answers %d %s", status, answer)
				}
				want = c.there
				if tag == "" {
					tag = `"` + etag[:16] + `"`
				}
			} else if tag == "" {
				tag = `"660e1b3181897000"`
			}
			path, body := "/api?key=k", ""
			if c.method == "POST" {
				path, body = "/api", `{"key":"k","data":{"new":1}}`
			}
			if status, answer := ask(t, c.method, url+path, body, c.header, tag); status != want {
				t.Errorf("%s with %s: %s, the entry there: %t: %d %s, want %d", c.method, c.header, tag, there, status, answer, want)
			}
		}
	}
}

func TestClusterStates(t *testing.T) {
	cfg := small("n")
	cfg.DrainDelay = patience
	node, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	state := func() string {
		c := node.Cluster()
		if c.Node != "n" || len(c.Members) != 1 || c.Members[0].Name != "n" || c.Members[0].Slots != 65536 || c.Moving != 0 {
			t.Errorf("the cluster is %+v", c)
		}
		return c.Members[0].State
	}
	if s := state(); s != "joining" || node.Ready() {
		t.Errorf("before Start the state is %s, ready %t", s, node.Ready())
	}
	joining := node.Cluster().Epoch
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(listener); err != nil {
		t.Fatal(err)
	}
	if s := state(); s != "serving" || !node.Ready() || node.Cluster().Members[0].HTTP != listener.Addr().String() {
		t.Errorf("after Start: %+v, ready %t", node.Cluster(), node.Ready())
	}
	serving := node.Cluster().Epoch
	if joining == serving || serving != node.Cluster().Epoch {
		t.Errorf("the epochs are %s, then %s", joining, serving)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- node.Drain(ctx) }()
	poll(t, "the node is leaving", func() bool { return state() == "leaving" && !node.Ready() })
	// It serves until the drain delay is over.
	if status, _ := ask(t, "GET", "http://"+listener.Addr().String()+"/api?key=a", ""); status != 200 {
		t.Errorf("while leaving it answers %d", status)
	}
	cancel()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Errorf("Drain, cut short: %v", err)
	}
}

// poll tries until ok, and fails the test if that takes too long.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// TestDrainUnderLoad drains a node under load, in this process, so that the race
// detector looks on: every request that gets an answer gets it whole.
func TestDrainUnderLoad(t *testing.T) {
	node, url := run(t, small("n"))
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var answered atomic.Int64
	var done sync.WaitGroup
	for w := range 8 {
		done.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d", w, i)
				data := fmt.Sprintf(`{"worker":%d,"number":%d}`, w, i)
				response, err := client.Post(url+"/api", "application/json", strings.NewReader(`{"key":"`+key+`","data":`+data+`}`))
				if err != nil {
					return // refused, or closed before an answer
				}
				if !expect(t, response, `{"data":`+data+`}`) {
					return
				}
				answered.Add(1)
				if response, err = client.Get(url + "/api?key=" + key); err != nil {
					return
				}
				if !expect(t, response, `{"key":"`+key+`","data":`+data+`,"node":"n"}`) {
					return
				}
			}
		})
	}
	poll(t, "the load runs", func() bool { return answered.Load() > 500 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var drains sync.WaitGroup
	for range 3 { // all wait for the one drain
		drains.Go(func() {
			if err := node.Drain(ctx); err != nil {
				t.Errorf("Drain: %v", err)
			}
		})
	}
	drains.Wait()
	done.Wait()
}

// expect reads an answer, which must be 200 and whole.
func expect(t *testing.T, response *http.Response, want string) bool {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK || string(body) != want {
		t.Errorf("answered %d %s, %v; want %s", response.StatusCode, body, err, want)
		return false
	}
	return true
}

// TestDrainBeforeStart: a node that never served closes as well, and serves no
// more.
func TestDrainBeforeStart(t *testing.T) {
	node, err := New(small("n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	defer func() {
		if recover() == nil {
			t.Error("Start after Drain does not panic")
		}
	}()
	_ = node.Start(listener)
}

// TestFailed: a listener that fails is reported.
func TestFailed(t *testing.T) {
	node, err := New(small("n"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(listener); err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-node.Failed():
		if err == nil {
			t.Error("the failure is nil")
		}
	case <-time.After(patience):
		t.Errorf("no failure within %v", patience)
	}
	if err := node.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
}

// TestMaxValueDefault: the default is 1 MiB, or what a small arena allows.
func TestMaxValueDefault(t *testing.T) {
	for memory, most := range map[int64]int{128 << 20: 512 << 10, 1 << 30: 1 << 20} {
		cfg := small("n")
		cfg.Memory, cfg.Writers = memory, 1
		node, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := node.MaxValue(); got > most || got < most*9/10 {
			t.Errorf("with %s of memory a value may have %d bytes, want nearly %d", FormatBytes(memory), got, most)
		}
		if err := node.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
