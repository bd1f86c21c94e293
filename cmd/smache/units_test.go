package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// unit reads a file of scripts/systemd.
func unit(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "scripts", "systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// directive finds the value of a directive that a unit has once.
func directive(t *testing.T, text, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`=(.*)$`).FindAllStringSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("the unit has %s= %d times", name, len(found))
	}
	return found[0][1]
}

// TestUnitFitsDefaults: the figures of the unit go with those of the program.
func TestUnitFitsDefaults(t *testing.T) {
	text := unit(t, "smache.service")
	cfg := newServeConfig()
	var memory, most sizeValue
	for value, text := range map[*sizeValue]string{&memory: directive(t, text, "Environment=SMACHE_MEMORY"), &most: directive(t, text, "MemoryMax")} {
		if err := value.Set(text); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
	if memory != cfg.memory || most != memory*5/4+64<<20 {
		t.Errorf("the unit gives the node %s of %s; want %s of a quarter and 64MiB more", memory.String(), most.String(), cfg.memory.String())
	}
	stop, err := time.ParseDuration(directive(t, text, "TimeoutStopSec"))
	if err != nil || stop < time.Duration(cfg.stopAfter)+stopMargin {
		t.Errorf("TimeoutStopSec is %v, %v; --stop-timeout is %s", stop, err, cfg.stopAfter.String())
	}
	if watchdog, err := time.ParseDuration(directive(t, text, "WatchdogSec")); err != nil || watchdog < 2*statusEvery {
		t.Errorf("WatchdogSec is %v, %v; the node is looked at every %v", watchdog, err, statusEvery)
	}
	if got := directive(t, unit(t, "smache.socket"), "ListenStream"); got != string(cfg.listen) {
		t.Errorf("the socket is %s, and --listen is %s", got, string(cfg.listen))
	}
}

// TestEnvironmentFile: each variable that the file of settings shows is one.
func TestEnvironmentFile(t *testing.T) {
	env := environment{}
	for _, found := range regexp.MustCompile(`(?m)^#?(SMACHE_[A-Z_]+)=(.*)$`).FindAllStringSubmatch(unit(t, "smache.env"), -1) {
		env[found[1]] = found[2]
	}
	if len(env) < 5 {
		t.Fatalf("the file shows %d variables", len(env))
	}
	if unknown := unknownVariables(env); len(unknown) > 0 {
		t.Errorf("there is no %s", strings.Join(unknown, ", "))
	}
	env["SMACHE_SECRET"] = ""
	if _, err := parseSettings(newServeConfig().settings(), nil, env); err != nil {
		t.Error(err)
	}
}

// TestComposeFitsDefaults: Docker gives a node as long to stop as the node may take,
// haproxy has noticed that it is not ready when it stops serving, and without being told
// it publishes nothing to other machines.
func TestComposeFitsDefaults(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(repository(t), "scripts", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	value := func(text, pattern string) string {
		t.Helper()
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
		if len(found) != 1 {
			t.Fatalf("%s is there %d times", pattern, len(found))
		}
		return found[0][1]
	}
	duration := func(text, pattern string) time.Duration {
		t.Helper()
		d, err := time.ParseDuration(value(text, pattern))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	compose, haproxy := read("compose.yaml"), read("haproxy.cfg")
	if ports := value(compose, `ports: \["(.*)"\]`); ports != "${SMACHE_ADDRESS:-127.0.0.1}:${SMACHE_PORT:-8080}:8080" {
		t.Errorf("Docker publishes %s", ports)
	}
	stop, delay := duration(compose, `SMACHE_STOP_TIMEOUT: (\S+)`), duration(compose, `SMACHE_DRAIN_DELAY: (\S+)`)
	if grace := duration(compose, `stop_grace_period: (\S+)`); grace < stop+stopMargin {
		t.Errorf("Docker waits %v, and a node may take %v", grace, stop+stopMargin)
	}
	failures, err := strconv.Atoi(value(haproxy, `check inter \S+ fall (\d+)`))
	if err != nil {
		t.Fatal(err)
	}
	if notices := duration(haproxy, `check inter (\S+)`)*time.Duration(failures) + time.Second; delay < notices || delay >= stop {
		t.Errorf("a node that stops serves for %v; haproxy may need %v to notice, and in all there are %v", delay, notices, stop)
	}
}
