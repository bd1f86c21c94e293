#!/bin/sh
# Runs one node for development until Ctrl-C. All arguments are optional.
#
#   scripts/dev.sh PORT NAME UPLINK
#   scripts/dev.sh 4000 smache@localhost localhost
#
# PORT    port of the HTTP API on 127.0.0.1 (4000)
# NAME    the node's name (smache@127.0.0.1:PORT)
# UPLINK  another node to join; passed on as UPLINK_NODE
set -eu
cd "$(dirname "$0")/.."

if [ $# -gt 3 ]; then
  echo "usage: scripts/dev.sh [PORT [NAME [UPLINK]]]" >&2
  exit 2
fi
export PORT="${1:-4000}"
if [ -n "${2:-}" ]; then
  export SMACHE_NAME="$2"
fi
if [ -n "${3:-}" ]; then
  export UPLINK_NODE="$3"
fi
# Not go run, which keeps signals from the node.
CGO_ENABLED=0 go build -trimpath -o bin/smache ./cmd/smache
exec bin/smache serve
