package bench

import (
	"fmt"
	"strconv"
)

// respDialect is redis's protocol, version 2, which others speak, too
// (https://redis.io/docs/latest/develop/reference/protocol-spec/). Answers are
// compared as they are on the wire, lengths included.
type respDialect struct{ *WorkloadConfig }

func (c respDialect) reader() Reader {
	if c.Endpoint.Login == (Login{}) {
		return &replyParser{grammar: new(respGrammar)}
	}
	return newRESPSession(c.Endpoint.Login)
}

func (c respDialect) control() operation {
	return operation{name: "control", status: StatusReply, fill: func(request, answer *template) {
		c.addCommand(request, 1, "PING")
		answer.add("+PONG\r\n")
	}}
}

func (c respDialect) post() operation {
	kind := valueKind{varying: c.Vary}
	return operation{name: "post", items: 1, vary: c.Vary, status: StatusReply, fill: func(request, answer *template) {
		words := 3
		if c.TTL > 0 {
			words = 5
		}
		c.addCommand(request, words, "SET")
		c.addKey(request, 0)
		c.addValue(request, kind)
		if c.TTL > 0 {
			addBulk(request, "PX")
			addBulk(request, strconv.FormatInt(c.TTL.Milliseconds(), 10))
		}
		answer.add("+OK\r\n")
	}}
}

func (c respDialect) get() operation {
	return operation{name: "get", items: 1, status: StatusReply, fill: func(request, answer *template) {
		c.addCommand(request, 2, "GET")
		c.addKey(request, 0)
		c.addValue(answer, valueKind{varying: c.Vary, unknown: true})
	}}
}

func (c respDialect) mget() operation {
	return operation{name: "mget", items: c.Batch, status: StatusReply, fill: func(request, answer *template) {
		c.addCommand(request, 1+c.Batch, "MGET")
		answer.add("*" + strconv.Itoa(c.Batch) + "\r\n")
		for i := range c.Batch {
			c.addKey(request, i)
			c.addValue(answer, valueKind{item: i, varying: c.Vary, unknown: true})
		}
	}}
}

func (c respDialect) mset() operation {
	op := operation{name: "mset", items: c.Batch, vary: c.Vary, status: StatusReply, fill: func(request, answer *template) {
		c.addCommand(request, 1+2*c.Batch, "MSET")
		for i := range c.Batch {
			c.addKey(request, i)
			c.addValue(request, valueKind{item: i, varying: c.Vary})
		}
		answer.add("+OK\r\n")
	}}
	if c.TTL > 0 {
		op.err = fmt.Errorf("%w: --ttl: redis has no MSET with a time to live", ErrConfig)
	}
	return op
}

// addCommand adds the head of a command of some words, and its name, the first.
func (c respDialect) addCommand(t *template, words int, name string) {
	t.add("*" + strconv.Itoa(words) + "\r\n")
	addBulk(t, name)
}

// addBulk adds a text with its length.
func addBulk(t *template, text string) {
	t.add("$" + strconv.Itoa(len(text)) + "\r\n" + text + "\r\n")
}

func (c respDialect) addKey(t *template, item int) {
	t.add("$" + strconv.Itoa(c.Keys.keySize()) + "\r\n")
	t.addItem(&c.Keys, item)
	t.add("\r\n")
}

func (c respDialect) addValue(t *template, kind valueKind) {
	t.add("$" + strconv.Itoa(valueSize(&c.Keys, c.ValueSize)) + "\r\n")
	t.addValue(&c.Keys, c.ValueSize, kind)
	t.add("\r\n")
}
