package httpapi

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smache/smache/proto"
)

// authority signs certificates of a test.
type authority struct {
	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB, name string) *authority {
	tb.Helper()
	a := &authority{tb: tb}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	pair := a.sign(template)
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// sign makes a certificate and its key; an authority without one signs itself.
func (a *authority) sign(template *x509.Certificate) tls.Certificate {
	a.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// certificate makes one for the loopback address, for servers and clients.
func (a *authority) certificate(name string) tls.Certificate {
	a.tb.Helper()
	return a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func serverTLS(certificate tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// dialTLS is dial with a handshake.
func dialTLS(tb testing.TB, address string, config *tls.Config) *client {
	tb.Helper()
	c, err := tls.Dial("tcp", address, config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return newClient(tb, c)
}

// TestTLS: requests of all sizes, pipelined and not, in both versions; what is older,
// and what is no TLS, is told so.
func TestTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := newServer(t, newFake(), func(c *Config) { c.TLS = serverTLS(ca.certificate("server")) })
	address := serve(t, s)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := dialTLS(t, address, &tls.Config{RootCAs: ca.pool(), MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}})
		if state := c.Conn.(*tls.Conn).ConnectionState(); state.Version != version || state.NegotiatedProtocol != "http/1.1" {
			t.Fatalf("version %x, protocol %q", state.Version, state.NegotiatedProtocol)
		}
		for _, size := range []int{0, 100, 10_000, 20_000, 900_000} {
			data := `{"x":"` + strings.Repeat("x", size) + `"}`
			if got := c.post("/api", `{"key":7,"data":`+data+`}`); got.status != 200 || got.body != `{"data":`+data+`}` {
				t.Fatalf("POST of %d bytes: %d %.100s", size, got.status, got.body)
			}
			if got := c.get("/api?key=7"); got.status != 200 || !strings.Contains(got.body, data) {
				t.Fatalf("GET of %d bytes: %d %.100s", size, got.status, got.body)
			}
		}
		c.post("/api", `{"key":7,"data":{}}`)
		const one = "GET /api?key=7 HTTP/1.1\r\nHost: localhost\r\n\r\n"
		if got := c.send(strings.Repeat(one, 50)); got.status != 200 {
			t.Errorf("pipelined: %d", got.status)
		}
		for range 49 {
			if got := c.receive("GET"); got.status != 200 {
				t.Errorf("pipelined: %d", got.status)
			}
		}
		if got := c.send("GET /api?key=7 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !got.close {
			t.Error("the connection stays")
		}
		if n, err := c.r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("the end is not announced: %v", err) // io.EOF is close_notify
		}
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if got := dial(t, address).get("/livez"); got.status != 400 || !strings.Contains(got.body, "https") || !got.close {
		t.Errorf("plain HTTP: %d %s", got.status, got.body)
	}
	garbage := dial(t, address)
	if _, err := io.WriteString(garbage, "\x00\x01\x02\x03\x04\x05\x06\x07"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(garbage); err != nil {
		t.Errorf("garbage: %v", err)
	}
	// What has failed is counted behind the alert.
	for _, want := range []string{`{result="done"} 2`, `{result="failed"} 2`, `{result="plain"} 1`, "smache_http_tls_certificate_expires_seconds 1"} {
		eventually(t, "the metrics have "+want, func() bool { return strings.Contains(string(s.AppendMetrics(nil)), want) })
	}
	eventually(t, "all connections are forgotten", func() bool { return s.registry.open() == 0 })
}

// TestTLSTimeouts: no hello, half a request, and silence between two, each while
// the sweeper interrupts busy connections all the time.
func TestTLSTimeouts(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := newServer(t, newFake(), func(c *Config) {
		c.TLS = serverTLS(ca.certificate("server"))
		c.ReadTimeout, c.IdleTimeout, c.WriteTimeout = 3*time.Second, 3*time.Second, 5*time.Second // a handshake on a busy machine is slow
	})
	s.registry.interval = 5 * time.Millisecond
	address, config := serve(t, s), &tls.Config{RootCAs: ca.pool()}
	silent := dial(t, address)
	half := dialTLS(t, address, config)
	if _, err := io.WriteString(half, "POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	idle := dialTLS(t, address, config)
	if got := idle.get("/livez"); got.status != 200 {
		t.Fatal(got.body)
	}
	ends := func(name string, c io.Reader) {
		t.Helper()
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	ends("no hello", silent)
	if got := half.receive("POST"); got.status != 408 {
		t.Errorf("half a request: %d %s", got.status, got.body)
	}
	ends("half a request", half.r)
	ends("idle", idle.r)
}

// TestTLSUnderLoad: what is answered is right, on many connections, with sweeps at
// the shortest interval.
func TestTLSUnderLoad(t *testing.T) {
	ca := newAuthority(t, "ca")
	first, second := serverTLS(ca.certificate("first")), serverTLS(ca.certificate("second"))
	s := newServer(t, newFake(), func(c *Config) {
		c.TLS, c.WriteTimeout = first, 8*time.Millisecond // sweeps every millisecond
	})
	// A write that takes as long as that on a busy machine is not what is tested.
	s.registry.writeTimeout = time.Minute
	address, config := serve(t, s), &tls.Config{RootCAs: ca.pool()}
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			nc, err := tls.Dial("tcp", address, config)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = nc.Close() }()
			r := bufio.NewReader(nc)
			for n := range 100 {
				if i == 0 && n == 50 {
					s.SetTLS(second) // nobody notices
				}
				data := fmt.Sprintf(`{"i":%d,"n":%d,"x":"%s"}`, i, n, strings.Repeat("x", n*n))
				text := postText("/api", fmt.Sprintf(`{"key":%d,"data":%s}`, i, data))
				if _, err := io.WriteString(nc, text); err != nil {
					t.Error(err)
					return
				}
				answer, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(answer.Body)
				if err != nil || answer.StatusCode != 200 || string(body) != `{"data":`+data+`}` {
					t.Errorf("%d %.100s, %v", answer.StatusCode, body, err)
					return
				}
			}
		})
	}
	group.Wait()
	c := dialTLS(t, address, config)
	if name := c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName; name != "second" {
		t.Errorf("a new connection is shown the certificate %q", name)
	}
}

// TestTLSShutdown: what is under way is answered whole, and what has only shaken
// hands is closed soon.
func TestTLSShutdown(t *testing.T) {
	ca := newAuthority(t, "ca")
	cache := newFake()
	cache.hold = make(chan struct{})
	s := newServer(t, cache, func(c *Config) { c.TLS = serverTLS(ca.certificate("server")) })
	address, config := serve(t, s), &tls.Config{RootCAs: ca.pool()}
	busy, quiet := dialTLS(t, address, config), dialTLS(t, address, config)
	if _, err := io.WriteString(busy, postText("/api", `{"key":1,"data":{}}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request is under way", func() bool { return strings.Contains(string(s.AppendMetrics(nil)), "smache_http_in_flight 1\n") })
	eventually(t, "the other has shaken hands", func() bool { return s.registry.handshakes.done.Load() == 2 })
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ended <- s.Shutdown(ctx)
	}()
	if _, err := io.ReadAll(quiet.r); err != nil {
		t.Errorf("a connection without a request: %v", err)
	}
	close(cache.hold)
	if got := busy.receive("POST"); got.status != 200 || !got.close {
		t.Errorf("the request under way: %d %s", got.status, got.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestClientCertificates: required, they are the way in; optional, they stand for a
// token.
func TestClientCertificates(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	good, bad := ca.certificate("client"), other.certificate("stranger")
	for _, kind := range []tls.ClientAuthType{tls.RequireAndVerifyClientCert, tls.VerifyClientCertIfGiven} {
		config := serverTLS(ca.certificate("server"))
		config.ClientAuth, config.ClientCAs = kind, ca.pool()
		s := newServer(t, newFake(), func(c *Config) {
			c.TLS = config
			c.Tokens.All = parsedTokens(t, writeToken)
		})
		address := serve(t, s)
		optional := kind == tls.VerifyClientCertIfGiven
		for name, given := range map[string]*tls.Certificate{"none": nil, "good": &good, "bad": &bad} {
			client := &tls.Config{RootCAs: ca.pool()}
			if given != nil {
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return given, nil }
			}
			status := func(token string) int {
				nc, err := tls.Dial("tcp", address, client)
				if err != nil {
					return 0
				}
				defer func() { _ = nc.Close() }()
				// In TLS 1.3 the server judges behind the client's handshake.
				_, _ = io.WriteString(nc, "GET /api?key=1 HTTP/1.1\r\nHost: localhost\r\n"+token+"\r\n")
				answer, err := http.ReadResponse(bufio.NewReader(nc), nil)
				if err != nil {
					return 0
				}
				_ = answer.Body.Close()
				return answer.StatusCode
			}
			without, with := status(""), status("Authorization: Bearer "+writeToken+"\r\n")
			want := map[string][2]int{"none": {0, 0}, "good": {401, 200}, "bad": {0, 0}}[name]
			if optional {
				want = map[string][2]int{"none": {401, 200}, "good": {200, 200}, "bad": {0, 0}}[name]
			}
			if [2]int{without, with} != want {
				t.Errorf("optional %v, certificate %s: %d without a token and %d with one, want %v", optional, name, without, with, want)
			}
		}
	}
}

// TestTLSLimits: a connection too many is closed without a handshake, and counted.
func TestTLSLimits(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := newServer(t, newFake(), func(c *Config) {
		c.TLS, c.MaxConnections = serverTLS(ca.certificate("server")), 1
	})
	address, config := serve(t, s), &tls.Config{RootCAs: ca.pool()}
	c := dialTLS(t, address, config)
	if got := c.get("/livez"); got.status != 200 {
		t.Fatal(got.body)
	}
	if _, err := tls.Dial("tcp", address, config); err == nil {
		t.Error("a connection too many shakes hands")
	}
	if n := s.shards[0].failures[failurePlaces()[proto.FailConnections]].Load(); n != 1 {
		t.Errorf("%d connections counted as too many", n)
	}
}
