package bench

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smache/smache/peer/secure"
	"github.com/smache/smache/proto"
)

const testSecret = "0123456789abcdef"

// startPeer starts what answers as a node's peer port does, from one map. change, if
// set, may put another answer in place of the right one, before the n-th is sent.
func startPeer(t *testing.T, keys *secure.Keys, change func(n int, answer []byte) []byte) Endpoint {
	t.Helper()
	l := listen(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	values, n := map[string]string{}, 0
	answer := func(request []byte) (out []byte, used int, err error) {
		h, body, used, err := proto.ParseFrame(request)
		if err != nil || used == 0 {
			return nil, 0, err
		}
		mu.Lock()
		defer mu.Unlock()
		reply := h.Answer(proto.StatusOK, 0)
		code, _, isKey := h.Op.Opcode()
		switch {
		case h.Op == proto.FrameHello:
			var theirs proto.Hello
			if err := proto.DecodeHello(body, &theirs); err != nil || theirs.Role != proto.RoleClient {
				return nil, 0, errors.Join(err, io.ErrUnexpectedEOF)
			}
			return proto.AppendFrame(nil, &reply, proto.AppendHello(nil, &proto.Hello{
				Lowest: 1, Highest: 1, Role: proto.RoleNode, Credits: 9, Incarnation: 1, Cluster: theirs.Cluster, Name: []byte("n"),
			})), used, nil
		case h.Op == proto.FramePing:
			out = proto.AppendFrame(nil, &reply, body)
		case isKey:
			var r proto.Request
			if err := proto.DecodeRequest(code, body, &r); err != nil {
				return nil, 0, err
			}
			if h.Slot != proto.SlotOf(r.Key) {
				return nil, 0, io.ErrUnexpectedEOF
			}
			a := proto.Answer{Status: proto.StatusOK, Meta: proto.Meta{ETag: 1, Remaining: proto.Forever}}
			if code == proto.OpSet {
				values[string(r.Key)] = string(r.Value)
			} else if value, ok := values[string(r.Key)]; ok {
				a.Value = []byte(value)
			} else {
				a = proto.Answer{Status: proto.StatusMiss}
			}
			reply.Status = a.Status
			out = proto.AppendFrame(nil, &reply, proto.AppendAnswer(nil, code, &a))
		default:
			return nil, 0, io.ErrUnexpectedEOF
		}
		if n++; change != nil {
			out = change(n, out)
		}
		return out, used, nil
	}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = c.Close() }()
				servePeer(c, keys, answer)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	e, err := ParseEndpoint("peer://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// servePeer serves one connection. Each answer leaves in two records, an empty one
// before.
func servePeer(c net.Conn, keys *secure.Keys, answer func([]byte) ([]byte, int, error)) {
	handshake := keys.Accept()
	var session *secure.Session
	var in, frames []byte
	buffer := make([]byte, 4096)
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		in = append(in, buffer[:n]...)
		var out []byte
		if session == nil {
			var used int
			out, used, session, err = handshake.Step(nil, in)
			in = in[used:]
			_, _ = c.Write(out)
			if err != nil {
				return
			}
		}
		for session != nil && secure.Missing(in) == 0 {
			text, used, err := session.Open(in)
			if err != nil {
				return
			}
			frames = append(frames, text...)
			in = in[used:]
		}
		for out = nil; ; {
			reply, used, err := answer(frames)
			if err != nil {
				return
			}
			if used == 0 {
				break
			}
			frames = frames[used:]
			for _, part := range [][]byte{nil, reply[:len(reply)/2], reply[len(reply)/2:]} {
				if out, err = session.Seal(out, part); err != nil {
					return
				}
			}
		}
		if len(out) > 0 && !send(c, string(out)) {
			return
		}
	}
}

func testKeys(t testing.TB, secret string) *secure.Keys {
	t.Helper()
	keys, err := secure.NewKeys("c", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestPeerScenarios(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{"sealed": testSecret, "plain": ""} {
		keys := secure.Plaintext("c")
		if secret != "" {
			keys = testKeys(t, secret)
		}
		e := startPeer(t, keys, nil)
		for _, size := range []int{0, MinValueSize, 100_000} {
			cfg := WorkloadConfig{Endpoint: e, Secret: []byte(secret), Cluster: "c", Keys: Keys{Count: 30}, ValueSize: size, TTL: time.Minute, Vary: true}
			mixed := func(cfg WorkloadConfig) (Workload, error) { return NewMixed(cfg, .5) }
			for _, make := range []func(WorkloadConfig) (Workload, error){NewControl, NewPost, NewGet, mixed} {
				w := mustWorkload(t, make, cfg)
				result, err := testRun(t, e, func(c *Config) {
					fill, requests, err := NewFill(cfg, c.Clients)
					if err != nil {
						t.Fatal(err)
					}
					c.Workload, c.Requests, c.Prepare, c.PrepareRequests = w, 200, fill, requests
				})
				if err != nil || result.Failed() != 0 || result.OK != 200 || result.Connections != 4 {
					t.Errorf("%s, %s, size %d: %+v, %v", name, w.Name(), size, result, err)
				}
			}
		}
	}
}

func TestPeerFails(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, testSecret)
	for kind, change := range map[Failure]func(n int, answer []byte) []byte{
		FailStatus: func(_ int, answer []byte) []byte {
			h, _, _, _ := proto.ParseFrame(answer)
			h.Status = proto.StatusMiss
			return proto.AppendFrame(nil, &h, nil)
		},
		FailContent: func(_ int, answer []byte) []byte {
			answer[len(answer)-2] ^= 1
			return answer
		},
		FailMalformed: func(_ int, answer []byte) []byte {
			return proto.AppendFrame(nil, &proto.Header{Op: proto.FrameGoodbye}, proto.AppendGoodbye(nil, &proto.Goodbye{Reason: 1, Text: []byte("bye")}))
		},
	} {
		after := func(n int, answer []byte) []byte {
			if n == 1 {
				return answer // of the write before
			}
			return change(n, answer)
		}
		e := startPeer(t, keys, after)
		cfg := WorkloadConfig{Endpoint: e, Secret: []byte(testSecret), Cluster: "c"}
		result, err := testRun(t, e, func(c *Config) {
			c.Workload, c.Prepare, c.PrepareRequests = mustWorkload(t, NewGet, cfg), mustWorkload(t, NewPost, cfg), 1
		})
		if err != nil || result.Failures[kind.String()] != 40 {
			t.Errorf("%s: %+v, %v", kind, result, err)
		}
	}
}

// Who has no part in the cluster is told why.
func TestPeerRefused(t *testing.T) {
	t.Parallel()
	e := startPeer(t, testKeys(t, testSecret), nil)
	silent := startRaw(t, func(_ net.Conn, next readOne) { next() })
	for says, cfg := range map[string]WorkloadConfig{
		"--secret":           {Endpoint: e, Secret: []byte("fedcba9876543210"), Cluster: "c"},
		"--insecure-cluster": {Endpoint: e, Cluster: "c"},
		"--cluster":          {Endpoint: e, Secret: []byte(testSecret), Cluster: "d"},
		"greeting":           {Endpoint: Endpoint{Protocol: ProtocolPeer, Address: silent.endpoint.Address, Host: silent.endpoint.Host}, Secret: []byte(testSecret), Cluster: "c"},
	} {
		_, err := testRun(t, e, func(c *Config) {
			c.Workload = mustWorkload(t, NewControl, cfg)
			if says == "greeting" { // which does not come
				c.Timeout = 300 * time.Millisecond
			}
		})
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	for flag, cfg := range map[string]WorkloadConfig{
		"--secret":     {Endpoint: e, Secret: []byte("short")},
		"--key-prefix": {Endpoint: e, Keys: Keys{Prefix: "-12"}},
		"--value-size": {Endpoint: e, ValueSize: proto.MaxValueLen + 1},
		"--ttl":        {Endpoint: e, TTL: proto.MaxTTL + 1},
	} {
		if _, err := NewPost(cfg); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
	if _, err := NewMget(WorkloadConfig{Endpoint: e}); !errors.Is(err, ErrConfig) {
		t.Errorf("mget: %v", err)
	}
}

// greeted is a reader whose greeting is over, without encryption, and the two texts
// that the other end began with.
func greeted(t testing.TB) (p *peerReader, hello []byte) {
	t.Helper()
	p = &peerReader{keys: secure.Plaintext("c"), cluster: "c"}
	first, _, _, err := secure.Plaintext("c").Accept().Step(nil, p.begin())
	if err != nil {
		t.Fatal(err)
	}
	h := proto.Header{Op: proto.FrameHello, ID: onlyID, Flags: proto.FlagAnswer}
	frame := proto.AppendFrame(nil, &h, proto.AppendHello(nil, &proto.Hello{Lowest: 1, Highest: 1, Role: proto.RoleNode, Credits: 9, Name: []byte("n")}))
	hello = append(first, record(frame)...)
	if _, ready, err := p.greet(hello); !ready || err != nil {
		t.Fatal(ready, err)
	}
	return p, hello
}

// record is a record without encryption.
func record(text []byte) []byte {
	return append([]byte{byte(len(text)), byte(len(text) >> 8), 0, 0}, text...)
}

// However the bytes are cut, a reader finds the same in them.
func FuzzPeerReader(f *testing.F) {
	h := proto.Header{Op: proto.FrameGet, ID: onlyID, Flags: proto.FlagAnswer}
	hit := proto.AppendFrame(nil, &h, proto.AppendAnswer(nil, proto.OpGet, &proto.Answer{Meta: proto.Meta{ETag: 1, Remaining: 1}, Value: []byte(`{"a":1}`)}))
	h.Status = proto.StatusMiss
	miss := proto.AppendFrame(nil, &h, nil)
	for _, text := range [][]byte{
		record(hit), append(record(hit[:30]), record(hit[30:])...), append(record(nil), record(miss)...), record(append(hit, miss...)), {1, 0, 2, 0, 0},
	} {
		f.Add(text, uint16(5))
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		p, _ := greeted(t)
		want := parse(p, append([]byte(nil), text...))
		step := int(cut)%64 + 1
		p, _ = greeted(t)
		var got outcome
		for i := 0; i < len(text) && !got.done && got.err == nil; i += step {
			got = parse(p, append([]byte(nil), text[i:min(i+step, len(text))]...))
		}
		// In pieces an answer may be found before what is wrong behind it.
		if want.err == nil && got != want || want.err != nil && got.err == nil && !got.done {
			t.Fatalf("in steps of %d: %+v; whole: %+v", step, got, want)
		}
	})
}

// A greeting may come in pieces; what is wrong with it is an error, never a wait.
func TestPeerGreeting(t *testing.T) {
	_, hello := greeted(t)
	for cut := range hello {
		p := &peerReader{keys: secure.Plaintext("c"), cluster: "c"}
		p.begin()
		if _, ready, err := p.greet(hello[:cut]); ready || err != nil {
			t.Fatalf("the first %d bytes: %v, %v", cut, ready, err)
		}
	}
	p := &peerReader{keys: secure.Plaintext("c"), cluster: "c"}
	p.begin()
	if _, _, err := p.greet([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); !errors.Is(err, secure.ErrNotPeer) {
		t.Errorf("HTTP: %v", err)
	}
	p, _ = greeted(t)
	if err := p.idle(record(nil)); err != nil {
		t.Errorf("a sign of life: %v", err)
	}
	h := proto.Header{Op: proto.FramePing, ID: onlyID, Flags: proto.FlagAnswer}
	if err := p.idle(record(proto.AppendFrame(nil, &h, proto.AppendPing(nil, &proto.Ping{})))); !errors.Is(err, ErrMalformed) {
		t.Errorf("an answer that nobody asked for: %v", err)
	}
}

func TestPeerAllocs(t *testing.T) {
	e := Endpoint{Protocol: ProtocolPeer, Address: "x:1"}
	w := mustWorkload(t, NewGet, WorkloadConfig{Endpoint: e, Cluster: "c", Keys: Keys{Count: 1000}})
	l, s, _ := fakeLoop(w)
	p, _ := greeted(t)
	s.parser, s.session = p, p
	server := w.Script()
	h := proto.Header{Op: proto.FrameGet, ID: onlyID, Flags: proto.FlagAnswer}
	meta := proto.Answer{Meta: proto.Meta{ETag: 1, Remaining: 1}}
	var frame, body, text []byte
	allocs := testing.AllocsPerRun(1000, func() {
		meta.Value = server.Expect(s.n).Body
		body = proto.AppendAnswer(body[:0], proto.OpGet, &meta)
		frame = proto.AppendFrame(frame[:0], &h, body)
		text = append(append(text[:0], byte(len(frame)), 0, 0, 0), frame...)
		l.received(s, text)
	})
	if allocs != 0 || l.tally.ok != 1001 {
		t.Errorf("%v allocations, %+v", allocs, l.tally)
	}
}
