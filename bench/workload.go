package bench

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrConfig says that a configuration makes no sense.
var ErrConfig = errors.New("bench: bad configuration")

// A Workload says what is asked, and what must be answered. Its methods may be
// called from any goroutine.
type Workload interface {
	// Name is the scenario's name in reports.
	Name() string
	// About describes it in a few words, such as "1000 keys, random".
	About() string
	// Target is the server that it is about.
	Target() Endpoint
	// Script makes one more source of its requests; each event loop has its own.
	Script() Script
}

// A Script makes requests from their numbers. It serves one goroutine. The bytes
// that it gives belong to it and are valid until its next call.
type Script interface {
	// Request is request n as it goes to the server.
	Request(n uint64) []byte
	// Expect is the right answer to request n.
	Expect(n uint64) Expect
}

// Expect is what an answer must be.
type Expect struct {
	// Status is the right status.
	Status int
	// Body is the body, or its beginning if Node is set.
	Body []byte
	// Node says that the name of a node follows, which the client cannot know:
	// anything without quotes, backslashes and control characters, then "}.
	Node bool
}

// HTTPConfig describes requests of the public API.
type HTTPConfig struct {
	// Endpoint is the server. Required.
	Endpoint Endpoint
	// Headers are added to each request, as "Name: value".
	Headers []string
	// Keys are the keys asked about.
	Keys Keys
	// ValueSize is the length of the values in bytes, MinValueSize to
	// MaxValueSize. Zero is the record of about 60 bytes that the seed's figures
	// were taken with.
	ValueSize int
}

// httpWorkload is a workload of which every request is made from one template
// and every answer compared with another.
type httpWorkload struct {
	name  string
	cfg   HTTPConfig
	keyed bool
	// fill builds the two templates.
	fill func(cfg *HTTPConfig, request, answer *template)
	node bool
}

// NewControl makes the workload that asks for GET /, which does nothing and
// answers {}. The errors wrap ErrConfig.
func NewControl(cfg HTTPConfig) (Workload, error) {
	return newHTTP(httpWorkload{name: "control", cfg: cfg, fill: func(cfg *HTTPConfig, request, answer *template) {
		request.add("GET " + cfg.Endpoint.Base + "/ HTTP/1.1\r\n")
		addHeaders(cfg, request)
		request.add("\r\n")
		answer.add("{}")
	}})
}

// NewPost makes the workload that writes with POST /api. The errors wrap
// ErrConfig.
func NewPost(cfg HTTPConfig) (Workload, error) {
	return newHTTP(httpWorkload{name: "post", cfg: cfg, keyed: true, fill: func(cfg *HTTPConfig, request, answer *template) {
		length := len(`{"key":"","data":}`) + len(cfg.Keys.Prefix) + keyDigits + valueSize(&cfg.Keys, cfg.ValueSize)
		request.add("POST " + cfg.Endpoint.Base + "/api HTTP/1.1\r\n")
		addHeaders(cfg, request)
		request.add("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(length) + "\r\n\r\n")
		request.add(`{"key":"`)
		request.addKey(&cfg.Keys)
		request.add(`","data":`)
		request.addData(&cfg.Keys, cfg.ValueSize)
		request.add("}")
		answer.add(`{"data":`)
		answer.addData(&cfg.Keys, cfg.ValueSize)
		answer.add("}")
	}})
}

// NewGet makes the workload that reads with GET /api?key=. The keys must have
// been written, with NewPost of the same configuration. The errors wrap
// ErrConfig.
func NewGet(cfg HTTPConfig) (Workload, error) {
	return newHTTP(httpWorkload{name: "get", cfg: cfg, keyed: true, node: true, fill: func(cfg *HTTPConfig, request, answer *template) {
		request.add("GET " + cfg.Endpoint.Base + "/api?key=")
		request.addKey(&cfg.Keys)
		request.add(" HTTP/1.1\r\n")
		addHeaders(cfg, request)
		request.add("\r\n")
		answer.add(`{"key":"`)
		answer.addKey(&cfg.Keys)
		answer.add(`","data":`)
		answer.addData(&cfg.Keys, cfg.ValueSize)
		answer.add(`,"node":"`)
	}})
}

func addHeaders(cfg *HTTPConfig, t *template) {
	t.add("Host: " + cfg.Endpoint.Host + "\r\n")
	for _, h := range cfg.Headers {
		t.add(strings.TrimSpace(h) + "\r\n")
	}
}

func newHTTP(w httpWorkload) (Workload, error) {
	if w.cfg.Endpoint.Address == "" {
		return nil, fmt.Errorf("%w: no endpoint", ErrConfig)
	}
	if err := checkHeaders(w.cfg.Headers); err != nil {
		return nil, err
	}
	if err := checkValueSize(w.cfg.ValueSize); err != nil {
		return nil, err
	}
	var err error
	w.cfg.Keys, err = w.cfg.Keys.withDefaults()
	return &w, err
}

func (w *httpWorkload) Name() string { return w.name }

func (w *httpWorkload) Target() Endpoint { return w.cfg.Endpoint }

func (w *httpWorkload) About() string {
	switch {
	case !w.keyed:
		return "no key"
	case w.cfg.Keys.Count == 1:
		return fmt.Sprintf("1 key, values of %d bytes", valueSize(&w.cfg.Keys, w.cfg.ValueSize))
	case w.cfg.Keys.Order == OrderSequential:
		return fmt.Sprintf("%d keys in turn, values of %d bytes", w.cfg.Keys.Count, valueSize(&w.cfg.Keys, w.cfg.ValueSize))
	default:
		return fmt.Sprintf("%d keys at random, values of %d bytes", w.cfg.Keys.Count, valueSize(&w.cfg.Keys, w.cfg.ValueSize))
	}
}

func (w *httpWorkload) Script() Script {
	s := &httpScript{keys: w.cfg.Keys, node: w.node}
	w.fill(&w.cfg, &s.request, &s.answer)
	return s
}

// httpScript is an event loop's copy of the templates.
type httpScript struct {
	keys            Keys
	request, answer template
	node            bool
}

func (s *httpScript) Request(n uint64) []byte { return s.request.set(s.keys.Index(n)) }

func (s *httpScript) Expect(n uint64) Expect {
	return Expect{Status: 200, Body: s.answer.set(s.keys.Index(n)), Node: s.node}
}
