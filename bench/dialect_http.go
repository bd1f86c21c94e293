package bench

import (
	"net/http"
	"strconv"
	"strings"
)

// httpDialect is Smache's public API, which docs/openapi describes and every node
// serves at /openapi.json.
type httpDialect struct{ *WorkloadConfig }

func (c httpDialect) reader() Reader { return new(Parser) }

func (c httpDialect) control() operation {
	return operation{name: "control", status: http.StatusOK, fill: func(request, answer *template) {
		c.addHead(request, "GET", "/")
		request.add("\r\n")
		answer.add("{}")
	}}
}

// addHead adds a request's first lines.
func (c httpDialect) addHead(t *template, method, path string) {
	t.add(method + " " + c.Endpoint.Base + path)
	c.addHeaders(t)
}

// addHeaders ends the request line and adds the headers of every request.
func (c httpDialect) addHeaders(t *template) {
	t.add(" HTTP/1.1\r\nHost: " + c.Endpoint.Host + "\r\n")
	for _, h := range c.Headers {
		t.add(strings.TrimSpace(h) + "\r\n")
	}
}

// addJSON adds a request whole, with a body that fill adds.
func (c httpDialect) addJSON(t *template, path string, fill func(t *template)) {
	var body template
	fill(&body) // its length does not depend on the key
	c.addHead(t, "POST", path)
	t.add("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body.text)) + "\r\n\r\n")
	fill(t)
}

func (c httpDialect) ttl() string {
	if c.TTL == 0 {
		return ""
	}
	return `,"ttl":` + strconv.FormatFloat(c.TTL.Seconds(), 'f', -1, 64)
}

func (c httpDialect) post() operation {
	kind := valueKind{varying: c.Vary}
	return operation{name: "post", items: 1, vary: c.Vary, status: http.StatusOK, fill: func(request, answer *template) {
		c.addJSON(request, "/api", func(t *template) {
			t.add(`{"key":"`)
			t.addKey(&c.Keys)
			t.add(`","data":`)
			t.addValue(&c.Keys, c.ValueSize, kind)
			t.add(c.ttl() + "}")
		})
		answer.add(`{"data":`)
		answer.addValue(&c.Keys, c.ValueSize, kind)
		answer.add("}")
	}}
}

func (c httpDialect) get() operation {
	return operation{name: "get", items: 1, status: http.StatusOK, fill: func(request, answer *template) {
		request.add("GET " + c.Endpoint.Base + "/api?key=")
		request.addKey(&c.Keys)
		c.addHeaders(request)
		request.add("\r\n")
		answer.add(`{"key":"`)
		answer.addKey(&c.Keys)
		answer.add(`","data":`)
		answer.addValue(&c.Keys, c.ValueSize, valueKind{varying: c.Vary, unknown: true})
		answer.add(`,"node":"`)
		answer.addHole()
		answer.add(`"}`)
	}}
}

func (c httpDialect) mget() operation {
	return operation{name: "mget", items: c.Batch, status: http.StatusOK, fill: func(request, answer *template) {
		c.addJSON(request, "/api/mget", func(t *template) {
			t.add(`{"keys":["`)
			for i := range c.Batch {
				if i > 0 {
					t.add(`","`)
				}
				t.addItem(&c.Keys, i)
			}
			t.add(`"]}`)
		})
		answer.add(`{"results":[`)
		for i := range c.Batch {
			if i > 0 {
				answer.add(",")
			}
			answer.add(`{"key":"`)
			answer.addItem(&c.Keys, i)
			answer.add(`","data":`)
			answer.addValue(&c.Keys, c.ValueSize, valueKind{item: i, varying: c.Vary, unknown: true})
			answer.add(`,"node":"`)
			answer.addHole()
			answer.add(`"}`)
		}
		answer.add("]}")
	}}
}

func (c httpDialect) mset() operation {
	return operation{name: "mset", items: c.Batch, vary: c.Vary, status: http.StatusOK, fill: func(request, answer *template) {
		c.addJSON(request, "/api/mset", func(t *template) {
			t.add(`{"entries":[`)
			for i := range c.Batch {
				if i > 0 {
					t.add(",")
				}
				t.add(`{"key":"`)
				t.addItem(&c.Keys, i)
				t.add(`","data":`)
				t.addValue(&c.Keys, c.ValueSize, valueKind{item: i, varying: c.Vary})
				t.add(c.ttl() + "}")
			}
			t.add("]}")
		})
		answer.add(`{"results":[`)
		for i := range c.Batch {
			if i > 0 {
				answer.add(",")
			}
			answer.add(`{"key":"`)
			answer.addItem(&c.Keys, i)
			answer.add(`","node":"`)
			answer.addHole()
			answer.add(`","etag":"`)
			answer.addHole()
			answer.add(`"}`)
		}
		answer.add("]}")
	}}
}
