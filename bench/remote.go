package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ErrRemote says that a node is not part of a cluster in which there is what was asked
// for: keys on another node, or a peer port.
var ErrRemote = errors.New("bench: not with this node")

const (
	// askAtOnce is how many keys a node is asked about at a time: its --max-batch,
	// unless it was told otherwise.
	askAtOnce = MaxBatch
	// maxAsked bounds the keys that are asked about for one that is wanted.
	maxAsked = 64
	// maxAskBody bounds an answer: four times the --max-answer of a node.
	maxAskBody = 64 << 20
	askTimeout = 10 * time.Second
)

// A clusterView is what a node says of its cluster.
type clusterView struct {
	Node    string
	Members []struct{ Name, Peer string }
}

// RemoteKeys finds as many keys as cfg.Keys has that live on another node than the
// one addressed, by asking that one: it answers with the name of the holder of each
// key. It gives their numbers, for Keys.Only. Which keys those are changes when nodes
// come and go. The errors wrap ErrRemote, ErrConfig or ErrUnreachable.
func RemoteKeys(ctx context.Context, cfg WorkloadConfig) ([]uint64, error) {
	if cfg.Endpoint.Protocol != ProtocolHTTP {
		return nil, fmt.Errorf("%w: --remote is for http:// only", ErrConfig)
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	a := newAsker(&cfg)
	defer a.client.CloseIdleConnections()
	var view clusterView
	if err := a.ask(ctx, "/cluster", nil, &view); err != nil {
		return nil, err
	}
	if len(view.Members) < 2 {
		return nil, fmt.Errorf("%w: %s is the only one of its cluster", ErrRemote, view.Node)
	}
	keys := make([]uint64, 0, cfg.Keys.Count)
	for n := uint64(0); ; n += askAtOnce {
		if n > maxAsked*(cfg.Keys.Count+askAtOnce) {
			return nil, fmt.Errorf("%w: of %d keys only %d", ErrRemote, n, len(keys))
		}
		body := []byte(`{"keys":["`)
		for i := range uint64(askAtOnce) {
			if i > 0 {
				body = append(body, `","`...)
			}
			body = cfg.Keys.AppendKey(body, n+i)
		}
		body = append(body, `"]}`...)
		var answer struct {
			Results []struct {
				Node  string
				Error json.RawMessage
			}
		}
		if err := a.ask(ctx, "/api/mget", body, &answer); err != nil {
			return nil, err
		}
		if len(answer.Results) != askAtOnce {
			return nil, fmt.Errorf("%w: %d results to %d keys", ErrRemote, len(answer.Results), askAtOnce)
		}
		for i, r := range answer.Results {
			switch {
			case r.Error != nil || r.Node == "":
				return nil, fmt.Errorf("%w: the node was asked about a key and said %s", ErrRemote, r.Error)
			case r.Node != view.Node:
				keys = append(keys, n+uint64(i))
			}
			if uint64(len(keys)) == cfg.Keys.Count {
				return keys, nil
			}
		}
	}
}

// PeerEndpoint asks a node that is addressed over HTTP for its peer port. The errors
// wrap ErrRemote, ErrConfig or ErrUnreachable.
func PeerEndpoint(ctx context.Context, cfg WorkloadConfig) (Endpoint, error) {
	a := newAsker(&cfg)
	defer a.client.CloseIdleConnections()
	var view clusterView
	if err := a.ask(ctx, "/cluster", nil, &view); err != nil {
		return Endpoint{}, err
	}
	for _, m := range view.Members {
		if m.Name == view.Node && m.Peer != "" {
			return ParseEndpoint("peer://" + m.Peer)
		}
	}
	return Endpoint{}, fmt.Errorf("%w: %s is part of no cluster, and has no peer port", ErrRemote, view.Node)
}

// An asker asks a node something before the measurement.
type asker struct {
	cfg    *WorkloadConfig
	client http.Client
}

// newAsker makes one without a proxy: a node is asked directly or not at all.
func newAsker(cfg *WorkloadConfig) *asker {
	return &asker{cfg: cfg, client: http.Client{Transport: &http.Transport{TLSClientConfig: cfg.Endpoint.TLS}, Timeout: askTimeout}}
}

// ask gets, or with a body posts, and reads the JSON that comes.
func (a *asker) ask(ctx context.Context, path string, body []byte, into any) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	at := a.cfg.Endpoint.URL()
	request, err := http.NewRequestWithContext(ctx, method, at+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, h := range a.cfg.allHeaders() {
		name, value, _ := strings.Cut(h, ":")
		request.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	response, err := a.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return fmt.Errorf("%w: %w; is it running there? see --url", ErrUnreachable, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAskBody))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: %s answered %s to %s: %s", ErrRemote, at, response.Status, path, clip(string(text)))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%w: %s answered no JSON to %s", ErrRemote, at, path)
	}
	return nil
}
