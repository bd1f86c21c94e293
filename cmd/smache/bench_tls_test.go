package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/smache/smache/bench"
)

// The load generator over TLS, at a node that only clients with a certificate and a
// token get into.
func TestBenchTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hour := time.Now().Add(time.Hour)
	node, client := newKeyPair(t, dir, "node", hour), newKeyPair(t, dir, "client", hour)
	const token = "0123456789abcdef0123456789abcdef"
	p := start(t, []string{"SMACHE_TLS_CLIENT_CA=" + client.cert, "SMACHE_TOKEN=" + token}, "serve", "--listen", "127.0.0.1:0",
		"--memory", "160MiB", "--tls-cert", node.cert, "--tls-key", node.key)
	address, _ := p.await("serving")["address"].(string)
	certificate := []string{"--client-cert", client.cert, "--client-key", client.key, "--token", token}
	small := []string{"--url", "https://" + address, "--clients", "10", "--requests", "100", "--keys", "20", "--json"}
	for _, args := range [][]string{
		append([]string{"get", "--ca", node.cert}, certificate...),
		append([]string{"post", "--insecure", "--vary", "--value-size", "50KiB"}, certificate...),
	} {
		code, stdout, stderr := runBenchTest(t.Context(), append(args, small...)...)
		var r bench.Result
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK || r.OK != 100 || r.URL != "https://"+address {
			t.Errorf("%v: code %d, %v, %s\n%s", args, code, err, stderr, stdout)
		}
	}
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{append([]string{"get"}, certificate...), exitUnreachable, "--ca"},
		{append([]string{"get", "--ca", client.cert}, certificate...), exitUnreachable, "--insecure"},
		{[]string{"get", "--ca", node.cert, "--client-cert", client.cert}, exitUsage, "--client-key"},
		{[]string{"get", "--ca", "/nowhere"}, exitUsage, "--ca"},
		{[]string{"get", "--ca", node.cert, "--insecure"}, exitUsage, "exclude each other"},
		{[]string{"get", "--insecure", "--url", "http://" + address}, exitUsage, "https://"},
	} {
		code, stdout, stderr := runBenchTest(t.Context(), append(small, test.args...)...)
		if code != test.code || !strings.Contains(stderr, test.says) || stdout != "" {
			t.Errorf("%v: code %d, %s%s", test.args, code, stdout, stderr)
		}
	}
}
