package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// portsGiven are the ports that a test has already, even if its node is not running at
// this moment: tests run side by side.
var portsGiven sync.Map

// badPorts are those of clusterPorts' range at which no browser asks for a page: the Fetch
// standard blocks them, https://fetch.spec.whatwg.org/#port-blocking.
var badPorts = []int{4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697}

// clusterPorts finds ports for the APIs of n nodes, whose peer and gossip ports are
// free as well, in their order. They have four digits, as those of the README, and the ports that
// follow from them are below those that the system hands out.
func clusterPorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for tries := 0; len(ports) < n; tries++ {
		if tries > 1000 {
			t.Fatal("there are no free ports")
		}
		port := 4100 + rand.IntN(5800)
		if slices.Contains(badPorts, port) {
			continue
		}
		if _, given := portsGiven.LoadOrStore(port, true); !given && portFree(port) {
			ports = append(ports, strconv.Itoa(port))
		}
	}
	slices.Sort(ports)
	return ports
}

// portFree reports whether a node could have the port, and those that follow from it.
func portFree(port int) bool {
	var open []interface{ Close() error }
	defer func() {
		for _, l := range open {
			_ = l.Close()
		}
	}()
	take := func(network string, port int) bool {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if network == "udp" {
			l, err := net.ListenPacket(network, address)
			if err == nil {
				open = append(open, l)
			}
			return err == nil
		}
		l, err := net.Listen(network, address)
		if err == nil {
			open = append(open, l)
		}
		return err == nil
	}
	return take("tcp", port) && take("tcp", port+peerOffset) && take("tcp", port+gossipOffset) && take("udp", port+gossipOffset)
}

// serveOn runs a node of a cluster on a port, with a name that tells which it is.
// It does not wait until the node has joined.
func serveOn(t *testing.T, port, secret string, args ...string) *process {
	t.Helper()
	env := []string{"PORT=" + port, "SMACHE_SECRET=" + secret, "SMACHE_MEMORY=160MiB"}
	return serve(t, env, append([]string{"--name", "n" + port}, args...)...)
}

// members asks a node for the cluster.
func (p *process) members() (cluster clusterBody) {
	p.t.Helper()
	status, text := p.get("/cluster")
	if err := json.Unmarshal([]byte(text), &cluster); status != http.StatusOK || err != nil {
		p.t.Fatalf("/cluster answers %d %s", status, text)
	}
	return cluster
}

// settled says that nodes see one another and nobody else, all of them serving,
// and that no slot is moving or missing.
func settled(nodes ...*process) bool {
	epoch := ""
	for i, p := range nodes {
		c := p.members()
		slots := 0
		for _, m := range c.Members {
			if m.State != "serving" {
				return false
			}
			slots += m.Slots
		}
		if i > 0 && c.Epoch != epoch || len(c.Members) != len(nodes) || c.Moving != 0 || slots != 65536 {
			return false
		}
		epoch = c.Epoch
		if status, _ := p.get("/readyz"); status != http.StatusOK {
			return false
		}
	}
	return true
}

// awaitSettled waits for that.
func awaitSettled(t *testing.T, nodes ...*process) {
	t.Helper()
	defer func() {
		if t.Failed() {
			for _, p := range nodes {
				t.Logf("%s: %+v\n%v", p.address, p.members(), p.lines())
			}
		}
	}()
	poll(t, fmt.Sprintf("a settled cluster of %d", len(nodes)), func() bool { return settled(nodes...) })
}

// stop ends a node in order.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		p.t.Errorf("exit code %d; the log: %v", code, p.lines())
	}
}

// TestClusterOfThree: nodes that start at the same time, and are given one list of
// all of them, become one cache.
func TestClusterOfThree(t *testing.T) {
	t.Parallel()
	ports := clusterPorts(t, 3)
	join := "127.0.0.1:" + strings.Join(ports, ",127.0.0.1:")
	nodes := make([]*process, len(ports))
	for i, port := range ports {
		nodes[i] = serveOn(t, port, aSecret, append(unhurried, "--join", join)...)
	}
	awaitSettled(t, nodes...)
	held := map[string]int{}
	for i := range 300 {
		key, data := strconv.Itoa(i), fmt.Sprintf(`{"n":%d}`, i)
		if status, answer := post(nodes[i%3], `{"key":`+key+`,"data":`+data+`}`); status != 200 {
			t.Fatalf("POST answers %d %s", status, answer)
		}
		holder := ""
		for _, p := range nodes {
			_, text := p.get("/api?key=" + key)
			rest, ok := strings.CutPrefix(text, `{"key":"`+key+`","data":`+data+`,"node":"`)
			if !ok || holder != "" && rest != holder {
				t.Errorf("%s answers %s; another node names %s", p.address, text, holder)
			}
			holder = rest
		}
		held[holder]++
	}
	if len(held) != 3 {
		t.Errorf("the keys are held by %v", held)
	}
	// What the client commands show of it.
	code, stdout, stderr := capture(t.Context(), "", nil, "status", "--server", nodes[0].address)
	if code != exitOK || strings.Count(stdout, "  serving  ") != 3 || !strings.Contains(stdout, ", 0 slots moving\n") {
		t.Errorf("status: exit %d\n%s%s", code, stdout, stderr)
	}
	for _, port := range ports {
		peer, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"n" + port, "127.0.0.1:" + port, "127.0.0.1:" + strconv.Itoa(peer+peerOffset)} {
			if !strings.Contains(stdout, want+" ") {
				t.Errorf("status does not show %s:\n%s", want, stdout)
			}
		}
	}
	code, stdout, _ = capture(t.Context(), "", nil, "key", "7", "--server", nodes[1].address)
	if _, text := nodes[0].get("/api?key=7"); code != exitOK || !strings.Contains(text, strings.TrimSpace(stdout[strings.LastIndex(stdout, " "):])) {
		t.Errorf("key: exit %d\n%s, and the API says %s", code, stdout, text)
	}
	if status, text := nodes[1].get("/metrics"); status != 200 || parseMetrics(text)["smache_ready"] != 1 {
		t.Errorf("/metrics answers %d", status)
	}
	k, err := dial(nodes[2].address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.conn.Close() }()
	if status, answer, _, err := k.ask("POST", "/api/flush", `{}`); err != nil || status != 200 || answer != `{"flushed":true,"applied":3,"members":3}` {
		t.Errorf("flush answers %d %s, %v", status, answer, err)
	}
	for i := range 300 {
		if _, text := nodes[i%3].get("/api?key=" + strconv.Itoa(i)); !strings.Contains(text, `"data":null`) {
			t.Errorf("after the flush there is %s", text)
		}
	}
	for _, p := range nodes {
		p.stop()
	}
}

// TestCrashCostsOneShare is P5 for kill -9: the keys of the others stay, and every
// key is writable soon.
func TestCrashCostsOneShare(t *testing.T) {
	t.Parallel()
	ports := clusterPorts(t, 3)
	var nodes []*process
	var lb balancer
	for _, port := range ports {
		p := serveOn(t, port, aSecret, append(unhurried, "--join", "127.0.0.1:"+ports[0])...)
		lb.add(p.address)
		nodes = append(nodes, p)
	}
	awaitSettled(t, nodes...)
	client := lb.client()
	const keys = 1000
	name := nodeName(nodes[2])
	holds := make([]bool, keys)
	share := 0
	for i := range keys {
		if err := client.write("k"+strconv.Itoa(i), i); err != nil {
			t.Fatal(err)
		}
		_, text := nodes[0].get("/api?key=k" + strconv.Itoa(i))
		if holds[i] = strings.Contains(text, `"node":"`+name+`"`); holds[i] {
			share++
		}
	}
	if share < keys/10 || share > keys*2/3 {
		t.Errorf("one of three nodes holds %d of %d keys", share, keys)
	}
	lb.remove(nodes[2].address)
	nodes[2].signal(syscall.SIGKILL)
	nodes[2].exit()
	lost := 0
	for i := range keys {
		key := "k" + strconv.Itoa(i)
		poll(t, "the key is answered", func() bool {
			status, text := nodes[i%2].get("/api?key=" + key)
			switch {
			case status == http.StatusServiceUnavailable && holds[i]:
				return false
			case status == http.StatusOK && holds[i] && strings.Contains(text, `"data":null`):
				lost++
			case status != http.StatusOK || !strings.Contains(text, fmt.Sprintf(`"data":{"n":%d}`, i)):
				t.Errorf("a key that the node held, %t: %d %s", holds[i], status, text)
			}
			return true
		})
		if err := client.write(key, -i); err != nil {
			t.Error(err)
		}
		if err := client.read(key, -i); err != nil {
			t.Error(err)
		}
	}
	if lost != share {
		t.Errorf("%d keys are lost, and the node that crashed held %d", lost, share)
	}
	awaitSettled(t, nodes[0], nodes[1])
}

// TestOtherSecret: a node with another secret does not get in. Both go on, each on
// its own.
func TestOtherSecret(t *testing.T) {
	t.Parallel()
	ports := clusterPorts(t, 2)
	first := serveOn(t, ports[0], aSecret)
	awaitSettled(t, first)
	if status, _ := post(first, `{"key":"k","data":{"of":"first"}}`); status != 200 {
		t.Fatal("the write failed")
	}
	second := serveOn(t, ports[1], anotherSecret, "--join", "127.0.0.1:"+ports[0])
	awaitSettled(t, second) // alone, after five seconds
	awaitSettled(t, first)
	if _, text := second.get("/api?key=k"); !strings.Contains(text, `"data":null`) {
		t.Errorf("the second node answers %s", text)
	}
	for _, p := range []*process{first, second} {
		for _, line := range p.lines() {
			if text, err := json.Marshal(line); err != nil || strings.Contains(string(text), aSecret) || strings.Contains(string(text), anotherSecret) {
				t.Errorf("the log shows a secret: %s, %v", text, err)
			}
		}
	}
}

// TestClusterRotation changes the secret of a cluster under way, as the README says: in
// three rounds, in each of which every node is restarted. Nothing is lost.
func TestClusterRotation(t *testing.T) {
	t.Parallel()
	ports := clusterPorts(t, 2)
	var lb balancer
	client := lb.client()
	nodes := make([]*process, len(ports))
	begin := func(i int, secret string) {
		nodes[i] = serveOn(t, ports[i], secret, append(unhurried, "--join", "127.0.0.1:"+ports[0]+",127.0.0.1:"+ports[1])...)
		lb.add(nodes[i].address)
	}
	begin(0, aSecret)
	begin(1, aSecret)
	awaitSettled(t, nodes...)
	const keys = 200
	for i := range keys {
		if err := client.write(strconv.Itoa(i), i); err != nil {
			t.Fatal(err)
		}
	}
	for _, secret := range []string{aSecret + "," + anotherSecret, anotherSecret + "," + aSecret, anotherSecret} {
		for i := range nodes {
			lb.remove(nodes[i].address)
			nodes[i].stop()
			begin(i, secret)
			awaitSettled(t, nodes...)
		}
		for i := range keys {
			if err := client.read(strconv.Itoa(i), i); err != nil {
				t.Error(err)
			}
		}
	}
}
