#!/usr/bin/env bash
# Builds the .deb and the .rpm, with the manual page and the completions that the
# binary prints of itself.
#
#   scripts/packages.sh [VERSION [DIRECTORY]]     git describe, dist
#
# ARCH may be another processor's, as Go names it. NFPM is the tool's module and
# version, KINDS what it makes; the Makefile has the former.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-$(git describe --tags --always --dirty 2>/dev/null || echo devel)}
dist=${2:-dist}
nfpm=${NFPM:-$(sed -n 's/^NFPM := //p' Makefile)}
ARCH=${ARCH:-$(go env GOHOSTARCH)}

STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
flags="-s -w -X main.version=$version"
CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH go build -trimpath -ldflags "$flags" -o "$STAGE/smache" ./cmd/smache
# What prints the page must run here, whatever the package is for.
go build -trimpath -ldflags "$flags" -o "$STAGE/here" ./cmd/smache
"$STAGE/here" man | gzip -9n >"$STAGE/smache.1.gz"
for shell in bash zsh fish; do
  "$STAGE/here" completion "$shell" >"$STAGE/smache.$shell"
done

# Packages want a version that begins with a digit. A commit alone sorts before all
# releases.
case $version in
  v[0-9]*) VERSION=${version#v} ;;
  [0-9]*.*) VERSION=$version ;;
  *) VERSION=0.0.0~$version ;;
esac
export ARCH STAGE VERSION
mkdir -p "$dist"
for kind in ${KINDS:-deb rpm}; do
  go run "$nfpm" package --config scripts/packaging/nfpm.yaml --packager "$kind" --target "$dist/"
done
