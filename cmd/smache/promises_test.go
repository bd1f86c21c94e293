package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMemoryIsCapped fills a node several times over, with values of all sizes,
// in batches and alone, on many connections, and with large answers that nobody
// reads. What the kernel counts as resident must stay below --memory.
func TestMemoryIsCapped(t *testing.T) {
	t.Parallel()
	const memory = 160 << 20
	memoryIsCapped(t, memory, serve(t, []string{fmt.Sprintf("SMACHE_MEMORY=%d", memory)}))
}

// TestMemoryIsCappedInCluster does so with two nodes, through one of them.
func TestMemoryIsCappedInCluster(t *testing.T) {
	t.Parallel()
	const memory = 192 << 20
	ports := clusterPorts(t, 2)
	var nodes []*process
	for _, port := range ports {
		nodes = append(nodes, serveOn(t, port, aSecret, "--join", "127.0.0.1:"+ports[0], "--memory", strconv.Itoa(memory)))
	}
	awaitSettled(t, nodes...)
	memoryIsCapped(t, memory, nodes...)
}

// memoryIsCapped fills nodes through the first of them.
func memoryIsCapped(t *testing.T, memory int, nodes ...*process) {
	figure := func(p *process, name, label string) float64 {
		_, text := p.get("/metrics")
		v, ok := parseMetrics(text).sum(name, label)
		if !ok {
			t.Logf("this system does not tell %s", name)
		}
		return v
	}
	highest := make([]float64, len(nodes))
	look := func() {
		for i, p := range nodes {
			highest[i] = max(highest[i], figure(p, "smache_memory_bytes", `part="resident"`))
		}
	}
	look()
	const workers = 12
	for round := range 6 * len(nodes) {
		each(t, workers, func(w int) error {
			k, err := dial(nodes[0].address)
			if err != nil {
				return err
			}
			defer func() { _ = k.conn.Close() }()
			return fill(k, rand.New(rand.NewPCG(uint64(round), uint64(w))))
		})
		look()
	}
	for i, p := range nodes {
		written := figure(p, "smache_arena_written_bytes_total", "")
		arena := figure(p, "smache_memory_bytes", `part="arena"`)
		t.Logf("%.0f MiB written to an arena of %.0f MiB; at most %.0f MiB resident, of %d", written/(1<<20), arena/(1<<20), highest[i]/(1<<20), memory>>20)
		if written < 2*arena {
			t.Errorf("the arena of %.0f bytes was hardly filled: %.0f bytes written", arena, written)
		}
		if highest[i] > float64(memory) {
			t.Errorf("%.0f bytes were resident, above --memory %d", highest[i], memory)
		}
	}
}

// fill writes about 6 MiB over one connection, and reads a large value without
// taking the answer.
func fill(k *keepAlive, random *rand.Rand) error {
	write := func(path, body string) error {
		status, answer, _, err := k.ask(http.MethodPost, path, body)
		if err != nil || status != http.StatusOK && status != http.StatusServiceUnavailable {
			return fmt.Errorf("%s answers %d %.200s: %w", path, status, answer, err)
		}
		return nil
	}
	for range 40 {
		var batch strings.Builder
		batch.WriteString(`{"entries":[`)
		for i := range 100 {
			if i > 0 {
				batch.WriteByte(',')
			}
			fmt.Fprintf(&batch, `{"key":%d,"data":{"text":"%s"}}`, random.Uint64(), strings.Repeat("x", random.IntN(1000)))
		}
		if err := write("/api/mset", batch.String()+"]}"); err != nil {
			return err
		}
	}
	large := fmt.Sprintf("large-%d", random.Uint64())
	for range 8 {
		size := random.IntN(500 << 10)
		if err := write("/api", fmt.Sprintf(`{"key":%q,"data":{"text":%q}}`, large, strings.Repeat("y", size))); err != nil {
			return err
		}
	}
	_, err := io.WriteString(k.conn, strings.Repeat("GET /api?key="+large+" HTTP/1.1\r\nHost: localhost\r\n\r\n", 4))
	return err
}

// TestNothingLeaksIntoTheLog: keys and values are in no log, not even at the
// lowest level, and in no metric; neither when all is well nor when a request is
// broken.
func TestNothingLeaksIntoTheLog(t *testing.T) {
	p := serve(t, nil, "--log-level", "debug", "--read-timeout", "100ms")
	const mark = "tell-nobody"
	for _, request := range []struct{ method, path, body string }{
		{"POST", "/api", `{"key":"` + mark + `","data":{"a":"` + mark + `"}}`},
		{"GET", "/api?key=" + mark, ""},
		{"POST", "/api", `{"key":"` + mark + `","data":{"a":"` + mark + `"}`},
		{"POST", "/api", `{"key":"` + mark + `","data":["` + mark + `"]}`},
		{"POST", "/api/mget", `{"keys":["` + mark + `",1.5]}`},
		{"GET", "/api?key=%zz" + mark, ""},
		{"GET", "/" + mark, ""},
		{mark, "/api", ""},
		{"DELETE", "/api?key=" + mark, ""},
	} {
		poll(t, request.method+" "+request.path+" is answered", func() bool {
			k, err := dial(p.address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = k.conn.Close() }()
			_, _, _, err = k.ask(request.method, request.path, request.body)
			late := errors.As(err, &unansweredError{}) // the connection has had its time before the request was there
			if err != nil && !late {
				t.Errorf("%s %s: %v", request.method, request.path, err)
			}
			return !late
		})
	}
	// What is no HTTP at all, and what never arrives whole.
	for _, garbage := range []string{mark + "\r\n\r\n", "GET /api?key=" + mark + " HTTP/9\r\n\r\n", "POST /api HTTP/1.1\r\nContent-Length: 99\r\n\r\n" + mark} {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, garbage); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q is never answered: %v", garbage, err)
		}
		_ = conn.Close()
	}
	poll(t, "the metrics are there", func() bool {
		status, metrics, err := p.tryGet("/metrics")
		if strings.Contains(metrics, mark) {
			t.Error("a metric carries a key or a value")
		}
		return err == nil && status == http.StatusOK
	})
	for _, line := range p.lines() {
		if text, err := json.Marshal(line); err != nil || strings.Contains(string(text), mark) {
			t.Errorf("the log carries a key or a value: %s, %v", text, err)
		}
	}
}

// TestRandomBytes sends noise to a node, which must go on.
func TestRandomBytes(t *testing.T) {
	p := serve(t, nil, "--read-timeout", "200ms")
	each(t, 64, func(i int) error {
		random := rand.New(rand.NewPCG(7, uint64(i)))
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		noise := make([]byte, random.IntN(20000))
		for j := range noise {
			noise[j] = byte(random.Uint32())
		}
		if i%2 == 0 { // a head that is right, and then noise
			noise = append([]byte("POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n"), noise...)
		}
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		_, _ = conn.Write(noise) // the node may have closed it already
		_, err = io.Copy(io.Discard, conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("the node neither answers nor closes: %w", err)
		}
		return nil
	})
	poll(t, "/livez answers", func() bool {
		status, body, err := p.tryGet("/livez")
		if err == nil && status != http.StatusOK {
			t.Errorf("/livez answers %d %s", status, body)
		}
		return err == nil
	})
}
