package httpapi

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLimiter: a bucket gives its burst at once and then its rate, whatever others
// do.
func TestLimiter(t *testing.T) {
	l := newLimiter(10, 3)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	now := int64(time.Hour)
	for i := range 3 {
		if wait := l.take(a, now); wait != 0 {
			t.Errorf("request %d waits %v", i, time.Duration(wait))
		}
	}
	if wait := l.take(a, now); wait != int64(100*time.Millisecond) {
		t.Errorf("beyond the burst the wait is %v", time.Duration(wait))
	}
	if wait := l.take(b, now); wait != 0 {
		t.Errorf("another address waits %v", time.Duration(wait))
	}
	taken := 0
	for ms := range int64(10_000) {
		if l.take(a, now+ms*int64(time.Millisecond)) == 0 {
			taken++
		}
	}
	if taken != 99 {
		t.Errorf("%d requests in ten seconds", taken)
	}
	if l.take(a, now+int64(time.Hour)); l.take(a, now+int64(time.Hour)) != 0 {
		t.Error("a pause does not fill the bucket")
	}
	// One customer's network of IPv6 is one, and IPv4 within IPv6 is IPv4.
	for _, pair := range [][2]string{{"2001:db8::1", "2001:db8::ffff:1"}, {"192.0.2.9", "::ffff:192.0.2.9"}} {
		x, y := netip.MustParseAddr(pair[0]), netip.MustParseAddr(pair[1])
		for range 3 {
			l.take(x, now)
		}
		if l.take(y, now) == 0 {
			t.Errorf("%v are limited apart", pair)
		}
	}
	if l.take(netip.MustParseAddr("2001:db8:0:1::1"), now) != 0 {
		t.Error("two networks are limited together")
	}
}

// TestLimiterIsBounded: more addresses than there is room for are all served, who
// asks too much among them is still refused, and nothing is allocated.
func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter(1, 1000)
	now := int64(time.Hour)
	greedy := netip.MustParseAddr("192.0.2.1")
	for range 1000 {
		l.take(greedy, now)
	}
	n := testing.AllocsPerRun(1, func() {
		for i := range 4 * limitSets * limitWays {
			addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			if l.take(addr, now) != 0 {
				t.Fatalf("%v is refused at its first request", addr)
			}
		}
	})
	if n > 1000 { // of a quarter of a million requests; others in this process allocate, too
		t.Errorf("%v allocations", n)
	}
	if l.take(greedy, now) == 0 {
		t.Error("many addresses make room for one that has had its share")
	}
}

// slowly makes a server's limit one request a minute, and so many at once as before: within
// a second, which a machine may stand still for, nobody gets another. Before it serves.
func slowly(s *Server) {
	l := s.limiter
	l.interval, l.tolerance = int64(time.Minute), l.tolerance/l.interval*int64(time.Minute)
}

// TestRateLimit: 429 with Retry-After, of the client's own doing alone, and never
// for probes.
func TestRateLimit(t *testing.T) {
	trusted, err := ParseNetworks([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, newFake(), func(c *Config) {
		c.RateLimit, c.RateBurst, c.TrustedProxies = 1, 2, trusted
		c.Tokens.All = parsedTokens(t, writeToken)
	})
	s.registry.base = s.registry.base.Add(time.Hour - time.Second) // a clock that begins at 0 tells nothing
	slowly(s)
	begun := time.Now()
	c := dial(t, serve(t, s))
	ask := func(path, forwarded string) answerText {
		return c.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + forwarded + "\r\n")
	}
	statuses := func(forwarded string) (all []int) {
		for range 3 {
			all = append(all, ask("/api?key=1", forwarded).status)
		}
		return all
	}
	// A wrong token costs like a right one: they cannot be tried out.
	for _, forwarded := range []string{"", "X-Forwarded-For: 192.0.2.1\r\n", "X-Forwarded-For: 6.6.6.6, 192.0.2.2\r\n"} {
		if got := statuses(forwarded); !slices.Equal(got, []int{401, 401, 429}) {
			t.Errorf("%q: %v", forwarded, got)
		}
	}
	if got := ask("/api?key=1", "X-Forwarded-For: 1.2.3.4, 192.0.2.2\r\n"); got.status != 429 {
		t.Errorf("a client that makes up whom it asks for: %d", got.status)
	}
	got := ask("/api?key=1", "")
	least := (time.Minute - time.Since(begun)).Seconds()
	retry, err := strconv.Atoi(got.header.Get("Retry-After"))
	if err != nil || got.status != 429 || float64(retry) < least || retry > 60 || !strings.Contains(got.body, `"code":"rate_limited"`) {
		t.Errorf("%d, Retry-After %q, of at least %.1f, %s", got.status, got.header.Get("Retry-After"), least, got.body)
	}
	for range 5 {
		if got := ask("/readyz", ""); got.status != 200 {
			t.Errorf("a probe: %d", got.status)
		}
	}
	if metrics := string(s.AppendMetrics(nil)); !strings.Contains(metrics, `smache_http_failures_total{code="rate_limited"} 5`) {
		t.Error("the refusals are not counted")
	}
}

func TestForwardedFor(t *testing.T) {
	trusted, err := ParseNetworks([]string{"10.0.0.0/8", "192.0.2.1", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ remote, header, want string }{
		{"203.0.113.1", "1.1.1.1", "203.0.113.1"}, // not a proxy of ours
		{"10.0.0.1", "", "10.0.0.1"},
		{"10.0.0.1", "1.1.1.1", "1.1.1.1"},
		{"10.0.0.1", "9.9.9.9, 1.1.1.1", "1.1.1.1"},
		{"10.0.0.1", "1.1.1.1, 10.0.0.2,192.0.2.1", "1.1.1.1"},
		{"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
		{"fd00::1", "[2001:db8::7]:443", "2001:db8::7"},
		{"fd00::1", "[2001:db8::7]", "2001:db8::7"},
		{"10.0.0.1", "1.1.1.1:8080", "1.1.1.1"},
		{"10.0.0.1", "::ffff:1.1.1.1", "1.1.1.1"},
		{"10.0.0.1", "1.1.1.1, unknown", "10.0.0.1"},
		{"10.0.0.1", "1.1.1.1, nonsense, 10.0.0.2", "10.0.0.2"},
		{"10.0.0.1", ",,", "10.0.0.1"},
	} {
		if got := forwardedFor(netip.MustParseAddr(c.remote), []byte(c.header), trusted); got.String() != c.want {
			t.Errorf("from %s, %q: %v, want %s", c.remote, c.header, got, c.want)
		}
	}
}

// FuzzForwardedFor: the client is the peer, or one of the list; never one in front
// of an address that is not trusted.
func FuzzForwardedFor(f *testing.F) {
	f.Add("10.0.0.1", []byte("1.1.1.1, 10.0.0.2"))
	f.Add("fd00::1", []byte("[::1]:1,[fd00::2],x"))
	trusted, err := ParseNetworks([]string{"10.0.0.0/8", "fd00::/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, remote string, header []byte) {
		from, err := netip.ParseAddr(remote)
		if err != nil {
			return
		}
		got := forwardedFor(from, header, trusted)
		if !within(from, trusted) && got != from {
			t.Fatalf("%v is believed", from)
		}
		if got == from {
			return
		}
		entries := strings.Split(string(header), ",")
		for i := len(entries) - 1; i >= 0; i-- {
			addr, ok := parseForwarded(strings.TrimSpace(entries[i]))
			if !ok {
				break
			}
			if addr == got {
				return
			}
			if !within(addr, trusted) {
				break
			}
		}
		t.Fatalf("%q from %v gives %v", header, from, got)
	})
}

// FuzzNetworks: what is read is what was written, and never everything.
func FuzzNetworks(f *testing.F) {
	for _, text := range []string{"10.0.0.0/8", "10.1.2.3/8", "fd00::/8", "::1", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "0.0.0.0/0", "::/0", "fe80::1%eth0", "", "x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		networks, err := ParseNetworks([]string{text})
		if err != nil {
			return
		}
		n := networks[0]
		if len(networks) != 1 || !n.IsValid() || n.Bits() == 0 || n != n.Masked() {
			t.Fatalf("%q is %v", text, networks)
		}
		bare, _, _ := strings.Cut(text, "/")
		if addr, err := netip.ParseAddr(bare); err != nil || !n.Contains(addr.Unmap()) {
			t.Fatalf("%q is %v", text, n)
		}
	})
}
