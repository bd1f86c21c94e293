package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The cluster of these tests: every third key is on this node, as it says.
func answerAsCluster(w http.ResponseWriter, r *http.Request, members string) {
	if r.Header.Get("Authorization") != "Bearer x" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.URL.Path == "/cluster" {
		_, _ = io.WriteString(w, `{"node":"a","members":[`+members+`]}`)
		return
	}
	var asked struct{ Keys []string }
	_ = json.NewDecoder(r.Body).Decode(&asked)
	var results []string
	for _, k := range asked.Keys {
		node := "b"
		if k[len(k)-1]%3 == 0 {
			node = "a"
		}
		results = append(results, fmt.Sprintf(`{"key":"%s","data":null,"node":"%s"}`, k, node))
	}
	_, _ = io.WriteString(w, `{"results":[`+strings.Join(results, ",")+`]}`)
}

func TestRemoteKeys(t *testing.T) {
	const two = `{"name":"a","peer":"10.0.0.1:14000"},{"name":"b","peer":"10.0.0.2:14000"}`
	members := two
	s := startCache(t, func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		answerAsCluster(w, r, members)
		return true
	})
	cfg := WorkloadConfig{Endpoint: s.endpoint, Headers: []string{"Authorization: Bearer x"}, Keys: Keys{Count: 3000}}
	keys, err := RemoteKeys(context.Background(), cfg)
	if err != nil || len(keys) != 3000 || keys[0] != 0 && keys[0] != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for i, k := range keys {
		if text := cfg.Keys.AppendKey(nil, k); text[len(text)-1]%3 == 0 || i > 0 && k <= keys[i-1] {
			t.Fatalf("key %d is %d", i, k)
		}
	}
	cfg.Keys.Only = keys
	w := mustWorkload(t, NewGet, cfg)
	if !strings.Contains(w.About(), "3000 chosen keys") {
		t.Error(w.About())
	}
	e, err := PeerEndpoint(context.Background(), cfg)
	if err != nil || e.URL() != "peer://10.0.0.1:14000" {
		t.Errorf("%+v, %v", e, err)
	}

	members = `{"name":"a","peer":""}`
	if _, err := RemoteKeys(context.Background(), cfg); !errors.Is(err, ErrRemote) {
		t.Errorf("alone: %v", err)
	}
	if _, err := PeerEndpoint(context.Background(), cfg); !errors.Is(err, ErrRemote) {
		t.Errorf("alone: %v", err)
	}
	members = two
	cfg.Headers = nil
	if _, err := RemoteKeys(context.Background(), cfg); !errors.Is(err, ErrRemote) || !strings.Contains(err.Error(), "401") {
		t.Errorf("without the token: %v", err)
	}
	cfg.Endpoint.Protocol = ProtocolRESP
	if _, err := RemoteKeys(context.Background(), cfg); !errors.Is(err, ErrConfig) {
		t.Errorf("redis: %v", err)
	}
	cfg.Endpoint = Endpoint{Address: "127.0.0.1:1", Host: "127.0.0.1:1"}
	if _, err := RemoteKeys(context.Background(), cfg); !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody: %v", err)
	}
}

// A node whose cluster says that every key is its own has no remote ones.
func TestNoRemoteKeys(t *testing.T) {
	s := startCache(t, func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		if r.URL.Path == "/cluster" {
			_, _ = io.WriteString(w, `{"node":"a","members":[{"name":"a"},{"name":"b"}]}`)
			return true
		}
		_, _ = io.WriteString(w, `{"results":[`+strings.TrimSuffix(strings.Repeat(`{"node":"a"},`, askAtOnce), ",")+`]}`)
		return true
	})
	if _, err := RemoteKeys(context.Background(), WorkloadConfig{Endpoint: s.endpoint}); !errors.Is(err, ErrRemote) {
		t.Error(err)
	}
}
