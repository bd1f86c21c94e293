#!/bin/sh
# Checks the form of all files: gofmt, go vet, staticcheck at the version given
# (default: the Makefile's), and shellcheck if it is there.
#
#   scripts/lint.sh [honnef.co/go/tools/cmd/staticcheck@VERSION]
set -eu
cd "$(dirname "$0")/.."

staticcheck=${1:-$(sed -n 's/^STATICCHECK := //p' Makefile)}

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
  echo "lint.sh: not in gofmt's form:" >&2
  echo "$unformatted" >&2
  exit 1
fi
go vet ./...
go run "$staticcheck" ./...
if command -v shellcheck >/dev/null 2>&1; then
  shellcheck scripts/*.sh .ci/run
else
  echo "lint.sh: shellcheck is not installed: the scripts are not checked" >&2
fi
echo "lint.sh: all is well" >&2
