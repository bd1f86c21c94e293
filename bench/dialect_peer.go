package bench

import (
	"fmt"
	"strings"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

// peerDialect is the binary protocol that Smache's nodes speak to each other
// (docs/PROTOCOL.md), in the role of a client. Of an answer the value is compared,
// without what the node says about the entry.
type peerDialect struct{ *WorkloadConfig }

// slotOffset is where the slot stands in a frame's header.
const slotOffset = 24

// onlyID is the id of every request: a connection has one under way at a time.
const onlyID = 1

// newKeys derives what a link is authenticated and encrypted with. The errors wrap
// ErrConfig.
func (c *WorkloadConfig) newKeys() (*secure.Keys, error) {
	if len(c.Secret) == 0 {
		return secure.Plaintext(c.Cluster), nil
	}
	keys, err := secure.NewKeys(c.Cluster, c.Secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return keys, nil
}

func (c peerDialect) reader() Reader { return &peerReader{keys: c.keys, cluster: c.Cluster} }

func (c peerDialect) control() operation {
	return operation{name: "control", status: StatusReply, fill: func(request, _ *template) {
		h := proto.Header{Op: proto.FramePing, ID: onlyID}
		request.text = proto.AppendFrame(nil, &h, proto.AppendPing(nil, &proto.Ping{}))
	}, any: true}
}

func (c peerDialect) post() operation {
	return operation{name: "post", items: 1, vary: c.Vary, status: StatusReply, fill: func(request, _ *template) {
		c.fill(request, proto.OpSet)
	}, err: c.check()}
}

func (c peerDialect) get() operation {
	return operation{name: "get", items: 1, status: StatusReply, fill: func(request, answer *template) {
		c.fill(request, proto.OpGet)
		answer.addValue(&c.Keys, c.ValueSize, valueKind{varying: c.Vary, unknown: true})
	}, err: c.check()}
}

func (c peerDialect) mget() operation { return c.none("mget") }
func (c peerDialect) mset() operation { return c.none("mset") }

func (c peerDialect) none(name string) operation {
	return operation{name: name, err: fmt.Errorf("%w: %s: not over peer://, which has one key a request here", ErrConfig, name)}
}

// fill makes the frame of a request about the first key, and says where the others
// are written over it.
func (c peerDialect) fill(t *template, code proto.Opcode) {
	key := c.canonical()
	op := proto.Op{Code: code, Key: key, TTL: proto.Forever}
	if c.TTL > 0 {
		op.TTL = c.TTL
	}
	t.text = proto.BeginFrame(t.text, &proto.Header{Op: proto.FrameOpOf(code, false), ID: onlyID})
	t.text = proto.AppendRequestHead(t.text, &op) // the key is its end
	from := len(t.text) - len(key)
	t.text = t.text[:len(t.text)-keyDigits]
	t.addDigits(keyDigits, patch{})
	if code == proto.OpSet {
		t.addValue(&c.Keys, c.ValueSize, valueKind{varying: c.Vary})
	}
	var err error
	if t.text, err = proto.EndFrame(t.text, 0); err != nil {
		panic("BUG: bench: " + err.Error()) // check has bounded the value
	}
	slot := patch{at: slotOffset, slotFrom: from, width: len(key)}
	t.patches = append(t.patches, slot)
	t.apply(&slot)
}

// canonical is the first key as it is on a link.
func (c peerDialect) canonical() []byte {
	key, err := proto.AppendKey(nil, c.Keys.AppendKey(nil, 0))
	if err != nil {
		panic("BUG: bench: " + err.Error()) // Keys.withDefaults has checked the prefix
	}
	return key
}

func (c peerDialect) check() error {
	switch {
	case strings.Trim(c.Keys.Prefix, "0123456789") == "" || strings.Trim(c.Keys.Prefix[1:], "0123456789") == "" && c.Keys.Prefix[0] == '-':
		return fmt.Errorf("%w: --key-prefix %q makes integers, whose length varies over peer://", ErrConfig, c.Keys.Prefix)
	case c.ValueSize > proto.MaxValueLen:
		return fmt.Errorf("%w: --value-size is at most %d over peer://", ErrConfig, proto.MaxValueLen)
	case c.TTL > proto.MaxTTL:
		return fmt.Errorf("%w: --ttl is at most %v", ErrConfig, proto.MaxTTL)
	}
	return nil
}
