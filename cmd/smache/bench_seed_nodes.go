package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/smache/smache/peer/secure"
)

// The ports of nodes that bench starts: from the first up to the last and, for what
// passes between nodes, 10,000 and 20,000 above. All of them lie below 32768, from
// where on Linux takes the ports of connections.
const (
	firstSeedPort = 10_000
	lastSeedPort  = 12_700
)

// seedPatience is how long a node may take until it serves.
const seedPatience = time.Minute

// seedNodes are nodes that bench has started, as processes of their own, so that
// their CPU time can be told from its own.
type seedNodes struct {
	addresses []string
	secret    string
	commands  []*exec.Cmd
	logs      []*bytes.Buffer
	exited    []chan struct{}
}

// startSeedNodes starts nodes of one cluster on free ports of the loopback interface,
// or one without a cluster, and waits until they serve and no slot is moving. If
// there is an error none is left.
func startSeedNodes(inv invocation, count, clients int) (*seedNodes, error) {
	program := inv.program
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	n := &seedNodes{secret: secure.GenerateSecret()}
	for i := range count {
		port, err := freeSeedPort(n.addresses)
		if err != nil {
			n.stop()
			return nil, err
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		args := []string{
			"serve", "--listen", address, "--name", fmt.Sprintf("smache@bench-%d", i+1), "--log-format", "json",
			"--memory", fmt.Sprintf("%dMiB", 256+clients/8), "--max-connections", strconv.Itoa(clients + 100),
		}
		if i > 0 {
			args = append(args, "--join", n.addresses[0])
		}
		if count > 1 { // where one gets no processor for a moment, that shows in the latency, and nothing fails
			args = append(args, "--peer-wait", "30s")
		}
		if err := n.start(program, args, count > 1); err != nil {
			n.stop()
			return nil, err
		}
		n.addresses = append(n.addresses, address)
	}
	for i := range count {
		if err := n.await(inv.ctx, i); err != nil {
			n.stop()
			return nil, err
		}
	}
	return n, nil
}

// start starts one node. Nothing of this process's environment configures it.
func (n *seedNodes) start(program string, args []string, cluster bool) error {
	log := &bytes.Buffer{}
	c := exec.Command(program, args...)
	c.Stderr = log
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		switch {
		case strings.HasPrefix(name, "SMACHE_"), name == "PORT", name == "UPLINK_NODE", name == "COOKIE":
		default:
			c.Env = append(c.Env, pair)
		}
	}
	if cluster {
		c.Env = append(c.Env, "SMACHE_SECRET="+n.secret) // flags are seen by others
	}
	if err := c.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		_ = c.Wait() // why it ended is in its log
		close(exited)
	}()
	n.commands, n.logs, n.exited = append(n.commands, c), append(n.logs, log), append(n.exited, exited)
	return nil
}

// await waits until node i serves.
func (n *seedNodes) await(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, seedPatience)
	defer cancel()
	cfg := newClientConfig()
	cfg.server = stringValue(n.addresses[i])
	client, err := newClient(cfg)
	if err != nil {
		return err
	}
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if s := askStatus(ctx, client, false); s.settled() && len(s.cluster.Members) == len(n.commands) {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-n.exited[i]:
			return fmt.Errorf("a node did not start: %s", lastLine(n.logs[i]))
		case <-ctx.Done():
			return fmt.Errorf("the node at %s does not serve: %w", n.addresses[i], context.Cause(ctx))
		}
	}
}

// pids are the nodes' processes, as --server-pid takes them.
func (n *seedNodes) pids() (list []string) {
	for _, c := range n.commands {
		list = append(list, strconv.Itoa(c.Process.Pid))
	}
	return list
}

// stop ends all nodes and waits. What they hold is of no use to anyone.
func (n *seedNodes) stop() {
	for i, c := range n.commands {
		_ = c.Process.Kill()
		<-n.exited[i]
	}
}

func lastLine(log *bytes.Buffer) string {
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	return lines[len(lines)-1]
}

// freeSeedPort finds a port that is free together with the two that belong to it, and
// is none of those given.
func freeSeedPort(taken []string) (int, error) {
	for range 200 {
		port := firstSeedPort + rand.IntN(lastSeedPort-firstSeedPort)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		free := !strings.Contains(strings.Join(taken, " "), address)
		for _, above := range []int{0, 10_000, 20_000} {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+above)))
			if free = free && err == nil; err == nil {
				_ = l.Close()
			}
		}
		if free {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free ports from %d to %d, with those 10,000 and 20,000 above; give --addr", firstSeedPort, lastSeedPort)
}
