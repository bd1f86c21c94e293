#!/bin/sh
# Runs every fuzz target of every package for a time each (default 10s), or for a
# number of inputs.
#
#   scripts/fuzz.sh [TIME]
#   scripts/fuzz.sh 5m
#   scripts/fuzz.sh 10000x
set -eu
cd "$(dirname "$0")/.."

time=${1:-10s}
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "fuzz.sh: $target of $package for $time" >&2
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
  done
done
