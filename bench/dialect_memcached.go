package bench

import (
	"fmt"
	"strconv"
	"time"
)

// The bounds of memcached's text protocol (its doc/protocol.txt): the length of a
// key, and the seconds from which on a time to live is taken for a date.
const (
	memcachedMaxKey = 250
	memcachedMaxTTL = 30 * 24 * time.Hour
)

// memcachedDialect is memcached's text protocol. Answers are compared as they are on
// the wire.
type memcachedDialect struct{ *WorkloadConfig }

func (c memcachedDialect) reader() Reader { return &replyParser{grammar: new(memcachedGrammar)} }

// control asks for the version, for there is no command that does nothing.
func (c memcachedDialect) control() operation {
	return operation{name: "control", status: StatusReply, fill: func(request, answer *template) {
		request.add("version\r\n")
		answer.add("VERSION ")
		answer.addHole()
		answer.add("\r\n")
	}}
}

func (c memcachedDialect) post() operation {
	op := operation{name: "post", items: 1, vary: c.Vary, status: StatusReply, fill: func(request, answer *template) {
		request.add("set ")
		request.addKey(&c.Keys)
		request.add(" 0 " + strconv.FormatInt(int64(c.TTL/time.Second), 10) + " ")
		c.addValue(request, valueKind{varying: c.Vary})
		answer.add("STORED\r\n")
	}, err: c.check()}
	if c.TTL%time.Second != 0 || c.TTL > memcachedMaxTTL {
		op.err = fmt.Errorf("%w: --ttl: memcached takes whole seconds, up to 30 days", ErrConfig)
	}
	return op
}

func (c memcachedDialect) get() operation {
	op := c.mget()
	op.name, op.items = "get", 1
	op.fill = func(request, answer *template) { c.fillGet(request, answer, 1) }
	return op
}

func (c memcachedDialect) mget() operation {
	return operation{name: "mget", items: c.Batch, status: StatusReply, fill: func(request, answer *template) {
		c.fillGet(request, answer, c.Batch)
	}, err: c.check()}
}

func (c memcachedDialect) mset() operation {
	return operation{name: "mset", err: fmt.Errorf("%w: mset: memcached has no such command", ErrConfig)}
}

// fillGet asks for some keys: those that are there are answered, in this order.
func (c memcachedDialect) fillGet(request, answer *template, items int) {
	request.add("get")
	for i := range items {
		request.add(" ")
		request.addItem(&c.Keys, i)
		answer.add("VALUE ")
		answer.addItem(&c.Keys, i)
		answer.add(" 0 ")
		c.addValue(answer, valueKind{item: i, varying: c.Vary, unknown: true})
	}
	request.add("\r\n")
	answer.add("END\r\n")
}

// addValue adds the length of a value, the end of the line, and the value.
func (c memcachedDialect) addValue(t *template, kind valueKind) {
	t.add(strconv.Itoa(valueSize(&c.Keys, c.ValueSize)) + "\r\n")
	t.addValue(&c.Keys, c.ValueSize, kind)
	t.add("\r\n")
}

func (c memcachedDialect) check() error {
	if c.Keys.keySize() > memcachedMaxKey {
		return fmt.Errorf("%w: --key-prefix: keys of memcached have at most %d bytes", ErrConfig, memcachedMaxKey)
	}
	return nil
}
