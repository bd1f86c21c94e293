package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestOtherCluster: a node of a cluster with another name, and the same secret, at
// an address that a node joins, is not joined. Both go on, each on its own.
func TestOtherCluster(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	f.launch(0, "--cluster", "one")
	f.ready(0)
	f.launch(1, "--cluster", "two")
	f.ready(1) // alone, after a while
	for _, p := range f.nodes {
		poll(t, p.address+" is a cluster of one", func() bool { return settled(p) })
		if status, answer := post(p, `{"key":"whose","data":{"at":"`+p.address+`"}}`); status != 200 {
			t.Errorf("POST answers %d %s", status, answer)
		}
	}
	for _, p := range f.nodes {
		if _, text := p.get("/api?key=whose"); !strings.Contains(text, `"data":{"at":"`+p.address+`"}`) {
			t.Errorf("%s answers %s", p.address, text)
		}
	}
}

// TestNoiseOnAllPorts is P7: what is no request, no link and no gossip does not end
// a node, nor take its memory, nor upset the cluster.
func TestNoiseOnAllPorts(t *testing.T) {
	t.Parallel()
	const memory = 160 << 20 // of serveOn
	f := newFleet(t, 2, unhurried...)
	f.begin(0, 1)
	f.settle()
	l := newLoad(t, "noise", &f.lb, 500, 20)
	l.fill()
	l.run(4)
	port, err := strconv.Atoi(f.ports[0])
	if err != nil {
		t.Fatal(err)
	}
	at := func(offset int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+offset)) }
	targets := []struct{ network, address string }{
		{"tcp", at(0)}, {"tcp", at(peerOffset)}, {"tcp", at(gossipOffset)}, {"udp", at(gossipOffset)},
	}
	each(t, 96, func(i int) error {
		random := rand.New(rand.NewPCG(11, uint64(i)))
		target := targets[i%len(targets)]
		conn, err := net.Dial(target.network, target.address)
		if err != nil {
			return fmt.Errorf("nobody listens any more: %w", err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		for range 100 {
			noise := make([]byte, random.IntN(8000)+1)
			for j := range noise {
				noise[j] = byte(random.Uint32())
			}
			if random.IntN(2) == 0 {
				clear(noise[:min(len(noise), 8)]) // as a length, little
			}
			if _, err := conn.Write(noise); err != nil && target.network == "tcp" {
				return nil // the node has closed it
			}
		}
		return nil
	})
	l.await(50)
	l.stop()
	_, text := f.nodes[0].get("/metrics")
	if resident, ok := parseMetrics(text).sum("smache_memory_bytes", `part="resident"`); ok && resident > memory {
		t.Errorf("%.0f bytes are resident, of %d", resident, memory)
	}
	f.settle()
	f.audit(l)
	l.mustNotFail()
	l.check()
}
