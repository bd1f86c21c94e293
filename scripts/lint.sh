#!/bin/sh
# Checks the form of all files: gofmt, go vet, staticcheck at the version given
# (default: the Makefile's); and, if they are there, shellcheck, and systemd-analyze,
# which must find nothing in the units and an exposure of 2.0 or less.
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
  shellcheck scripts/*.sh scripts/packaging/*.sh .ci/run
else
  echo "lint.sh: shellcheck is not installed: the scripts are not checked" >&2
fi
if command -v systemd-analyze >/dev/null 2>&1; then
  units=$(mktemp -d)
  trap 'rm -rf "$units"' EXIT
  cp scripts/systemd/smache.socket "$units"
  # The program need not be installed for its unit to be checked.
  sed 's|^ExecStart=/usr/bin/smache|ExecStart=/bin/true|' scripts/systemd/smache.service >"$units/smache.service"
  complaints=$(systemd-analyze verify --man=no "$units/smache.service" "$units/smache.socket" 2>&1) || true
  if [ -n "$complaints" ]; then
    echo "lint.sh: systemd-analyze verify: $complaints" >&2
    exit 1
  fi
  systemd-analyze security --offline=true --threshold=20 --no-pager "$units/smache.service" >"$units/exposure" ||
    { cat "$units/exposure" >&2; echo "lint.sh: the exposure of smache.service is above 2.0" >&2; exit 1; }
else
  echo "lint.sh: systemd-analyze is not installed: the units are not checked" >&2
fi
echo "lint.sh: all is well" >&2
