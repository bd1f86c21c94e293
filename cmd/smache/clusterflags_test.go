package main

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smache/smache/engine"
)

const (
	aSecret       = "0123456789abcdef0123"
	anotherSecret = "fedcba9876543210fedc"
)

// resolved parses arguments and variables as smache serve does.
func resolved(args []string, env environment) (*serveConfig, error) {
	cfg := newServeConfig()
	_, err := parseSettings(cfg.settings(), args, env)
	if err == nil {
		err = cfg.applyPort(env)
	}
	if err == nil {
		err = cfg.check()
	}
	if err == nil {
		err = cfg.cluster.resolve(env, string(cfg.listen))
	}
	return cfg, err
}

// secretFile writes a file that only its owner may read.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAloneUnlessTold: no setting of the cluster, no cluster and no port.
func TestAloneUnlessTold(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  environment
		want bool
	}{
		{nil, nil, false},
		{[]string{"--listen", ":50000"}, nil, false},
		{[]string{"--advertise", "cache.example", "--name", "n"}, nil, false},
		{nil, environment{"UPLINK_NODE": "", "COOKIE": "", "SMACHE_JOIN": ""}, false},
		{[]string{"--join", "a"}, nil, true},
		{nil, environment{"SMACHE_JOIN": "a"}, true},
		{nil, environment{"UPLINK_NODE": "a"}, true},
		{[]string{"--secret", aSecret}, nil, true},
		{nil, environment{"COOKIE": aSecret}, true},
		{[]string{"--peer-listen", "127.0.0.1:1"}, nil, true},
		{[]string{"--gossip-listen", "127.0.0.1:1"}, nil, true},
		{[]string{"--insecure-cluster"}, nil, true},
	} {
		cfg, err := resolved(c.args, c.env)
		if err != nil {
			t.Errorf("%q with %v: %v", c.args, c.env, err)
			continue
		}
		config := cfg.cluster.engineConfig(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000})
		if (config != nil) != c.want || cfg.cluster.wanted() != c.want {
			t.Errorf("%q with %v: the cluster is %+v", c.args, c.env, config)
		}
	}
}

// TestClusterAddresses: what follows from --listen.
func TestClusterAddresses(t *testing.T) {
	for _, c := range []struct {
		args                     []string
		peer, gossip, name, http string
	}{
		{nil, "127.0.0.1:14000", "127.0.0.1:24000", "smache@127.0.0.1:4000", "127.0.0.1:4000"},
		{[]string{"--listen", "10.0.0.7:4001"}, "10.0.0.7:14001", "10.0.0.7:24001", "smache@10.0.0.7:4001", "10.0.0.7:4001"},
		{[]string{"--listen", "[fd00::1]:45535"}, "[fd00::1]:55535", "[fd00::1]:65535", "smache@[fd00::1]:45535", "[fd00::1]:45535"},
		{[]string{"--listen", ":80", "--advertise", "cache.example"}, ":10080", ":20080", "smache@cache.example:80", "cache.example:80"},
		{[]string{"--listen", "0.0.0.0:80", "--advertise", "fd00::2"}, "0.0.0.0:10080", "0.0.0.0:20080", "smache@[fd00::2]:80", "[fd00::2]:80"},
		// An API for this machine alone, behind a proxy, in a cluster of several.
		{[]string{"--peer-listen", "10.0.0.7:7000"}, "10.0.0.7:7000", "10.0.0.7:24000", "smache@10.0.0.7:4000", "127.0.0.1:4000"},
		{[]string{"--gossip-listen", "10.0.0.7:7000"}, "127.0.0.1:14000", "10.0.0.7:7000", "smache@127.0.0.1:4000", "127.0.0.1:4000"},
		{[]string{"--listen", "127.0.0.1:50000", "--peer-listen", "127.0.0.1:1", "--gossip-listen", "127.0.0.1:2"}, "127.0.0.1:1", "127.0.0.1:2", "smache@127.0.0.1:50000", "127.0.0.1:50000"},
		{[]string{"--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0", "--gossip-listen", "127.0.0.1:0"}, "127.0.0.1:0", "127.0.0.1:0", "smache@127.0.0.1:0", "127.0.0.1:0"},
	} {
		cfg, err := resolved(append(c.args, "--secret", aSecret), nil)
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		listener, err := net.ResolveTCPAddr("tcp", string(cfg.listen))
		if err != nil {
			t.Fatal(err)
		}
		config := cfg.cluster.engineConfig(listener)
		name, err := cfg.cluster.nodeName(listener)
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
		}
		if config.PeerListen != c.peer || config.GossipListen != c.gossip || name != c.name || config.HTTP != c.http {
			t.Errorf("%q: %s, %s, %s, %s", c.args, config.PeerListen, config.GossipListen, name, config.HTTP)
		}
	}
	// On all addresses: whatever the machine's is, others can dial it.
	cfg, err := resolved([]string{"--listen", ":4000", "--secret", aSecret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	name, err := cfg.cluster.nodeName(&net.TCPAddr{IP: net.IPv4zero, Port: 4000})
	if err != nil || strings.Contains(name, "0.0.0.0") || strings.Contains(name, "[::]") || !strings.HasSuffix(name, ":4000") {
		t.Errorf("on all addresses the name is %q, %v", name, err)
	}
}

// TestSecrets: where they come from, and that a rotation has two.
func TestSecrets(t *testing.T) {
	for _, c := range []struct {
		about string
		args  []string
		env   environment
		want  []string
	}{
		{"flag", []string{"--secret", aSecret}, nil, []string{aSecret}},
		{"variable", nil, environment{"SMACHE_SECRET": aSecret}, []string{aSecret}},
		{"the seed's variable", nil, environment{"COOKIE": "with, comma and space"}, []string{"with, comma and space"}},
		{"the flag wins", []string{"--secret", aSecret}, environment{"COOKIE": "short", "SMACHE_SECRET": anotherSecret}, []string{aSecret}},
		{"rotation", []string{"--secret", aSecret + "," + anotherSecret}, nil, []string{aSecret, anotherSecret}},
		{"file", []string{"--secret-file", secretFile(t, aSecret)}, environment{"COOKIE": "short"}, []string{aSecret}},
		{"rotation by file", []string{"--secret-file", secretFile(t, aSecret+"\r\n\n"+anotherSecret+"\n")}, nil, []string{aSecret, anotherSecret}},
		{"file by variable", nil, environment{"SMACHE_SECRET_FILE": secretFile(t, aSecret+"\n")}, []string{aSecret}},
	} {
		cfg, err := resolved(c.args, c.env)
		if err != nil {
			t.Errorf("%s: %v", c.about, err)
			continue
		}
		var got []string
		for _, s := range cfg.cluster.secrets {
			got = append(got, string(s))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.about, got, c.want)
		}
		for _, attr := range logAttributes(cfg.settings()) {
			if strings.Contains(attr.String(), aSecret) || strings.Contains(attr.String(), anotherSecret) {
				t.Errorf("%s: the log shows %s", c.about, attr)
			}
		}
	}
}

// TestSecretFileOpenToOthers: a file that everyone may read is warned of.
func TestSecretFileOpenToOthers(t *testing.T) {
	path := secretFile(t, aSecret)
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		cfg, err := resolved([]string{"--secret-file", path}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		cfg.cluster.warn(slog.New(slog.NewJSONHandler(&log, nil)))
		if got := strings.Contains(log.String(), "chmod"); got != want || strings.Contains(log.String(), aSecret) {
			t.Errorf("with mode %o the log says %s", mode, log.String())
		}
	}
}

// TestUplink: the seed's variable is as good as --join, and gives way to it.
func TestUplink(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  environment
		want []string
	}{
		{nil, environment{"UPLINK_NODE": "localhost"}, []string{"localhost"}},
		{nil, environment{"UPLINK_NODE": "a, b:4001"}, []string{"a", "b:4001"}},
		{nil, environment{"UPLINK_NODE": "a", "SMACHE_JOIN": "b"}, []string{"b"}},
		{[]string{"--join", "c", "--join", "d,e"}, environment{"UPLINK_NODE": "a", "SMACHE_JOIN": "b"}, []string{"c", "d", "e"}},
	} {
		cfg, err := resolved(c.args, c.env)
		if err != nil || !slices.Equal(cfg.cluster.join.items, c.want) {
			t.Errorf("%q with %v: %q, %v", c.args, c.env, cfg.cluster.join.items, err)
		}
	}
}

// TestClusterMistakes: each is refused with the name of what to change.
func TestClusterMistakes(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  environment
		want []string
	}{
		{[]string{"--secret", "hunter2"}, nil, []string{"--secret", "16 bytes", "smache secret"}},
		{nil, environment{"COOKIE": "hunter2"}, []string{"COOKIE", "16 bytes", "smache secret"}},
		{nil, environment{"SMACHE_SECRET": "hunter2"}, []string{"--secret", "16 bytes"}},
		{[]string{"--secret", aSecret + ",hunter2"}, nil, []string{"--secret", "16 bytes"}},
		{[]string{"--secret", aSecret + "," + anotherSecret + "," + aSecret}, nil, []string{"--secret", "two"}},
		{[]string{"--secret", aSecret, "--secret-file", "x"}, nil, []string{"--secret-file"}},
		{[]string{"--secret-file", filepath.Join(t.TempDir(), "none")}, nil, []string{"--secret-file", "none"}},
		{[]string{"--secret-file", t.TempDir()}, nil, []string{"--secret-file"}},
		{[]string{"--secret-file", secretFile(t, "\n\n")}, nil, []string{"--secret-file", "empty"}},
		{[]string{"--secret-file", secretFile(t, strings.Repeat("x", maxSecretFile+1))}, nil, []string{"--secret-file", "longer"}},
		{[]string{"--listen", "127.0.0.1:45536", "--join", "a"}, nil, []string{"--peer-listen", "--gossip-listen", "45535"}},
		{[]string{"--listen", "127.0.0.1:45536", "--join", "a", "--peer-listen", "127.0.0.1:1"}, nil, []string{"--gossip-listen"}},
		{[]string{"--join", "a"}, environment{"PORT": "0"}, []string{"--peer-listen", "--gossip-listen"}},
		{[]string{"--listen", "127.0.0.1:no-such-service", "--join", "a"}, nil, []string{"--listen"}},
		{[]string{"--weight", "1000001"}, nil, []string{"--weight"}},
		{[]string{"--weight", "100"}, nil, []string{"--weight", "--join"}},
		{[]string{"--move-rate", "1000"}, nil, []string{"--move-rate"}},
		{[]string{"--move-rate", "64MiB"}, nil, []string{"--move-rate", "--join"}},
		{[]string{"--cluster", "smache"}, nil, []string{"--cluster", "--join"}},
		{[]string{"--join", "a", "--peer-outbox", "4MiB"}, nil, []string{"--peer-outbox", "5MiB"}},
		{[]string{"--join", "a", "--peer-outbox", "257MiB"}, nil, []string{"--peer-outbox", "256MiB"}},
		{[]string{"--peer-outbox", "8MiB"}, nil, []string{"--peer-outbox", "--join"}},
		{[]string{"--advertise", "10.0.0.1:14000"}, nil, []string{"--advertise"}},
		{[]string{"--advertise", "0.0.0.0"}, nil, []string{"--advertise"}},
		{[]string{"--advertise", "http://a"}, nil, []string{"--advertise"}},
	} {
		_, err := resolved(c.args, c.env)
		if err == nil {
			t.Errorf("%q with %v is taken", c.args, c.env)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q with %v: %v does not say %s", c.args, c.env, err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// TestWarnsOfNoSecret: a cluster without a secret starts only where that is
// allowed, and says so.
func TestWarnsOfNoSecret(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"--join", "a"}, "all users of this machine"},
		{[]string{"--join", "a", "--secret", aSecret}, ""},
		{[]string{"--join", "a", "--listen", ":4000", "--insecure-cluster"}, "whoever reaches its ports"},
	} {
		cfg, err := resolved(c.args, nil)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		cfg.cluster.warn(slog.New(slog.NewJSONHandler(&log, nil)))
		if !strings.Contains(log.String(), c.want) || c.want == "" && log.Len() > 0 {
			t.Errorf("%q: the log says %q, want %q", c.args, log.String(), c.want)
		}
	}
}

// TestClusterDefaults holds the flags' defaults against the engine's.
func TestClusterDefaults(t *testing.T) {
	cfg, err := resolved([]string{"--join", "a"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	config := cfg.cluster.engineConfig(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000})
	if config.Name != engine.DefaultCluster || config.Weight != engine.DefaultWeight || config.Insecure || config.Outbox != engine.DefaultOutbox || leastOutbox < engine.LeastOutbox || len(config.Secrets) > 0 {
		t.Errorf("the configuration is %+v", config)
	}
}

// TestPeerOutbox: the links get what the flag says, and the memory is planned for it.
func TestPeerOutbox(t *testing.T) {
	t.Parallel()
	var planned []float64
	for _, args := range [][]string{nil, {"--peer-outbox", "16MiB"}} {
		p := serveOn(t, clusterPorts(t, 1)[0], aSecret, args...)
		want := float64(engine.DefaultOutbox)
		if args != nil {
			want = 16 << 20
		}
		if got := p.metric("smache_peer_outbox_limit_bytes"); got != want {
			t.Errorf("%q: an outbox has %v bytes", args, got)
		}
		_, text := p.get("/metrics")
		bytes, _ := parseMetrics(text).sum("smache_memory_plan_bytes", `part="cluster"`)
		planned = append(planned, bytes)
	}
	if extra := planned[1] - planned[0]; extra != 8<<20 {
		t.Errorf("%v bytes more are planned", extra)
	}
}
