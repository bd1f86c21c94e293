#!/bin/sh
# Runs all tests: with the race detector where there is a C compiler, which it
# needs, and without it elsewhere. Arguments go to go test in place of ./...
#
#   scripts/test.sh
#   scripts/test.sh -run TestKey ./proto
#
# With RACE=required a missing C compiler is an error. Packages are tested one after the other:
# clusters of real processes, which have to answer each other in time, need the processors.
set -eu
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
  set -- ./...
fi
# The first word of CC is the compiler, what follows are its flags.
compiler=$(go env CC)
if command -v "${compiler%% *}" >/dev/null 2>&1; then
  echo "test.sh: testing with the race detector" >&2
  export CGO_ENABLED=1
  exec go test -race -p 1 -timeout 45m "$@"
fi
if [ "${RACE:-}" = required ]; then
  echo "test.sh: there is no C compiler (${compiler%% *}), which the race detector needs" >&2
  exit 1
fi
echo "test.sh: there is no C compiler (${compiler%% *}): testing without the race detector" >&2
exec go test -p 1 -timeout 45m "$@"
