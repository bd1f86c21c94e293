package bench

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings are what a run was told, by the names of smache bench's flags, defaults
// included. Only what matters to the run is there, and no secret. Two runs that differ in
// one of them measure different things.
type Settings map[string]string

// settings are those of a workload, with or without keys.
func (c *WorkloadConfig) settings(withKeys bool) Settings {
	s := Settings{}
	var names []string
	for _, h := range c.allHeaders() {
		name, _, _ := strings.Cut(h, ":") // what it says may be a secret
		names = append(names, strings.TrimSpace(name))
	}
	if len(names) > 0 {
		s["header"] = strings.Join(names, ", ")
	}
	if !withKeys {
		return s
	}
	k := &c.Keys
	s["keys"] = strconv.FormatUint(k.Count, 10)
	if k.Only != nil {
		s["keys"] += " chosen"
	}
	s["key-prefix"], s["seed"] = k.Prefix, strconv.FormatUint(k.Seed, 10)
	switch k.Order {
	case OrderSequential:
		s["order"] = "sequential"
	case OrderZipf:
		s["order"], s["skew"] = "zipf", strconv.FormatFloat(k.Skew, 'g', -1, 64)
	default:
		s["order"] = "random"
	}
	s["value-size"] = strconv.Itoa(valueSize(k, c.ValueSize))
	s["ttl"], s["vary"] = orNone(c.TTL), strconv.FormatBool(c.Vary)
	return s
}

// settings are those of a run with its workload's.
func (c *Config) settings() Settings {
	s := maps.Clone(c.Workload.Settings())
	if s == nil {
		s = Settings{}
	}
	s["clients"], s["threads"] = strconv.Itoa(c.Clients), strconv.Itoa(c.Threads)
	s["timeout"], s["warmup"], s["retry"] = c.Timeout.String(), orNone(c.Warmup), strconv.FormatBool(c.Retry)
	s["duration"] = orNone(c.Duration)
	if c.Duration > 0 {
		s["drain"] = c.Drain.String()
	}
	if c.Requests > 0 {
		s["requests"] = strconv.FormatUint(c.Requests, 10)
	}
	if c.Pacer != nil {
		s["rate"] = strconv.FormatFloat(c.Pacer.Rate(), 'g', -1, 64)
	}
	return s
}

func orNone(d time.Duration) string {
	if d == 0 {
		return "none"
	}
	return d.String()
}

// shortText is a text, or of a long one the length and what tells it from others.
func shortText(text string) string {
	if len(text) <= maxSample {
		return text
	}
	return fmt.Sprintf("%d bytes, SHA-256 %.8x", len(text), sha256.Sum256([]byte(text)))
}

// names are the names, sorted.
func (s Settings) names() []string { return slices.Sorted(maps.Keys(s)) }

// String writes them as flags.
func (s Settings) String() string {
	var b strings.Builder
	for i, name := range s.names() {
		if i > 0 {
			b.WriteByte(' ')
		}
		value := s[name]
		if strings.ContainsAny(value, " \t\r\n\"'") || value == "" {
			value = strconv.Quote(value)
		}
		b.WriteString("--" + name + "=" + value)
	}
	return b.String()
}

// differing says what was told otherwise before.
func (s Settings) differing(before Settings) (list []string) {
	if s == nil || before == nil {
		if s == nil && before == nil {
			return nil
		}
		return []string{"the settings of one are not in its file, which an older smache bench wrote"}
	}
	all := maps.Clone(before)
	maps.Copy(all, s)
	for _, name := range all.names() {
		now, old := s[name], before[name]
		if now == old {
			continue
		}
		list = append(list, fmt.Sprintf("--%s is %s, and was %s", name, orUnset(now), orUnset(old)))
	}
	return list
}

func orUnset(value string) string {
	if value == "" {
		return "not set"
	}
	return value
}
