#!/bin/sh
# Runs every fuzz target of every package for a time each (default 10s), or for a
# number of inputs.
#
#   scripts/fuzz.sh [TIME]
#   scripts/fuzz.sh 5m
#   scripts/fuzz.sh 10000x
#
# It does what go test -fuzz does, but links each package once and not again for each
# of its targets, which takes longer than a short run.
set -eu
cd "$(dirname "$0")/.."

time=${1:-10s}
# Where go test -fuzz keeps the inputs that reach something new.
corpus=$(go env GOCACHE)/fuzz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
binary=$work/fuzz.test
go list -f '{{.ImportPath}} {{.Dir}}' ./... >"$work/packages"
while read -r package dir; do
  grep -q '^func Fuzz' "$dir"/*_test.go 2>/dev/null || continue
  # -fuzz has the compiler count what is covered; the targets are chosen below.
  go test -c -fuzz . -o "$binary" "$package"
  for target in $("$binary" -test.list '^Fuzz'); do
    echo "fuzz.sh: $target of $package for $time" >&2
    # In the package's directory: its testdata/fuzz has more inputs, and takes what fails.
    (cd "$dir" && "$binary" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$time" -test.fuzzcachedir "$corpus/$package")
  done
done <"$work/packages"
