package engine

import (
	"net"
	"strings"
	"testing"
)

// address is a listener's.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

func TestNodeName(t *testing.T) {
	for listener, want := range map[string]string{
		"127.0.0.1:4000": "smache@127.0.0.1:4000",
		"[::1]:4000":     "smache@[::1]:4000",
		"10.0.0.7:80":    "smache@10.0.0.7:80",
		"odd":            "smache@odd",
	} {
		if got := NodeName(address(listener), ""); got != want {
			t.Errorf("a listener on %s makes %s, want %s", listener, got, want)
		}
	}
	for listener, want := range map[string]string{
		"0.0.0.0:4000":   "cache.example:4000",
		"127.0.0.1:4001": "cache.example:4001",
		"odd":            "odd",
	} {
		if got := Advertised(address(listener), "cache.example"); got != want {
			t.Errorf("a listener on %s is advertised as %s, want %s", listener, got, want)
		}
	}
	if got := NodeName(address("[::]:4000"), "fd00::1"); got != "smache@[fd00::1]:4000" {
		t.Errorf("with an IPv6 address the name is %s", got)
	}
	// On all addresses: whatever it is, others can dial it.
	for _, listener := range []string{"0.0.0.0:4000", "[::]:4000"} {
		got := Advertised(address(listener), "")
		host, port, err := net.SplitHostPort(got)
		if ip := net.ParseIP(host); err != nil || port != "4000" || ip == nil || ip.IsUnspecified() {
			t.Errorf("a listener on %s is advertised as %s", listener, got)
		}
	}
}

func TestOutward(t *testing.T) {
	for list, want := range map[string]string{
		"":                                      "127.0.0.1",
		"127.0.0.1/8 ::1/128":                   "127.0.0.1",
		"127.0.0.1/8 10.1.2.3/8 192.168.1.1/24": "10.1.2.3",
		"fe80::1/64 2001:db8::1/64":             "2001:db8::1",
		"2001:db8::1/64 10.1.2.3/8":             "10.1.2.3",
		"169.254.1.1/16 224.0.0.1/4":            "127.0.0.1",
	} {
		var addrs []net.Addr
		for _, text := range strings.Fields(list) {
			ip, network, err := net.ParseCIDR(text)
			if err != nil {
				t.Fatal(err)
			}
			addrs = append(addrs, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		if got := outward(append(addrs, address("no network"))); got != want {
			t.Errorf("of %q it picks %s, want %s", list, got, want)
		}
	}
}

func TestReadBuild(t *testing.T) {
	if b := ReadBuild("v1.2.3"); b.Version != "v1.2.3" || !strings.HasPrefix(b.Go, "go1.") || !strings.Contains(b.Platform, "/") {
		t.Errorf("the build is %+v", b)
	}
	if b := ReadBuild(""); b.Version == "" {
		t.Error("a build without a release has no version")
	}
}
