package main

import (
	"encoding/json"
	"net"
	"strings"
	"syscall"
	"testing"
)

// post writes an entry with a body given whole.
func post(p *process, body string) (status int, answer string) {
	p.t.Helper()
	k, err := dial(p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = k.conn.Close() }()
	status, answer, _, err = k.ask("POST", "/api", body)
	if err != nil {
		p.t.Fatal(err)
	}
	return status, answer
}

// TestClient takes the client subcommands, as processes, through a round trip.
func TestClient(t *testing.T) {
	p := serve(t, nil, "--name", "n1")
	env := []string{"SMACHE_SERVER=" + p.address}
	smache := func(stdin string, args ...string) (int, map[string]any, string) {
		t.Helper()
		code, stdout, stderr := execute(t, "", stdin, env, binary, args...)
		answer := map[string]any{}
		if stdout != "" {
			if err := json.Unmarshal([]byte(stdout), &answer); err != nil || strings.Count(stdout, "\n") != 1 {
				t.Errorf("smache %q prints %q: %v", args, stdout, err)
			}
		}
		return code, answer, stderr
	}

	code, answer, _ := smache("", "get", "bus 7")
	if code != exitNo || answer["data"] != nil || answer["key"] != "bus 7" {
		t.Errorf("get of nothing: exit %d, %v", code, answer)
	}
	code, answer, stderr := smache("", "set", "bus 7", `{"lat": 48.10, "s":"<&>"}`, "--ttl", "5m")
	tag, _ := answer["etag"].(string)
	if code != exitOK || answer["stored"] != true || len(tag) != 16 {
		t.Fatalf("set: exit %d, %v, %s", code, answer, stderr)
	}
	code, stdout, _ := execute(t, "", "", env, binary, "get", "bus 7", "--data")
	if code != exitOK || stdout != `{"lat":48.10,"s":"<&>"}`+"\n" {
		t.Errorf("get --data: exit %d, %q", code, stdout)
	}
	code, answer, _ = smache("", "get", "bus 7")
	ttl, _ := answer["ttl"].(float64)
	if code != exitOK || answer["node"] != "n1" || answer["etag"] != tag || ttl <= 200 || ttl > 300 || answer["age"] == nil {
		t.Errorf("get: exit %d, %v", code, answer)
	}
	code, answer, _ = smache("", "set", "--create", "bus 7", `{}`)
	if code != exitNo || answer["stored"] != false {
		t.Errorf("set --create of what exists: exit %d, %v", code, answer)
	}
	code, answer, _ = smache("", "set", "--if-match", "0123456789abcdef", "bus 7", `{}`)
	if code != exitNo || answer["stored"] != false {
		t.Errorf("set --if-match with another tag: exit %d, %v", code, answer)
	}
	code, answer, _ = smache(`{"lat":1}`+"\n", "set", "--if-match", tag, "--ttl", "never", "bus 7", "-")
	if code != exitOK || answer["stored"] != true || answer["etag"] == tag {
		t.Errorf("set --if-match from standard input: exit %d, %v", code, answer)
	}
	if _, answer, _ = smache("", "get", "bus 7"); answer["ttl"] != nil {
		t.Errorf("an entry that never expires has a ttl: %v", answer)
	}
	code, answer, _ = smache("", "del", "--if-match", tag, "bus 7")
	if code != exitNo || answer["deleted"] != false {
		t.Errorf("del --if-match with the old tag: exit %d, %v", code, answer)
	}
	for _, want := range []int{exitOK, exitNo} {
		code, answer, _ = smache("", "del", "bus 7")
		if code != want || answer["deleted"] != (want == exitOK) {
			t.Errorf("del: exit %d, %v; want %d", code, answer, want)
		}
	}
	// Negative numbers are keys, not flags.
	if code, _, stderr := smache("", "set", "-5", `{}`); code != exitOK {
		t.Errorf("set -5: exit %d, %s", code, stderr)
	}

	// What the server refuses is 3, with its code, and nothing on standard output.
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"get", "null"}, "nil_key"},
		{[]string{"get", "\xff"}, "malformed_utf8"},
		{[]string{"set", "a", "[]"}, "malformed_body"},
		{[]string{"set", "a", "{}", "--ttl", "0"}, "malformed_ttl"},
		{[]string{"set", "a", "{}", "--if-match", `"`}, "malformed_condition"},
		{[]string{"del", strings.Repeat("x", 1025)}, "key_too_long"},
	} {
		code, answer, stderr := smache("", c.args...)
		if code != exitServer || len(answer) != 0 || !strings.Contains(stderr, c.want) {
			t.Errorf("smache %q: exit %d, %v, %q; want 3 and %s", c.args, code, answer, stderr, c.want)
		}
	}
}

func TestClientUnreachable(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	nobody := nobodyAt(t)
	for _, server := range []string{nobody, "http://" + nobody + "/", silent.Addr().String()} {
		for _, args := range [][]string{{"get", "a"}, {"set", "a", "{}"}, {"del", "a"}, {"status"}, {"status", "--quiet"}} {
			code, stdout, stderr := capture(t.Context(), "", nil, append(args, "--server", server, "--timeout", "300ms")...)
			if code != exitUnreachable || stdout != "" || !strings.Contains(stderr, "--server") {
				t.Errorf("smache %q at %s: exit %d, %q, %q; want 4", args, server, code, stdout, stderr)
			}
		}
	}
}

// TestServerAddresses: everything that names a node names it.
func TestServerAddresses(t *testing.T) {
	for server, want := range map[string]string{
		"127.0.0.1:4001": "http://127.0.0.1:4001", ":4001": "http://127.0.0.1:4001", "cache": "http://cache:4000",
		"[::1]:4001": "http://[::1]:4001", "::1": "http://[::1]:4000", "https://cache.example/": "https://cache.example",
	} {
		c, err := newClient(&clientConfig{server: stringValue(server)})
		if err != nil || c.base != want {
			t.Errorf("%q is %v, %v; want %s", server, c, err, want)
		}
	}
	for _, server := range []string{"ftp://x", "http://x/path", "http://", "http://a b"} {
		if c, err := newClient(&clientConfig{server: stringValue(server)}); err == nil {
			t.Errorf("%q is taken as %s", server, c.base)
		}
	}
}

func TestStatus(t *testing.T) {
	p := serve(t, nil, "--name", "n1", "--drain-delay", "5m", "--stop-timeout", "6m") // it is killed
	post(p, `{"key":"a","data":{}}`)
	code, stdout, stderr := capture(t.Context(), "", nil, "status", "--server", p.address)
	if code != exitOK {
		t.Fatalf("status: exit %d, %s", code, stderr)
	}
	rows := map[string]string{}
	for line := range strings.Lines(stdout) {
		if name, text, ok := strings.Cut(line, "  "); ok {
			rows[name] = strings.TrimSpace(text)
		}
	}
	if !strings.HasPrefix(rows["n1"], "serving") || rows["ready"] != "yes" || rows["entries"] != "1" {
		t.Errorf("status prints\n%s", stdout)
	}
	// Every figure that the table knows is one that the node has.
	for _, f := range statusFigures {
		if _, ok := rows[f.name]; !ok {
			t.Errorf("status prints no %s, which is %s, in\n%s", f.name, f.metric, stdout)
		}
	}
	code, stdout, _ = capture(t.Context(), "", nil, "status", "--server", p.address, "--json")
	var body struct {
		Ready   bool
		Cluster clusterBody
		Metrics map[string]float64
	}
	if err := json.Unmarshal([]byte(stdout), &body); code != exitOK || err != nil {
		t.Fatalf("status --json: exit %d, %v, %s", code, err, stdout)
	}
	if !body.Ready || body.Cluster.Node != "n1" || len(body.Cluster.Members) != 1 || body.Cluster.Members[0].Slots != 65536 ||
		body.Metrics["smache_entries"] != 1 {
		t.Errorf("status --json prints %s", stdout)
	}
	if code, stdout, _ = capture(t.Context(), "", nil, "status", "--server", p.address, "--quiet"); code != exitOK || stdout != "" {
		t.Errorf("status --quiet: exit %d, %q", code, stdout)
	}
	p.signal(syscall.SIGTERM)
	poll(t, "status says that the node is not ready", func() bool {
		code, _, _ := capture(t.Context(), "", nil, "status", "--server", p.address, "--quiet")
		return code == exitNo
	})
	if code, stdout, _ = capture(t.Context(), "", nil, "status", "--server", p.address); code != exitNo || !strings.Contains(stdout, "leaving") {
		t.Errorf("status of a leaving node: exit %d\n%s", code, stdout)
	}
}

func TestKey(t *testing.T) {
	p := serve(t, nil, "--name", "n1")
	for _, c := range []struct{ key, canonical, kind, integer string }{
		{"1", "i1", "integer", "1"},
		{"+001", "i1", "integer", "1"},
		{"-0", "i0", "integer", "0"},
		{"-73", "i-73", "integer", "-73"},
		{"aa", "saa", "string", "24929"},
		{"aaa", "saaa", "string", "6381921"},
		{"abcd", "sabcd", "string", "1633837924"},
		{"12abc", "s12abc", "string", "211298640483"},
		{"18446744073709551616", "i18446744073709551616", "integer", "18446744073709551616"},
	} {
		code, stdout, stderr := capture(t.Context(), "", nil, "key", c.key, "--json", "--server", p.address)
		var info keyInfo
		if err := json.Unmarshal([]byte(stdout), &info); code != exitOK || err != nil {
			t.Fatalf("key %q: exit %d, %v, %s", c.key, code, err, stderr)
		}
		if info.Canonical != c.canonical || info.Kind != c.kind || info.Integer != c.integer || info.Holder == nil || *info.Holder != "n1" {
			t.Errorf("key %q prints %s", c.key, stdout)
		}
	}
	// The slot function is published: these are computed from its description.
	for key, want := range map[string]string{"1": "slot       ", "a\x1bb": `canonical  "sa\x1bb"`} {
		if code, stdout, _ := capture(t.Context(), "", nil, "key", key, "--server", p.address); code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("key %q: exit %d\n%s", key, code, stdout)
		}
	}
	code, stdout, _ := capture(t.Context(), "", nil, "key", "aa", "--json", "--server", "127.0.0.1:1", "--timeout", "1s")
	if code != exitOK || !strings.Contains(stdout, `"holder":null`) {
		t.Errorf("key without a server: exit %d, %s", code, stdout)
	}
}
