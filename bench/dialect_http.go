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
	for _, h := range c.allHeaders() {
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
	return operation{name: "post", items: 1, vary: c.Vary, status: http.StatusOK, fill: func(request, answer *template) {
		c.addJSON(request, "/api", func(t *template) { c.addEntry(t, 0) })
		answer.add(`{"data":`)
		answer.addValue(&c.Keys, c.ValueSize, valueKind{varying: c.Vary})
		answer.add("}")
	}}
}

func (c httpDialect) get() operation {
	return operation{name: "get", items: 1, status: http.StatusOK, fill: func(request, answer *template) {
		request.add("GET " + c.Endpoint.Base + "/api?key=")
		request.addKey(&c.Keys)
		c.addHeaders(request)
		request.add("\r\n")
		c.addHit(answer, 0)
	}}
}

func (c httpDialect) mget() operation {
	return operation{name: "mget", items: c.Batch, status: http.StatusOK, fill: func(request, answer *template) {
		c.addJSON(request, "/api/mget", func(t *template) {
			c.addBatch(t, `{"keys":[`, func(i int) {
				t.add(`"`)
				t.addItem(&c.Keys, i)
				t.add(`"`)
			})
		})
		c.addBatch(answer, `{"results":[`, func(i int) { c.addHit(answer, i) })
	}}
}

func (c httpDialect) mset() operation {
	return operation{name: "mset", items: c.Batch, vary: c.Vary, status: http.StatusOK, fill: func(request, answer *template) {
		c.addJSON(request, "/api/mset", func(t *template) {
			c.addBatch(t, `{"entries":[`, func(i int) { c.addEntry(t, i) })
		})
		c.addBatch(answer, `{"results":[`, func(i int) {
			answer.add(`{"key":"`)
			answer.addItem(&c.Keys, i)
			answer.add(`","node":"`)
			answer.addHole()
			answer.add(`","etag":"`)
			answer.addHole()
			answer.add(`"}`)
		})
	}}
}

// addBatch adds an object with a list of as many items as a batch has.
func (c httpDialect) addBatch(t *template, open string, item func(i int)) {
	for i := range c.Batch {
		t.add(open)
		open = ","
		item(i)
	}
	t.add("]}")
}

// addEntry adds an item to be written.
func (c httpDialect) addEntry(t *template, item int) {
	t.add(`{"key":"`)
	t.addItem(&c.Keys, item)
	t.add(`","data":`)
	t.addValue(&c.Keys, c.ValueSize, valueKind{item: item, varying: c.Vary})
	t.add(c.ttl() + "}")
}

// addHit adds an item that was read.
func (c httpDialect) addHit(t *template, item int) {
	t.add(`{"key":"`)
	t.addItem(&c.Keys, item)
	t.add(`","data":`)
	t.addValue(&c.Keys, c.ValueSize, valueKind{item: item, varying: c.Vary, unknown: true})
	t.add(`,"node":"`)
	t.addHole()
	t.add(`"}`)
}
