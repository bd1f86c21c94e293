package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/smache/smache/cmd/smache/internal/history"
)

// A loader is one client, with a connection to each node that it has asked. One
// goroutine uses it.
type loader struct {
	*load
	id     int64
	number int
	random *rand.Rand
	conns  map[string]*keepAlive
	tags   map[string]known // by key
}

// known is a value that a client has seen, and its ETag.
type known struct{ value, tag string }

func (l *load) client() *loader {
	id := l.clients.Add(1)
	return &loader{load: l, id: id, random: rand.New(rand.NewPCG(1, uint64(id))), conns: map[string]*keepAlive{}, tags: map[string]known{}}
}

func (c *loader) close() {
	for _, k := range c.conns {
		_ = k.conn.Close()
	}
}

// value makes a value that nobody else makes: its name, and its text for a key.
// Most are short, some fill several pieces of the arena.
func (c *loader) value(key string) (name, text string) {
	c.number++
	name = fmt.Sprintf("%s%d.%d", c.label, c.id, c.number)
	return name, valueText(name, key)
}

func valueText(name, key string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	sum := h.Sum64()
	size := sum >> 8 % 200
	switch sum % 100 {
	case 0:
		size = sum >> 8 % 40_000
	case 1, 2, 3, 4, 5:
		size = sum >> 8 % 4_000
	}
	pad := strings.Repeat(name+" ", int(size)/(len(name)+1))
	return fmt.Sprintf(`{"name":%q,"key":%q,"pad":%q}`, name, key, pad)
}

// nameOf gives the name of the value that a text is; what is not whole, or another
// key's, has a name that no write has.
func nameOf(key string, text []byte) string {
	var v struct{ Name string }
	if json.Unmarshal(text, &v) != nil || string(text) != valueText(v.Name, key) {
		return fmt.Sprintf("torn or foreign: %.200s", text)
	}
	return v.Name
}

// request is something to ask.
type request struct {
	method, path, header string
	// body makes the body and what it asks for, for each try anew.
	body func() (body string, ops []history.Op)
	// read completes the operations from an answer that carries them out.
	read func(ops []history.Op, head *http.Response, answer string) error
}

// ask sends a request to the next node, and to another one as long as the
// connection ends without a byte of an answer. It reports whether it was answered.
func (c *loader) ask(r request) bool {
	for range 50 {
		address := c.nodes.pick()
		body, ops := r.body()
		begin := c.now()
		k := c.conns[address]
		var err error
		if k == nil {
			if k, err = dial(address); err != nil {
				continue // nothing was asked
			}
			c.conns[address] = k
		}
		head, answer, err := k.send(r.method, r.path, r.header, body, c.timeout)
		end := c.now()
		if err != nil || head.Close {
			_ = k.conn.Close()
			delete(c.conns, address)
		}
		for i := range ops {
			ops[i].Begin, ops[i].End, ops[i].Note = begin, end, "through "+address
		}
		if err == nil {
			c.note(address, end-begin)
			c.settle(&r, ops, head, answer)
			c.log.Add(ops...)
			c.done.Add(1)
			return head.StatusCode < 500
		}
		lost := ops[:0]
		for _, o := range ops {
			if o.Kind != history.Get {
				o.Outcome, o.Note = history.Unknown, o.Note+": "+err.Error()
				lost = append(lost, o)
			}
		}
		c.log.Add(lost...)
		if !errors.As(err, &unansweredError{}) || errors.Is(err, os.ErrDeadlineExceeded) {
			c.fail("%s %s %s after %v: %v", address, r.method, r.path, end-begin, err)
			return false
		}
	}
	c.fail("%s %s: no node answers", r.method, r.path)
	return false
}

// note keeps the slowest answer of each node.
func (l *load) note(address string, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest[address] = max(l.slowest[address], took)
}

// settle completes operations from an answer.
func (c *loader) settle(r *request, ops []history.Op, head *http.Response, answer string) {
	var err error
	switch head.StatusCode {
	case http.StatusOK:
		if err = r.read(ops, head, answer); err == nil {
			return
		}
	case http.StatusPreconditionFailed:
		ops[0].Outcome = history.Unmet
		return
	}
	var failure struct{ Code string }
	_ = json.Unmarshal([]byte(answer), &failure) // without a code it is unknown what was done
	for i := range ops {
		if ops[i].Outcome == 0 {
			ops[i].Outcome = outcomeOf(failure.Code)
		}
	}
	if head.StatusCode != http.StatusServiceUnavailable {
		failure.Code = ""
	}
	c.refuse(failure.Code, "%s %s %s: %d %.200s %v", ops[0].Note, r.method, r.path, head.StatusCode, answer, err)
}

// outcomeOf says what a failure leaves open.
func outcomeOf(code string) history.Outcome {
	switch code {
	case "busy", "queue_full", "draining", "overloaded", "too_many_connections":
		return history.Refused
	}
	return history.Unknown
}

// step asks for something.
func (c *loader) step() {
	key := c.busy[c.random.IntN(len(c.busy))]
	switch p := c.random.IntN(100); {
	case p < 35:
		c.get(key)
	case p < 45 && len(c.quiet) > 0:
		c.get(c.quiet[c.random.IntN(len(c.quiet))])
	case p < 65:
		c.set(history.Set, key)
	case p < 75:
		c.set(history.Replace, key)
	case p < 80:
		c.set(history.Create, key)
	case p < 86:
		c.delete(key)
	case p < 93:
		c.mget(c.some(40))
	default:
		c.mset(c.some(10))
	}
}

// some gives up to n keys, for a batch that writes busy ones only.
func (c *loader) some(n int) (keys []string) {
	from := c.random.IntN(len(c.busy))
	for i := range c.random.IntN(n) + 1 {
		keys = append(keys, c.busy[(from+i)%len(c.busy)])
	}
	return keys
}

// entry is what an answer says of a key.
type entry struct {
	Key   string
	Data  json.RawMessage
	Node  string
	ETag  string
	Error struct{ Code string }
}

// saw completes a read.
func (e *entry) saw(o *history.Op) error {
	if e.Key != o.Key {
		return fmt.Errorf("the answer is for %q, and asked was %q", e.Key, o.Key)
	}
	o.Node, o.Outcome = e.Node, history.Done
	if string(e.Data) == "null" {
		o.Outcome = history.Missed
	} else {
		o.Seen = nameOf(o.Key, e.Data)
	}
	return nil
}

func (c *loader) get(key string) bool {
	return c.ask(request{
		method: http.MethodGet, path: "/api?key=" + key,
		body: func() (string, []history.Op) { return "", []history.Op{{Kind: history.Get, Key: key}} },
		read: func(ops []history.Op, head *http.Response, answer string) error {
			var e entry
			if err := json.Unmarshal([]byte(answer), &e); err != nil {
				return err
			}
			err := e.saw(&ops[0])
			if tag := head.Header.Get("ETag"); tag != "" {
				c.tags[key] = known{ops[0].Seen, tag}
			}
			return err
		},
	})
}

// set writes a key, with the condition of the kind.
func (c *loader) set(kind history.Kind, key string) bool {
	header, seen := "", ""
	switch kind {
	case history.Create:
		header = "If-None-Match: *\r\n"
	case history.Replace:
		k, ok := c.tags[key]
		if !ok {
			return c.get(key)
		}
		header, seen = "If-Match: "+k.tag+"\r\n", k.value
	}
	ttl := time.Duration(0)
	if c.random.IntN(4) == 0 {
		ttl = time.Duration(300+c.random.IntN(4000)) * time.Millisecond
	}
	return c.ask(request{
		method: http.MethodPost, path: "/api", header: header,
		body: func() (string, []history.Op) {
			name, text := c.value(key)
			if ttl > 0 {
				text += fmt.Sprintf(`,"ttl":%g`, ttl.Seconds())
			}
			return fmt.Sprintf(`{"key":%q,"data":%s}`, key, text), []history.Op{{Kind: kind, Key: key, Wrote: name, Seen: seen, TTL: ttl}}
		},
		read: func(ops []history.Op, head *http.Response, answer string) error {
			if want := `{"data":` + valueText(ops[0].Wrote, key) + `}`; answer != want {
				return fmt.Errorf("want %.200s", want)
			}
			ops[0].Outcome = history.Done
			c.tags[key] = known{ops[0].Wrote, head.Header.Get("ETag")}
			return nil
		},
	})
}

func (c *loader) delete(key string) {
	c.ask(request{
		method: http.MethodDelete, path: "/api?key=" + key,
		body: func() (string, []history.Op) { return "", []history.Op{{Kind: history.Delete, Key: key}} },
		read: func(ops []history.Op, _ *http.Response, answer string) error {
			switch answer {
			case fmt.Sprintf(`{"key":%q,"deleted":true}`, key):
				ops[0].Outcome = history.Done
			case fmt.Sprintf(`{"key":%q,"deleted":false}`, key):
				ops[0].Outcome = history.Missed
			default:
				return errors.New("is no answer to a delete")
			}
			return nil
		},
	})
}

// readResults gives each result of a batch to its operation.
func (c *loader) readResults(ops []history.Op, answer string, read func(o *history.Op, e *entry) error) error {
	var results struct{ Results []entry }
	if err := json.Unmarshal([]byte(answer), &results); err != nil {
		return err
	}
	if len(results.Results) != len(ops) {
		return errors.New("has another number of results")
	}
	for i := range ops {
		e := &results.Results[i]
		if e.Error.Code != "" {
			ops[i].Outcome = outcomeOf(e.Error.Code)
			c.refuse(e.Error.Code, "%s batch of %d: %s of %s: %s", ops[i].Note, len(ops), ops[i].Kind, ops[i].Key, e.Error.Code)
		} else if err := read(&ops[i], e); err != nil {
			return err
		}
	}
	return nil
}

func (c *loader) mget(keys []string) bool {
	return c.ask(request{
		method: http.MethodPost, path: "/api/mget",
		body: func() (string, []history.Op) {
			list, err := json.Marshal(map[string]any{"keys": keys})
			if err != nil {
				panic(err)
			}
			ops := make([]history.Op, len(keys))
			for i, key := range keys {
				ops[i] = history.Op{Kind: history.Get, Key: key}
			}
			return string(list), ops
		},
		read: func(ops []history.Op, _ *http.Response, answer string) error {
			return c.readResults(ops, answer, func(o *history.Op, e *entry) error { return e.saw(o) })
		},
	})
}

func (c *loader) mset(keys []string) {
	c.ask(request{
		method: http.MethodPost, path: "/api/mset",
		body: func() (string, []history.Op) {
			var entries []string
			ops := make([]history.Op, len(keys))
			for i, key := range keys {
				name, text := c.value(key)
				ops[i] = history.Op{Kind: history.Set, Key: key, Wrote: name}
				entries = append(entries, `{"key":`+strconv.Quote(key)+`,"data":`+text+`}`)
			}
			return `{"entries":[` + strings.Join(entries, ",") + `]}`, ops
		},
		read: func(ops []history.Op, _ *http.Response, answer string) error {
			return c.readResults(ops, answer, func(o *history.Op, e *entry) error {
				if e.ETag == "" || e.Key != o.Key {
					return fmt.Errorf("%+v says nothing of %s", e, o.Key)
				}
				o.Node, o.Outcome = e.Node, history.Done
				return nil
			})
		},
	})
}
