package bench

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// startTLSCache starts a cacheServer over TLS, and gives its endpoint for who trusts it.
func startTLSCache(t *testing.T, config *tls.Config, before func(w http.ResponseWriter, r *http.Request, n int64) bool) (*cacheServer, Endpoint) {
	t.Helper()
	s := &cacheServer{values: map[string]json.RawMessage{}, before: before}
	server := httptest.NewUnstartedServer(s)
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	e, err := ParseEndpoint(server.URL)
	if err != nil || e.TLS == nil || e.URL() != server.URL {
		t.Fatalf("%+v, %v", e, err)
	}
	e.TLS.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return s, e
}

// Records of every length go both ways, whatever the version.
func TestTLS(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
				s, e := startTLSCache(t, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: version}, nil) // 1.2 is in use
				for _, size := range []int{0, 20 << 10, 1 << 20} {
					cfg := WorkloadConfig{Endpoint: e, Keys: Keys{Count: 3, Order: OrderSequential}, ValueSize: size}
					result, err := testRun(t, e, func(c *Config) {
						c.reactor, c.Requests = with, 30
						c.Workload = mustWorkload(t, NewGet, cfg)
						c.Prepare, c.PrepareRequests = mustWorkload(t, NewPost, cfg), 3
					})
					if err != nil {
						t.Fatal(err)
					}
					if result.OK != 30 || result.Reconnects != 0 || !strings.HasPrefix(result.URL, "https://") {
						t.Errorf("%d bytes: %+v", size, result)
					}
				}
				if got := s.requests.Load(); got != 3*33 {
					t.Errorf("%d requests", got)
				}
			})
		})
	}
}

func TestTLSReconnects(t *testing.T) {
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		_, e := startTLSCache(t, nil, func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			if n%3 == 0 {
				w.Header().Set("Connection", "close")
			}
			return false
		})
		result, err := testRun(t, e, func(c *Config) { c.reactor, c.Requests = with, 60 })
		if err != nil {
			t.Fatal(err)
		}
		if result.OK != 60 || result.Reconnects < 15 {
			t.Errorf("%+v", result)
		}
	})
}

// Who does not trust the server is told before anything is sent. Who has no certificate
// where one is asked for finds each connection closed; why, it reads unless a reset
// overtakes the alert.
func TestTLSRefused(t *testing.T) {
	s, e := startTLSCache(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}, nil)
	other := e
	other.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	_, err := testRun(t, other, nil)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "--ca") {
		t.Errorf("%v", err)
	}
	eachReactor(t, func(t *testing.T, with func(*loop) (reactor, error)) {
		result, err := testRun(t, e, func(c *Config) { c.reactor, c.Requests = with, 8 })
		switch {
		case err != nil: // all were closed before the first request
			if !errors.Is(err, ErrUnreachable) {
				t.Error(err)
			}
		case result.Failures["closed"] != 8 || result.OK > 0:
			t.Errorf("%+v", result)
		}
		if n := s.requests.Load(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}
