package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// A balancer spreads requests over nodes, as a load balancer does.
type balancer struct {
	mu    sync.Mutex
	nodes []string
	next  int
}

func (b *balancer) add(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append(b.nodes, address)
}

func (b *balancer) remove(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, a := range b.nodes {
		if a == address {
			b.nodes = append(b.nodes[:i:i], b.nodes[i+1:]...)
			return
		}
	}
}

// pick gives the next node.
func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	return b.nodes[b.next%len(b.nodes)]
}

// A balanced is one client behind a balancer, with a connection to each node. One
// goroutine uses it.
type balanced struct {
	balancer    *balancer
	connections map[string]*keepAlive
}

func (b *balancer) client() *balanced {
	return &balanced{balancer: b, connections: map[string]*keepAlive{}}
}

// ask sends a request to the next node, and to another one as long as no byte of an
// answer has come.
func (c *balanced) ask(method, path, body string) (status int, answer string, err error) {
	for range 20 {
		address := c.balancer.pick()
		k := c.connections[address]
		if k == nil {
			if k, err = dial(address); err != nil {
				continue
			}
			c.connections[address] = k
		}
		var last bool
		status, answer, last, err = k.ask(method, path, body)
		if err != nil || last {
			_ = k.conn.Close()
			delete(c.connections, address)
		}
		if !errors.As(err, &unansweredError{}) {
			return status, answer, err
		}
	}
	return status, answer, fmt.Errorf("no node answers: %w", err)
}

func (c *balanced) write(key string, n int) error {
	data := fmt.Sprintf(`{"n":%d}`, n)
	status, answer, err := c.ask(http.MethodPost, "/api", `{"key":"`+key+`","data":`+data+`}`)
	if err != nil || status != http.StatusOK || answer != `{"data":`+data+`}` {
		return fmt.Errorf("writing %s: answered %d %s, %w", key, status, answer, err)
	}
	return nil
}

func (c *balanced) read(key string, n int) error {
	status, answer, err := c.ask(http.MethodGet, "/api?key="+key, "")
	if err != nil || status != http.StatusOK || !strings.HasPrefix(answer, fmt.Sprintf(`{"key":"%s","data":{"n":%d},`, key, n)) {
		return fmt.Errorf("reading %s, which is %d: answered %d %s, %w", key, n, status, answer, err)
	}
	return nil
}
