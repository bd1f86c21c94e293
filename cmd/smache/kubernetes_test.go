package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A yamlReader reads the part of YAML that scripts/kubernetes.yaml is written in: maps
// and lists by indentation, scalars on one line, and flow maps and lists of scalars. It
// gives map[string]any, []any and string, and an error for anything else: what it does
// not know, people need not either.
type yamlReader struct {
	lines []yamlLine
	at    int
}

type yamlLine struct {
	indent int
	text   string
}

func readYAML(text string) (any, error) {
	r := &yamlReader{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		body := strings.TrimLeft(line, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		if strings.ContainsAny(line, "\t|>&!%@`") || strings.Contains(body, " #") {
			return nil, fmt.Errorf("%q is not of the part of YAML that is read here", line)
		}
		r.lines = append(r.lines, yamlLine{len(line) - len(body), body})
	}
	v, err := r.node()
	if err == nil && r.at < len(r.lines) {
		err = fmt.Errorf("%q is indented by %d", r.lines[r.at].text, r.lines[r.at].indent)
	}
	return v, err
}

// node reads the map or the list that begins at the next line.
func (r *yamlReader) node() (any, error) {
	if r.at == len(r.lines) {
		return nil, fmt.Errorf("something is missing at the end")
	}
	indent := r.lines[r.at].indent
	if strings.HasPrefix(r.lines[r.at].text, "- ") {
		list := []any{}
		for r.at < len(r.lines) && r.lines[r.at].indent == indent && strings.HasPrefix(r.lines[r.at].text, "- ") {
			l := &r.lines[r.at]
			l.indent, l.text = l.indent+2, l.text[2:]
			v, err := r.item()
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	m := map[string]any{}
	for r.at < len(r.lines) && r.lines[r.at].indent == indent && !strings.HasPrefix(r.lines[r.at].text, "- ") {
		name, rest, ok := strings.Cut(r.lines[r.at].text, ":")
		if _, twice := m[name]; !ok || twice || rest != "" && rest[0] != ' ' {
			return nil, fmt.Errorf("%q is no new member of a map", r.lines[r.at].text)
		}
		r.at++
		var err error
		if rest = strings.TrimSpace(rest); rest != "" {
			m[name], err = scalar(rest)
		} else if r.at == len(r.lines) || r.lines[r.at].indent <= indent {
			err = fmt.Errorf("%s has no value", name)
		} else {
			m[name], err = r.node()
		}
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// item reads what stands behind the dash of a list.
func (r *yamlReader) item() (any, error) {
	text := r.lines[r.at].text
	if name, rest, ok := strings.Cut(text, ":"); ok && !strings.ContainsAny(name, `{["`) && (rest == "" || rest[0] == ' ') {
		return r.node()
	}
	r.at++
	return scalar(text)
}

// scalar reads a value on one line.
func scalar(text string) (any, error) {
	v, rest, err := flow(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q stands behind %q", rest, text)
	}
	return v, err
}

func flow(text string) (v any, rest string, err error) {
	switch text[0] {
	case '"':
		end := strings.IndexByte(text[1:], '"')
		if end < 0 {
			return nil, "", fmt.Errorf("%s does not end", text)
		}
		return text[1 : 1+end], strings.TrimSpace(text[2+end:]), nil
	case '[', '{':
		list, m, closing := []any{}, map[string]any{}, map[byte]string{'[': "]", '{': "}"}[text[0]]
		isMap := text[0] == '{'
		for rest = text[1:]; ; rest = strings.TrimSpace(rest[1:]) {
			name := ""
			if isMap {
				var ok bool
				if name, rest, ok = strings.Cut(rest, ": "); !ok {
					return nil, "", fmt.Errorf("%q has a member without a value", text)
				}
			}
			if v, rest, err = flow(strings.TrimSpace(rest)); err != nil {
				return nil, "", err
			}
			m[name], list = v, append(list, v)
			if strings.HasPrefix(rest, closing) {
				break
			}
			if !strings.HasPrefix(rest, ",") {
				return nil, "", fmt.Errorf("%q does not end", text)
			}
		}
		rest = strings.TrimSpace(rest[1:])
		if isMap {
			return m, rest, nil
		}
		return list, rest, nil
	default:
		end := strings.IndexAny(text, ",]}")
		if end < 0 {
			end = len(text)
		}
		return strings.TrimSpace(text[:end]), text[end:], nil
	}
}

func TestReadYAML(t *testing.T) {
	v, err := readYAML("# c\na: {b: \"x, y\", c: [1, z]}\nd:\n  - e: 1\n    f:\n      g: h\n  - {i: j}\n  - k\n")
	if want := "map[a:map[b:x, y c:[1 z]] d:[map[e:1 f:map[g:h]] map[i:j] k]]"; err != nil || fmt.Sprint(v) != want {
		t.Errorf("%v, %v; want %s", v, err, want)
	}
	for _, text := range []string{"a:\n", "a: 1\na: 2\n", "a: [1\n", "a: {b}\n", "a: \"b\n", "a: 1\n  b: 2\n", "a\n", "a: |\n  b\n", "a: 1 # b\n", "a: \"b\" c\n", "a:\n- b: c\n   d: e\n"} {
		if v, err := readYAML(text); err == nil {
			t.Errorf("%q is read as %v", text, v)
		}
	}
}

// A manifest is the objects of scripts/kubernetes.yaml.
type manifest struct {
	t       *testing.T
	objects map[string]any // by kind and name
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "scripts", "kubernetes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m := manifest{t, map[string]any{}}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		object, err := readYAML(document)
		if err != nil {
			t.Fatal(err)
		}
		kind, name := m.text(object, "kind"), m.text(object, "metadata", "name")
		m.objects[kind+" "+name] = object
	}
	return m
}

// at follows names, and numbers of places in lists.
func (m manifest) at(v any, path ...any) any {
	m.t.Helper()
	for i, step := range path {
		switch step := step.(type) {
		case string:
			members, _ := v.(map[string]any)
			v = members[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				m.t.Fatalf("%v has no place %d", path[:i], step)
			}
			v = list[step]
		}
	}
	return v
}

func (m manifest) text(v any, path ...any) string {
	m.t.Helper()
	text, ok := m.at(v, path...).(string)
	if !ok {
		m.t.Errorf("%v is not there", path)
	}
	return text
}

func (m manifest) number(v any, path ...any) int {
	m.t.Helper()
	n, err := strconv.Atoi(m.text(v, path...))
	if err != nil {
		m.t.Errorf("%v: %v", path, err)
	}
	return n
}

// stopTimes gives how long preStop keeps a pod, and how long the pod may take to end in all.
func (m manifest) stopTimes() (preStop, grace time.Duration) {
	m.t.Helper()
	pod := m.at(m.objects["StatefulSet smache"], "spec", "template", "spec")
	seconds := func(v any, path ...any) time.Duration {
		m.t.Helper()
		return time.Duration(m.number(v, path...)) * time.Second
	}
	return seconds(pod, "containers", 0, "lifecycle", "preStop", "sleep", "seconds"), seconds(pod, "terminationGracePeriodSeconds")
}

// TestKubernetes holds the manifest against the flags of the node, and against itself.
// scripts/test-kubernetes.sh holds its fields against what Kubernetes publishes.
func TestKubernetes(t *testing.T) {
	m := readManifest(t)
	set := m.objects["StatefulSet smache"]
	pod := m.at(set, "spec", "template", "spec")
	node := m.at(pod, "containers", 0)

	// The settings are what smache serve takes.
	env, cfg := environment{}, newServeConfig()
	variables, _ := m.at(node, "env").([]any)
	for _, v := range variables {
		name := m.text(v, "name")
		switch field := m.at(v, "valueFrom", "fieldRef", "fieldPath"); field {
		case nil:
			env[name] = m.text(v, "value")
		case "metadata.name":
			env[name] = "smache-0"
		case "status.podIP":
			env[name] = "10.1.2.3"
		default:
			t.Errorf("%s is of %v", name, field)
		}
	}
	settings := cfg.settings()
	if unknown := unknownVariables(env); len(unknown) > 0 || len(env) < 8 {
		t.Errorf("the node has %d settings, of which it does not know %v", len(env), unknown)
	}
	if _, err := parseSettings(settings, nil, env); err != nil {
		t.Fatal(err)
	}
	mounts := m.text(node, "volumeMounts", 0, "mountPath")
	for _, file := range []*stringValue{&cfg.cluster.secretFile, &cfg.access.tokenFile, &cfg.access.readTokenFile} {
		if dir := filepath.Dir(string(*file)); dir != mounts {
			t.Errorf("%s is not of the volume at %s", string(*file), mounts)
		}
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		*file = stringValue(path)
	}
	if err := cfg.complete(env, &service{}); err != nil {
		t.Error(err)
	}
	if _, err := cfg.protection(); err != nil {
		t.Error(err)
	}

	// Ports are those that the settings lead to, everywhere.
	_, port, _ := net.SplitHostPort(string(cfg.listen))
	_, admin, _ := net.SplitHostPort(string(cfg.adminListen))
	_, peer, _ := net.SplitHostPort(string(cfg.cluster.peerListen))
	_, gossip, _ := net.SplitHostPort(string(cfg.cluster.gossipListen))
	ports := map[string]string{"http": port, "admin": admin, "peer": peer, "gossip": gossip, "gossip-udp": gossip}
	check := func(what string, list any, number string) {
		t.Helper()
		all, _ := list.([]any)
		if len(all) == 0 {
			t.Errorf("%s has no ports", what)
		}
		for _, p := range all {
			name := m.text(p, "name")
			if want := ports[name]; want == "" || m.text(p, number) != want || (m.at(p, "protocol") == "UDP") != (name == "gossip-udp") {
				t.Errorf("%s: the port %v, want %s", what, p, want)
			}
		}
	}
	check("the pod", m.at(node, "ports"), "containerPort")
	check("the service", m.at(m.objects["Service smache"], "spec", "ports"), "port")
	check("the nodes' service", m.at(m.objects["Service smache-nodes"], "spec", "ports"), "port")
	rules, _ := m.at(m.objects["NetworkPolicy smache"], "spec", "ingress").([]any)
	var open, closed []string
	for _, rule := range rules {
		list, _ := m.at(rule, "ports").([]any)
		for _, p := range list {
			if m.at(rule, "from") == nil {
				open = append(open, m.text(p, "port"))
			} else {
				closed = append(closed, m.text(p, "port"))
			}
		}
	}
	if !slices.Equal(open, []string{"http", "admin"}) || !slices.Equal(closed, []string{"peer", "gossip", "gossip-udp"}) {
		t.Errorf("everybody reaches %v, the nodes reach %v", open, closed)
	}
	if m.text(set, "spec", "template", "metadata", "annotations", "prometheus.io/port") != admin {
		t.Error("Prometheus asks another port")
	}

	// Nodes find each other by the name of the headless service, ready or not.
	nodes := m.objects["Service "+m.text(set, "spec", "serviceName")]
	if m.text(nodes, "spec", "clusterIP") != "None" || m.text(nodes, "spec", "publishNotReadyAddresses") != "true" ||
		!slices.Equal(cfg.cluster.join.items, []string{m.text(nodes, "metadata", "name")}) {
		t.Error("the nodes do not find each other")
	}
	for object, path := range map[string][]any{
		"Service smache": {"spec", "selector"}, "Service smache-nodes": {"spec", "selector"},
		"PodDisruptionBudget smache": {"spec", "selector", "matchLabels"}, "NetworkPolicy smache": {"spec", "podSelector", "matchLabels"},
		"StatefulSet smache": {"spec", "selector", "matchLabels"},
	} {
		if got, want := fmt.Sprint(m.at(m.objects[object], path...)), fmt.Sprint(m.at(set, "spec", "template", "metadata", "labels")); got != want {
			t.Errorf("%s is of %s, the pods are %s", object, got, want)
		}
	}
	if m.text(m.objects["PodDisruptionBudget smache"], "spec", "maxUnavailable") != "1" {
		t.Error("more than one node may be stopped at once")
	}

	// Memory and times fit, as docs/OPERATIONS.md has them.
	var limit sizeValue
	if err := limit.Set(m.text(node, "resources", "limits", "memory") + "B"); err != nil {
		t.Fatal(err)
	}
	if want := int64(cfg.memory)/4*5 + 64<<20; int64(limit) != want || m.text(node, "resources", "requests", "memory") != m.text(node, "resources", "limits", "memory") {
		t.Errorf("the limit is %s for a memory of %s, want %s", limit.String(), cfg.memory.String(), formatSize(want))
	}
	// The kubelet counts preStop, too.
	preStop, grace := m.stopTimes()
	if least := preStop + time.Duration(cfg.stopAfter) + stopMargin; grace < least {
		t.Errorf("the pod is given %v to end, and needs %v", grace, least)
	}
	if time.Duration(cfg.drainDelay) > 0 || preStop < 5*time.Second {
		t.Errorf("after %v of preStop the node still serves for %v", preStop, time.Duration(cfg.drainDelay))
	}
	_, live := holds(t, int64(cfg.memory)>>20, true)
	moving := time.Duration(live)*time.Second/time.Duration(cfg.cluster.moveRate) + 10*time.Second
	if ready := time.Duration(m.number(set, "spec", "minReadySeconds")) * time.Second; ready < moving {
		t.Errorf("the next node's turn comes after %v, and this one needs %v to take its share back", ready, moving)
	}
	if time.Duration(cfg.stopAfter) < 2*moving {
		t.Errorf("a node is given %v to hand over, and should have twice %v", time.Duration(cfg.stopAfter), moving)
	}
	for probe, path := range map[string]string{"startupProbe": "/livez", "readinessProbe": "/readyz", "livenessProbe": "/livez"} {
		if m.text(node, probe, "httpGet", "path") != path || m.text(node, probe, "httpGet", "port") != "http" {
			t.Errorf("%s asks %v", probe, m.at(node, probe, "httpGet"))
		}
	}

	// Closed: no rights, nothing to write, no variables of others.
	for _, s := range []struct {
		of   any
		path []any
		want string
	}{
		{pod, []any{"enableServiceLinks"}, "false"},
		{pod, []any{"automountServiceAccountToken"}, "false"},
		{pod, []any{"securityContext", "runAsNonRoot"}, "true"},
		{pod, []any{"securityContext", "runAsUser"}, "65534"}, // that of the image
		{pod, []any{"securityContext", "fsGroup"}, "65534"},
		{node, []any{"securityContext", "readOnlyRootFilesystem"}, "true"},
		{node, []any{"securityContext", "allowPrivilegeEscalation"}, "false"},
		{pod, []any{"volumes", 0, "secret", "defaultMode"}, "0440"},
	} {
		if got := m.text(s.of, s.path...); got != s.want {
			t.Errorf("%v is %s, want %s", s.path, got, s.want)
		}
	}
	if m.text(pod, "volumes", 0, "name") != m.text(node, "volumeMounts", 0, "name") || m.text(pod, "volumes", 0, "secret", "secretName") != "smache" {
		t.Error("the secrets are not mounted")
	}
	if !strings.Contains(fmt.Sprint(m.at(node, "securityContext", "capabilities", "drop")), "ALL") {
		t.Error("the node keeps capabilities")
	}
}

// TestKubernetesStop does what Kubernetes does to a pod of the manifest, with its settings,
// once preStop is over: SIGTERM. The node then says at once that it is not ready, answers
// every request until it closes its port, hands over what it holds, and ends long before
// the kubelet would kill it.
func TestKubernetesStop(t *testing.T) {
	t.Parallel()
	m := readManifest(t)
	preStop, grace := m.stopTimes()
	var settings []string // that are not about addresses, files or size
	list, _ := m.at(m.objects["StatefulSet smache"], "spec", "template", "spec", "containers", 0, "env").([]any)
	for _, v := range list {
		if name := m.text(v, "name"); slices.Contains([]string{"SMACHE_STOP_TIMEOUT", "SMACHE_DRAIN_DELAY", "SMACHE_MOVE_RATE"}, name) {
			settings = append(settings, "--"+strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "SMACHE_")), "_", "-"), m.text(v, "value"))
		}
	}
	if len(settings) == 0 {
		t.Fatal("the manifest has no time to stop in")
	}
	settings = append(settings, "--peer-wait", "30s")
	ports := clusterPorts(t, 2)
	stays := serveOn(t, ports[0], aSecret, settings...)
	goes := serveOn(t, ports[1], aSecret, append(settings, "--join", "127.0.0.1:"+ports[0])...)
	awaitSettled(t, stays, goes)
	const keys = 2000
	for i := range keys {
		if status, answer := post(stays, fmt.Sprintf(`{"key":%d,"data":{"n":%d}}`, i, i)); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}

	k, err := dial(goes.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.conn.Close() }()
	begin := time.Now()
	goes.signal(syscall.SIGTERM)
	unready, answered := false, 0
	for i := 0; ; i = (i + 1) % keys {
		path := fmt.Sprintf("/api?key=%d", i)
		probe := i%2 == 0 // often, for it may have little to hand over
		if probe {
			path = "/readyz"
		}
		status, answer, last, err := k.ask(http.MethodGet, path, "")
		if errors.As(err, &unansweredError{}) {
			break // the port is closed
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case probe:
			unready = unready || status == http.StatusServiceUnavailable
			if unready && status != http.StatusServiceUnavailable {
				t.Errorf("/readyz is %d after it was 503", status)
			}
		case status != http.StatusOK || !strings.Contains(answer, fmt.Sprintf(`"data":{"n":%d}`, i)):
			t.Errorf("while it hands over it answers %d %s", status, answer)
		default:
			answered++
		}
		if last {
			break
		}
	}
	if code := goes.exit(); code != exitOK {
		t.Errorf("exit code %d; the log: %v", code, goes.lines())
	}
	if took := time.Since(begin); took > grace-preStop {
		t.Errorf("it takes %v to end, and is killed after %v", took, grace-preStop)
	}
	if !unready || answered == 0 {
		t.Errorf("not ready: %t; %d answers while it stopped", unready, answered)
	}
	for i := range keys {
		if status, answer := stays.get(fmt.Sprintf("/api?key=%d", i)); status != http.StatusOK || !strings.Contains(answer, fmt.Sprintf(`"data":{"n":%d}`, i)) {
			t.Fatalf("key %d is lost: %d %s", i, status, answer)
		}
	}
}
