package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A keyPair is a certificate that signs itself, in files.
type keyPair struct{ cert, key string }

// newKeyPair makes one for the loopback address, good until a time.
func newKeyPair(t *testing.T, dir, name string, until time.Time) keyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pair := keyPair{filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")}
	for path, block := range map[string]*pem.Block{pair.cert: {Type: "CERTIFICATE", Bytes: cert}, pair.key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pair
}

// copyFile replaces a file by one move of a name, as tools that renew do.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestServeTLS: the client speaks https; a new certificate is shown when the files
// have changed, a broken one is not, and a connection lives through all that.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hour := time.Now().Add(time.Hour)
	first, second := newKeyPair(t, dir, "first", hour), newKeyPair(t, dir, "second", hour)
	used := keyPair{filepath.Join(dir, "used.crt"), filepath.Join(dir, "used.key")}
	copyFile(t, first.cert, used.cert)
	copyFile(t, first.key, used.key)
	client := newKeyPair(t, dir, "client", hour)
	p := start(t, []string{"SMACHE_TLS_CLIENT_CA=" + client.cert}, "serve", "--listen", "0.0.0.0:0", "--memory", "160MiB",
		"--tls-cert", used.cert, "--tls-key", used.key)
	address, _ := p.await("serving")["address"].(string)
	address = "127.0.0.1" + address[strings.LastIndexByte(address, ':'):]
	for _, line := range p.lines() {
		if line["level"] == "WARN" {
			t.Errorf("a node that only clients with certificates reach warns: %v", line)
		}
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"--ca", used.cert, "--client-cert", client.cert, "--client-key", client.key}, exitOK},
		{[]string{"--ca", used.cert}, exitUnreachable},
		{[]string{"--ca", second.cert, "--client-cert", client.cert, "--client-key", client.key}, exitUnreachable},
		{[]string{"--ca", used.cert, "--client-cert", client.cert}, exitUsage},
		{[]string{"--ca", used.key}, exitUsage},
	} {
		code, stdout, stderr := execute(t, "", "", nil, binary, append([]string{"set", "a", "{}", "--server", address}, c.args...)...)
		if code != c.code {
			t.Errorf("%q: exit %d, %s %s; want %d", c.args, code, stdout, stderr, c.code)
		}
	}

	mine, err := tls.LoadX509KeyPair(client.cert, client.key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{mine}} // it is looked at
	shown := func() string {
		nc, err := tls.Dial("tcp", address, config)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		return nc.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	kept, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kept.Close() }()
	answers := bufio.NewReader(kept)
	ask := func() {
		t.Helper()
		if _, err := io.WriteString(kept, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(answers, nil)
		if err != nil || answer.StatusCode != 200 {
			t.Fatalf("the connection that was there: %v", err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
	}
	ask()
	if name := shown(); name != "first" {
		t.Fatalf("shown is %q", name)
	}
	copyFile(t, second.cert, used.cert) // and not the key: no signal, it is found
	p.await("cannot be read again; what was read before stays in use")
	ask()
	if name := shown(); name != "first" {
		t.Errorf("with half of a pair shown is %q", name)
	}
	copyFile(t, second.key, used.key)
	poll(t, "the second certificate is shown", func() bool { return shown() == "second" })
	ask()
}

// TestServeTLSIsJudged: what cannot work is refused, with the flag to turn.
func TestServeTLSIsJudged(t *testing.T) {
	dir := t.TempDir()
	good := newKeyPair(t, dir, "good", time.Now().Add(time.Hour))
	old := newKeyPair(t, dir, "old", time.Now().Add(-time.Hour))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--tls-cert", good.cert}, "--tls-key"},
		{[]string{"--tls-key", good.key}, "--tls-cert"},
		{[]string{"--tls-client-ca", good.cert}, "--tls-cert"},
		{[]string{"--tls-client-auth", "optional"}, "--tls-client-ca"},
		{[]string{"--tls-cert", good.cert, "--tls-key", good.key, "--tls-client-ca", good.cert, "--tls-client-auth", "optional"}, "--token-file"},
		{[]string{"--tls-cert", good.cert, "--tls-key", old.key}, "--tls-key"},
		{[]string{"--tls-cert", old.cert, "--tls-key", old.key}, "expired"},
		{[]string{"--tls-cert", good.key, "--tls-key", good.key}, "--tls-cert"},
		{[]string{"--tls-cert", good.cert + "x", "--tls-key", good.key}, "--tls-cert"},
		{[]string{"--tls-cert", good.cert, "--tls-key", good.key, "--tls-client-ca", good.key}, "--tls-client-ca"},
	} {
		cfg := newServeConfig()
		_, err := parseSettings(cfg.settings(), c.args, nil)
		if err == nil {
			_, err = cfg.protection()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
}
