package secure

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

var (
	secretA = []byte("the first secret of the tests")
	secretB = []byte("the second secret of the tests")
)

func keys(t testing.TB, cluster string, secrets ...[]byte) *Keys {
	t.Helper()
	k, err := NewKeys(cluster, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// shake runs a handshake, giving either end its bytes in pieces of step.
func shake(dialer, acceptor *Keys, step int) (ds, as *Session, dialErr, acceptErr error) {
	d, a := dialer.Dial(), acceptor.Accept()
	toA, _, _, _ := d.Step(nil, nil)
	var toD []byte
	for len(toA) > 0 && as == nil && acceptErr == nil {
		n := min(step, len(toA))
		var used int
		toD, used, as, acceptErr = a.Step(toD, toA[:n])
		toA = toA[used:]
	}
	for len(toD) > 0 && ds == nil && dialErr == nil {
		n := min(step, len(toD))
		var used int
		_, used, ds, dialErr = d.Step(nil, toD[:n])
		toD = toD[used:]
	}
	return ds, as, dialErr, acceptErr
}

func sessions(t testing.TB, k *Keys) (dialer, acceptor *Session) {
	t.Helper()
	d, a, err1, err2 := shake(k, k, 1<<20)
	if err1 != nil || err2 != nil || d == nil || a == nil {
		t.Fatal(err1, err2)
	}
	return d, a
}

func TestHandshake(t *testing.T) {
	for name, k := range map[string]*Keys{"sealed": keys(t, "c", secretA), "plaintext": Plaintext("c")} {
		for _, step := range []int{1, 7, 16, 17, 63, 64, 1 << 20} {
			d, a, err1, err2 := shake(k, k, step)
			if err1 != nil || err2 != nil || d == nil || a == nil {
				t.Fatalf("%s, step %d: %v, %v", name, step, err1, err2)
			}
			if d.Binding() != a.Binding() || d.Sealed() != k.Sealed() || a.Sealed() != k.Sealed() {
				t.Fatalf("%s: the ends disagree", name)
			}
			for i, pair := range [][2]*Session{{d, a}, {a, d}} {
				b, err := pair[0].Seal(nil, []byte("hello"))
				if err != nil {
					t.Fatal(err)
				}
				text, used, err := pair[1].Open(b)
				if err != nil || used != len(b) || string(text) != "hello" {
					t.Fatalf("%s, direction %d: %q, %d, %v", name, i, text, used, err)
				}
			}
		}
	}
	k := keys(t, "c", secretA)
	d1, _ := sessions(t, k)
	d2, _ := sessions(t, k)
	if d1.Binding() == d2.Binding() {
		t.Error("two handshakes have the same binding")
	}
}

// During a rotation, nodes with the old, both or the new secret first meet nodes
// that have taken the next step, and those that have not yet.
func TestRotation(t *testing.T) {
	a, ab, ba, b := keys(t, "c", secretA), keys(t, "c", secretA, secretB), keys(t, "c", secretB, secretA), keys(t, "c", secretB)
	for i, pair := range [][2]*Keys{{a, ab}, {ab, a}, {ab, ba}, {ba, ab}, {ba, b}, {b, ba}} {
		if _, _, err1, err2 := shake(pair[0], pair[1], 100); err1 != nil || err2 != nil {
			t.Errorf("%d: %v, %v", i, err1, err2)
		}
	}
	if _, _, _, err := shake(a, b, 100); !errors.Is(err, ErrSecret) {
		t.Errorf("after the rotation: %v", err)
	}
}

func TestHandshakeFailures(t *testing.T) {
	base := keys(t, "c", secretA)
	other := func(change func(*Keys)) *Keys {
		k := *base
		change(&k)
		return &k
	}
	for name, c := range map[string]struct {
		dialer                  *Keys
		wantDial, wantAccept    error
		reasonDial, reasonOther string
	}{
		"secret":  {keys(t, "c", secretB), nil, ErrSecret, "", "wrong_secret"},
		"cluster": {keys(t, "d", secretA), ErrCluster, ErrCluster, "wrong_cluster", "wrong_cluster"},
		"mode":    {Plaintext("c"), ErrMode, ErrMode, "wrong_mode", "wrong_mode"},
		"version": {other(func(k *Keys) { k.hello[6]++ }), ErrVersion, ErrVersion, "wrong_version", "wrong_version"},
		"magic":   {other(func(k *Keys) { k.hello[0]++ }), nil, ErrNotPeer, "", "not_a_peer"},
	} {
		for _, step := range []int{1, 100} {
			d, a, dialErr, acceptErr := shake(c.dialer, base, step)
			if d != nil || a != nil {
				t.Fatalf("%s: established", name)
			}
			if !errors.Is(dialErr, c.wantDial) || !errors.Is(acceptErr, c.wantAccept) {
				t.Errorf("%s: dialer %v, acceptor %v", name, dialErr, acceptErr)
			}
			if Reason(dialErr) != c.reasonDial || Reason(acceptErr) != c.reasonOther {
				t.Errorf("%s: reasons %q, %q", name, Reason(dialErr), Reason(acceptErr))
			}
		}
	}
	// The errors stay.
	a := base.Accept()
	_, _, _, err1 := a.Step(nil, []byte("GET / HTTP/1.1\r\n\r\n"))
	_, _, _, err2 := a.Step(nil, []byte("more"))
	if !errors.Is(err1, ErrNotPeer) || !errors.Is(err2, ErrNotPeer) {
		t.Errorf("%v, then %v", err1, err2)
	}
}

// No bit of either message can change without being noticed by one of the ends,
// before any record is opened or by the first record.
func TestHandshakeBitFlips(t *testing.T) {
	k := keys(t, "c", secretA)
	for bit := range 64 * 8 {
		for _, second := range []bool{false, true} {
			d, a := k.Dial(), k.Accept()
			m1, _, _, _ := d.Step(nil, nil)
			if !second {
				m1[bit/8] ^= 1 << (bit % 8)
			}
			m2, _, as, err := a.Step(nil, m1)
			if err == nil && !second {
				// The top bit of a curve point is not part of it, but of the hash.
				t.Fatalf("bit %d of the first message is free", bit)
			}
			if !second {
				continue
			}
			m2[bit/8] ^= 1 << (bit % 8)
			_, _, ds, err := d.Step(nil, m2)
			if as == nil || ds != nil || err == nil {
				t.Fatalf("bit %d of the second message is free", bit)
			}
		}
	}
}

// A recorded handshake that is played again gets an answer, but nobody can send a
// record on it.
func TestHandshakeReplay(t *testing.T) {
	k := keys(t, "c", secretA)
	d, a1, a2 := k.Dial(), k.Accept(), k.Accept()
	m1, _, _, _ := d.Step(nil, nil)
	m2, _, _, _ := a1.Step(nil, m1)
	_, _, ds, _ := d.Step(nil, m2)
	record, _ := ds.Seal(nil, []byte("x"))
	m2b, _, as, err := a2.Step(nil, m1)
	if err != nil || bytes.Equal(m2, m2b) {
		t.Fatal(err)
	}
	if _, _, err := as.Open(record); !errors.Is(err, ErrRecord) {
		t.Fatalf("a recorded record opens: %v", err)
	}
}

// A point of low order gives a shared secret that everyone knows.
func TestLowOrderPoint(t *testing.T) {
	k := keys(t, "c", secretA)
	s := newSymmetric(k.hello[:])
	s.mixKeyAndHash(k.links[0])
	var zero [32]byte
	s.ephemeral(zero[:])
	m := append(append(append([]byte{}, k.hello[:]...), zero[:]...), s.encryptAndHash(nil, nil)...)
	if _, _, _, err := k.Accept().Step(nil, m); !errors.Is(err, ErrSecret) {
		t.Fatal(err)
	}
}

func TestHandshakeUsesNoMore(t *testing.T) {
	k := keys(t, "c", secretA)
	d, a := k.Dial(), k.Accept()
	m1, _, _, _ := d.Step(nil, nil)
	m2, used, as, err := a.Step([]byte("before"), append(m1, "behind"...))
	if err != nil || used != len(m1) || as == nil || !strings.HasPrefix(string(m2), "before") {
		t.Fatal(used, err)
	}
	m2 = m2[len("before"):]
	if len(m1) != 64 || len(m2) != 64 {
		t.Errorf("messages of %d and %d bytes", len(m1), len(m2))
	}
	again, used, same, err := a.Step(nil, []byte("x"))
	if len(again) != 0 || used != 0 || same != as || err != nil {
		t.Error("an ended handshake goes on")
	}
}

func FuzzAccept(f *testing.F) {
	sealed, plain := keys(f, "c", secretA, secretB), Plaintext("c")
	m, _, _, _ := sealed.Dial().Step(nil, nil)
	f.Add(m, uint8(3))
	f.Add(plain.hello[:], uint8(200))
	f.Add([]byte("GET / HTTP/1.1\r\n"), uint8(1))
	f.Add([]byte("smache\x01\x01"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		for _, k := range []*Keys{sealed, plain} {
			for _, h := range []*Handshake{k.Accept(), k.Dial()} {
				rest, total := in, 0
				for len(rest) > 0 {
					out, used, session, err := h.Step(nil, rest[:min(len(rest), int(step)+1)])
					if len(out) > 2*(helloLen+messageLen) {
						t.Fatal("an answer longer than any message")
					}
					total += used
					rest = rest[used:]
					if session != nil || err != nil || used == 0 {
						break
					}
				}
				if total > helloLen+messageLen {
					t.Fatal("it took more than a message")
				}
			}
		}
	})
}
