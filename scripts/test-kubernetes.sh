#!/usr/bin/env bash
# Holds scripts/kubernetes.yaml against the types that Kubernetes publishes, in the
# version below: every field must exist and have the right type, and names must be
# valid. It needs Go and its modules, and no cluster. What only an API server checks is
# not: what must be given together, and what the values mean. cmd/smache's test
# TestKubernetes holds the values against the node's own flags.
#
#   scripts/test-kubernetes.sh
set -euo pipefail
manifest=$(cd "$(dirname "$0")" && pwd)/kubernetes.yaml
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'EOF'
module check

go 1.26

require (
	k8s.io/api v0.37.2
	k8s.io/apimachinery v0.37.2
	sigs.k8s.io/yaml v1.6.0
)
EOF
cat >main.go <<'EOF'
package main

import (
	"bytes"
	"fmt"
	"os"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	kinds := map[string]meta.Object{
		"v1 Service": &core.Service{}, "policy/v1 PodDisruptionBudget": &policy.PodDisruptionBudget{},
		"networking.k8s.io/v1 NetworkPolicy": &networking.NetworkPolicy{}, "apps/v1 StatefulSet": &apps.StatefulSet{},
	}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		var kind meta.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			fail(err)
		}
		name := kind.APIVersion + " " + kind.Kind
		object, known := kinds[name]
		if !known {
			fail(fmt.Errorf("nothing checks a %s", name))
		}
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			fail(fmt.Errorf("%s: %w", name, err))
		}
		wrong := validation.IsDNS1035Label(object.GetName())
		if set, ok := object.(*apps.StatefulSet); ok {
			wrong = append(wrong, checkPod(&set.Spec.Template.Spec)...)
		}
		if len(wrong) > 0 {
			fail(fmt.Errorf("%s %s: %q", name, object.GetName(), wrong))
		}
		fmt.Println(name, object.GetName())
	}
}

func checkPod(pod *core.PodSpec) (wrong []string) {
	for _, c := range pod.Containers {
		wrong = append(wrong, validation.IsDNS1123Label(c.Name)...)
		for _, p := range c.Ports {
			wrong = append(wrong, validation.IsValidPortName(p.Name)...)
			wrong = append(wrong, validation.IsValidPortNum(int(p.ContainerPort))...)
		}
		for _, e := range c.Env {
			wrong = append(wrong, validation.IsEnvVarName(e.Name)...)
		}
	}
	return wrong
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "test-kubernetes.sh:", err)
	os.Exit(1)
}
EOF
go mod tidy >log 2>&1 || { cat log >&2; exit 1; }
go run . "$manifest"
