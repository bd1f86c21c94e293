package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// startLines starts a server that reads commands with read and answers each with
// what the function says, from one map of all connections.
func startLines(t *testing.T, scheme string, read func(r *bufio.Reader) ([]string, error), answer func(values map[string]string, words []string) string) Endpoint {
	t.Helper()
	l := listen(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	values := map[string]string{}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { // it ends with the generator's connection
				defer func() { _ = c.Close() }()
				for r := bufio.NewReader(c); ; {
					words, err := read(r)
					if err != nil {
						return
					}
					mu.Lock()
					text := answer(values, words)
					mu.Unlock()
					if !send(c, text) {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	e, err := ParseEndpoint(scheme + "://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// readRESP reads a command strictly.
func readRESP(r *bufio.Reader) (words []string, err error) {
	count, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	for range count {
		n, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		word := make([]byte, n+2)
		if _, err := io.ReadFull(r, word); err != nil || string(word[n:]) != "\r\n" {
			return nil, errors.Join(err, io.ErrUnexpectedEOF)
		}
		words = append(words, string(word[:n]))
	}
	return words, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil || line[0] != kind || !strings.HasSuffix(line, "\r\n") {
		return 0, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return strconv.Atoi(line[1 : len(line)-2])
}

func answerRESP(values map[string]string, words []string) string {
	bulk := func(key string) string {
		value, ok := values[key]
		if !ok {
			return "$-1\r\n"
		}
		return fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
	}
	switch {
	case words[0] == "PING":
		return "+PONG\r\n"
	case words[0] == "SET" && (len(words) == 3 || len(words) == 5 && words[3] == "PX" && words[4] == "1500"):
		values[words[1]] = words[2]
		return "+OK\r\n"
	case words[0] == "GET" && len(words) == 2:
		return bulk(words[1])
	case words[0] == "MSET" && len(words)%2 == 1:
		for i := 1; i < len(words); i += 2 {
			values[words[i]] = words[i+1]
		}
		return "+OK\r\n"
	case words[0] == "MGET":
		text := fmt.Sprintf("*%d\r\n", len(words)-1)
		for _, key := range words[1:] {
			text += bulk(key)
		}
		return text
	}
	return "-ERR unknown command\r\n"
}

// readMemcached reads a command; of set, the data is the last word.
func readMemcached(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil || !strings.HasSuffix(line, "\r\n") {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	words := strings.Split(strings.TrimSuffix(line, "\r\n"), " ")
	if words[0] != "set" || len(words) != 5 {
		return words, nil
	}
	n, err := strconv.Atoi(words[4])
	if err != nil {
		return nil, err
	}
	data := make([]byte, n+2)
	if _, err := io.ReadFull(r, data); err != nil || string(data[n:]) != "\r\n" {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return append(words, string(data[:n])), nil
}

func answerMemcached(values map[string]string, words []string) string {
	switch {
	case words[0] == "version" && len(words) == 1:
		return "VERSION 1.6.18\r\n"
	case words[0] == "set" && words[2] == "0" && (words[3] == "0" || words[3] == "2"):
		values[words[1]] = words[5]
		return "STORED\r\n"
	case words[0] == "get" && len(words) > 1:
		text := ""
		for _, key := range words[1:] {
			if value, ok := values[key]; ok {
				text += fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\n", key, len(value), value)
			}
		}
		return text + "END\r\n"
	}
	return "ERROR\r\n"
}

// The scenarios, in the words of other servers; no answer is wrong.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	mixed := func(cfg WorkloadConfig) (Workload, error) { cfg.Vary = true; return NewMixed(cfg, .5) }
	location := func(cfg WorkloadConfig) (Workload, error) { return NewLocation(cfg, 10, 1) }
	for scheme, e := range map[string]Endpoint{
		"redis":     startLines(t, "redis", readRESP, answerRESP),
		"memcached": startLines(t, "memcached", readMemcached, answerMemcached),
	} {
		ttl := 1500 * time.Millisecond
		makers := []func(WorkloadConfig) (Workload, error){NewControl, NewPost, NewGet, NewMget, mixed, location}
		if scheme == "redis" {
			makers = append(makers, NewMset)
		} else {
			ttl = 2 * time.Second
		}
		for _, size := range []int{0, MinValueSize, 3000} {
			cfg := WorkloadConfig{Endpoint: e, Keys: Keys{Count: 2000}, ValueSize: size, Batch: 7}
			for i, make := range makers {
				w := mustWorkload(t, make, cfg)
				result, err := testRun(t, e, func(c *Config) {
					fill, requests, err := NewFill(cfg, c.Clients)
					if err != nil {
						t.Fatal(err)
					}
					c.Workload, c.Requests, c.Prepare, c.PrepareRequests = w, 400, fill, requests
				})
				if err != nil || result.Failed() != 0 || result.OK != 400 || !strings.HasPrefix(result.URL, scheme+"://127.0.0.1:") {
					t.Errorf("%s, scenario %d, size %d: %+v, %v", scheme, i, size, result, err)
				}
			}
			cfg.TTL = ttl
			result, err := testRun(t, e, func(c *Config) { c.Workload = mustWorkload(t, NewPost, cfg) })
			if err != nil || result.Failed() != 0 {
				t.Errorf("%s with a time to live: %+v, %v", scheme, result, err)
			}
		}
	}
}

// What is wrong is counted by its kind.
func TestOtherProtocolsFail(t *testing.T) {
	t.Parallel()
	for scheme, answers := range map[string]map[Failure]string{
		"redis":     {FailStatus: "-ERR\r\n", FailContent: "$-1\r\n", FailMalformed: "HTTP/1.1\r\n"},
		"memcached": {FailStatus: "SERVER_ERROR\r\n", FailContent: "END\r\n", FailMalformed: "$1\r\n"},
	} {
		for kind, text := range answers {
			read := readRESP
			if scheme == "memcached" {
				read = readMemcached
			}
			e := startLines(t, scheme, read, func(map[string]string, []string) string { return text })
			result, err := testRun(t, e, func(c *Config) { c.Workload = mustWorkload(t, NewGet, WorkloadConfig{Endpoint: e}) })
			if err != nil || result.Failures[kind.String()] != 40 {
				t.Errorf("%s, %s: %+v, %v", scheme, kind, result, err)
			}
		}
	}
}

func TestDialectsRefuse(t *testing.T) {
	for scheme, refused := range map[string][]func(*WorkloadConfig) func(WorkloadConfig) (Workload, error){
		"redis": {
			func(c *WorkloadConfig) func(WorkloadConfig) (Workload, error) { c.TTL = time.Second; return NewMset },
			func(c *WorkloadConfig) func(WorkloadConfig) (Workload, error) {
				c.Headers = []string{"X: y"}
				return NewGet
			},
		},
		"memcached": {
			func(*WorkloadConfig) func(WorkloadConfig) (Workload, error) { return NewMset },
			func(c *WorkloadConfig) func(WorkloadConfig) (Workload, error) {
				c.TTL = 1500 * time.Millisecond
				return NewPost
			},
			func(c *WorkloadConfig) func(WorkloadConfig) (Workload, error) {
				c.Keys.Prefix = strings.Repeat("k", 241)
				return NewGet
			},
		},
	} {
		for i, change := range refused {
			e, err := ParseEndpoint(scheme + "://127.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			cfg := WorkloadConfig{Endpoint: e}
			if _, err := change(&cfg)(cfg); !errors.Is(err, ErrConfig) {
				t.Errorf("%s, %d: %v", scheme, i, err)
			}
		}
	}
}

func TestHTTPCall(t *testing.T) {
	t.Parallel()
	l := listen(t)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"path":"%s","query":"%s","type":"%s","body":%s,"at":"%d"}`,
			r.URL.Path, url.QueryEscape(r.URL.RawQuery), r.Header.Get("Content-Type"), body, time.Now().UnixNano())
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	e, path, err := SplitURL("http://" + l.Addr().String() + "/u/{key}?x={")
	if err != nil {
		t.Fatal(err)
	}
	cfg := WorkloadConfig{Endpoint: e, Keys: Keys{Count: 50}, Vary: true}
	call := HTTPCall{
		Path: path, Status: http.StatusCreated, Body: `{"id":"{key}","data":{value}}`,
		Answer: `{"path":"/u/{key}","query":"x%3D%7B","type":"application/json","body":{"id":"{key}","data":{value}},"at":"{any}"}`,
	}
	for name, change := range map[string]func(*HTTPCall){
		"whole":        func(*HTTPCall) {},
		"not compared": func(c *HTTPCall) { c.Answer = "" },
		"PUT":          func(c *HTTPCall) { c.Method = http.MethodPut },
		"HEAD":         func(c *HTTPCall) { c.Method, c.Body, c.Answer = http.MethodHead, "", "" },
	} {
		call := call
		change(&call)
		w, err := NewHTTP(cfg, call)
		if err != nil {
			t.Fatal(err)
		}
		result, err := testRun(t, e, func(c *Config) { c.Workload = w })
		if err != nil || result.Failed() != 0 || result.OK != 40 || strings.HasSuffix(result.About, "not compared") != (call.Answer == "") {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
	call.Answer = `{"path":"/u/{key}"}`
	w, err := NewHTTP(cfg, call)
	if err != nil {
		t.Fatal(err)
	}
	if result, err := testRun(t, e, func(c *Config) { c.Workload = w }); err != nil || result.Failures[FailContent.String()] != 40 {
		t.Errorf("another answer: %+v, %v", result, err)
	}
}

func TestHTTPCallRefuses(t *testing.T) {
	for _, c := range []HTTPCall{
		{}, {Path: "x"}, {Path: "/", Method: "A B"}, {Path: "/", Method: "CONNECT"}, {Path: "/", Status: 1000}, {Path: "/", Status: 101},
		{Path: "/{value}"}, {Path: "/{any}"}, {Path: "/", Body: "{any}"}, {Path: "/", Answer: "x{any}"}, {Path: "/", Answer: "{any}{any}x"},
		{Path: "/", Method: "HEAD", Answer: "x"},
	} {
		if _, err := NewHTTP(WorkloadConfig{Endpoint: Endpoint{Address: "127.0.0.1:1"}}, c); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := NewHTTP(WorkloadConfig{Endpoint: Endpoint{Address: "x:1", Protocol: ProtocolRESP}}, HTTPCall{Path: "/"}); !errors.Is(err, ErrConfig) {
		t.Errorf("redis: %v", err)
	}
}

func TestSplitURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://x:1": "/", "http://x:1/": "/", "http://x:1/a/{key}?b=c": "/a/{key}?b=c", "x:1?q": "/?q", "4000/a": "/a",
	} {
		e, path, err := SplitURL(text)
		if err != nil || path != want || e.Base != "" || e.Address == "" {
			t.Errorf("%q: %+v, %q, %v", text, e, path, err)
		}
	}
	for _, text := range []string{"http://x/a b", "http://x/#f", "http://x/ä", "ftp://x/", "http:///x", ""} {
		if _, path, err := SplitURL(text); !errors.Is(err, ErrEndpoint) {
			t.Errorf("%q: %q, %v", text, path, err)
		}
	}
}

// From a reply's bytes to the next request's, nothing is allocated.
func TestReplyAllocs(t *testing.T) {
	for _, e := range []Endpoint{{Protocol: ProtocolRESP, Address: "x:1"}, {Protocol: ProtocolMemcached, Address: "x:1"}} {
		for _, make := range []func(WorkloadConfig) (Workload, error){NewPost, NewGet} {
			w := mustWorkload(t, make, WorkloadConfig{Endpoint: e, Keys: Keys{Count: 1000}})
			l, s, _ := fakeLoop(w)
			server := w.Script()
			var answer []byte
			allocs := testing.AllocsPerRun(1000, func() {
				answer = append(answer[:0], server.Expect(s.n).Body...)
				l.received(s, answer[:3])
				l.received(s, answer[3:])
			})
			if allocs != 0 || l.tally.ok != 1001 {
				t.Errorf("%s of %d: %v allocations, %+v", w.Name(), e.Protocol, allocs, l.tally)
			}
		}
	}
}

// Interrupted at once, a run of another protocol ends as any.
func TestOtherProtocolInterrupted(t *testing.T) {
	e := startLines(t, "redis", readRESP, answerRESP)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Run(ctx, Config{Workload: mustWorkload(t, NewControl, WorkloadConfig{Endpoint: e}), Clients: 1, Requests: 1})
	if !errors.Is(err, ErrInterrupted) {
		t.Error(err)
	}
}
