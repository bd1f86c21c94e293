package conversation

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// answer is an answer as it came.
type answer struct {
	status int
	header http.Header
	body   string
	close  bool
}

// Play has a conversation with the server at a TCP address, and reports what is not
// as it should be as errors of t. Before each exchange it calls prepare, which
// applies the settings and may say, by false, that the exchange cannot be had with
// this server. A connection that the server closes is replaced.
func Play(t testing.TB, address string, all []Exchange, prepare func(x *Exchange) bool) {
	t.Helper()
	known := tags{}
	var c net.Conn
	var r *bufio.Reader
	hangUp := func() {
		if c != nil {
			_ = c.Close()
			c = nil
		}
	}
	defer hangUp()
	for i := range all {
		x := &all[i]
		if !prepare(x) || len(x.request) == 0 {
			continue
		}
		text, err := x.raw(known)
		if err != nil {
			t.Fatalf("%s %s: %v", x.Place, x.Title, err)
		}
		if c == nil {
			if c, err = net.Dial("tcp", address); err != nil {
				t.Fatal(err)
			}
			r = bufio.NewReader(c)
		}
		got, err := exchange(c, r, text)
		if err != nil {
			t.Fatalf("%s %s: %v", x.Place, x.Title, err)
		}
		for _, problem := range x.compare(known, got) {
			t.Errorf("%s %s: %s", x.Place, x.Title, problem)
		}
		if got.close {
			hangUp()
		}
	}
}

// exchange sends a raw request and reads the answer to it.
func exchange(c net.Conn, r *bufio.Reader, text string) (*answer, error) {
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.Close {
		resp.Header.Set("Connection", "close") // net/http takes it out
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: string(body), close: resp.Close}, nil
}
