package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// failureIn gives the code and message of a failure's body.
func failureIn(tb testing.TB, body string) (code, message string) {
	tb.Helper()
	var f struct{ Code, Message string }
	if err := json.Unmarshal([]byte(body), &f); err != nil {
		tb.Fatalf("%q: %v", body, err)
	}
	return f.Code, f.Message
}

func wantFailure(tb testing.TB, got answerText, want *proto.Failure) {
	tb.Helper()
	if code, message := failureIn(tb, got.body); code != want.Code || got.status != want.HTTP || message == "" {
		tb.Errorf("answer %d %s, should be %d %s", got.status, got.body, want.HTTP, want.Code)
	}
	if retry := got.header.Get("Retry-After"); (want.HTTP == 503 || want.HTTP == 429) != (retry != "") {
		tb.Errorf("%s: Retry-After is %q", want.Code, retry)
	}
}

func TestKeyLimit(t *testing.T) {
	s := newServer(t, newFake(), nil)
	c := dial(t, serve(t, s))
	longest := strings.Repeat("k", proto.MaxKeyLen)
	for _, key := range []string{longest, strings.Repeat("%6b", proto.MaxKeyLen)} {
		if got := c.get("/api?key=" + key); got.status != 200 || !strings.Contains(got.body, longest) {
			t.Errorf("a key of %d bytes: %d %s", len(key), got.status, got.body)
		}
		wantFailure(t, c.get("/api?key="+key+"%6b"), proto.FailKeyTooLong)
	}
	for _, key := range []string{longest, strings.Repeat(`\u006b`, proto.MaxKeyLen), strings.Repeat("7", proto.MaxKeyLen)} {
		if got := c.post("/api", `{"key":"`+key+`","data":{}}`); got.status != 200 {
			t.Errorf("a key of %d bytes: %d %s", len(key), got.status, got.body)
		}
		wantFailure(t, c.post("/api", `{"key":"`+key+`7","data":{}}`), proto.FailKeyTooLong)
	}
	wantFailure(t, c.post("/api", `{"key":7`+strings.Repeat("7", proto.MaxKeyLen)+`,"data":{}}`), proto.FailKeyTooLong)
	// In a batch it fails alone, and is not repeated.
	got := c.post("/api/mget", `{"keys":["`+longest+`k","a"]}`)
	if want := `{"results":[{"key":null,"error":{"code":"key_too_long","message":"key is longer than 1024 bytes"}},{"key":"a","data":null,"node":"smache@test"}]}`; got.body != want {
		t.Errorf("mget: %s", got.body)
	}
}

func TestHeaderLimit(t *testing.T) {
	s := newServer(t, newFake(), nil)
	address := serve(t, s)
	got := dial(t, address).send("GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\nX-Long: " + strings.Repeat("x", defaultMaxHeader) + "\r\n\r\n")
	wantFailure(t, got, proto.FailHeaderLarge)
	if !got.close {
		t.Error("the connection stays open")
	}
	wantFailure(t, dial(t, address).get("/api?key="+strings.Repeat("k", 2*defaultMaxHeader)), proto.FailHeaderLarge)
	wantFailure(t, dial(t, address).get("/api?key="+strings.Repeat("k", 1<<20)), proto.FailHeaderLarge)
}

// TestHeaderLines counts headers, and nothing else.
func TestHeaderLines(t *testing.T) {
	s := newServer(t, newFake(), nil)
	address := serve(t, s)
	head := "GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\n"
	c := dial(t, address)
	for range 3 {
		if got := c.send(head + strings.Repeat("a:b\r\n", maxHeaderLines-1) + "\r\n"); got.status != 200 {
			t.Fatalf("with %d headers: %d %s", maxHeaderLines, got.status, got.body)
		}
	}
	for _, end := range []string{"\r\n", ""} { // a whole header, and one without end
		for _, before := range []int{0, 1} {
			c := dial(t, address)
			for range before {
				if got := c.get("/"); got.status != 200 {
					t.Fatal(got.body)
				}
			}
			got := c.send(head + strings.Repeat("a:b\r\n", 1000) + end)
			wantFailure(t, got, proto.FailHeaderLarge)
			if !got.close {
				t.Error("the connection stays open")
			}
		}
	}
	// Drop by drop, cut in different places.
	for _, drop := range []string{"a:b\r\nc:d\r\n", "a:b\r\n", "a:b\nc", ":b\r\na"} {
		var l headerLines
		if l.exceeded([]byte(head)) {
			t.Fatal("the first line is too much")
		}
		drops := 0
		for !l.exceeded([]byte(drop)) && drops < 10*maxHeaderLines {
			drops++
		}
		if drops > 3*maxHeaderLines {
			t.Errorf("%d drops of %q passed", drops, drop)
		}
	}
	// A body of many lines is none of that.
	value := "{\n" + strings.Repeat("\"a\":\n1,\n", 700) + "\"b\": 1\n}"
	c = dial(t, address)
	for range 3 {
		if got := c.post("/api", "{\"key\":1,\n\"data\":"+value+"}"); got.status != 200 {
			t.Fatal(got.body)
		}
	}
	// Many requests in one piece are none either.
	if _, err := io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if got := c.receive("GET"); got.status != 200 {
			t.Fatal(got.body)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	const limit = 200_000
	s := newServer(t, newFake(), func(c *Config) { c.MaxBody, c.MaxValue = limit, 150_000 })
	address := serve(t, s)
	body := func(n int) string { return strings.Repeat(" ", n-len(`{"key":1,"data":{}}`)) + `{"key":1,"data":{}}` }
	chunked := func(n int) string {
		return fmt.Sprintf("POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n, body(n))
	}
	c := dial(t, address)
	for _, n := range []int{19, 8191, 8192, 8193, 65_535, 65_536, 65_537, limit} {
		if got := c.post("/api", body(n)); got.status != 200 || got.close {
			t.Errorf("%d bytes: %d %s", n, got.status, got.body)
		}
		if got := c.send(chunked(n)); got.status != 200 || got.close {
			t.Errorf("%d bytes in a chunk: %d %s", n, got.status, got.body)
		}
	}
	// Whether the client has sent all of it or not, the answer arrives.
	refused := func(got answerText) {
		t.Helper()
		wantFailure(t, got, proto.FailBodyTooLarge)
		if _, message := failureIn(t, got.body); !strings.Contains(message, "200000") || !strings.Contains(message, "--max-body") {
			t.Errorf("the message %q names neither limit nor flag", message)
		}
	}
	refused(dial(t, address).send(postText("/api", body(limit+1)))) // the kernel takes all of it
	refused(dial(t, address).send(chunked(limit + 1)))
	for _, n := range []int{10 * limit, 20 << 20} {
		refused(dial(t, address).sendMeanwhile(postText("/api", body(n))))
		refused(dial(t, address).sendMeanwhile(chunked(n)))
	}
	eventually(t, "the budgets are back", func() bool { return s.large.used.Load() == 0 && s.medium.used.Load() == 0 })
}

func TestValueRoundTrip(t *testing.T) {
	cache := newFake()
	s := newServer(t, cache, nil)
	address := serve(t, s)
	for _, late := range []bool{false, true} {
		cache.mu.Lock()
		cache.late = late
		cache.mu.Unlock()
		c := dial(t, address)
		for _, n := range []int{2, 1000, 4000, 4096, 8000, 8192, 8300, 65_000, 65_536, 66_000, 1 << 20} {
			value := `{"v":"` + strings.Repeat("v", max(n-8, 0)) + `"}`
			if n == 2 {
				value = `{}`
			}
			if got := c.post("/api", `{"key":1,"data": `+value+` }`); got.status != 200 || got.body != `{"data":`+value+`}` {
				t.Fatalf("POST of %d bytes: %d %.100s", n, got.status, got.body)
			}
			if got := c.get("/api?key=1"); got.body != `{"key":"1","data":`+value+`,"node":"smache@test"}` {
				t.Fatalf("GET of %d bytes: %d %.100s", n, got.status, got.body)
			}
		}
		got := c.post("/api", `{"key":1,"data":{"v":"`+strings.Repeat("v", 1<<20-7)+`"}}`)
		wantFailure(t, got, proto.FailValueTooLarge)
	}
	eventually(t, "the budgets are back", func() bool { return s.large.used.Load() == 0 && s.medium.used.Load() == 0 })
}

func TestAnswerLimit(t *testing.T) {
	cache := newFake()
	s := newServer(t, cache, func(c *Config) { c.MaxAnswer, c.MaxValue = 300_000, 50_000 })
	address := serve(t, s)
	c := dial(t, address)
	const n = 400
	var keys []string
	for i := range n {
		size := 2000
		if i%10 == 0 {
			size = 40_000 // above what is kept aside
		}
		if got := c.post("/api", fmt.Sprintf(`{"key":%d,"data":{"v":"%s"}}`, i, strings.Repeat("v", size))); got.status != 200 {
			t.Fatal(got.body)
		}
		keys = append(keys, itoa(i))
	}
	for _, late := range []bool{false, true} {
		cache.mu.Lock()
		cache.late = late
		cache.mu.Unlock()
		got := c.post("/api/mget", `{"keys":[`+strings.Join(keys, ",")+`]}`)
		var answer struct {
			Results []struct {
				Key   string
				Data  *struct{ V string }
				Error *struct{ Code string }
			}
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || len(answer.Results) != n {
			t.Fatalf("late %v: %v, %d results", late, err, len(answer.Results))
		}
		full := false
		for i, r := range answer.Results {
			switch {
			case r.Key != itoa(i):
				t.Fatalf("late %v: result %d is of key %s", late, i, r.Key)
			case r.Error != nil && r.Error.Code != "answer_too_large":
				t.Fatalf("late %v: result %d: %s", late, i, r.Error.Code)
			case r.Error != nil:
				full = true
			case full:
				t.Fatalf("late %v: result %d behind the end", late, i)
			case r.Data == nil || len(r.Data.V) != map[bool]int{true: 40_000, false: 2000}[i%10 == 0]:
				t.Fatalf("late %v: result %d has the wrong data", late, i)
			}
		}
		if !full || len(got.body) < 250_000 || len(got.body) > 300_000+n*150 {
			t.Errorf("late %v: %d bytes, full %v", late, len(got.body), full)
		}
	}
	eventually(t, "the budgets are back", func() bool { return s.large.used.Load() == 0 && s.medium.used.Load() == 0 })
}

func TestBudget(t *testing.T) {
	cache := newFake()
	s := newServer(t, cache, func(c *Config) {
		c.MaxValue, c.MaxBody, c.MaxAnswer, c.LargeBudget = 100_000, 300_000, 300_000, 600_000
	})
	address := serve(t, s)
	idle := func() bool { return s.large.used.Load() == 0 && s.medium.used.Load() == 0 }

	value := `{"v":"` + strings.Repeat("v", 90_000) + `"}`
	body := `{"key":1,"data":` + value + `}`
	if got := dial(t, address).post("/api", body); got.status != 200 {
		t.Fatal(got.body)
	}
	eventually(t, "a write gives back", idle)

	// Two bodies of which the last byte is missing take all of the budget.
	half := postText("/api", strings.Repeat(" ", 299_000)+`{}`)
	var held []*client
	for range 2 {
		c := dial(t, address)
		if _, err := io.WriteString(c, half[:len(half)-1]); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	eventually(t, "both are charged", func() bool { return s.large.used.Load() > 590_000 })
	refused := s.large.refused.Load()
	for _, text := range []string{
		postText("/api", body),
		"GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		postText("/api/mget", `{"keys":[1]}`),
		"POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body),
	} {
		wantFailure(t, dial(t, address).send(text), proto.FailOverloaded)
	}
	if n := s.large.refused.Load() - refused; n != 4 {
		t.Errorf("%d refusals were counted, of 4", n)
	}
	// What is small is served as ever.
	if got := dial(t, address).post("/api", `{"key":2,"data":{}}`); got.status != 200 {
		t.Error(got.body)
	}
	// One arrives whole after all, the other one's client goes away.
	if got := held[0].send(half[len(half)-1:]); got.status != 405 {
		t.Errorf("the held body: %d %s", got.status, got.body)
	}
	if err := held[1].Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is given back", idle)
	if got := dial(t, address).get("/api?key=1"); got.status != 200 {
		t.Error(got.body)
	}
	eventually(t, "all is given back", idle)

	// A client that does not read its answer holds the charge until it is gone.
	c := dial(t, address)
	for range 40 {
		if _, err := io.WriteString(c, "GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is given back", idle)
}

// TestBudgetWithoutConnection charges requests whose context was made by hand.
func TestBudgetWithoutConnection(t *testing.T) {
	s := newServer(t, newFake(), nil)
	ctx := postContext(`{"key":1,"data":{"v":"` + strings.Repeat("v", 100_000) + `"}}`)
	s.Handler()(ctx)
	if ctx.Response.StatusCode() != 200 || s.large.granted.Load() == 0 || s.large.used.Load() != 0 {
		t.Errorf("status %d, %d granted, %d used", ctx.Response.StatusCode(), s.large.granted.Load(), s.large.used.Load())
	}
}

func TestSlowRequests(t *testing.T) {
	// All wait at once, and for so long that a busy machine has begun with each by then.
	const timeout = 2 * time.Second
	s := newServer(t, newFake(), func(c *Config) { c.ReadTimeout, c.IdleTimeout = timeout, timeout })
	address := serve(t, s)
	type slow struct {
		name string
		*client
	}
	var all []slow
	for name, part := range map[string]string{
		"half a header":     "GET /api?key=1 HT",
		"half a body":       "POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"key\":1",
		"half a large body": "POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n{" + strings.Repeat(" ", 100_000),
		"half a chunk":      "POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{",
	} {
		for _, warm := range []bool{false, true} {
			c := dial(t, address)
			if warm {
				if got := c.get("/"); got.status != 200 {
					t.Fatal(got.body)
				}
			}
			if _, err := io.WriteString(c, part); err != nil {
				t.Fatal(err)
			}
			all = append(all, slow{fmt.Sprintf("%s, warm %v", name, warm), c})
		}
	}
	// One byte at a time does not help.
	drops := dial(t, address)
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := io.WriteString(drops, "G"); err != nil {
				return
			}
		}
	}()
	// An idle connection is closed without a word.
	idle := dial(t, address)
	if got := idle.get("/"); got.status != 200 {
		t.Fatal(got.body)
	}
	for _, c := range all {
		got := c.receive(http.MethodPost)
		if got.status != 408 || !got.close {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
		wantFailure(t, got, proto.FailTimeout)
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("%s: the connection stays open: %v", c.name, err)
		}
	}
	if got := drops.receive("GET"); got.status != 408 && got.status != 400 {
		t.Errorf("a byte at a time: %d", got.status)
	}
	_ = drops.Close()
	<-fed
	if n, err := idle.r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("idle: %d %v", n, err)
	}
	eventually(t, "all connections are gone", func() bool { return s.registry.open() == 0 })
	if s.registry.idleTimeouts.Load() == 0 || s.registry.readTimeouts.Load() < 8 || s.large.used.Load() != 0 {
		t.Errorf("%d idle and %d read time-outs, %d bytes held", s.registry.idleTimeouts.Load(), s.registry.readTimeouts.Load(), s.large.used.Load())
	}
}

func TestSlowReader(t *testing.T) {
	cache := newFake()
	// Not by a request: its answer, of a megabyte, might not be sent in time either.
	cache.entries[canonical(t, 1)] = fakeEntry{value: []byte(`{"v":"` + strings.Repeat("v", 1<<20-16) + `"}`), etag: 1}
	s := newServer(t, cache, func(c *Config) { c.WriteTimeout = 100 * time.Millisecond })
	c := dial(t, serve(t, s))
	for range 16 { // more than the kernel's buffers hold
		if _, err := io.WriteString(c, "GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the connection is given up", func() bool { return s.registry.writeTimeouts.Load() > 0 })
	eventually(t, "its charge is given back", func() bool { return s.large.used.Load() == 0 })
	if s.large.granted.Load() == 0 {
		t.Error("nothing was charged")
	}
}

// TestDeadlinesMove holds many requests on one connection against time-outs that
// each of them keeps and all of them together do not.
func TestDeadlinesMove(t *testing.T) {
	tryTimeouts(t, func(timeout time.Duration) bool {
		s := newServer(t, newFake(), func(c *Config) { c.ReadTimeout, c.WriteTimeout, c.IdleTimeout = timeout, timeout, timeout })
		address := serve(t, s)
		tick := time.NewTicker(timeout / 3)
		defer tick.Stop()
		begun := time.Now() // with the connection, or the last request: the time-out is no earlier
		c := dial(t, address)
		for i := range 25 {
			<-tick.C
			asked := time.Now()
			if err := askRoot(c); err != nil {
				if took := time.Since(begun); took < timeout {
					t.Fatalf("request %d, %v after the one before, with a time-out of %v: %v", i, took, timeout, err)
				}
				return false
			}
			begun = asked
		}
		return true
	})
}

// The sweeper rests while there is no connection, and the time-outs of the next hold.
func TestSweeperRests(t *testing.T) {
	tryTimeouts(t, func(timeout time.Duration) bool {
		timeout *= 5
		s := newServer(t, newFake(), func(c *Config) { c.IdleTimeout, c.ReadTimeout = timeout, timeout })
		address := serve(t, s)
		for range 3 {
			eventually(t, "the sweeper rests", func() bool { return s.registry.open() == 0 && s.registry.resting.Load() })
			rested := s.registry.now()
			eventually(t, "time passes", func() bool { return s.registry.now() > rested+3*int64(timeout) })
			if s.registry.tick.Load() > rested {
				t.Error("it goes on")
			}
			begun := time.Now()
			c := dial(t, address)
			if err := askRoot(c); err != nil {
				if took := time.Since(begun); took < timeout {
					t.Fatalf("a new connection was closed after %v: %v", took, err)
				}
				return false
			}
			if _, err := c.r.ReadByte(); err != io.EOF {
				t.Error(err)
			}
			if took := time.Since(begun); took < timeout {
				t.Errorf("an idle connection was closed after %v", took)
			}
		}
		return true
	})
}

// tryTimeouts tries with a time-out, and with longer ones as long as the machine stands
// still for that long, which try says by false.
func tryTimeouts(t *testing.T, try func(timeout time.Duration) bool) {
	t.Helper()
	for timeout := 60 * time.Millisecond; !try(timeout); timeout *= 2 {
		if timeout > patience {
			t.Fatalf("nothing is done within %v", timeout)
		}
	}
}

// askRoot sends a request and reads the answer, which must be 200.
func askRoot(c *client) error {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode == http.StatusOK {
		return err
	}
	return errors.New(resp.Status)
}
